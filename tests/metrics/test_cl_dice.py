"""Centreline Dice by hand, thinning by its laws and beside scikit-image."""

from __future__ import annotations

import cv2
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import label

from leanseg.errors import UsageError
from leanseg.metrics.cl_dice import cl_dice, skeleton

MASKS = hnp.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))
EIGHT = np.ones((3, 3))


def vessels(seed: int, size: int = 256) -> np.ndarray:
    """Winding lines of 1 to 8 pixels."""
    rng, picture = np.random.default_rng(seed), np.zeros((size, size), np.uint8)
    for _ in range(12):
        turns = rng.uniform(0, 7) + rng.normal(0, 0.25, 30).cumsum()
        path = rng.uniform(0, size, 2) + 8 * np.stack([np.cos(turns), np.sin(turns)], axis=1).cumsum(axis=0)
        cv2.polylines(picture, [path.astype(np.int32)], False, 1, int(rng.integers(1, 9)))
    return picture > 0


def worsen(mask: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 0.2, mask.shape)
    blurred = cv2.GaussianBlur(mask.astype(np.float64), (0, 0), 1.5)
    return cv2.medianBlur((blurred + noise > 0.5).astype(np.uint8), 5) > 0


@given(MASKS)
def test_a_skeleton_lies_inside_and_keeps_the_number_of_pieces(mask: np.ndarray) -> None:
    thin = skeleton(mask)
    assert not (thin & ~mask).any()
    assert label(thin, EIGHT)[1] == label(mask, EIGHT)[1]


@given(MASKS)
def test_a_skeleton_is_its_own_skeleton(mask: np.ndarray) -> None:
    thin = skeleton(mask)
    assert (skeleton(thin) == thin).all()


def test_a_thick_ring_keeps_its_hole_and_becomes_thin() -> None:
    picture = np.zeros((60, 60), np.uint8)
    cv2.circle(picture, (30, 30), 20, 1, 7)
    thin = skeleton(picture > 0)
    assert label(~thin)[1] == 2
    rows, columns = np.nonzero(thin)
    assert np.abs(np.hypot(rows - 30, columns - 30) - 20).max() < 2
    assert thin.sum() < 2 * np.pi * 20 * 1.1


def test_close_to_scikit_image() -> None:
    # its thinning (Zhang and Suen's with changes) is another one, whose lines run up to a pixel beside ours
    morphology = pytest.importorskip("skimage.morphology")
    differences = []
    for seed in range(10):
        t = vessels(seed)
        p = worsen(t, seed)
        precision, sensitivity = t[morphology.skeletonize(p)].mean(), p[morphology.skeletonize(t)].mean()
        expected = 2 * precision * sensitivity / (precision + sensitivity)
        assert 0.5 < expected < 0.999
        differences.append(abs(cl_dice(p, t) - expected))
    assert np.mean(differences) < 0.004
    assert max(differences) < 0.01


def test_hand_worked_half_of_a_line() -> None:
    p, t = np.zeros((2, 5, 12), bool)
    t[2, 1:11] = True
    p[2, 1:6] = True
    assert cl_dice(p, t) == pytest.approx(2 * 1 * 0.5 / 1.5)
    assert cl_dice(p, t, valid=np.arange(12) * np.ones((5, 1)) < 6) == 1


def test_a_gap_costs_more_than_a_thinner_line_of_fewer_pixels() -> None:
    t = np.zeros((15, 60), bool)
    t[5:10, 5:55] = True
    thin, gap = np.zeros_like(t), t.copy()
    thin[7, 5:55] = True
    gap[:, 20:30] = False
    assert thin.sum() < gap.sum()
    assert cl_dice(thin, t) == 1 > cl_dice(gap, t)


@given(MASKS)
def test_bounded_symmetric_and_perfect_on_itself(mask: np.ndarray) -> None:
    other = np.roll(mask, 1, axis=0)
    score = cl_dice(mask, other)
    assert score == cl_dice(other, mask)
    assert cl_dice(mask, mask) == (1 if mask.any() else None)
    assert score is None or 0 <= score <= 1


def test_missed_is_zero_and_both_empty_is_none() -> None:
    line, nothing = np.eye(5, dtype=bool), np.zeros((5, 5), bool)
    assert cl_dice(nothing, line) == cl_dice(line, nothing) == cl_dice(line, line[::-1] & ~line) == 0
    assert cl_dice(nothing, nothing) is None


def test_an_empty_mask_has_an_empty_skeleton() -> None:
    assert not skeleton(np.zeros((4, 5), bool)).any()


def test_volumes_are_refused() -> None:
    volume = np.ones((3, 3, 3), bool)
    with pytest.raises(UsageError, match="2-D"):
        cl_dice(volume, volume)
