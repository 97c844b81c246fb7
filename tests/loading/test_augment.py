"""Augmentation: where pixels come from and how they look."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leanseg.loading.augment import Augmentation, warp

STILL = {"gain": 0.0, "offset": 0.0}
seeds = st.integers(0, 2**32 - 1)


def matrices(count: int = 40, **settings: Any) -> list[np.ndarray]:
    augmentation = Augmentation(**settings)
    return [augmentation.matrix((10, 20), 9, np.random.default_rng(seed)) for seed in range(count)]


def test_nothing_asked_for_is_the_identity() -> None:
    (matrix,) = matrices(1, flips=False, turns=False, warped=0)
    assert matrix.tolist() == [[1, 0, 6], [0, 1, 16]]


def test_flips_and_turns_give_all_eight_symmetries() -> None:
    def linear(**settings: Any) -> set[tuple[float, ...]]:
        return {tuple(m[:, :2].ravel() + 0.0) for m in matrices(warped=0, **settings)}

    assert linear(turns=False) == {(a, 0, 0, b) for a in (-1, 1) for b in (-1, 1)}
    assert len(linear(flips=False)) == 4
    assert len(linear()) == 8


@given(seed=seeds, size=st.integers(1, 64), x=st.floats(-50, 500), y=st.floats(-50, 500))
def test_the_middle_stays_and_the_zoom_is_limited(seed: int, size: int, x: float, y: float) -> None:
    augmentation = Augmentation(rotation=30, scale=1.5, warped=1)
    matrix = augmentation.matrix((x, y), size, np.random.default_rng(seed))
    np.testing.assert_allclose(matrix @ [(size - 1) / 2, (size - 1) / 2, 1], (x, y), atol=1e-3)
    zoom = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    assert 1 / 1.5 - 1e-4 <= zoom <= 1.5 + 1e-4
    np.testing.assert_allclose(matrix[:, :2] @ matrix[:, :2].T, zoom**2 * np.eye(2), atol=1e-4)


def test_the_share_of_warped_crops() -> None:
    turned = [np.any(m[:, :2] % 1 != 0) for m in matrices(400, warped=0.25)]
    assert 60 < sum(turned) < 140
    assert not Augmentation(warped=0).warps
    assert not Augmentation(rotation=0, scale=1).warps
    assert Augmentation(rotation=0, scale=1.1).warps


@given(seed=seeds, size=st.integers(1, 40))
def test_labels_keep_their_values_and_outside_is_zero(seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.choice(np.array([3, 90, 255], np.uint8), (2, 17, 23))
    image = random.uniform(1, 2, (3, 17, 23)).astype(np.float32)
    centre = random.uniform(0, 17, 2)
    crop, cut = warp(image, labels, Augmentation(warped=1).matrix(tuple(centre), size, random), size)
    assert crop.shape == (3, size, size) and crop.dtype == np.float32
    assert cut.shape == (2, size, size) and cut.dtype == np.uint8
    assert set(np.unique(cut)) <= {0, 3, 90, 255}
    assert crop.min() >= 0 and crop.max() <= 2


@given(seed=seeds)
def test_a_warped_slope_is_a_slope(seed: int) -> None:
    """Linear interpolation is exact on linear images, up to the 1/32 of a pixel that OpenCV works in."""
    x, y = np.meshgrid(np.arange(80), np.arange(80))
    image = (2 * x - 3 * y).astype(np.float32)[None]
    size = 20
    matrix = Augmentation(warped=1).matrix((40, 40), size, np.random.default_rng(seed))
    crop, _ = warp(image, image.astype(np.uint8), matrix, size)
    columns, rows = np.meshgrid(np.arange(size), np.arange(size))
    source = np.einsum("ij,j...->i...", matrix, np.stack([columns, rows, np.ones_like(rows)]))
    np.testing.assert_allclose(crop[0], 2 * source[0] - 3 * source[1], atol=5 / 32 + 1e-3)


EVERYTHING = {"gain": 0.2, "offset": 0.2, "gamma": 0.3, "noise": 0.1, "blur": 2.0, "shade": 0.5, "mix": 0.5}


@given(seed=seeds, shape=st.sampled_from([(1, 9, 9), (3, 8, 8), (2, 5, 6, 7)]))
def test_appearance_keeps_shape_and_type_and_leaves_the_input(seed: int, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    before = image.copy()
    changed = Augmentation(**EVERYTHING).appearance(image, np.random.default_rng(seed))
    assert changed.shape == shape and changed.dtype == np.float32
    assert np.isfinite(changed).all() and not np.array_equal(changed, before)
    assert np.array_equal(image, before)
    again = Augmentation(**EVERYTHING).appearance(image, np.random.default_rng(seed))
    assert np.array_equal(again, changed)


def test_appearance_left_alone_is_the_identity() -> None:
    image = np.random.default_rng(0).standard_normal((3, 6, 6)).astype(np.float32)
    assert np.array_equal(Augmentation(**STILL).appearance(image, np.random.default_rng(1)), image)


def changed_by(image: np.ndarray, seed: int = 1, **settings: float) -> np.ndarray:
    return Augmentation(**{**STILL, **settings}).appearance(image.astype(np.float32), np.random.default_rng(seed))


@given(seed=seeds)
def test_gamma_keeps_range_and_order(seed: int) -> None:
    image = np.random.default_rng(0).standard_normal((1, 6, 6))
    bent = changed_by(image, seed, gamma=0.5)
    assert bent.min() == pytest.approx(image.min(), abs=1e-4)
    assert bent.max() == pytest.approx(image.max(), abs=1e-4)
    assert (np.diff(bent.ravel()[np.argsort(image.ravel())]) >= -1e-5).all()
    assert np.array_equal(changed_by(np.full((1, 3, 3), 2.0), seed, gamma=0.5), np.full((1, 3, 3), 2.0))


def test_gain_and_offset_are_one_number_for_each_channel() -> None:
    image = np.random.default_rng(0).standard_normal((2, 7, 7))
    changed = changed_by(image, gain=0.5, offset=0.5)
    for before, after in zip(image, changed, strict=True):
        slope, shift = np.polyfit(before.ravel(), after.ravel(), 1)
        np.testing.assert_allclose(after, slope * before + shift, atol=1e-5)
        assert slope > 0


def test_mix_keeps_the_mean_of_the_channels() -> None:
    image = np.random.default_rng(0).standard_normal((3, 5, 5))
    mixed = changed_by(image, mix=1.0)
    np.testing.assert_allclose(mixed.mean(0), image.mean(0), atol=1e-5)
    assert mixed.std(0).mean() < image.std(0).mean()


@pytest.mark.parametrize("shape", [(1, 9, 9), (1, 5, 7, 9)])
def test_shade_is_a_plane_through_zero_at_the_centre(shape: tuple[int, ...]) -> None:
    shaded = changed_by(np.zeros(shape), shade=0.5)[0]
    assert shaded[tuple(n // 2 for n in shaded.shape)] == pytest.approx(0, abs=1e-6)
    for axis in range(shaded.ndim):
        assert np.abs(np.diff(shaded, 2, axis=axis)).max() < 1e-5
        assert np.abs(np.diff(shaded, axis=axis)).max() > 0


@pytest.mark.parametrize("shape", [(1, 15, 15), (1, 11, 11, 11)])
def test_blur_spreads_along_every_axis(shape: tuple[int, ...]) -> None:
    image = np.zeros(shape)
    middle = tuple(n // 2 for n in shape[1:])
    image[(0, *middle)] = 1
    blurred = next(b for b in (changed_by(image, seed, blur=3.0) for seed in range(50)) if b.max() < 0.9)[0]
    assert blurred.sum() == pytest.approx(1, abs=0.05)
    for axis in range(blurred.ndim):
        beside = list(middle)
        beside[axis] += 1
        assert 0 < blurred[tuple(beside)] < blurred[middle]
