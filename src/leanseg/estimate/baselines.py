"""Simpler estimates of a set's score, next to which any other has to prove its worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leanseg.errors import UsageError
from leanseg.estimate.confidence import THRESHOLDS, Confidence
from leanseg.estimate.line import Form, Values, transfer
from leanseg.estimate.set_metrics import set_metric

FORMS: tuple[Form, ...] = ("line", "difference")

Rows = Sequence[Sequence[Confidence]]
"""For each checkpoint one for each image."""


def carry_over(real: Values, count: int) -> Values:
    """The mean score of each checkpoint on the known set, as if nothing changed.

    Args:
        real: (rows, images) scores on the known set.
        count: the first rows, which are the checkpoints on the target.

    Example:
        >>> carry_over(np.array([[0.5, 0.7], [0.8, 1.0]]), 2).tolist()
        [0.6, 0.9]
    """
    means: Values = real[:count].mean(1)
    return means


def constant(real: Values, count: int) -> Values:
    """The mean of :func:`carry_over` over the checkpoints, whichever is asked about.

    Example:
        >>> constant(np.array([[0.5, 0.7], [0.8, 1.0]]), 2).tolist()
        [0.75, 0.75]
    """
    return np.full(count, real[:count].mean())


def confidence_baselines(known: Rows, target: Rows, real: Values, *, metric: str = "dice") -> dict[str, Values]:
    """What probability maps say about the score on the target set, as they are and calibrated on the known set.

    Rows that end in "line" and "difference" take the mean through :func:`leanseg.estimate.line.transfer`, where there
    are several checkpoints. For a distance, which falls where confidence rises, only these two exist.

    Args:
        known: confidences on the known set, the checkpoints of ``target`` first.
        target: confidences on the target set, T rows.
        real: (rows of ``known``, images) real scores on the known set.
        metric: a name in :data:`leanseg.estimate.set_metrics.METRICS`.

    Returns:
        Name -> (T,) estimates, within the range of the metric.

    Raises:
        UsageError: numbers of rows do not fit.

    Source:
        Soft Dice: Borges et al., arXiv 2402.10665. Class-wise forms: Li et al., arXiv 2207.09957.

    Example:
        >>> def row(p):
        ...     return [Confidence.of(np.array([p, 0.0]), np.array([True, False]))]
        >>> found = confidence_baselines([row(0.6), row(0.8)], [row(0.5), row(0.7)], np.array([[0.5], [0.7]]))
        >>> round(float(found["DoC"][1]), 3), round(float(found["average confidence, line"][1]), 3)
        (0.6, 0.6)
    """
    kind = set_metric(metric)
    if len(known) != len(real):
        raise UsageError(f"expected one row of real scores for each of {len(known)} rows, found {len(real)}")
    scores, found = real.mean(1), dict[str, Values]()
    for name, place in (("average confidence", 0), ("soft Dice", 1)):
        means_b, means_c = (
            np.array([np.mean([image[place] for image in row]) for row in rows]) for rows in (known, target)
        )
        sign = 1 if kind.higher_is_better else -1
        for form in FORMS if len(known) > 1 else ():
            found[f"{name}, {form}"] = transfer(sign * means_b, sign * means_c, scores, form=form)[0]
        if kind.higher_is_better:
            found[name] = means_c
    if kind.higher_is_better:
        found["DoC"] = difference_of_confidences(known, target, real)
        found["ATC"] = average_thresholded_confidence(known, target, real)
    return {name: np.clip(values, kind.low, kind.high) for name, values in found.items()}


def difference_of_confidences(known: Rows, target: Rows, real: Values) -> Values:
    """The score on the known set, less what the average confidence loses on the way to the target; slope 1.

    With a fitted slope it is "average confidence, difference" of :func:`confidence_baselines`.

    Args:
        known: confidences on the known set, the checkpoints of ``target`` first.
        target: confidences on the target set, T rows.
        real: (rows of ``known``, images) real scores on the known set.

    Source:
        Guillory et al., arXiv 2107.03315.

    Example:
        >>> row = [Confidence.of(np.array([0.75]), np.array([True]))]
        >>> difference_of_confidences([row], [row], np.array([[0.5]])).tolist()
        [0.5]
    """
    means = [np.array([np.mean([image.average for image in row]) for row in rows]) for rows in (known, target)]
    return transfer(means[0], means[1], real.mean(1), slope=1.0)[0]


def average_thresholded_confidence(known: Rows, target: Rows, real: Values) -> Values:
    """The share of pixels above a confidence that, on the known set, just as large a share exceeds as the score is.

    It is calibrated by construction: on the known set it gives the real score, up to the steps of the thresholds.

    Args:
        known: confidences on the known set, the checkpoints of ``target`` first.
        target: confidences on the target set, T rows.
        real: (rows of ``known``, images) real scores on the known set, in [0, 1].

    Source:
        Garg et al., arXiv 2201.04234.

    Example:
        >>> row = [Confidence.of(np.linspace(0.5, 1, 51), np.ones(51, bool))]
        >>> average_thresholded_confidence([row], [row], np.array([[0.6]])).round(2).tolist()
        [0.6]
    """
    found = []
    for row_b, row_c, score in zip(known, target, real.mean(1), strict=False):
        shares_b, shares_c = (np.mean([image.survival for image in row], axis=0) for row in (row_b, row_c))
        threshold = np.interp(score, shares_b[::-1], THRESHOLDS[::-1])
        found.append(np.interp(threshold, THRESHOLDS, shares_c))
    return np.array(found)
