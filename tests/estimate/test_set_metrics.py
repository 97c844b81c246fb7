"""Scores of single masks: against their definitions, and where masks are empty."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from leanseg.errors import UsageError
from leanseg.estimate.set_metrics import METRICS, scores_of, set_metric

MASKS = arrays(np.bool_, (5, 6))


@given(MASKS, MASKS)
def test_every_score_lies_in_its_range_and_the_truth_scores_best(prediction: np.ndarray, truth: np.ndarray) -> None:
    for metric in METRICS.values():
        score, best = metric.score(prediction, truth), metric.score(truth, truth)
        assert metric.low <= score <= metric.high
        assert (score <= best + 1e-12) if metric.higher_is_better else (score >= best)


@given(MASKS, MASKS)
def test_pixel_pearson_is_numpys(prediction: np.ndarray, truth: np.ndarray) -> None:
    found = METRICS["pearson"].score(prediction, truth)
    if 0 < prediction.sum() < prediction.size and 0 < truth.sum() < truth.size:
        assert found == pytest.approx(np.corrcoef(prediction.ravel(), truth.ravel())[0, 1], abs=1e-12)
    else:
        assert found == float(np.array_equal(prediction, truth))


@pytest.mark.parametrize("name", METRICS)
def test_a_miss_and_an_invention_score_worst_and_both_empty_best(name: str) -> None:
    nothing, something = np.zeros((6, 8), bool), np.zeros((6, 8), bool)
    something[2:4, 2:5] = True
    metric = METRICS[name]
    assert metric.score(nothing, something) == metric.score(something, nothing) == metric.worst((6, 8))
    assert metric.score(nothing, nothing) == (1 if metric.higher_is_better else 0)


def test_precision_and_sensitivity_are_not_mixed_up() -> None:
    truth, part = np.ones((2, 2), bool), np.array([[True, False], [False, False]])
    assert METRICS["precision"].score(part, truth) == 1
    assert METRICS["sensitivity"].score(part, truth) == 0.25
    assert METRICS["hd95"].worst((3, 4)) == 5 and METRICS["hd95"].high == math.inf


def test_names_and_numbers_must_fit() -> None:
    with pytest.raises(UsageError, match="choose dice"):
        set_metric("accuracy")
    with pytest.raises(UsageError, match="1 and 0"):
        scores_of([np.ones((2, 2), bool)], [])
