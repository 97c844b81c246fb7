"""Small pictures, and a run of ``segment`` on them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from leanseg.images.preprocess import Preprocessing
from leanseg.types import Classes
from leanseg.workflows.segment import Segment

TWO = Classes(names=("disc", "cup"), values=(128, 255), overlapping=True)
GREY = Preprocessing(channels=("grey",))


def square(path: Path, *, at=(5, 8), size=6, shape=(30, 40)) -> Path:
    """A bright square on black."""
    pixels = np.zeros(shape, np.uint8)
    pixels[at[0] : at[0] + size, at[1] : at[1] + size] = 200
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(pixels).save(path)
    return path


def run(bundle, images, out, **options):
    return Segment(images=tuple(images), model=str(bundle.folder), out=out, **options).run()


def rows(out):
    with (out / "segmentation.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def files(out):
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
