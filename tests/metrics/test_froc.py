"""Lesions one by one: found, missed, and false alarms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from leanseg.errors import UsageError
from leanseg.metrics.froc import THRESHOLDS, LesionCounts


def brute(scores: np.ndarray, truth: np.ndarray, limit: float) -> tuple[int, int]:
    """Found lesions and false alarms, piece by piece."""
    lesions, count = ndimage.label(truth, structure=np.ones((3, 3)))
    alarms, number = ndimage.label(scores >= limit, structure=np.ones((3, 3)))
    found = sum(bool(((lesions == n) & (alarms > 0)).any()) for n in range(1, count + 1))
    false = sum(not ((alarms == n) & truth).any() for n in range(1, number + 1))
    return found, false


@given(seed=st.integers(0, 200))
def test_counts_equal_those_piece_by_piece(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = (random.integers(0, 9, (12, 14)) / 8).astype(np.float32)
    truth = random.random((12, 14)) < 0.15
    counts = LesionCounts.of(scores, truth)
    for place in (0, 7, 15, THRESHOLDS - 1):
        limit = (place + 1) / THRESHOLDS
        assert (counts.found[place], counts.false_alarms[place]) == brute(scores, truth, limit)


def test_images_add_up_and_the_budget_is_for_each_of_them() -> None:
    truth = np.zeros((1, 9), bool)
    truth[0, 0] = True
    good = np.array([[0.9, 0, 0, 0, 0, 0, 0, 0, 0]], np.float32)
    alarmed = np.array([[0.2, 0, 0.5, 0, 0.5, 0, 0.5, 0, 0]], np.float32)
    both = LesionCounts.of(good, truth) + LesionCounts.of(alarmed, truth)
    assert (both.images, both.lesions) == (2, 2)
    assert both.sensitivity(false_alarms=1) == 0.5, "three alarms are more than one for each of two images"
    assert both.sensitivity(false_alarms=1.5) == 1.0


def test_nothing_there_has_no_sensitivity_and_what_does_not_count_is_left_out() -> None:
    truth, scores = np.zeros((4, 4), bool), np.full((4, 4), 0.9, np.float32)
    assert LesionCounts.of(scores, truth).sensitivity() is None
    truth[0, 0] = True
    nowhere = LesionCounts.of(scores, truth, valid=np.zeros((4, 4), bool))
    assert nowhere.lesions == 0 and not nowhere.false_alarms.any()
    with pytest.raises(UsageError):
        LesionCounts.of(scores, truth[:2])
