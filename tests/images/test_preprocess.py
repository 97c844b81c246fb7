"""Preprocessing: the same numbers whole, in parts, in memory and streamed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leanseg.errors import InputError, UsageError
from leanseg.images.image import Image
from leanseg.images.preprocess import Preprocessing
from leanseg.images.resample import whole


def fundus(size=(230, 260), radius=100.0):
    y, x = np.mgrid[: size[0], : size[1]]
    disc = np.hypot(y - size[0] / 2, x - size[1] / 2) < radius
    texture = np.random.default_rng(0).integers(60, 200, (3, *size))
    return Image(np.where(disc, texture, 2).astype(np.uint8))


@pytest.mark.parametrize(
    "settings",
    [
        Preprocessing(),
        Preprocessing(field_of_view="fundus", diameter=512.0, normalise="percentile"),
        Preprocessing(channels=("CT",), window=(-100.0, 300.0), normalise="none"),
    ],
)
def test_round_trip_through_json(settings):
    assert Preprocessing.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": ()},
        {"diameter": 512.0},
        {"field_of_view": "fundus", "diameter": -1.0},
        {"window": (3.0, 3.0)},
        {"normalise": "zscore"},
        {"field_of_view": "disc"},
    ],
)
def test_contradictions_are_refused(wrong):
    with pytest.raises(UsageError):
        Preprocessing(**wrong)


def test_z_score_over_the_field_of_view():
    ready = Preprocessing(field_of_view="fundus").prepare(fundus())
    everything = whole(ready.shape)
    values, valid = ready.read(everything), ready.valid(everything)
    assert values.dtype == np.float32
    assert np.abs(values[:, valid].mean(axis=1)).max() < 0.05
    assert values[:, valid].std(axis=1) == pytest.approx(1, abs=0.05)
    assert not values[:, ~valid].any()


def test_percentiles_become_zero_and_one():
    values = np.random.default_rng(0).integers(0, 1000, (1, 50, 50)).astype(np.int16)
    ready = Preprocessing(channels=("MR",), normalise="percentile").prepare(Image(values))
    low, high = np.percentile(ready.read(whole(ready.shape)), [1, 99])
    assert (low, high) == pytest.approx((0, 1), abs=1e-4)


def test_window_clips_in_file_units():
    image = Image(np.array([[[-1000, 0, 50, 3000]]], np.int16))
    ready = Preprocessing(channels=("CT",), window=(0.0, 100.0), normalise="none").prepare(image)
    assert ready.read(whole(ready.shape)).tolist() == [[[0, 0, 50, 100]]]


@pytest.mark.parametrize("normalise", ["z-score", "percentile"])
@pytest.mark.parametrize("value", [0, 200, 60_000])
def test_constant_images_become_zero(normalise, value):
    image = Image(np.full((3, 33, 47), value, np.uint16))
    ready = Preprocessing(normalise=normalise, field_of_view="fundus").prepare(image)
    assert not ready.read(whole(ready.shape)).any()


@settings(max_examples=25, deadline=None)
@given(diameter=st.sampled_from([None, 90.0, 330.0]), data=st.data())
def test_parts_equal_the_whole(diameter, data):
    ready = Preprocessing(field_of_view="fundus", diameter=diameter).prepare(fundus())
    region = []
    for size in ready.shape:
        start = data.draw(st.integers(0, size - 1))
        region.append(slice(start, data.draw(st.integers(start + 1, size))))
    region = tuple(region)
    np.testing.assert_array_equal(ready.read(region), ready.read(whole(ready.shape))[(slice(None), *region)])
    np.testing.assert_array_equal(ready.valid(region), ready.valid(whole(ready.shape))[region])


def test_the_disc_gets_the_wanted_diameter():
    ready = Preprocessing(field_of_view="fundus", diameter=100.0).prepare(fundus())
    assert ready.shape == (115, 130)
    assert ready.scale == pytest.approx(0.5, abs=0.01)
    width = ready.valid(whole(ready.shape)).any(axis=0).sum()
    assert 97 <= width <= 101


def test_a_disc_within_five_percent_is_left_alone():
    ready = Preprocessing(field_of_view="fundus", diameter=206.0).prepare(fundus())
    assert ready.shape == (230, 260)


def test_there_and_back():
    ready = Preprocessing(field_of_view="fundus", diameter=300.0).prepare(fundus())
    smooth = np.add.outer(np.linspace(0, 1, ready.shape[0]), np.linspace(0, 1, ready.shape[1])).astype(np.float32)[None]
    back = ready.to_source(smooth)
    assert back.shape == (1, 230, 260)
    assert back[0, 115, 130] == pytest.approx(1, abs=0.01)
    wanted = (slice(50, 90), slice(0, 260))
    needed = ready.resampling.inverse.needed(wanted)
    part = ready.to_source(smooth[(slice(None), *needed)], given=needed, wanted=wanted)
    np.testing.assert_array_equal(part, back[:, 50:90])


class Banded(Image):
    """An image that refuses to give more than a band of rows, as a streamed TIFF does."""

    def read(self, region):
        assert region[0].stop - region[0].start <= 2**21 // self.shape[1]
        return super().read(region).copy()


def test_low_resolution_pass_reads_bands_and_is_exact():
    pixels = np.random.default_rng(0).integers(0, 255, (1, 2100, 2500), dtype=np.uint8)
    ready = Preprocessing(channels=("grey",)).prepare(Banded(pixels))
    assert ready.block == 4
    assert ready.shift[0] == pytest.approx(pixels.mean(), rel=1e-5)


def test_grey_and_colour_serve_each_other():
    colour = fundus()
    grey = Image(colour.pixels[1:2])
    assert Preprocessing().prepare(grey).read(whole(grey.shape)).shape == (3, 230, 260)
    green = Preprocessing(channels=("green",)).prepare(colour).read(whole(grey.shape))
    np.testing.assert_array_equal(green, Preprocessing(channels=("green",)).prepare(grey).read(whole(grey.shape)))
    one = Image(np.array([[[100]], [[50]], [[200]]], np.uint8))
    ready = Preprocessing(channels=("grey",), normalise="none").prepare(one)
    assert ready.read(whole(one.shape)).item() == pytest.approx(0.299 * 100 + 0.587 * 50 + 0.114 * 200, abs=1e-4)


def test_wrong_channels_say_what_was_found():
    two = Image(np.zeros((2, 4, 4), np.uint8))
    with pytest.raises(InputError, match="red, green, blue; found an image with 2 channels"):
        Preprocessing().prepare(two)
    with pytest.raises(InputError, match=r"T1, T2; found an image with 1 channel$"):
        Preprocessing(channels=("T1", "T2")).prepare(replace(two, pixels=np.zeros((1, 4, 4))))


def test_nan_and_volumes_of_fundus_are_refused():
    with pytest.raises(InputError, match="NaN"):
        Preprocessing(channels=("x",)).prepare(Image(np.full((1, 4, 4), np.nan)))
    with pytest.raises(InputError, match="volume"):
        Preprocessing(field_of_view="fundus").prepare(Image(np.zeros((3, 4, 4, 4), np.uint8)))


def test_volume_is_normalised_over_all_slices():
    volume = np.random.default_rng(0).normal(40, 7, (1, 6, 30, 20)).astype(np.float32)
    ready = Preprocessing(channels=("CT",)).prepare(Image(volume))
    values = ready.read(whole(ready.shape))
    assert values.shape == volume.shape
    assert (values.mean(), values.std()) == pytest.approx((0, 1), abs=1e-4)
