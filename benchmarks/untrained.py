"""What answers without a network: every place, the usual place, and thresholds. The rows that a network must beat."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from skimage.filters import threshold_otsu

from harness import Results, Trial, summed
from leanseg.data.dataset import Case, Dataset
from leanseg.data.folder import open_dataset
from leanseg.images.image import Image
from leanseg.workflows.contestants import Answer, Contestant
from leanseg.workflows.evaluation import evaluate_cases
from leanseg.workflows.scoring import class_masks

DARK = 20
"""Level below which a pixel belongs to the frame of an endoscope."""


class Everything:
    """Every pixel is of every class.

    Args:
        classes: their number.
    """

    name = "everything"

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def answer(self, case: Case, image: Image) -> Answer:  # noqa: ARG002
        """The whole image."""
        return Answer(np.ones((self.classes, *image.shape), bool))


class MeanMask:
    """Where more than a share of the training labels, brought to one size, show a class.

    Args:
        dataset: with labels; of volumes each slice counts.
        side: of the map in pixels.
        shares: to choose from; for each class the one with the best mean Dice on the training labels.
    """

    name = "mean training label"

    def __init__(self, dataset: Dataset, side: int = 128, shares: Sequence[float] = (0.5,)) -> None:
        masks = [class_masks(dataset.read_labels(case), dataset.classes) for case in dataset.subset("train")]
        slices = [plane for mask in masks for plane in (mask[:, None] if mask.ndim == 3 else mask).swapaxes(0, 1)]
        small = np.stack([_resized(plane, (side, side)) for plane in slices])
        self.masks = np.stack([_best(small[:, number], shares) for number in range(small.shape[1])])

    def answer(self, case: Case, image: Image) -> Answer:  # noqa: ARG002
        """The same for every image, or slice."""
        masks = _resized(self.masks, image.shape[-2:])
        return Answer(masks if len(image.shape) == 2 else np.repeat(masks[:, None], image.shape[0], 1))


def _best(masks: Any, shares: Sequence[float]) -> Any:
    """The mean of (N, H, W) masks, cut at the share that suits them best."""
    cuts = [masks.mean(0) > share for share in shares]
    shown = masks[masks.any((1, 2))]
    return max(cuts, key=lambda cut: float(np.mean(2 * (cut & shown).sum((1, 2)) / (cut.sum() + shown.sum((1, 2))))))


def _resized(planes: Any, shape: tuple[int, ...]) -> Any:
    rows, columns = (np.arange(new) * old // new for new, old in zip(shape, planes.shape[-2:], strict=True))
    return planes[..., rows[:, None], columns]


class Otsu:
    """Otsu's threshold of the grey image; what is darker is the object."""

    name = "Otsu, dark"

    def answer(self, case: Case, image: Image) -> Answer:  # noqa: ARG002
        """Threshold one image."""
        grey = _colours(image, cv2.COLOR_RGB2GRAY)
        return Answer((grey < threshold_otsu(grey))[None])


class OtsuAgainstRim:
    """Otsu's threshold of the grey image; the object is on the other side of it than the rim of the image."""

    name = "Otsu, unlike the rim"

    def answer(self, case: Case, image: Image) -> Answer:  # noqa: ARG002
        """Threshold one image."""
        grey = _colours(image, cv2.COLOR_RGB2GRAY)
        dark = grey < threshold_otsu(grey)
        rim = np.concatenate([dark[0], dark[-1], dark[:, 0], dark[:, -1]])
        return Answer((~dark if rim.mean() > 0.5 else dark)[None])


class Redness:
    """Otsu's threshold between green and red (a* of LAB), inside the frame; what is redder is the object."""

    name = "redness, Otsu"

    def answer(self, case: Case, image: Image) -> Answer:  # noqa: ARG002
        """Threshold one image."""
        red = _colours(image, cv2.COLOR_RGB2LAB)[..., 1]
        seen = image.pixels.max(0) > DARK
        return Answer((seen & (red > threshold_otsu(red[seen])))[None])


def _colours(image: Image, code: int) -> Any:
    return cv2.cvtColor(np.ascontiguousarray(np.moveaxis(image.pixels, 0, -1)), code)


def add_untrained(
    results: Results, trials: Sequence[Trial], contestants: Sequence[Callable[[Dataset], Contestant]]
) -> None:
    """Score what needs no training, once, in every trial.

    Args:
        results: of the comparison; contestants that it holds are left out.
        trials: the first one's data set has the training labels.
        contestants: each is made from that data set.
    """
    known = open_dataset(trials[0].data)
    for make in contestants:
        started, contestant = time.perf_counter(), make(known)
        if results.holds(contestant.name, 0):
            continue
        scores = {}
        for trial in trials:
            dataset = open_dataset(trial.data)
            cases = dataset.cases if trial.split == "all" else dataset.subset(trial.split)
            scores[trial.name] = summed(evaluate_cases(dataset, cases, [contestant], cl_dice=trial.cl_dice))
        results.add({"arm": contestant.name, "seed": 0, "options": {}, "note": "", "parameters": 0,
                     "seconds": time.perf_counter() - started, "trials": scores})  # fmt: skip
