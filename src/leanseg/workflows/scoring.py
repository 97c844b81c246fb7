"""All scores of one image, class by class, inside the area that counts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from leanseg.data.dataset import Case
from leanseg.metrics.calibration import Calibration
from leanseg.metrics.cl_dice import cl_dice as centre_line_dice
from leanseg.metrics.overlap import Confusion, confusion
from leanseg.metrics.ranking import RankingCounts
from leanseg.metrics.surface import surface_distances
from leanseg.types import Classes, Expected, Labels, Mask, Probabilities

OVERLAP = ("dice", "jaccard", "sensitivity", "specificity", "precision", "accuracy")
SURFACE = ("hd95", "asd", "nsd")
RANKING = ("auroc", "average_precision", "ece")
OBJECTS = ("pq", "object_f1", "aji")
SCORES = (*OVERLAP, *SURFACE, *RANKING, "cl_dice", *OBJECTS)
"""Every score, in the order of the tables."""


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far a border may lie from the true one and still count as right (normalised surface Dice).

    Args:
        mm: for images whose spacing is known; their distances are in mm.
        pixels: for all other images.
    """

    mm: float = 1.0
    pixels: float = 2.0


DEFAULT = Tolerance()


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """What one class of one image scored.

    Args:
        image: the case's stem.
        patient: whom the image shows.
        model: who predicted.
        name: the class.
        unit: what distances are measured in, "mm" or "pixels".
        counts: pixels by truth and prediction.
        scores: score -> value, None where the image cannot have that score.
        ranking: pixels by probability, for pooled scores; None without probabilities.
        calibration: pixels by probability, for the reliability diagram; None without probabilities.
        expected: the Dice that the model expected; None where nobody said.
        site: where the image comes from; empty where the data set does not say.
    """

    image: str
    patient: str
    model: str
    name: str
    unit: str
    counts: Confusion
    scores: dict[str, float | None]
    ranking: RankingCounts | None = field(default=None, repr=False)
    calibration: Calibration | None = field(default=None, repr=False)
    expected: Expected | None = None
    site: str = ""

    @property
    def missed(self) -> bool:
        """The image holds the class, the prediction none of it."""
        return self.counts.fn > 0 and self.counts.tp + self.counts.fp == 0


def class_masks(labels: Labels, classes: Classes) -> Mask:
    """One mask for each class, (K, *spatial), from class numbers of any kind.

    Example:
        >>> class_masks(np.array([0, 2, 1], np.uint8), Classes(names=("a", "b"))).astype(int).tolist()
        [[0, 0, 1], [0, 1, 0]]
    """
    if classes.overlapping:
        return labels > 0
    return np.stack([labels == number for number in range(1, len(classes.names) + 1)])


def score_case(
    case: Case,
    *,
    classes: Classes,
    truth: Mask,
    prediction: Mask,
    probabilities: Probabilities | None = None,
    valid: Mask | None = None,
    spacing: tuple[float, ...] | None = None,
    model: str = "",
    tolerance: Tolerance = DEFAULT,
    cl_dice: bool = False,
) -> list[ClassScores]:
    """Score one image, class by class.

    Args:
        case: the image's names.
        classes: what the K masks show.
        truth: (K, *spatial), drawn by a person.
        prediction: (K, *spatial).
        probabilities: (K, *spatial) in [0, 1], for ranking and calibration.
        valid: (*spatial), True where scores count.
        spacing: mm between pixels along each axis; None measures in pixels.
        model: who predicted.
        tolerance: for normalised surface Dice.
        cl_dice: also score the centre lines of tubes (vessels, airways), in 2-D.

    Raises:
        UsageError: shapes do not fit, or ``cl_dice`` is asked of a volume.

    Example:
        >>> case = Case(stem="01", image=(), patient="01")
        >>> lesion = np.zeros((1, 8, 8), bool); lesion[:, 2:6, 2:6] = True
        >>> [row] = score_case(case, classes=Classes(names=("lesion",)), truth=lesion, prediction=lesion)
        >>> row.scores["dice"], row.scores["hd95"], row.unit
        (1.0, 0.0, 'pixels')
    """
    limit = tolerance.pixels if spacing is None else tolerance.mm
    rows = []
    for number, name in enumerate(classes.names):
        said, true = prediction[number], truth[number]
        counts = confusion(said, true, valid=valid)
        scores: dict[str, float | None] = {score: getattr(counts, score) for score in OVERLAP}
        surface = surface_distances(said, true, valid=valid, spacing=spacing)
        scores |= {"hd95": surface.hd95, "asd": surface.average, "nsd": surface.surface_dice(limit)}
        if cl_dice:
            scores["cl_dice"] = centre_line_dice(said, true, valid=valid)
        ranking = calibration = None
        if probabilities is not None:
            ranking = RankingCounts.of(probabilities[number], true, valid=valid)
            calibration = Calibration.of(probabilities[number], true, valid=valid)
            scores |= {"auroc": ranking.auroc, "average_precision": ranking.average_precision, "ece": calibration.error}
        rows.append(
            ClassScores(
                image=case.stem,
                patient=case.patient,
                model=model,
                name=name,
                unit="pixels" if spacing is None else "mm",
                counts=counts,
                scores=scores,
                ranking=ranking,
                calibration=calibration,
                site=case.site,
            )
        )
    return rows
