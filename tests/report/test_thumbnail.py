"""Shrunk pictures keep averages, whatever the size and however they are read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leanseg.images.image import Image
from leanseg.report import thumbnail
from leanseg.report.thumbnail import best_slice, coverage, display_size, picture, shrink
from leanseg.types import Classes

ONE = Classes(names=("lesion",))


@given(height=st.integers(1, 5000), width=st.integers(1, 5000), longest=st.integers(1, 1024))
def test_never_larger_than_asked_or_than_the_image(height: int, width: int, longest: int) -> None:
    h, w = display_size((height, width), longest)
    assert 1 <= h <= height and 1 <= w <= width and max(h, w) <= longest


@settings(max_examples=20, deadline=None)
@given(height=st.integers(8, 60), width=st.integers(8, 60), longest=st.integers(4, 30))
def test_a_flat_plane_stays_flat(height: int, width: int, longest: int) -> None:
    plane = np.full((2, height, width), 7.0)
    small = shrink(lambda rows: plane[:, rows], (height, width), longest)
    assert small.shape == (2, *display_size((height, width), longest))
    np.testing.assert_allclose(small, 7.0, rtol=1e-5)


def test_whole_blocks_are_averaged() -> None:
    plane = np.arange(64, dtype=float).reshape(1, 8, 8)
    small = shrink(lambda rows: plane[:, rows], (8, 8), 4)
    np.testing.assert_allclose(small, plane.reshape(1, 4, 2, 4, 2).mean((2, 4)))


def test_strips_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    plane = np.random.default_rng(0).random((1, 101, 67))
    whole = shrink(lambda rows: plane[:, rows], (101, 67), 20)
    monkeypatch.setattr(thumbnail, "STRIP", 67 * 7)
    np.testing.assert_allclose(shrink(lambda rows: plane[:, rows], (101, 67), 20), whole, rtol=1e-6)


def test_thin_lines_grow_faint_and_do_not_vanish() -> None:
    line = np.zeros((400, 400), bool)
    line[101] = True
    share = coverage(line, 100)
    assert share[25].min() == pytest.approx(0.25, abs=1e-5)
    assert share.sum() == pytest.approx(25, rel=1e-4)


def test_the_fullest_slice_is_shown_and_the_middle_of_an_empty_volume() -> None:
    labels = np.zeros((7, 4, 4), np.uint8)
    assert best_slice(labels, ONE) == 3
    labels[1, 0, 0] = labels[5, :2, :2] = 1
    assert best_slice(labels, ONE) == 5
    several = Classes(names=("a", "b"), overlapping=True)
    assert best_slice(np.stack([labels * 0, labels]), several) == 5


def test_colour_photographs_keep_their_colours() -> None:
    pixels = np.zeros((3, 5, 5), np.uint8)
    pixels[0] = 200
    assert picture(Image(pixels))[2, 2].tolist() == [200, 0, 0]


def test_colours_of_more_bits_keep_their_hue() -> None:
    """Brown tissue stays brown: stretched by itself, each channel would span the whole range."""
    grades = np.linspace(0.2, 1, 64 * 64).reshape(64, 64)
    deep = np.stack([grades * share for share in (60000, 30000, 15000)]).astype(np.uint16)
    shown = picture(Image(deep)).astype(float)
    assert shown[..., 0].max() == 255
    assert shown[-1, -1, 1] < 150 and shown[-1, -1, 2] < 80


def test_grey_and_deep_images_are_stretched_to_what_can_be_seen() -> None:
    pixels = np.linspace(-1000, 3000, 100 * 100).reshape(1, 100, 100)
    shown = picture(Image(pixels))
    assert shown.shape == (100, 100, 3)
    assert shown.min() == 0 and shown.max() == 255
    assert (shown[..., 0] == shown[..., 2]).all()


def test_nan_and_flat_images_do_not_break_the_picture() -> None:
    assert picture(Image(np.full((1, 4, 4), 3.0)))[0, 0].tolist() == [0, 0, 0]
    assert picture(Image(np.full((1, 4, 4), np.nan))).max() == 0
