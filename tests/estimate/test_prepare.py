"""Small grids, equal brightness and which images are nearest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leanseg.errors import UsageError
from leanseg.estimate.prepare import Prepared, nearest, small_masks, thumbnails, z_scored


def noise(seed: int, shape: tuple[int, ...] = (2, 70, 90)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, shape).astype(np.float32)


@given(st.integers(0, 1000), st.floats(0.5, 3), st.floats(-50, 50))
def test_brightness_and_contrast_do_not_matter(seed: int, gain: float, shift: float) -> None:
    image = noise(seed)
    np.testing.assert_allclose(z_scored(gain * image + shift, 32).pixels, z_scored(image, 32).pixels, atol=1e-4)


def test_statistics_are_those_of_the_image_itself() -> None:
    image = noise(0)
    small = z_scored(image, 64)
    assert small.pixels.shape == (2, 64, 64) and small.shape == (70, 90)
    same = z_scored(noise(1, (3, 64, 64)), 64).pixels
    np.testing.assert_allclose(same.mean((1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(same.std((1, 2)), 1, atol=1e-5)


def test_a_constant_image_is_zero_and_nan_is_refused() -> None:
    assert not z_scored(np.full((1, 9, 9), 7), 4).pixels.any()
    with pytest.raises(UsageError, match="NaN"):
        z_scored(np.full((1, 9, 9), np.nan), 4)


def test_masks_become_shares() -> None:
    image = Prepared(np.zeros((1, 2, 2), np.float32), (4, 4))
    left = np.zeros((4, 4), bool)
    left[:, :2] = True
    (share,) = small_masks([left], [image])
    assert share is not None and share[0, 0] > 0.8 and share[0, 1] < 0.2
    assert share.sum() == pytest.approx(2)
    for masks in ([], [left[:2]], [left.astype(np.uint8)]):
        with pytest.raises(UsageError, match=r"expected|must"):
            small_masks(masks, [image])


def test_the_nearest_is_the_image_itself_however_bright() -> None:
    images = [noise(seed, (1, 80, 80)) for seed in range(6)]
    known = thumbnails([z_scored(image, 64) for image in images])
    asked = thumbnails([z_scored(2 * image + 3, 64) for image in images])
    order, distances = nearest(asked, known, 3)
    assert order[:, 0].tolist() == list(range(6)) and order.shape == (6, 3)
    assert distances[:, 0].max() < 1e-3 < distances[:, 1].min()
    assert (np.diff(distances, axis=1) >= 0).all()


def test_volumes_have_thumbnails_too() -> None:
    assert thumbnails([z_scored(noise(0, (1, 9, 20, 30)), 16)]).shape == (1, 16**3)
