"""After training: temperature and threshold from validation images, through the very predictor that users run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich.progress import track

from leanseg.bundle import Bundle
from leanseg.data.dataset import Case, Dataset
from leanseg.inference.predictor import Predictor
from leanseg.metrics.calibration import fit_temperature, logits_of
from leanseg.metrics.ranking import choose_threshold
from leanseg.types import Classes, Mask, Probabilities
from leanseg.workflows.scoring import class_masks


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a model said about validation images, and the truth.

    Args:
        probabilities: (K, *spatial), one for each image.
        truths: (K, *spatial), one for each image.
        valid: (*spatial), one for each image.
    """

    probabilities: Sequence[Probabilities]
    truths: Sequence[Mask]
    valid: Sequence[Mask]

    def __add__(self, other: Judged) -> Judged:
        return Judged(
            probabilities=[*self.probabilities, *other.probabilities],
            truths=[*self.truths, *other.truths],
            valid=[*self.valid, *other.valid],
        )


def judge(bundle: Bundle, dataset: Dataset, cases: Sequence[Case], *, flips: bool = False) -> Judged:
    """Run a written bundle on labelled images it was not trained on.

    Raises:
        InputError: a file cannot be used.
    """
    predictor = Predictor(bundle=bundle, flips=flips)
    said, truths, masks = [], [], []
    for case in track(cases, description="calibrating", transient=True):
        image = dataset.read_image(case)
        maps = predictor.predict(image, probabilities=True).probabilities
        assert maps is not None
        said.append(maps)
        truths.append(class_masks(dataset.read_labels(case, image=image), dataset.classes))
        masks.append(dataset.read_valid(case, image=image))
    return Judged(probabilities=said, truths=truths, valid=masks)


def calibrated(bundle: Bundle, judged: Judged) -> Bundle:
    """The bundle with temperatures that make its probabilities most likely and the thresholds of best mean Dice.

    Overlapping classes have a temperature each. Where classes compete, one is fitted to all of them against the rest,
    and no threshold is needed.
    """
    count = len(bundle.classes.names)
    groups = [[number] for number in range(count)] if bundle.classes.overlapping else [list(range(count))]
    temperatures = tuple(_temperature(judged, group) for group in groups)
    parts = tuple(
        replace(part, temperature=tuple(float(t) for t in np.multiply(part.temperature, temperatures)))
        for part in bundle.parts
    )
    if not bundle.classes.sigmoid:
        return replace(bundle, parts=parts)
    thresholds = []
    for number in range(count):
        maps = [_cooled(m[number], temperatures[number]) for m in judged.probabilities]
        truths = [m[number] for m in judged.truths]
        shown = any(bool(t.any()) for t in truths)
        thresholds.append(choose_threshold(maps, truths, judged.valid) if shown else 0.5)
    return replace(bundle, parts=parts, threshold=tuple(thresholds))


def about_never_shown(classes: Classes, truths: Iterable[Any]) -> tuple[str, ...]:
    """A note on classes that none of some validation images shows.

    Args:
        classes: of the model.
        truths: masks (K, *spatial), arrays or tensors, one for each image.

    Example:
        >>> about_never_shown(Classes(names=("disc", "cup")), [np.array([[True, False], [False, False]])])[0][:50]
        'No validation image shows cup: weights, threshold '
    """
    missing = set(range(len(classes.names)))
    for masks in truths:
        missing -= {number for number in missing if bool(masks[number].any())}
    if not missing:
        return ()
    names = ", ".join(classes.names[number] for number in sorted(missing))
    found = f"No validation image shows {names}: weights, threshold and temperature were not chosen by it."
    return (f"{found} Splits with such an image would help.",)


def _temperature(judged: Judged, classes: list[int]) -> float:
    """The best for some classes, each against the rest; 1 where no image shows them."""
    if not any(bool(masks[classes].any()) for masks in judged.truths):
        return 1.0
    said = [logits_of(maps[classes].reshape(-1)) for maps in judged.probabilities]
    truth = [masks[classes].reshape(-1) for masks in judged.truths]
    valid = [np.tile(mask.reshape(-1), len(classes)) for mask in judged.valid]
    return fit_temperature(said, truth, valid)


def _cooled(probabilities: Probabilities, temperature: float) -> Probabilities:
    return np.asarray(1 / (1 + np.exp(-logits_of(probabilities) / temperature)), np.float32)
