"""Scores of objects against double loops over all pairs, hand-worked numbers and identities."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import permutations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from leanseg.errors import UsageError
from leanseg.metrics.instances import ObjectCounts, object_counts

PAIRS = hnp.arrays(np.int32, st.tuples(st.just(2), st.integers(1, 4), st.integers(1, 9)), elements=st.integers(0, 4))
SEEDS = st.integers(0, 10**6)


def objects(labels: np.ndarray) -> list[np.ndarray]:
    """The mask of each object, in reading order."""
    return [labels == number for number in dict.fromkeys(labels.ravel().tolist()) if number]


def overlaps(prediction: np.ndarray, truth: np.ndarray) -> list[list[tuple[int, int]]]:
    """Intersection and union in pixels, for each true object with each predicted one."""
    return [[(int((t & p).sum()), int((t | p).sum())) for p in objects(prediction)] for t in objects(truth)]


def areas(labels: np.ndarray) -> list[int]:
    return [int(mask.sum()) for mask in objects(labels)]


def published_index(prediction: np.ndarray, truth: np.ndarray) -> tuple[int, int]:
    """Algorithm 1 of Kumar et al. 2017, line by line; truth without any overlap adds its own pixels."""
    correct, joint, used = 0, 0, set()
    for area, row in zip(areas(truth), overlaps(prediction, truth), strict=True):
        best = max(range(len(row)), key=lambda k: Fraction(*row[k]), default=None)
        if best is None or row[best][0] == 0:
            joint += area
            continue
        correct, joint = correct + row[best][0], joint + row[best][1]
        used.add(best)
    return correct, joint + sum(area for k, area in enumerate(areas(prediction)) if k not in used)


def best_pairings(prediction: np.ndarray, truth: np.ndarray) -> set[tuple[int, int]]:
    """Intersection and union of every one-to-one pairing whose IoU have the greatest sum."""
    table, true, predicted = overlaps(prediction, truth), areas(truth), areas(prediction)
    found: dict[Fraction, set[tuple[int, int]]] = {}
    for order in permutations([*range(len(predicted)), *[None] * len(true)], len(true)):
        pairs = [(i, k) for i, k in enumerate(order) if k is not None and table[i][k][0]]
        alone = [a for i, a in enumerate(true) if i not in {i for i, _ in pairs}]
        alone += [a for k, a in enumerate(predicted) if k not in {k for _, k in pairs}]
        shared, joint = (sum(table[i][k][end] for i, k in pairs) for end in (0, 1))
        total = sum((Fraction(*table[i][k]) for i, k in pairs), Fraction(0))
        found.setdefault(total, set()).add((shared, joint + sum(alone)))
    return found[max(found)]


def cells(seed: int) -> np.ndarray:
    """Truth of twelve squares of eight pixels, numbered at random."""
    numbers = np.random.default_rng(seed).choice(np.arange(1, 1000), 12, replace=False)
    labels = np.zeros((40, 30), np.int32)
    for index, number in enumerate(numbers):
        row, column = divmod(index, 3)
        labels[10 * row : 10 * row + 8, 10 * column : 10 * column + 8] = number
    return labels


@given(PAIRS)
def test_panoptic_quality_agrees_with_a_double_loop(pair: np.ndarray) -> None:
    prediction, truth = pair
    table = overlaps(prediction, truth)
    matched = [Fraction(*both) for row in table for both in row if Fraction(*both) > Fraction(1, 2)]
    true, predicted = len(objects(truth)), len(objects(prediction))
    counts = object_counts(prediction, truth)
    assert (counts.tp, counts.fp, counts.fn) == (len(matched), predicted - len(matched), true - len(matched))
    assert (counts.true_objects, counts.predicted_objects) == (true, predicted)
    assert counts.count_error == abs(true - predicted)
    if true + predicted:
        assert counts.pq == pytest.approx(float(sum(matched)) / ((true + predicted) / 2), abs=1e-12)
        assert counts.sq == pytest.approx(float(sum(matched)) / max(len(matched), 1), abs=1e-12)
        assert counts.f1 == counts.rq == pytest.approx(2 * len(matched) / (true + predicted), abs=1e-12)
        assert counts.sq is not None and counts.rq is not None
        assert counts.pq == pytest.approx(counts.sq * counts.rq, abs=1e-12)


@given(PAIRS)
def test_aggregated_jaccard_index_agrees_with_the_published_algorithm(pair: np.ndarray) -> None:
    counts = object_counts(*pair)
    assert (counts.overlap, counts.union) == published_index(*pair)


@settings(max_examples=60)
@given(hnp.arrays(np.int32, st.tuples(st.just(2), st.just(2), st.integers(1, 7)), elements=st.integers(0, 3)))
def test_aji_plus_agrees_with_trying_every_pairing(pair: np.ndarray) -> None:
    counts = object_counts(*pair)
    assert (counts.paired_overlap, counts.paired_union) in best_pairings(*pair)


def test_hand_worked_scores() -> None:
    truth = np.array([[1] * 10 + [0] * 2 + [2] * 4 + [0] * 4])
    prediction = np.array([[5] * 8 + [0] * 6 + [9] * 4 + [0] + [7]])
    counts = object_counts(prediction, truth)
    # IoU 8/10 and 2/6; the third prediction meets nothing
    assert (counts.tp, counts.fp, counts.fn, counts.count_error) == (1, 2, 1, 1)
    assert counts.sq == 0.8 and counts.rq == 2 / 5
    assert counts.pq == pytest.approx(0.32)
    assert counts.aji == counts.aji_plus == 10 / (10 + 6 + 1)


def test_one_prediction_over_two_objects_is_chosen_twice_by_aji_and_once_by_aji_plus() -> None:
    truth = np.array([[1] * 6 + [2] * 4])
    counts = object_counts(np.ones_like(truth), truth)
    assert counts.aji == (6 + 4) / (10 + 10)
    assert counts.aji_plus == 6 / (10 + 4)
    assert (counts.tp, counts.fp, counts.fn) == (1, 0, 1) and counts.sq == 0.6


def test_aji_plus_maximises_the_sum_and_not_the_single_best() -> None:
    truth = np.array([[1] * 10 + [2] * 4])
    prediction = np.array([[4] * 4 + [5] * 10])
    # object 1 meets 4 with 4/10 and 5 with 6/14, object 2 meets 5 with 4/10: the two weaker pairs sum up to more
    counts = object_counts(prediction, truth)
    assert (counts.paired_overlap, counts.paired_union) == (4 + 4, 10 + 10)
    assert (counts.overlap, counts.union) == (6 + 4, 14 + 10 + 4)


@pytest.mark.parametrize("kept", [4, 5, 6])
def test_an_iou_of_exactly_one_half_does_not_match(kept: int) -> None:
    truth = np.ones((1, 10), np.int32)
    prediction = (np.arange(10) < kept).astype(np.int32)[None]
    assert object_counts(prediction, truth).tp == (kept > 5)


@given(SEEDS)
def test_an_object_cut_in_two_halves_is_lost(seed: int) -> None:
    truth = cells(seed)
    number = truth.max()
    prediction = truth.copy()
    half = (truth == number) & (np.indices(truth.shape)[0] % 10 < 4)
    prediction[half] = 1000
    whole, cut = object_counts(truth, truth), object_counts(prediction, truth)
    assert whole.pq == whole.aji == whole.aji_plus == 1
    assert (cut.tp, cut.fp, cut.fn, cut.count_error) == (11, 2, 1, 1)
    assert cut.rq == 22 / 25
    assert cut.aji == cut.aji_plus == (11 * 64 + 32) / (12 * 64 + 32)


@given(SEEDS)
def test_a_missed_object_and_an_invented_one_cost_the_same_in_pq(seed: int) -> None:
    truth = cells(seed)
    fewer = np.where(truth == truth.max(), 0, truth)
    missed, invented = object_counts(fewer, truth), object_counts(truth, fewer)
    assert missed.pq == invented.pq == 22 / 23
    assert (missed.fn, missed.fp) == (invented.fp, invented.fn) == (1, 0)


@given(PAIRS)
def test_truth_and_prediction_may_change_places_in_panoptic_quality(pair: np.ndarray) -> None:
    there, back = object_counts(*pair), object_counts(pair[1], pair[0])
    assert (there.tp, there.fp, there.fn) == (back.tp, back.fn, back.fp)
    assert there.iou == pytest.approx(back.iou)


@given(PAIRS, SEEDS)
@example(np.array([[[1, 2, 0, 3, 4]], [[1, 1, 0, 2, 2]]], np.int32), 1)
def test_numbers_do_not_matter(pair: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = np.concatenate([np.zeros((2, 1), np.int64), rng.choice(10**6, (2, 4), replace=False) + 1], axis=1)
    renamed = [names[0][pair[0]], names[1][pair[1]].astype(np.uint64)]
    assert object_counts(*renamed) == object_counts(*pair)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.uint64])
def test_any_integer_type(dtype: type) -> None:
    truth = np.array([[1, 1, 0, 2]])
    prediction = np.array([[2, 2, 0, 0]])
    assert object_counts(prediction.astype(dtype), truth) == object_counts(prediction, truth)
    large = np.array([[2**64 - 1, 2**64 - 2]], np.uint64)
    assert object_counts(large, large).tp == 2


@given(PAIRS, SEEDS)
def test_only_valid_pixels_count(pair: np.ndarray, seed: int) -> None:
    valid = np.random.default_rng(seed).random(pair[0].shape) < 0.6
    cut = np.where(valid, pair, 0)
    assert object_counts(*pair, valid=valid) == object_counts(cut[0], cut[1])


@given(PAIRS)
def test_volumes_score_as_their_planes_side_by_side(pair: np.ndarray) -> None:
    assert object_counts(pair[0][None], pair[1][None]) == object_counts(*pair)
    deep = np.concatenate([pair[0][:, None], pair[0][:, None]], axis=1), np.repeat(pair[1][:, None], 2, axis=1)
    once, twice = object_counts(*pair), object_counts(*deep)
    assert (twice.tp, twice.overlap, twice.union) == (once.tp, 2 * once.overlap, 2 * once.union)


@pytest.mark.parametrize("swapped", [False, True])
def test_one_side_empty_is_the_worst_value_and_not_dropped(swapped: bool) -> None:
    pair = [np.zeros((4, 4), int), np.diag([1, 2, 3, 3])]
    counts = object_counts(*pair[::-1] if swapped else pair)
    assert (counts.pq, counts.sq, counts.rq, counts.f1, counts.aji, counts.aji_plus) == (0,) * 6
    assert (counts.tp, counts.fp, counts.fn) == ((0, 3, 0) if swapped else (0, 0, 3))
    assert (counts.union, counts.paired_union, counts.count_error) == (4, 4, 3)
    assert not counts.both_empty


@pytest.mark.parametrize("shape", [(4, 4), (0, 3)])
def test_both_empty_is_flagged_and_has_no_score(shape: tuple[int, ...]) -> None:
    counts = object_counts(np.zeros(shape, int), np.zeros(shape, int))
    assert counts.both_empty and counts == ObjectCounts()
    assert {counts.pq, counts.sq, counts.rq, counts.aji, counts.aji_plus} == {None}
    one = object_counts(np.ones((2, 2), int), np.ones((2, 2), int))
    assert counts + one == one


@given(PAIRS, PAIRS)
def test_added_counts_are_those_of_the_joined_image(one: np.ndarray, other: np.ndarray) -> None:
    parts = object_counts(*one) + object_counts(*other)
    rows = one.shape[1] + other.shape[1]
    joined = np.zeros((2, rows, max(one.shape[2], other.shape[2])), np.int32)
    joined[:, : one.shape[1], : one.shape[2]] = one
    joined[:, one.shape[1] :, : other.shape[2]] = np.where(other, other + 10, 0)
    whole = object_counts(*joined)
    assert parts.iou == pytest.approx(whole.iou)
    same = {"iou": 0.0, "count_error": 0, "paired_overlap": 0, "paired_union": 0}  # ties between pairings may differ
    assert replace(parts, **same) == replace(whole, **same)


def test_too_many_here_do_not_make_up_for_too_few_there() -> None:
    two, one = np.array([[1, 0, 2]]), np.array([[1, 0, 0]])
    pooled = object_counts(two, one) + object_counts(one, two)
    assert pooled.true_objects == pooled.predicted_objects and pooled.count_error == 2


def test_a_thousand_objects_with_shifted_borders() -> None:
    truth = np.kron(np.arange(1, 1025).reshape(32, 32), np.ones((8, 8), np.int64))
    prediction = np.roll(truth, 1, axis=0)
    counts = object_counts(prediction, truth)
    # each shares 7 rows of 8 with its own and one row with its neighbour
    assert (counts.tp, counts.fp, counts.fn) == (1024, 0, 0)
    assert counts.pq == pytest.approx(7 / 9) and counts.aji == pytest.approx(7 / 9)
    assert counts.aji_plus == counts.aji


def test_masks_and_broken_numbers_are_refused() -> None:
    numbers = np.ones((2, 2), np.int32)
    with pytest.raises(UsageError, match=r"prediction must hold object numbers \(integers\), found bool"):
        object_counts(numbers > 0, numbers)
    with pytest.raises(UsageError, match=r"truth must hold object numbers from 0 on, found -1"):
        object_counts(numbers, -numbers)
    with pytest.raises(UsageError, match=r"must have the shape \(3, 2\), found \(2, 2\)"):
        object_counts(numbers, np.ones((3, 2), int))
    with pytest.raises(UsageError, match="valid must be a boolean mask"):
        object_counts(numbers, numbers, valid=numbers)
