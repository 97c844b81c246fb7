"""Measures of what an image looks like: each answers to the change it is named after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from leanseg.images.image import Image
from leanseg.images.preprocess import Preprocessing
from leanseg.quality.appearance import SIDE, appearance, appearance_names

GREY = Preprocessing(channels=("grey",))


def scene(*shape: int, seed: int = 0) -> np.ndarray:
    """Soft blobs, squares with sharp edges, and a little noise."""
    random = np.random.default_rng(seed)
    picture = cv2.GaussianBlur(random.normal(size=shape).astype(np.float32), (0, 0), 4)
    squares = np.kron(random.integers(0, 2, [-(-n // 15) for n in shape]), np.ones((15, 15)))
    return np.asarray(
        120 + 200 * picture + 30 * squares[: shape[0], : shape[1]] + random.normal(0, 1, shape), np.float32
    )


def measures(pixels: np.ndarray, settings: Preprocessing = GREY) -> dict[str, float]:
    looks = appearance(settings.prepare(Image(np.atleast_3d(pixels.T).T if pixels.ndim == 2 else pixels)))
    names = appearance_names(settings.channels)
    assert len(names) == len(looks) and np.isfinite(looks).all()
    return dict(zip(names, looks.tolist(), strict=True))


CHANGES: list[tuple[str, Callable[[Any], Any], int]] = [
    ("level of grey", lambda x: x + 30, 1),
    ("contrast of grey", lambda x: 120 + (x - 120) * 0.5, -1),
    ("detail 1", lambda x: cv2.GaussianBlur(x, (0, 0), 2), -1),
    ("detail 1", lambda x: x + np.random.default_rng(1).normal(0, 15, x.shape).astype(np.float32), 1),
    ("noise", lambda x: x + np.random.default_rng(1).normal(0, 15, x.shape).astype(np.float32), 1),
    ("asymmetry", lambda x: np.exp((x - 120) / 40).astype(np.float32), 1),
    ("size", lambda x: np.tile(x, (2, 2)), 1),
]


@pytest.mark.parametrize(("name", "change", "sign"), CHANGES)
def test_a_measure_follows_its_change(name: str, change: Callable[[Any], Any], sign: int) -> None:
    before, after = measures(scene(90, 120)), measures(change(scene(90, 120)))
    assert sign * (after[name] - before[name]) > 0.02


def test_what_is_normalised_away_changes_levels_alone() -> None:
    before, after = measures(scene(90, 120)), measures(2 * scene(90, 120) + 10)
    assert [name for name in before if abs(after[name] - before[name]) > 1e-3] == ["level of grey", "contrast of grey"]


def test_windows_cover_a_small_image_and_bound_the_cost_of_a_large_one() -> None:
    class Counted(Image):
        read_pixels = 0

        def read(self, region: Any) -> Any:
            part = super().read(region)
            Counted.read_pixels += part.size
            return part

    image = Counted(scene(8 * SIDE, 8 * SIDE)[None])
    prepared = GREY.prepare(image)
    Counted.read_pixels = 0
    appearance(prepared)
    assert Counted.read_pixels == 9 * SIDE**2


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 200), (2, 5, 4), (40, 30, 20)])
def test_images_of_any_shape_have_finite_measures(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    measures(pixels)
    measures(np.zeros_like(pixels))


def test_the_dark_frame_of_a_fundus_photograph_does_not_count() -> None:
    y, x = np.mgrid[:200, :260]
    disc = (y - 100) ** 2 + (x - 130) ** 2 < 90**2
    wide = np.where(disc, scene(200, 260), 0)[None].repeat(3, 0).clip(0, 255).astype(np.uint8)
    settings = Preprocessing(field_of_view="fundus")
    cut = measures(wide[:, 5:195, 35:225], settings)
    whole = measures(wide, settings)
    assert whole["field"] < cut["field"]
    assert whole["detail 1"] == pytest.approx(cut["detail 1"], abs=0.1)
