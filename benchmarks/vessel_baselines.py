"""What needs no training, on DRIVE's test images: nothing, two classical filters, and the second observer.

    python benchmarks/vessel_baselines.py --drive DIR --work DIR

Frangi's threshold and the scale of its filters come from the training images.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from skimage.filters import frangi, threshold_otsu
from skimage.morphology import black_tophat, disk

from harness import Results, summed
from leanseg.data.dataset import Case, Dataset
from leanseg.data.folder import open_dataset
from leanseg.data.public import public_set
from leanseg.images.image import Image
from leanseg.images.read import read_mask
from leanseg.metrics.ranking import choose_threshold
from leanseg.workflows.contestants import Answer
from leanseg.workflows.evaluation import evaluate_cases
from leanseg.workflows.scoring import class_masks

RADII = (4, 6, 8, 10)
SCALES = ((1.0, 2.0), (1.0, 2.0, 3.0), (2.0, 3.0, 4.0))

Rule = Callable[[Case, Image], Any]


class Filter:
    """A contestant made of a rule for one image, (H, W) of bool or of [0, 1]."""

    def __init__(self, name: str, rule: Rule, threshold: float | None = None) -> None:
        self.name, self.rule, self.threshold = name, rule, threshold

    def answer(self, case: Case, image: Image) -> Answer:
        """Apply the rule."""
        found = self.rule(case, image)
        if self.threshold is None:
            return Answer(found[None])
        return Answer(found[None] >= self.threshold, found[None])


def green(image: Image) -> Any:
    """The green channel in [0, 1], in which vessels are dark and clearest."""
    return image.pixels[1] / np.float32(255)


def top_hat(radius: int, dataset: Dataset) -> Rule:
    """Black top-hat of the green channel, and Otsu's threshold over the field of view."""

    def rule(case: Case, image: Image) -> Any:
        hat = black_tophat(green(image), disk(radius))
        return hat > threshold_otsu(hat[dataset.read_valid(case, image=image)])

    return rule


def ridges(scales: Sequence[float]) -> Rule:
    """Frangi's filter of the green channel over several scales, divided by its largest value."""

    def rule(case: Case, image: Image) -> Any:  # noqa: ARG001
        found = frangi(green(image), sigmas=scales, black_ridges=True)
        return (found / found.max()).astype(np.float32)

    return rule


def mean_dice(dataset: Dataset, cases: Sequence[Case], contestant: Filter) -> float:
    """By which settings are chosen on training images."""
    found = evaluate_cases(dataset, cases, [contestant]).summaries[0]
    return float(found.means["dice"].mean)


def fitted_ridges(dataset: Dataset, cases: Sequence[Case], scales: Sequence[float]) -> Filter:
    """Frangi's filter with the threshold that suits some cases."""
    images = [dataset.read_image(case) for case in cases]
    maps = [ridges(scales)(case, image) for case, image in zip(cases, images, strict=True)]
    truths = [
        class_masks(dataset.read_labels(c, image=i), dataset.classes)[0] for c, i in zip(cases, images, strict=True)
    ]
    valid = [dataset.read_valid(c, image=i) for c, i in zip(cases, images, strict=True)]
    return Filter("Frangi", ridges(scales), choose_threshold(maps, truths, valid))


def main() -> None:
    """Choose settings on training images, score on test images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drive", type=Path, required=True, help="the downloaded folder")
    parser.add_argument("--work", type=Path, default=Path("runs/mini_net_drive"))
    given = parser.parse_args()
    data = given.work / "data"
    if not data.exists():
        public_set("drive").convert(given.drive, data)
    dataset = open_dataset(data)
    seen = [*dataset.subset("train"), *dataset.subset("val")]

    def second(case: Case, image: Image) -> Any:  # noqa: ARG001
        number = case.stem.split("_")[0]
        return read_mask(given.drive / "test" / "2nd_manual" / f"{number}_manual2.gif") > 127

    hats = [Filter("green top-hat, Otsu", top_hat(radius, dataset)) for radius in RADII]
    frangis = [fitted_ridges(dataset, seen, scales) for scales in SCALES]
    contestants = [
        Filter("nothing is vessel", lambda case, image: np.zeros(image.shape, bool)),  # noqa: ARG005
        max(hats, key=lambda contestant: mean_dice(dataset, seen, contestant)),
        max(frangis, key=lambda contestant: mean_dice(dataset, seen, contestant)),
        Filter("second observer", second),
    ]
    results = Results("vessel_baselines")
    for contestant in contestants:
        if results.holds(contestant.name, 0):
            continue
        started = time.perf_counter()
        scores = summed(evaluate_cases(dataset, dataset.subset("test"), [contestant], cl_dice=True))
        results.add({"arm": contestant.name, "seed": 0, "options": {}, "note": "", "parameters": 0,
                     "seconds": time.perf_counter() - started, "trials": {"test images": scores}})  # fmt: skip


if __name__ == "__main__":
    main()
