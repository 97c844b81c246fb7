"""Single nuclei: Mini-Net with the watershed of ``--instances`` against connected pieces, and Otsu's threshold.

    python benchmarks/instances.py --public monuseg --download DIR --work DIR
    python benchmarks/instances.py --public dsb2018 --download DIR --work DIR

Three seeds of one short recipe. How far peaks must stand out is chosen on validation images, among four values, by
panoptic quality. Expected: parting pays where nuclei touch (MoNuSeg, tissue of DSB 2018) and costs little elsewhere.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from harness import Arm, Results, run_facts, summed, train
from leanseg.bundle import read_bundle
from leanseg.data.folder import open_dataset
from leanseg.data.public import public_set
from leanseg.data.splits import complete_splits, write_splits
from leanseg.inference.instances import Parting, instances
from leanseg.inference.predictor import Predictor
from leanseg.workflows.contestants import Contestant, Model
from leanseg.workflows.evaluation import evaluate_cases
from untrained import Otsu, OtsuAgainstRim

SEPARATIONS = (0.5, 1.0, 2.0, 4.0)
SMALLEST = 10
"""Pixels of the smallest nucleus, alike for all."""
UNTRAINED: dict[str, Contestant] = {"monuseg": Otsu(), "dsb2018": OtsuAgainstRim()}
"""Stained nuclei are dark, wherever the tissue ends; in DSB 2018 some are bright on black and some dark on white."""
MINI_NET = Arm(name="Mini-Net", options={"epochs": 6, "threads": 1, "precision": "32-true"})


def main() -> None:
    """Prepare the set, train what is missing, part every mask in each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--public", choices=UNTRAINED, required=True)
    parser.add_argument("--download", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/instances"))
    given = parser.parse_args()
    data = given.work / given.public
    if not data.exists():
        public_set(given.public).convert(given.download, data)
        write_splits(complete_splits(open_dataset(data).cases, seed=0), data / "splits.csv")
    results = Results(f"instances_{given.public}")
    wanted = open_dataset(data).classes
    for seed in MINI_NET.seeds:
        if results.holds(MINI_NET.name, seed):
            continue
        run = given.work / f"{given.public}-{seed}"
        bundle = read_bundle(train(data, run, MINI_NET.options, seed))
        model = Model(name=MINI_NET.name, predictor=Predictor(bundle=bundle), classes=bundle.classes, wanted=wanted)
        _keep(results, data, model, seed, MINI_NET.options, run_facts(run))
    untrained = UNTRAINED[given.public]
    if not results.holds(untrained.name, 0):
        _keep(results, data, untrained, 0, {}, {"parameters": 0})


def _keep(
    results: Results, data: Path, who: Contestant, seed: int, options: Mapping[str, Any], facts: Mapping[str, Any]
) -> None:
    """Choose the separation on validation images, then open the test images once for both ways."""
    quality = {height: _quality(_scores(data, who, "val", _watershed(height))["images"]) for height in SEPARATIONS}
    best = max(SEPARATIONS, key=lambda height: quality[height])
    ways: dict[str, Parting] = {"connected pieces": _pieces, "watershed": _watershed(best)}
    trials = {name: _scores(data, who, "test", way) for name, way in ways.items()}
    validation = {str(height): value for height, value in quality.items()}
    results.add({"arm": who.name, "seed": seed, "options": dict(options), "note": "", **facts,
                 "separation": best, "validation": validation, "trials": trials})  # fmt: skip


def _scores(data: Path, who: Contestant, split: str, way: Parting) -> dict[str, Any]:
    dataset = open_dataset(data)
    return summed(evaluate_cases(dataset, dataset.subset(split), [who], parting=way))


def _quality(images: list[dict[str, Any]]) -> float:
    return float(np.mean([0.0 if row["pq"] is None else row["pq"] for row in images]))


def _watershed(height: float) -> Parting:
    return partial(instances, separation=height, smallest=SMALLEST)


def _pieces(mask: Any, probability: Any) -> Any:  # noqa: ARG001
    """Pieces that touch at a corner are one, as in the watershed."""
    pieces, _ = ndimage.label(mask, np.ones((3,) * mask.ndim))
    small = np.bincount(pieces.ravel()) < SMALLEST
    return np.where(small[pieces], 0, pieces).astype(np.int32)


if __name__ == "__main__":
    main()
