"""Trivial answers against real masks and real rankings, and the shares of lesions in public photographs."""

from __future__ import annotations

from pathlib import Path

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from leanseg.metrics.audit import constant_ranking, predict_everything, predict_nothing, prevalence
from leanseg.metrics.overlap import Confusion, confusion
from leanseg.metrics.ranking import auroc, average_precision

MASKS = hnp.arrays(bool, (3, 5, 7))


@given(MASKS)
def test_trivial_answers_are_the_empty_and_the_full_mask(masks: np.ndarray) -> None:
    said, truth, valid = masks
    counts = confusion(said, truth, valid=valid)
    assert predict_nothing(counts) == confusion(np.zeros_like(truth), truth, valid=valid)
    assert predict_everything(counts) == confusion(np.ones_like(truth), truth, valid=valid)


@given(MASKS)
def test_constant_ranking_is_that_of_a_constant_map(masks: np.ndarray) -> None:
    said, truth, valid = masks
    found = constant_ranking(confusion(said, truth, valid=valid))
    flat = np.full(truth.shape, 0.3)
    assert found.auroc == auroc(flat, truth, valid=valid)
    assert found.average_precision == average_precision(flat, truth, valid=valid)


@given(st.integers(0, 2**40), st.integers(1, 2**40))
def test_scores_of_trivial_answers_follow_from_the_prevalence(true: int, false: int) -> None:
    counts = Confusion(fn=true, tn=false)
    share = prevalence(counts)
    nothing, everything = predict_nothing(counts), predict_everything(counts)
    assert share == pytest.approx(true / (true + false))
    assert nothing.accuracy == pytest.approx(1 - share)
    assert everything.accuracy == everything.jaccard == everything.precision == share
    assert everything.dice == pytest.approx(2 * share / (1 + share))
    assert (nothing.specificity, everything.specificity) == (1, 0)
    if true:
        assert (nothing.dice, nothing.sensitivity, everything.sensitivity) == (0, 0, 1)
        constant = constant_ranking(counts)
        assert (constant.average_precision, constant.auroc) == (pytest.approx(share), pytest.approx(0.5))


def test_without_pixels_there_is_no_prevalence() -> None:
    assert prevalence(Confusion()) is None
    assert constant_ranking(Confusion()).auroc is constant_ranking(Confusion()).average_precision is None


def test_what_nobody_drew_is_predicted_rightly_by_nothing_and_wrongly_by_everything() -> None:
    nothing, everything = (answer(Confusion(fp=3, tn=5)) for answer in (predict_nothing, predict_everything))
    assert (nothing.accuracy, nothing.dice, everything.accuracy, everything.dice) == (1, None, 0, 0)


@pytest.mark.data
@pytest.mark.parametrize(
    ("lesion", "images", "share", "accuracy"),
    [("EX", 8, 1.207, 98.79), ("HE", 8, 0.681, 99.32), ("MA", 8, 0.061, 99.94), ("SE", 3, 0.176, 99.82)],
)
def test_empty_masks_are_accurate_on_lesions(
    data_root: Path, lesion: str, images: int, share: float, accuracy: float
) -> None:
    files = sorted((data_root / "IDRiD_lesions_8" / f"masks_{lesion}").glob("*.png"))
    assert len(files) == images
    truths = [np.asarray(Pillow.open(file)) for file in files]
    assert all(truth.dtype == bool and truth.any() for truth in truths)
    counts = sum((confusion(np.zeros_like(truth), truth) for truth in truths), Confusion())
    assert 100 * prevalence(counts) == pytest.approx(share, abs=5.1e-4)
    assert 100 * predict_nothing(counts).accuracy == pytest.approx(accuracy, abs=5.1e-3)
