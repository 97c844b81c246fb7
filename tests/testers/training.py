"""A small data set that a network learns in seconds, and options for a short training."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

FAST = ["--epochs", "2", "--epoch-steps", "5", "--crop", "32", "--batch", "2", "--threads", "1"]


def discs(folder: Path, *, count: int = 8, values: tuple[int, ...] = (255,), size: int = 48) -> Path:
    """Noisy pictures with one bright disc for each class."""
    random = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in range(count):
        picture = random.normal(80, 12, (size, size, 3))
        mask = np.zeros((size, size), np.uint8)
        for value in values:
            x, y = (int(n) for n in random.integers(12, size - 12, 2))
            cv2.circle(mask, (x, y), 6, value, -1)
            picture[mask == value] += 60 + value / 4
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture.clip(0, 255).astype(np.uint8))
        cv2.imwrite(str(folder / "masks" / f"{number}.png"), mask)
    names = "\n".join(f'{value} = "class{value}"' for value in values)
    (folder / "dataset.toml").write_text(f'name = "discs"\n[classes]\n{names}\n')
    return folder
