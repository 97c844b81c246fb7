"""Equalised lightness: against OpenCV, in parts as in the whole, colours kept."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from leanseg.errors import InputError, UsageError
from leanseg.images.clahe import TILES, Clahe
from leanseg.images.image import Image
from leanseg.images.preprocess import Preprocessing

SETTINGS = Preprocessing(clahe=2.0)


def scene(height: int = 160, width: int = 200) -> np.ndarray:
    """(3, H, W) soft coloured blobs under uneven light, in [0, 255]."""
    random = np.random.default_rng(0)
    blobs = cv2.GaussianBlur(random.normal(size=(height, width, 3)).astype(np.float32), (0, 0), 5)
    light = np.linspace(0.4, 1, width, dtype=np.float32)[:, None]
    return np.moveaxis(((128 + 500 * blobs) * light).clip(0, 255).round(), -1, 0)


def equalised(pixels: np.ndarray, limit: float = 2.0) -> np.ndarray:
    shape = (pixels.shape[1], pixels.shape[2])
    return Clahe.of(pixels, shape=shape, limit=limit)(pixels, tuple(slice(0, n) for n in shape))


def lab(pixels: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.moveaxis(pixels, 0, -1).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def test_it_agrees_with_opencv() -> None:
    pixels = scene(480, 640)
    theirs = cv2.cvtColor(np.moveaxis(pixels, 0, -1).astype(np.uint8), cv2.COLOR_RGB2LAB)
    theirs[..., 0] = cv2.createCLAHE(2.0, (TILES, TILES)).apply(theirs[..., 0])
    wanted = np.moveaxis(cv2.cvtColor(theirs, cv2.COLOR_LAB2RGB), -1, 0).astype(float)
    ours = equalised(pixels)
    assert np.abs(ours - wanted).mean() < 0.15 * np.abs(pixels - wanted).mean()


def test_colours_stay_and_lightness_does_not() -> None:
    pixels = 0.5 * scene() + 60
    before, after = lab(pixels), lab(equalised(pixels))
    clear = (equalised(pixels).max(0) < 254) & (equalised(pixels).min(0) > 1)
    assert np.abs(after - before)[clear][:, 1:].max() < 1
    assert np.abs(after - before)[..., 0].mean() > 3


def test_a_constant_image_stays_constant_and_more_limit_is_more_contrast() -> None:
    assert np.ptp(equalised(np.full((3, 50, 60), 90, np.float32))) < 0.5
    spread = [float(lab(equalised(scene(), limit))[..., 0].std()) for limit in (1.0, 2.0, 6.0)]
    assert spread == sorted(spread) and spread[0] < spread[-1]


def test_parts_equal_the_whole() -> None:
    pixels = scene()
    equal = Clahe.of(pixels, shape=(160, 200), limit=3.0)
    whole = equal(pixels, (slice(0, 160), slice(0, 200)))
    part = (slice(31, 118), slice(77, 200))
    np.testing.assert_allclose(equal(pixels[:, *part], part), whole[:, *part], atol=1e-3)


def test_pixels_outside_the_field_do_not_count() -> None:
    pixels, valid = scene(), np.zeros((160, 200), bool)
    valid[:, :100] = True
    other = np.where(valid, pixels, 255.0).astype(np.float32)
    known, changed = (Clahe.of(p, shape=(160, 200), limit=2.0, valid=valid) for p in (pixels, other))
    np.testing.assert_array_equal(known.curves, changed.curves)


def test_preprocessing_normalises_what_is_equalised() -> None:
    image = Image(scene().astype(np.uint8))
    prepared = SETTINGS.prepare(image)
    seen = prepared.read((slice(0, 160), slice(0, 200)))
    assert np.abs(seen.mean((1, 2))).max() < 0.05 and seen.std((1, 2)) == pytest.approx(1, abs=0.05)
    plain = Preprocessing().prepare(image).read((slice(0, 160), slice(0, 200)))
    assert np.abs(seen - plain).max() > 0.3
    assert Preprocessing.from_dict(SETTINGS.to_dict()) == SETTINGS


def test_what_cannot_be_equalised_is_refused() -> None:
    with pytest.raises(UsageError, match="red, green, blue"):
        Preprocessing(channels=("grey",), clahe=2.0)
    with pytest.raises(UsageError, match="from 1"):
        Preprocessing(clahe=0.5)
    deep = Image(np.zeros((3, 20, 20), np.uint16), source=Path("deep.tif"))
    with pytest.raises(InputError, match="8 bits"):
        SETTINGS.prepare(deep)
