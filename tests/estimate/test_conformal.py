"""The conformal quantile beside its definition, by its coverage and for patients with several images."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leanseg.errors import UsageError
from leanseg.estimate.conformal import conformal_quantile, group_numbers

SCORES = st.lists(st.floats(-5, 5), min_size=1, max_size=40)


@pytest.mark.parametrize(("n", "index"), [(9, 9), (19, 18), (99, 90), (999, 900)])
def test_index(n: int, index: int) -> None:
    scores = np.random.default_rng(n).permutation(n) + 1.0
    assert conformal_quantile(scores, 0.1) == index
    assert conformal_quantile(scores, 1 - 0.9) == index


@pytest.mark.parametrize("n", range(9))
def test_too_few_scores_promise_nothing(n: int) -> None:
    assert conformal_quantile(np.zeros(n), 0.1) == math.inf
    assert conformal_quantile(np.zeros(n), 0.1, groups=list(range(n))) == math.inf


@given(st.integers(1, 400), st.integers(1, 99))
def test_the_index_is_exact_for_all_percentages(n: int, percent: int) -> None:
    index = -(-(n + 1) * (100 - percent) // 100)
    wanted = index if index <= n else math.inf
    assert conformal_quantile(np.arange(1, n + 1), percent / 100) == wanted


@given(SCORES, st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_a_larger_alpha_gives_no_larger_bound(scores: list[float], one: float, other: float) -> None:
    low, high = sorted([one, other])
    assert conformal_quantile(scores, high) <= conformal_quantile(scores, low)


@given(SCORES, st.floats(0.01, 0.99))
def test_patients_with_one_image_are_images(scores: list[float], alpha: float) -> None:
    names = [f"p{i}" for i in range(len(scores))]
    assert conformal_quantile(scores, alpha, names) == conformal_quantile(scores, alpha)


@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 6)), min_size=1, max_size=30), st.floats(0.02, 0.9))
def test_groups_against_the_definition(pairs: list[tuple[float, int]], alpha: float) -> None:
    groups = [g for _, g in pairs]
    total = len(set(groups)) + 1
    found = conformal_quantile([s for s, _ in pairs], alpha, groups)

    def mass(bound: float) -> float:
        return sum(1 / (total * groups.count(g)) for s, g in pairs if s <= bound)

    candidates = sorted({s for s, _ in pairs if mass(s) >= 1 - alpha - 1e-9})
    assert found == (candidates[0] if candidates else math.inf)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=15), st.integers(2, 4))
def test_copies_of_a_patients_image_change_nothing(scores: list[float], copies: int) -> None:
    names = list(range(len(scores)))
    assert conformal_quantile(scores * copies, 0.2, names * copies) == conformal_quantile(scores, 0.2)


def test_patients_are_covered_where_images_alone_would_not_be() -> None:
    """8 patients with 30 images each: taken for independent images, they promise too much."""
    rng, names = np.random.default_rng(0), np.repeat(np.arange(8), 30)
    grouped, naive = [], []
    for _ in range(600):
        levels = rng.normal(size=9)
        scores = levels[names] + rng.normal(0, 0.1, names.size)
        new = levels[8] + rng.normal(0, 0.1)
        grouped.append(new <= conformal_quantile(scores, 0.2, names))
        naive.append(new <= conformal_quantile(scores, 0.2))
    assert np.mean(grouped) > 0.79
    assert np.mean(naive) < np.mean(grouped) - 0.04


def test_infinite_scores_are_scores() -> None:
    assert conformal_quantile([1.0, math.inf, 2.0], 0.5) == 2.0
    assert conformal_quantile([1.0, math.inf, 2.0], 0.25) == math.inf


@pytest.mark.parametrize("alpha", [0, 1, -0.1, math.nan])
def test_alpha_out_of_range(alpha: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        conformal_quantile([1.0], alpha)


def test_wrong_scores_and_groups() -> None:
    with pytest.raises(UsageError, match="without nan"):
        conformal_quantile([1.0, math.nan], 0.1)
    with pytest.raises(UsageError, match="one group for each of 2"):
        conformal_quantile([1.0, 2.0], 0.1, ["a"])


def test_numbers_of_groups() -> None:
    assert group_numbers(["b", "a", "b"], 3).tolist() == [0, 1, 0]
    assert group_numbers(None, 3).tolist() == [0, 1, 2]
