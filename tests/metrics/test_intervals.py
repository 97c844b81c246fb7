"""Intervals beside scipy's bootstrap, by their coverage and by the laws they obey."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, wilcoxon

from leanseg.errors import UsageError
from leanseg.metrics.intervals import bootstrap_mean, compare

SCORES = st.lists(st.floats(0, 1), min_size=3, max_size=30)


@pytest.mark.parametrize("seed", range(3))
def test_close_to_scipys_bca(seed: int) -> None:
    values = np.random.default_rng(seed).beta(8, 2, 20)
    found = bootstrap_mean(values)
    peer = bootstrap((values,), np.mean, n_resamples=10_000, rng=1).confidence_interval
    assert found.mean == pytest.approx(values.mean())
    assert found.interval == pytest.approx((peer.low, peer.high), abs=0.004)


def test_covers_the_true_mean_about_as_often_as_promised() -> None:
    draws = np.random.default_rng(0).beta(8, 2, (400, 30))
    intervals = [bootstrap_mean(v, resamples=600, seed=i).interval for i, v in enumerate(draws)]
    assert 0.90 < np.mean([low <= 0.8 <= high for low, high in intervals]) < 0.98


def test_grouping_covers_where_ignoring_patients_does_not() -> None:
    rng, patients = np.random.default_rng(1), np.repeat(np.arange(15), 8)
    grouped, naive = [], []
    for seed in range(200):
        values = rng.normal(0, 0.1, 15)[patients] + rng.normal(0, 0.02, patients.size)
        for hits, groups in ((grouped, patients.tolist()), (naive, None)):
            low, high = bootstrap_mean(values, groups=groups, resamples=400, seed=seed).interval
            hits.append(low <= 0 <= high)
    assert np.mean(grouped) > 0.85
    assert np.mean(naive) < 0.65


def test_groups_of_one_image_are_no_groups() -> None:
    values = [0.3, 0.8, 0.9, 0.7]
    assert bootstrap_mean(values, groups=list("abcd")) == bootstrap_mean(values)


def test_the_mean_of_groups_of_different_size_is_over_images() -> None:
    found = bootstrap_mean([1.0, 1.0, 1.0, 0.0, 0.0], groups=["a", "a", "a", "b", "c"])
    assert (found.mean, found.n, found.groups) == (0.6, 5, 3)


def test_fewer_than_three_independent_values_have_no_interval() -> None:
    assert bootstrap_mean([0.5]).interval is None
    assert bootstrap_mean([0.5, 0.6]).interval is None
    assert bootstrap_mean([0.5, 0.6, 0.7], groups=[1, 1, 2]).interval is None
    assert bootstrap_mean([0.5, 0.6, 0.7]).interval is not None


@settings(max_examples=30)
@given(SCORES)
def test_an_interval_lies_in_the_range_and_repeats(values: list[float]) -> None:
    found = bootstrap_mean(values, resamples=300)
    low, high = found.interval
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
    assert found == bootstrap_mean(values, resamples=300)


@settings(max_examples=30)
@given(SCORES)
def test_a_higher_level_is_wider(values: list[float]) -> None:
    (low, high), (lower, higher) = (bootstrap_mean(values, level=p, resamples=300).interval for p in (0.8, 0.99))
    assert lower <= low + 1e-12 and high <= higher + 1e-12


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert bootstrap_mean([0.8] * 5).interval == pytest.approx((0.8, 0.8))


def test_many_values_are_drawn_in_blocks() -> None:
    values = np.random.default_rng(2).normal(0, 1, 300_000)
    low, high = bootstrap_mean(values, resamples=20).interval
    assert -0.01 < low < values.mean() < high < 0.01


def test_comparison_finds_a_constant_gain_and_is_antisymmetric() -> None:
    rng = np.random.default_rng(3)
    worse = rng.uniform(0.3, 0.9, 20)
    better = worse + rng.normal(0.03, 0.01, 20)
    found, other = compare(better, worse), compare(worse, better)
    assert found.difference.interval[0] > 0.02
    assert found.p_value == pytest.approx(wilcoxon(better, worse).pvalue) and found.p_value < 0.001
    assert other.difference.mean == pytest.approx(-found.difference.mean)
    assert (other.wins, other.losses, other.p_value) == (found.losses, found.wins, found.p_value)


def test_comparison_of_a_model_with_itself_finds_nothing() -> None:
    found = compare([0.1, 0.5, 0.9], [0.1, 0.5, 0.9])
    assert (found.difference.mean, found.p_value, found.wins, found.losses) == (0, 1.0, 0, 0)


def test_many_images_of_few_patients_prove_little() -> None:
    patients = np.repeat([0, 1, 2, 3], 25).tolist()
    gain = np.repeat([0.05, 0.04, -0.01, 0.02], 25)
    alone, grouped = compare(gain, 0 * gain), compare(gain, 0 * gain, groups=patients)
    assert alone.p_value < 0.001 < 0.1 < grouped.p_value
    assert grouped.difference.mean == pytest.approx(alone.difference.mean)
    assert compare([1.0, 2.0], [0.0, 0.0]).p_value is None


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(UsageError, match="finite scores"):
        bootstrap_mean([0.5, float("nan"), 0.7])
    with pytest.raises(UsageError, match="finite scores"):
        bootstrap_mean([])
    with pytest.raises(UsageError, match="one group for each of 2 values, found 1"):
        bootstrap_mean([0.5, 0.6], groups=["a"])
    with pytest.raises(UsageError, match="found 2 and 3"):
        compare([0.1, 0.2], [0.1, 0.2, 0.3])
    with pytest.raises(UsageError, match="level must lie between 0 and 1, found 95"):
        bootstrap_mean([0.5, 0.6, 0.7], level=95)


def test_tiny_differences_do_not_divide_by_zero() -> None:
    tiny = bootstrap_mean([0.0, 0.0, 1e-118])
    large = bootstrap_mean([0.0, 0.0, 1.0])
    assert tiny.interval is not None
    assert large.interval is not None
    assert tiny.interval[1] == pytest.approx(1e-118 * large.interval[1])
