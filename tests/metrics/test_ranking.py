"""Ranking scores against scikit-learn, thresholds against a search by hand."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from leanseg.errors import UsageError
from leanseg.metrics.overlap import confusion
from leanseg.metrics.ranking import (
    RankingCounts,
    auroc,
    average_precision,
    choose_threshold,
    eleven_threshold_aupr,
)


def draw(seed: int, n: int = 4000, *, levels: int = 0, dtype: type = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Scores that know something about the truth; rounded to few levels for ties."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.15
    scores = 1 / (1 + np.exp(-rng.normal(2.0 * truth - 1, 1.5)))
    return (np.round(scores * levels) / levels if levels else scores).astype(dtype), truth


@pytest.mark.parametrize("levels", [0, 3, 50])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_to_scikit_learn_with_and_without_ties(levels: int, dtype: type) -> None:
    scores, truth = draw(1, levels=levels, dtype=dtype)
    assert auroc(scores, truth) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert average_precision(scores, truth) == pytest.approx(average_precision_score(truth, scores), abs=1e-12)


@given(hnp.arrays(np.int8, st.integers(2, 40), elements=st.integers(-3, 3)), st.randoms(use_true_random=False))
def test_equal_to_scikit_learn_on_small_tied_cases(values: np.ndarray, random: object) -> None:
    truth = np.array([random.random() < 0.5 for _ in values])  # type: ignore[attr-defined]
    truth[:2] = True, False
    scores = values.astype(np.float32)
    assert auroc(scores, truth) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert average_precision(scores, truth) == pytest.approx(average_precision_score(truth, scores), abs=1e-12)


@pytest.mark.parametrize(
    ("scores", "truth", "expected"),
    [
        ((0.9, 0.8, 0.7, 0.6), (1, 0, 1, 0), 1 / 2 * 1 + 1 / 2 * 2 / 3),
        ((0.4,) * 8, (1, 0, 0, 0, 1, 0, 0, 0), 2 / 8),
        ((0.9, 0.8, 0.2, 0.1), (1, 1, 0, 0), 1),
        ((0.9, 0.8), (0, 0), None),
    ],
)
def test_average_precision_by_hand(scores: tuple[float, ...], truth: tuple[int, ...], expected: float | None) -> None:
    assert average_precision(np.array(scores), np.array(truth, bool)) == pytest.approx(expected, abs=1e-15)


def by_thresholds(scores: np.ndarray, truth: np.ndarray) -> float:
    """Average precision from a mask for every threshold, highest first."""
    area = reached = 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        counts = confusion(scores >= threshold, truth)
        area += (counts.sensitivity - reached) * counts.precision
        reached = counts.sensitivity
    return area


def test_average_precision_equals_that_of_all_thresholds() -> None:
    random = np.random.default_rng(7)
    for _ in range(200):
        n = int(random.integers(1, 60))
        scores = random.integers(0, random.integers(1, 30), n) / 32
        truth = random.random(n) < random.random()
        truth[random.integers(n)] = True
        expected = pytest.approx(by_thresholds(scores, truth), abs=1e-12)
        assert average_precision(scores, truth) == expected
        assert RankingCounts.of(scores, truth, bins=32).average_precision == expected


@given(hnp.arrays(np.int64, st.integers(2, 40), elements=st.integers(-9, 9)), st.randoms(use_true_random=False))
def test_only_the_order_of_scores_counts(values: np.ndarray, random: object) -> None:
    truth = np.array([random.random() < 0.5 for _ in values])  # type: ignore[attr-defined]
    truth[0] = True
    scores = values.astype(float)
    for rising in (np.exp, np.cbrt, lambda x: 3 * x - 100, lambda x: 1 / (1 + np.exp(-x))):
        assert average_precision(rising(scores), truth) == average_precision(scores, truth)
        assert auroc(rising(scores), truth) == auroc(scores, truth)


def test_random_scores_come_to_the_prevalence() -> None:
    n, true = 10_000, 100
    random = np.random.default_rng(8)
    truth = np.arange(n) < true
    drawn = np.array([average_precision(random.random(n), truth) for _ in range(200)])
    # A true pixel lies at each rank k of n alike; of the k - 1 above it, (true - 1) / (n - 1) are true.
    ranks = np.arange(1, n + 1)
    exact = np.mean((1 + (ranks - 1) * (true - 1) / (n - 1)) / ranks)
    assert abs(drawn.mean() - exact) < 3 * drawn.std(ddof=1) / np.sqrt(200)
    assert drawn.mean() == pytest.approx(true / n, abs=0.003) and exact > true / n


def test_eleven_thresholds_by_hand() -> None:
    scores, truth = np.repeat([0.55, 0.45, 0.55, 0.45], [6, 4, 4, 86]), np.arange(100) < 10
    counts = RankingCounts.of(scores, truth)
    # Recall and precision: (0, 1) from 0.6 up, (0.6, 6 / 10) at 0.5, (1, 10 / 100) from 0.4 down.
    assert eleven_threshold_aupr(counts) == pytest.approx(0.6 * (1 + 0.6) / 2 + 0.4 * (0.6 + 0.1) / 2, abs=1e-12)
    assert counts.average_precision == pytest.approx(0.6 * 0.6 + 0.4 * 0.1, abs=1e-12)
    # The order is the same, but no threshold lies between the two values any more.
    squeezed = RankingCounts.of(np.where(scores > 0.5, 0.58, 0.55), truth)
    assert eleven_threshold_aupr(squeezed) == pytest.approx((1 + 0.1) / 2, abs=1e-12)
    assert squeezed.average_precision == counts.average_precision
    assert eleven_threshold_aupr(RankingCounts.of(scores, truth & False)) is None


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.sampled_from([2, 16, 64]))
def test_eleven_thresholds_by_brute_force(seed: int, bins: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.random(80) < 0.3
    truth[0] = True
    scores = random.integers(0, bins + 1, 80) / bins
    points = []
    for tenth in range(10, -1, -1):
        counts = confusion(10 * scores >= tenth, truth)  # these scores times ten are exact
        points.append((counts.sensitivity, counts.precision if counts.tp + counts.fp else 1.0))
    area = sum((r - q) * (p + o) / 2 for (q, o), (r, p) in itertools.pairwise(points))
    assert eleven_threshold_aupr(RankingCounts.of(scores, truth, bins=bins)) == pytest.approx(area, abs=1e-12)


def test_only_valid_pixels_count() -> None:
    scores, truth = draw(2)
    valid = np.arange(scores.size) % 3 > 0
    assert auroc(scores, truth, valid=valid) == auroc(scores[valid], truth[valid])
    assert average_precision(scores, truth, valid=valid) == average_precision(scores[valid], truth[valid])
    inside, outside = (RankingCounts.of(scores, truth, valid=v).auroc for v in (valid, ~valid))
    assert inside == RankingCounts.of(scores[valid], truth[valid]).auroc != outside


def test_one_class_alone_has_no_auroc() -> None:
    scores = np.array([0.2, 0.7])
    nothing, everything = np.zeros(2, bool), np.ones(2, bool)
    assert auroc(scores, nothing) is auroc(scores, everything) is average_precision(scores, nothing) is None
    assert average_precision(scores, everything) == 1
    assert RankingCounts.of(scores, nothing).auroc is RankingCounts.of(scores, nothing).average_precision is None


def test_added_counts_come_close_to_the_joined_pixels() -> None:
    (s1, t1), (s2, t2) = draw(3), draw(4)
    pooled = RankingCounts.of(s1, t1) + RankingCounts.of(s2, t2)
    joined, truth = np.concatenate([s1, s2]), np.concatenate([t1, t2])
    assert pooled.auroc == pytest.approx(roc_auc_score(truth, joined), abs=1e-4)
    assert pooled.average_precision == pytest.approx(average_precision_score(truth, joined), abs=1e-3)


def test_counts_are_exact_where_every_bin_holds_one_value() -> None:
    scores, truth = draw(5, levels=64)
    counts = RankingCounts.of(scores, truth, bins=64)
    assert counts.auroc == auroc(scores, truth)
    assert counts.average_precision == pytest.approx(average_precision(scores, truth), abs=1e-12)


def test_counts_of_many_volumes_do_not_overflow() -> None:
    true, false = np.array([2**30, 3 * 2**30]), np.array([3 * 2**40, 2**40])
    assert RankingCounts(true, false).auroc == 3 / 4 * 3 / 4 + (1 / 4 * 3 / 4 + 3 / 4 * 1 / 4) / 2


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_dice_of_counts_is_dice_of_the_thresholded_map(seed: int) -> None:
    scores, truth = draw(seed, 200)
    dice = RankingCounts.of(scores, truth, bins=16).dice()
    for b in range(17):
        expected = confusion(scores >= np.float32(b / 16), truth).dice
        assert dice[b] == pytest.approx(expected, abs=1e-12)


def mean_dice(cases: Sequence[tuple[Any, Any]], threshold: float) -> float:
    scores = [confusion(p >= np.float32(threshold), t).dice for p, t in cases]
    return float(np.mean([s for s in scores if s is not None]))


def test_threshold_maximises_the_reported_mean_dice_where_the_images_agree() -> None:
    case = draw(6, 500)
    cases = [case, case, (np.full(50, 0.05, np.float32), np.zeros(50, bool))]
    chosen = choose_threshold(*zip(*cases, strict=True))
    assert mean_dice(cases, chosen) == pytest.approx(max(mean_dice(cases, k / 1024) for k in range(1, 1024)), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_threshold_goes_as_far_towards_a_half_as_one_standard_error_allows(seed: int) -> None:
    cases = [draw(10 * seed + n, 300) for n in range(4)]
    chosen = choose_threshold(*zip(*cases, strict=True))
    dice = np.array([[confusion(p >= np.float32(k / 1024), t).dice for k in range(1, 1024)] for p, t in cases])
    equal = np.flatnonzero(dice.mean(0) >= dice.mean(0).max() - 1e-12)
    best = equal[len(equal) // 2]
    allowed = [best]
    for k in range(1023):
        behind = dice[:, best] - dice[:, k]
        if behind.mean() < behind.std(ddof=1) / 2:
            allowed.append(k)
    assert abs(chosen - 0.5) == min(abs((k + 1) / 1024 - 0.5) for k in allowed)


def test_threshold_is_the_middle_of_a_plateau() -> None:
    truth = np.array([False, True])
    assert choose_threshold([np.array([0.25, 0.75])], [truth]) == pytest.approx(0.5, abs=1 / 512)


def test_threshold_respects_valid() -> None:
    scores, truth = np.array([0.2, 0.4, 0.9]), np.array([False, True, False])
    assert 0.2 < choose_threshold([scores], [truth], [np.array([True, True, False])]) <= 0.4


def test_wrong_calls_are_refused() -> None:
    truth = np.array([True, False])
    with pytest.raises(UsageError, match="nan"):
        auroc(np.array([0.1, np.nan]), truth)
    with pytest.raises(UsageError, match=r"lie in \[0, 1\], found -1.0 to 2.0"):
        RankingCounts.of(np.array([-1.0, 2.0]), truth)
    with pytest.raises(UsageError, match="power of two"):
        RankingCounts.of(np.array([0.1, 0.2]), truth, bins=10)
    with pytest.raises(UsageError, match="no image holds the class"):
        choose_threshold([np.array([0.1, 0.2])], [~truth & False])
    with pytest.raises(UsageError, match="found 1 probability maps, 2 truths"):
        choose_threshold([np.array([0.1, 0.2])], [truth, truth])
