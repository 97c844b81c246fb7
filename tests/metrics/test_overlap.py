"""Overlap scores against hand-worked numbers and identities."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leanseg.errors import UsageError
from leanseg.metrics.overlap import Confusion, confusion

PAIRS = hnp.arrays(np.bool_, st.tuples(st.just(3), st.integers(1, 6), st.integers(1, 6)))


def test_hand_worked_scores() -> None:
    counts = Confusion(tp=6, fp=2, fn=3, tn=9)
    assert counts.dice == 12 / 17
    assert counts.jaccard == 6 / 11
    assert counts.sensitivity == 6 / 9
    assert counts.specificity == 9 / 11
    assert counts.precision == 6 / 8
    assert counts.accuracy == 15 / 20


def test_missed_structure_is_the_worst_value_and_not_dropped() -> None:
    missed = confusion(np.zeros((4, 4), bool), np.eye(4, dtype=bool))
    assert (missed.dice, missed.jaccard, missed.precision, missed.sensitivity) == (0, 0, 0, 0)
    assert not missed.both_empty


def test_invented_structure_is_the_worst_value() -> None:
    invented = confusion(np.eye(4, dtype=bool), np.zeros((4, 4), bool))
    assert (invented.dice, invented.jaccard, invented.precision) == (0, 0, 0)
    assert invented.sensitivity is None
    assert not invented.both_empty


def test_both_empty_is_flagged_and_has_no_dice() -> None:
    empty = np.zeros((4, 4), bool)
    counts = confusion(empty, empty)
    assert counts.both_empty
    assert counts.dice is None and counts.jaccard is None and counts.precision is None
    assert counts.specificity == counts.accuracy == 1


def test_nothing_valid_scores_nothing() -> None:
    ones = np.ones((2, 2), bool)
    counts = confusion(ones, ones, valid=~ones)
    assert counts == Confusion() and counts.accuracy is None


@given(PAIRS)
def test_counts_agree_with_pixelwise_logic_inside_valid(stack: np.ndarray) -> None:
    p, t, valid = stack
    counts = confusion(p, t, valid=valid)
    expected = [int((valid & a & b).sum()) for a, b in ((p, t), (p, ~t), (~p, t), (~p, ~t))]
    assert [counts.tp, counts.fp, counts.fn, counts.tn] == expected


@given(PAIRS)
def test_dice_is_symmetric_bounded_and_tied_to_jaccard(stack: np.ndarray) -> None:
    p, t, _ = stack
    dice, jaccard = confusion(p, t).dice, confusion(p, t).jaccard
    assert dice == confusion(t, p).dice
    if dice is not None and jaccard is not None:
        assert 0 <= jaccard <= dice <= 1
        assert dice == pytest.approx(2 * jaccard / (1 + jaccard), abs=1e-12)


@given(PAIRS)
def test_pooled_counts_are_those_of_the_joined_image(stack: np.ndarray) -> None:
    p, t, valid = stack
    parts = sum((confusion(a, b, valid=v) for a, b, v in zip(p, t, valid, strict=True)), Confusion())
    assert parts == confusion(p, t, valid=valid)


def test_label_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match="prediction must be a boolean mask, found uint8"):
        confusion(np.zeros((2, 2), np.uint8), np.zeros((2, 2), bool))


def test_other_shape_is_refused() -> None:
    with pytest.raises(UsageError, match=r"valid must have the shape \(2, 2\), found \(3, 2\)"):
        confusion(np.zeros((2, 2), bool), np.zeros((2, 2), bool), valid=np.ones((3, 2), bool))
