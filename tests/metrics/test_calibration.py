"""Calibration by hand, by simulation with known answers and beside scikit-learn."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, log_softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from leanseg.errors import UsageError
from leanseg.metrics.calibration import (
    Calibration,
    apply_temperature,
    fit_softmax_temperature,
    fit_temperature,
    logits_of,
)


def draw(seed: int, n: int = 20_000, *, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are right after division by the temperature, and truth drawn from them."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(-1, 2, n)
    return temperature * honest, rng.random(n) < expit(honest)


def test_hand_worked_error_and_curve() -> None:
    p = np.array([0.1, 0.1, 0.6, 0.8, 1.0])
    t = np.array([False, True, True, False, True])
    found = Calibration.of(p, t, bins=2)
    assert found.error == pytest.approx((abs(0.2 - 1) + abs(2.4 - 2)) / 5)
    assert found.foreground_error == pytest.approx(abs(2.4 - 2) / 3)
    assert found.brier == pytest.approx((0.01 + 0.81 + 0.16 + 0.64 + 0) / 5)
    predicted, observed = found.curve()
    assert predicted == pytest.approx([0.1, 0.8]) and observed == pytest.approx([0.5, 2 / 3])


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_equal_to_scikit_learn(bins: int) -> None:
    logits, t = draw(1)
    p = expit(logits)
    found = Calibration.of(p, t, bins=bins)
    observed, predicted = calibration_curve(t, p, n_bins=bins)
    np.testing.assert_allclose(found.curve()[0], predicted, atol=1e-12)
    np.testing.assert_allclose(found.curve()[1], observed, atol=1e-12)
    assert found.brier == pytest.approx(brier_score_loss(t, p), abs=1e-12)


@given(hnp.arrays(np.float32, (2, 6), elements=st.floats(0, 1, width=32)), hnp.arrays(np.bool_, (2, 6)))
def test_added_images_equal_the_joined_pixels_and_scores_are_bounded(p: np.ndarray, t: np.ndarray) -> None:
    pooled = Calibration.of(p[0], t[0]) + Calibration.of(p[1], t[1])
    joined = Calibration.of(p, t)
    assert pooled.error == pytest.approx(joined.error) and 0 <= joined.error <= 1
    assert pooled.brier == pytest.approx(joined.brier) and 0 <= joined.brier <= 1


def test_background_hides_the_error_but_not_from_the_foreground_error() -> None:
    logits, t = draw(2, 2000, temperature=4.0)
    p = np.concatenate([expit(logits), np.zeros(100_000)])
    found = Calibration.of(p, np.concatenate([t, np.zeros(100_000, bool)]))
    assert found.error < 0.01
    assert found.foreground_error > 0.1


def test_only_valid_pixels_count_and_none_leaves_no_score() -> None:
    logits, t = draw(3, 100)
    valid = np.arange(100) < 60
    assert Calibration.of(expit(logits), t, valid=valid).brier == Calibration.of(expit(logits[valid]), t[valid]).brier
    nothing = Calibration.of(expit(logits), t, valid=np.zeros(100, bool))
    assert nothing.error is nothing.brier is nothing.foreground_error is None


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_true_temperature_is_found_and_mends_the_error(temperature: float) -> None:
    pairs = [draw(seed, temperature=temperature) for seed in (4, 5, 6)]
    logits, truths = zip(*pairs, strict=True)
    found = fit_temperature(logits, truths)
    assert found == pytest.approx(temperature, rel=0.03)
    p, t = expit(np.concatenate(logits)), np.concatenate(truths)
    assert Calibration.of(apply_temperature(p, found), t).error < 0.01
    if temperature != 1:
        assert Calibration.of(p, t).error > 0.05


def test_probabilities_serve_as_well_as_logits() -> None:
    logits, t = draw(7)
    assert fit_temperature([logits_of(expit(logits))], [t]) == pytest.approx(fit_temperature([logits], [t]), rel=1e-4)


def test_temperature_looks_at_valid_pixels_only() -> None:
    logits, t = draw(8)
    valid = np.arange(t.size) % 2 == 0
    spoilt = np.where(valid, t, logits < 0)
    assert fit_temperature([logits], [spoilt], [valid]) == fit_temperature([logits[valid]], [t[valid]])


def test_many_pixels_are_thinned_out_always_alike() -> None:
    logits, t = draw(9, 1_200_000, temperature=2.0)
    found = fit_temperature([logits.astype(np.float32)], [t])
    assert found == fit_temperature([logits.astype(np.float32)], [t]) == pytest.approx(2, rel=0.01)


def test_softmax_temperature_is_found_and_agrees_with_the_binary_one() -> None:
    rng = np.random.default_rng(10)
    honest = rng.normal(0, 2, (3, 20_000))
    labels = (honest + rng.gumbel(size=honest.shape)).argmax(axis=0)
    found = fit_softmax_temperature(2.5 * honest, labels)
    assert found == pytest.approx(2.5, rel=0.03)

    def loss(temperature: float) -> float:
        return -log_softmax(2.5 * honest / temperature, axis=0)[labels, np.arange(labels.size)].mean()

    assert loss(found) < min(loss(found * 1.02), loss(found / 1.02))
    logits, t = draw(11)
    pair = np.stack([np.zeros_like(logits), logits])
    assert fit_softmax_temperature(pair, t.astype(int)) == pytest.approx(fit_temperature([logits], [t]), rel=1e-3)


@given(hnp.arrays(np.float64, 5, elements=st.floats(0, 1)), st.floats(0.1, 10))
def test_a_temperature_keeps_the_side_of_one_half_and_the_range(p: np.ndarray, temperature: float) -> None:
    changed = apply_temperature(p, temperature)
    assert ((changed >= 0) & (changed <= 1)).all()
    assert ((changed - 0.5) * (p - 0.5) >= 0).all()
    np.testing.assert_allclose(apply_temperature(p, 1.0), p, atol=1e-6)


def test_wrong_calls_are_refused() -> None:
    t = np.array([True, False])
    with pytest.raises(UsageError, match="not logits"):
        Calibration.of(np.array([-2.0, 3.0]), t)
    with pytest.raises(UsageError, match="at least one pixel"):
        fit_temperature([], [])
    with pytest.raises(UsageError, match="finite"):
        fit_temperature([np.array([np.inf, 0.0])], [t])
    with pytest.raises(UsageError, match="found 1 maps of logits, 2 truths"):
        fit_temperature([np.zeros(2)], [t, t])
    with pytest.raises(UsageError, match="labels must lie in 0 to 1"):
        fit_softmax_temperature(np.zeros((2, 2)), np.array([0, 2]))
    with pytest.raises(UsageError, match=r"expected logits \(K, n\)"):
        fit_softmax_temperature(np.zeros((2, 3)), np.array([0, 1]))
