"""Small data set folders, drawn on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

MakeFolder = Callable[..., Path]


def picture(seed: int, shape: tuple[int, ...] = (24, 32, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def square(value: int = 255, shape: tuple[int, int] = (24, 32)) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[6:18, 8:24] = value
    return mask


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Write a data set folder with one image and mask for each stem; ``toml`` becomes its dataset.toml."""

    def make(
        stems: tuple[str, ...] = ("1L", "1R", "2L", "3L"),
        *,
        value: int = 255,
        ending: str = ".png",
        suffix: str = "",
        toml: str = '[classes]\n255 = "vessel"\n',
    ) -> Path:
        root = tmp_path / "set"
        for folder in ("images", "masks"):
            (root / folder).mkdir(parents=True)
        for seed, stem in enumerate(stems):
            cv2.imwrite(str(root / "images" / f"{stem}.png"), picture(seed))
            cv2.imwrite(str(root / "masks" / f"{stem}{suffix}{ending}"), square(value))
        if toml:
            (root / "dataset.toml").write_text(toml)
        return root

    return make
