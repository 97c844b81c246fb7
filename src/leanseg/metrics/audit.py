"""What scores are worth where a class is rare: its prevalence, and the scores of answers that look at nothing.

An accuracy of 99 % sounds good until the empty mask has it too. Every score of a trivial answer follows from how many
pixels are true, so that all functions here take the counts of any answer.

Source: Saito and Rehmsmeier, "The precision-recall plot is more informative than the ROC plot when evaluating binary
classifiers on imbalanced datasets", PLOS ONE 2015.
"""

from __future__ import annotations

import numpy as np

from leanseg.metrics.overlap import Confusion
from leanseg.metrics.ranking import RankingCounts

RARE = 0.05
"""Of a class with fewer than this share of the pixels, accuracy and AUROC say little."""


def prevalence(counts: Confusion) -> float | None:
    """Share of the pixels that are true: (tp + fn) / all; None without pixels.

    It is also the average precision that scores without any knowledge are expected to have.

    Example:
        >>> prevalence(Confusion(tp=1, fp=20, fn=1, tn=78))
        0.02
    """
    return predict_everything(counts).accuracy


def predict_nothing(counts: Confusion) -> Confusion:
    """The empty mask on the same pixels; its accuracy is 1 - prevalence.

    Args:
        counts: of any answer.

    Example:
        >>> nothing = predict_nothing(Confusion(tp=1, fp=20, fn=1, tn=78))
        >>> nothing.accuracy, nothing.dice, nothing.sensitivity, nothing.specificity
        (0.98, 0.0, 0.0, 1.0)
    """
    return Confusion(fn=counts.tp + counts.fn, tn=counts.fp + counts.tn)


def predict_everything(counts: Confusion) -> Confusion:
    """The full mask on the same pixels; its Jaccard index, precision and accuracy are the prevalence.

    Args:
        counts: of any answer.

    Example:
        >>> everything = predict_everything(Confusion(tp=1, fp=20, fn=1, tn=78))
        >>> everything.accuracy, everything.jaccard, everything.precision, everything.sensitivity
        (0.02, 0.02, 0.02, 1.0)
    """
    return Confusion(tp=counts.tp + counts.fn, fp=counts.fp + counts.tn)


def constant_ranking(counts: Confusion) -> RankingCounts:
    """One probability for every pixel: an average precision equal to the prevalence, and an AUROC of 0.5.

    Args:
        counts: of any answer.

    Example:
        >>> constant = constant_ranking(Confusion(tp=1, fp=20, fn=1, tn=78))
        >>> constant.average_precision, constant.auroc
        (0.02, 0.5)
    """
    return RankingCounts(np.array([counts.tp + counts.fn]), np.array([counts.fp + counts.tn]))
