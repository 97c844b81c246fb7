"""Intervals for single images (oracles 7, 8 and 9 of the specification)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leanseg.errors import UsageError
from leanseg.estimate.image_band import SplitBand, fit_band
from leanseg.estimate.percentile_rule import percentile_rule


def exchangeable(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Strength, Dice and spread; the Dice scatters as much as the spread says."""
    strength, spread = rng.uniform(0.2, 0.9, count), rng.uniform(0, 0.2, count)
    return strength, np.clip(0.7 * strength + 0.2 + (0.02 + spread) * rng.normal(size=count), 0, 1), spread


def covered(band: object, strength: np.ndarray, dice: np.ndarray, spread: np.ndarray) -> tuple[float, float]:
    _, low, high = band(strength, spread)
    return float(((low <= dice) & (dice <= high)).mean()), float((high - low).mean())


@pytest.mark.parametrize("mode", ["split", "normalised"])
def test_coverage_is_what_25_residuals_promise(mode: str) -> None:
    """ceil(26 * 0.9) = 24 of 26: 0.923."""
    rng, hits = np.random.default_rng(0), []
    for seed in range(2000):
        strength, dice, spread = exchangeable(rng, 100)
        band = fit_band(strength[:50], dice[:50], spread=spread[:50], mode=mode, seed=seed)
        hits.append(covered(band, strength[50:], dice[50:], spread[50:])[0])
    assert np.mean(hits) == pytest.approx(24 / 26, abs=0.01)


def test_jackknife_covers_too_and_wastes_fewer_images() -> None:
    rng, found = np.random.default_rng(1), {"split": [], "jackknife+": []}
    for seed in range(150):
        strength, dice, spread = exchangeable(rng, 80)
        for mode, results in found.items():
            band = fit_band(strength[:30], dice[:30], mode=mode, seed=seed)
            results.append(covered(band, strength[30:], dice[30:], spread[30:]))
    split, jackknife = (np.mean(results, axis=0) for results in found.values())
    assert jackknife[0] > 0.88
    assert jackknife[1] < split[1]


def test_normalised_intervals_are_wider_where_doubt_is_larger() -> None:
    strength, dice, spread = exchangeable(np.random.default_rng(2), 400)
    band = fit_band(strength, dice, spread=spread, mode="normalised")
    _, low, high = band(np.full(2, 0.5), np.array([0.0, 0.2]))
    assert high[1] - low[1] == pytest.approx(5 * (high[0] - low[0]), rel=1e-6)


def test_the_published_rule_covers() -> None:
    rng, hits = np.random.default_rng(3), []
    for _ in range(400):
        dice = rng.uniform(0.2, 0.95, 100)
        scores = np.clip(dice[:, None] - 0.15 + rng.normal(0, 0.05, (100, 1)) + rng.normal(0, 0.1, (100, 20)), 0, 1)
        value, low, high = percentile_rule(scores[:50], dice[:50], scores[50:])
        hits.append(((low <= dice[50:]) & (dice[50:] <= high)).mean())
        assert value == pytest.approx(scores[50:].mean(1))
    assert np.mean(hits) >= 0.89


@given(st.integers(0, 10_000), st.integers(4, 60), st.sampled_from(["split", "normalised", "jackknife+", None]))
def test_intervals_hold_their_point_lie_in_range_and_shrink_with_alpha(seed: int, count: int, mode: str | None) -> None:
    rng = np.random.default_rng(seed)
    strength, dice, spread = rng.uniform(0, 1, (3, count))
    widths = []
    for alpha in (0.05, 0.1, 0.3, 0.6):
        band = fit_band(strength, dice, spread=spread, alpha=alpha, mode=mode)
        value, low, high = band(np.linspace(-0.5, 1.5, 9), np.linspace(0, 0.3, 9))
        assert (low >= 0).all() and (low <= value).all() and (value <= high).all() and (high <= 1).all()
        widths.append(high - low)
    assert (np.diff(widths, axis=0) <= 1e-12).all()


def test_too_few_images_promise_nothing() -> None:
    strength, dice, _ = exchangeable(np.random.default_rng(0), 16)
    for mode in ("split", "jackknife+"):
        band = fit_band(strength[: 16 if mode == "split" else 8], dice[: 16 if mode == "split" else 8], mode=mode)
        _, low, high = band(np.array([0.5]), np.zeros(1))
        assert (low[0], high[0]) == (0, 1)


def test_few_images_choose_the_jackknife() -> None:
    strength, dice, _ = exchangeable(np.random.default_rng(0), 40)
    assert isinstance(fit_band(strength, dice), SplitBand)
    assert not isinstance(fit_band(strength[:39], dice[:39]), SplitBand)


@pytest.mark.parametrize("mode", ["split", "jackknife+"])
def test_patients_stay_together(mode: str) -> None:
    """Twelve patients with ten alike images each: as independent images they promise too much."""
    found: dict[bool, list[float]] = {True: [], False: []}
    patients = np.repeat(np.arange(12), 10)
    for seed in range(80):
        rng = np.random.default_rng(seed)
        levels = rng.normal(0, 0.1, 30)
        strength = rng.uniform(0.2, 0.9, 120)
        dice = np.clip(0.7 * strength + 0.2 + levels[patients] + rng.normal(0, 0.01, 120), 0, 1)
        new = rng.uniform(0.2, 0.9, 18)
        truth = np.clip(0.7 * new + 0.2 + levels[12:] + rng.normal(0, 0.01, 18), 0, 1)
        for grouped, hits in found.items():
            groups = patients if grouped else None
            band = fit_band(strength, dice, alpha=0.3, mode=mode, groups=groups, seed=seed)
            hits.append(covered(band, new, truth, np.zeros(18))[0])
    assert np.mean(found[True]) > 0.69
    assert np.mean(found[True]) > np.mean(found[False]) + 0.02


def test_a_strength_that_says_nothing_gives_the_mean() -> None:
    rng = np.random.default_rng(0)
    dice = rng.uniform(0.4, 0.8, 60)
    band = fit_band(1 - dice, dice)
    value, low, high = band(np.array([0.1, 0.9]), np.zeros(2))
    assert not band.usable and value[0] == value[1] == pytest.approx(0.6, abs=0.06)
    assert low[0] < 0.5 and high[0] > 0.7


@pytest.mark.parametrize(
    ("count", "keywords", "says"),
    [
        (3, {}, "at least 4"),
        (0, {}, "at least 4"),
        (50, {"groups": [0, 1] * 25}, "at least 4"),
        (50, {"groups": [0, 1]}, "each of 50"),
        (50, {"mode": "normalised"}, "if normalised"),
        (50, {"mode": "magic"}, "jackknife"),
        (50, {"alpha": 1.5}, "alpha"),
    ],
)
def test_what_does_not_fit(count: int, keywords: dict, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        fit_band(np.linspace(0, 1, count), np.linspace(0, 1, count), **keywords)
