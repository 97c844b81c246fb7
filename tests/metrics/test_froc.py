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
    true = [n for n in range(1, number + 1) if truth[alarms == n].mean() > 0.2]
    found = sum(np.isin(alarms[lesions == n], true).mean() > 0.2 for n in range(1, count + 1))
    return found, number - len(true)


@given(seed=st.integers(0, 200))
def test_counts_equal_those_piece_by_piece(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = (random.integers(0, 9, (12, 14)) / 8).astype(np.float32)
    truth = random.random((12, 14)) < 0.15
    counts = LesionCounts.of(scores, truth)
    for place in (0, 7, 15, THRESHOLDS - 1):
        limit = (place + 1) / THRESHOLDS
        assert (counts.found[place], counts.false_alarms[place]) == brute(scores, truth, limit)


@pytest.mark.parametrize("scores", [np.full((40, 40), 0.5), np.random.default_rng(0).random((40, 40))])
def test_lesions_everywhere_find_none(scores: np.ndarray) -> None:
    truth = np.zeros((40, 40), bool)
    truth[::8, ::8] = True
    counts = LesionCounts.of(scores, truth)
    assert counts.lesions == 25
    assert counts.sensitivity(false_alarms=1) == 0
    assert counts.false_alarms[0] == 1, "one alarm over everything, and a false one"


def test_neighbours_under_one_alarm_are_all_found_and_a_corner_is_no_hit() -> None:
    truth = np.array([[1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0]], bool)
    both = LesionCounts.of(np.array([[0.9] * 5 + [0] * 7]), truth)
    assert both.sensitivity(false_alarms=0) == 1
    large = np.ones((1, 12), bool)
    corner = LesionCounts.of(np.array([[0.9, 0.9] + [0] * 10]), large)
    assert corner.sensitivity(false_alarms=0) == 0, "a sixth of the lesion"


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
