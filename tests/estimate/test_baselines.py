"""Simpler estimates: by their definitions, and where the confidence keeps its word."""

from __future__ import annotations

import numpy as np
import pytest

from leanseg.errors import UsageError
from leanseg.estimate.baselines import (
    average_thresholded_confidence,
    carry_over,
    confidence_baselines,
    constant,
    difference_of_confidences,
)
from leanseg.estimate.confidence import Confidence


def row(level: float, images: int = 4, seed: int = 0) -> list[Confidence]:
    """Maps whose foreground has probabilities of about a level."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    maps = [np.where(mask, np.clip(rng.normal(level, 0.05, mask.shape), 0, 1), 0.02) for _ in range(images)]
    return [Confidence.of(p, mask) for p in maps]


LEVELS = (0.6, 0.7, 0.8, 0.9)
KNOWN, TARGET = [row(level) for level in LEVELS], [row(level - 0.1, seed=1) for level in LEVELS]
REAL = np.array([[level - 0.05, level - 0.15] for level in LEVELS])


def test_carried_over_and_constant() -> None:
    assert carry_over(REAL, 2) == pytest.approx([0.5, 0.6])
    assert constant(REAL, 4) == pytest.approx([0.65] * 4)
    assert constant(REAL, 2) == pytest.approx([0.55] * 2)


def test_the_line_learns_what_the_confidence_exaggerates() -> None:
    found = confidence_baselines(KNOWN, TARGET, REAL)
    wanted = [level - 0.2 for level in LEVELS]
    for name in ("average confidence, line", "average confidence, difference", "DoC"):
        assert found[name] == pytest.approx(wanted, abs=0.02)
    for name in ("soft Dice, line", "soft Dice, difference"):
        assert found[name] == pytest.approx(wanted, abs=0.05)
    assert found["average confidence"] == pytest.approx([level - 0.1 for level in LEVELS], abs=0.01)


def test_difference_of_confidences() -> None:
    lost = [
        np.mean([c.average for c in b]) - np.mean([c.average for c in t]) for b, t in zip(KNOWN, TARGET, strict=True)
    ]
    assert difference_of_confidences(KNOWN, TARGET, REAL) == pytest.approx(REAL.mean(1) - lost)


def test_thresholded_confidence_is_the_score_on_the_known_set_and_falls_with_confidence() -> None:
    assert average_thresholded_confidence(KNOWN, KNOWN, REAL) == pytest.approx(REAL.mean(1), abs=0.03)
    assert (average_thresholded_confidence(KNOWN, TARGET, REAL) < REAL.mean(1) - 0.1).all()


def test_one_checkpoint_has_no_calibrated_rows_and_a_distance_no_raw_ones() -> None:
    assert set(confidence_baselines(KNOWN[:1], TARGET[:1], REAL[:1])) == {
        "average confidence",
        "soft Dice",
        "DoC",
        "ATC",
    }
    distances = 20 * (1 - REAL)
    found = confidence_baselines(KNOWN, TARGET, distances, metric="hd95")
    assert len(found) == 4 and all(name.endswith(("line", "difference")) for name in found)
    wanted = [20 * (1 - (level - 0.2)) for level in LEVELS]
    assert found["average confidence, line"] == pytest.approx(wanted, abs=0.4)


def test_estimates_stay_in_the_range() -> None:
    found = confidence_baselines(KNOWN, [row(0.05)] * 4, REAL)
    assert all(values.min() >= 0 and values.max() <= 1 for values in found.values())
    assert found["DoC"][0] == 0


def test_rows_must_fit() -> None:
    with pytest.raises(UsageError, match="each of 4 rows, found 2"):
        confidence_baselines(KNOWN, TARGET, REAL[:2])
