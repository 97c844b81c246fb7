"""What probability maps say about themselves (oracle 10 of the specification)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from leanseg.errors import UsageError
from leanseg.estimate.confidence import THRESHOLDS, Confidence, average_confidence, soft_dice, survival

MAPS = arrays(np.float32, (4, 5), elements=st.floats(0, 1, width=32))


@given(arrays(np.bool_, (4, 5)))
def test_a_hard_map_is_sure_of_itself(mask: np.ndarray) -> None:
    assert soft_dice(mask.astype(np.float32), mask) == 1
    assert average_confidence(mask.astype(np.float32), mask) == float(mask.any())


def test_even_odds() -> None:
    half, everything = np.full((3, 3), 0.5), np.ones((3, 3), bool)
    assert soft_dice(half, everything) == pytest.approx(2 / 3)
    assert average_confidence(half, everything) == 0.5
    assert soft_dice(half, ~everything) == 0


@given(MAPS)
def test_all_numbers_lie_between_0_and_1(p: np.ndarray) -> None:
    found = Confidence.of(p, p > 0.5)
    assert 0 <= found.average <= 1 and 0 <= found.soft_dice <= 1
    assert (np.diff(found.survival) <= 0).all() and found.survival.max() <= 1


@given(MAPS)
def test_survival_counts(p: np.ndarray) -> None:
    mask = p > 0.3
    for place in (0, 60, 140, 200):
        wanted = (p[mask] >= THRESHOLDS[place]).mean() if mask.any() else 0
        assert survival(p, mask)[place] == pytest.approx(wanted)


def test_the_soft_dice_of_calibrated_maps_is_the_dice() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(0.5, 1.5, (300, 300))
    truth, mask = rng.random(p.shape) < p, p > 0.5
    dice = 2 * (truth & mask).sum() / (truth.sum() + mask.sum())
    assert soft_dice(p, mask) == pytest.approx(dice, abs=0.01)


def test_what_is_no_probability() -> None:
    with pytest.raises(UsageError, match="logits"):
        Confidence.of(np.full((2, 2), 3.0), np.ones((2, 2), bool))
    with pytest.raises(UsageError, match="shape"):
        Confidence.of(np.full((2, 2), 0.5), np.ones((2, 3), bool))
