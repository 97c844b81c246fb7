"""One label from several classes: against a loop, with ties, with thresholds that move."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from leanseg.errors import UsageError
from leanseg.inference.merge import LEAST, conflicts, merge
from leanseg.inference.postprocess import to_labels
from leanseg.types import Classes

# Few different values, so that ties and probabilities equal to thresholds are common.
LEVELS = st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.4, 0.5, 0.6, 0.8, 0.999, 1.0])


@st.composite
def answers(draw: st.DrawFn) -> tuple[np.ndarray, tuple[float, ...]]:
    count = draw(st.integers(1, 5))
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=5))
    maps = draw(hnp.arrays(np.float32, (count, *shape), elements=LEVELS.map(lambda p: float(np.float32(p)))))
    return maps, tuple(draw(st.lists(LEVELS, min_size=count, max_size=count)))


def by_loop(maps: np.ndarray, threshold: tuple[float, ...]) -> np.ndarray:
    labels = np.zeros(maps.shape[1:], int)
    for place in np.ndindex(*labels.shape):
        ratios = {
            number: maps[(number - 1, *place)] / max(np.float32(limit), LEAST)
            for number, limit in enumerate(threshold, start=1)
            if maps[(number - 1, *place)] > np.float32(limit)
        }
        labels[place] = max(ratios, key=lambda number: (ratios[number], -number), default=0)
    return labels


@given(answer=answers())
def test_merged_labels_equal_a_loop(answer):
    maps, threshold = answer
    found = merge(maps, threshold)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, by_loop(maps, threshold))


@given(answer=answers())
def test_merged_labels_agree_with_the_masks(answer):
    maps, threshold = answer
    classes = Classes(names=tuple("abcde"[: len(threshold)]), overlapping=True)
    masks = to_labels(maps, classes=classes, threshold=threshold)
    found = merge(maps, threshold)
    np.testing.assert_array_equal(found > 0, masks.any(axis=0))
    for number, mask in enumerate(masks, start=1):
        assert mask[found == number].all()
        np.testing.assert_array_equal(found[(mask > 0) & ~conflicts(masks)], number)


@given(answer=answers(), data=st.data())
def test_a_higher_threshold_never_adds_pixels_of_its_class(answer, data):
    maps, threshold = answer
    which = data.draw(st.integers(0, len(threshold) - 1))
    higher = list(threshold)
    higher[which] = data.draw(LEVELS.filter(lambda value: value >= threshold[which]))
    before, after = merge(maps, threshold) == which + 1, merge(maps, higher) == which + 1
    assert not (after & ~before).any()


@given(answer=answers())
def test_one_class_is_what_exceeds_its_threshold(answer):
    maps, threshold = answer
    np.testing.assert_array_equal(merge(maps[:1], threshold[:1]), maps[0] > np.float32(threshold[0]))


@given(answer=answers(), cut=st.integers(0, 5))
def test_bands_give_what_the_whole_gives(answer, cut):
    maps, threshold = answer
    bands = [merge(part, threshold) for part in (maps[:, :cut], maps[:, cut:])]
    np.testing.assert_array_equal(np.concatenate(bands), merge(maps, threshold))


def test_by_hand():
    maps = np.array([[0.6, 0.5, 0.8, 0.40], [0.3, 0.25, 0.4, 0.31]], np.float32)[:, None]
    # Both at 1.2 of their thresholds; none above; both at 1.6; the second alone.
    assert merge(maps, (0.5, 0.25)).tolist() == [[1, 0, 1, 2]]
    assert merge(maps[::-1], (0.25, 0.5)).tolist() == [[1, 0, 1, 1]]
    assert merge(maps, (0.5, 0.2)).tolist() == [[2, 2, 2, 2]], "1.5 against 1.2: the less probable class wins"


def test_a_threshold_of_zero_divides_by_nothing():
    maps = np.array([[0.0, 0.2, 0.2], [0.9, 0.9, 0.1], [0.0, 0.1, 0.3]], np.float32)
    with np.errstate(all="raise"):
        assert merge(maps, (0.0, 0.5, 0.0)).tolist() == [2, 1, 3]


def test_conflicts_are_the_pixels_of_two_or_more():
    masks = np.array([[[1, 1, 0, 0]], [[1, 0, 1, 0]], [[1, 1, 0, 0]]], np.uint8)
    assert conflicts(masks).tolist() == [[True, True, False, False]]


def test_more_classes_than_a_byte_counts_are_refused():
    with pytest.raises(UsageError, match="255 classes, found 256"):
        merge(np.zeros((256, 1, 1), np.float32), (0.5,) * 256)
