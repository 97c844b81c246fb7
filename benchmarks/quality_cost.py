"""What it costs to say how good a mask is: time beside the network's own, one thread each.

    python benchmarks/quality_cost.py --image FILE

The image is a fundus photograph of any size; the model is the bundled one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from harness import Results
from leanseg.bundle import read_bundle
from leanseg.images.read import read_image
from leanseg.inference.predictor import Predictor
from leanseg.inference.tally import Tally

REPEATS = 15


def main() -> None:
    """Time segmenting as a whole, and the parts that judge the mask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, required=True)
    image = read_image(parser.parse_args().image)
    predictor = Predictor(bundle=read_bundle("vessels"), threads=1)
    found = predictor.whole(image, probabilities=True)
    assert found.probabilities is not None
    mask, maps = found.labels > 0, found.probabilities[0]
    prepared = predictor.prepare(image)
    parts: dict[str, Callable[[], object]] = {
        "segmenting, with all of it": lambda: predictor.whole(image),
        "traits of the mask": lambda: Tally().add(mask, maps),
        "appearance and judgement": lambda: predictor.appraiser(prepared, found.traits),
    }
    milliseconds = {name: _median(part) for name, part in parts.items()}
    whole, *extra = milliseconds.values()
    results = Results("quality_cost")
    results.content["runs"] = []
    results.add({"arm": "vessels", "seed": 0, "pixels": list(image.shape), "milliseconds": milliseconds,
                 "share_of_the_rest": sum(extra) / (whole - sum(extra))})  # fmt: skip


def _median(part: Callable[[], object]) -> float:
    part()
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        part()
        times.append(1000 * (time.perf_counter() - begun))
    return float(np.median(times))


if __name__ == "__main__":
    main()
