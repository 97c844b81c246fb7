"""Small files to score, and what was written about them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image as Pillow


def save(path: Path, pixels: np.ndarray) -> None:
    """Write a picture, its folder too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(pixels).save(path)


def score_rows(out: Path) -> dict[str, dict[str, str]]:
    """Rows of ``scores.csv`` by image."""
    with (out / "scores.csv").open(newline="", encoding="utf-8") as file:
        return {row["image"]: row for row in csv.DictReader(file)}
