"""Resizing agrees with Pillow's antialiased filter and does not depend on how a grid is tiled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from leanseg.images.resample import Resampling, resample_labels, resample_mask

sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))


@settings(max_examples=60, deadline=None)
@given(before=sizes, after=sizes, seed=st.integers(0, 99))
def test_equals_pillow(before, after, seed):
    values = np.random.default_rng(seed).random(before).astype(np.float32)
    expected = np.asarray(PillowImage.fromarray(values).resize(after[::-1], PillowImage.Resampling.BILINEAR))
    np.testing.assert_allclose(Resampling(before=before, after=after)(values), expected, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(before=sizes, after=sizes, data=st.data())
def test_parts_equal_the_whole(before, after, data):
    grid = Resampling(before=before, after=after)
    values = np.random.default_rng(0).random((2, *before)).astype(np.float32)
    wanted = []
    for size in after:
        start = data.draw(st.integers(0, size - 1))
        wanted.append(slice(start, data.draw(st.integers(start + 1, size))))
    needed = grid.needed(tuple(wanted))
    part = grid(values[(slice(None), *needed)], given=needed, wanted=tuple(wanted))
    np.testing.assert_array_equal(part, grid(values)[(slice(None), *wanted)])


def test_a_tap_exactly_one_reach_away_is_not_read():
    grid, values = Resampling(before=(1, 29), after=(1, 9)), np.arange(29, dtype=np.float32)[None]
    wanted = (slice(0, 1), slice(0, 4))
    needed = grid.needed(wanted)
    np.testing.assert_array_equal(grid(values[needed], given=needed, wanted=wanted), grid(values)[wanted])


def test_volume_with_equal_depth():
    values = np.random.default_rng(0).random((1, 3, 8, 6)).astype(np.float32)
    result = Resampling(before=(3, 8, 6), after=(3, 4, 9))(values)
    flat = Resampling(before=(8, 6), after=(4, 9))
    np.testing.assert_allclose(result[0, 1], flat(values[0, 1]), atol=1e-6)


def test_all_axes_of_a_volume():
    values = np.random.default_rng(0).random((5, 4, 3)).astype(np.float32)
    result = Resampling(before=(5, 4, 3), after=(3, 4, 6))(values)
    depth = Resampling(before=(5, 12), after=(3, 12))(values.reshape(5, 12)).reshape(3, 4, 3)
    np.testing.assert_allclose(result, Resampling(before=(4, 3), after=(4, 6))(depth), atol=1e-6)


def test_overhanging_grid_repeats_the_last_pixel():
    # Three blocks of 4 pixels describe 11 pixels: the last block reaches beyond.
    grid = Resampling(before=(3,), after=(11,), ratios=(1 / 4,))
    np.testing.assert_allclose(grid(np.array([0.0, 0.0, 1.0]))[-3:], [0.625, 0.875, 1.0])


def test_labels_take_the_class_that_covers_most():
    labels = np.array([[0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 2]], np.uint8)
    shrunk = resample_labels(labels, Resampling(before=(2, 6), after=(1, 3)))
    assert shrunk.tolist() == [[0, 1, 2]]


def test_labels_never_invent_a_class_between_two():
    labels = np.zeros((8, 8), np.uint8)
    labels[:, 4:] = 2
    assert set(np.unique(resample_labels(labels, Resampling(before=(8, 8), after=(13, 13))))) == {0, 2}


def test_overlapping_labels_are_decided_one_by_one():
    labels = np.array([[[1, 1]], [[0, 1]]], np.uint8)
    assert resample_labels(labels, Resampling(before=(1, 2), after=(1, 1)), overlapping=True).tolist() == [[[1]], [[0]]]


@pytest.mark.parametrize("after", [(5, 5), (20, 20)])
def test_mask_keeps_its_area(after):
    mask = np.zeros((10, 10), bool)
    mask[2:8, 2:8] = True
    assert resample_mask(mask, Resampling(before=(10, 10), after=after)).mean() == pytest.approx(0.36, abs=0.01)
