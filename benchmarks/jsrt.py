"""JSRT lungs at 128 pixels as a folder, with training labels as wrong as asked for and clean test labels."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

from leanseg.data.label_noise import corrupt_mask

MANIFEST = """name = "JSRT lungs"
modality = "chest X-ray"

[classes]
1 = "lungs"
"""


def convert(download: Path, out: Path, *, share: float, amount: float, seed: int) -> Path:
    """Write the data set; ``clean/`` holds the true masks of all images, which no command reads.

    Args:
        download: holds train/ and test/ with images/ and labels/.
        out: the new folder.
        share: of the training and validation images whose label is wrong.
        amount: by how much of the object.
        seed: of the errors.
    """
    for folder in ("images", "masks", "clean"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    rows = []
    for split in ("train", "test"):
        for path in sorted((download / split / "images").iterdir()):
            label = cv2.imread(str(download / split / "labels" / path.name), cv2.IMREAD_UNCHANGED)
            lungs = (label == 1).astype(np.uint8)
            drawn = lungs
            if split == "train":
                drawn = corrupt_mask(lungs, stem=path.stem, seed=seed, share=share, amount=amount).labels
            image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            for folder, picture in (("images", image), ("masks", drawn), ("clean", lungs)):
                cv2.imwrite(str(out / folder / f"{path.stem}.png"), picture)
            rows.append((path.stem, split))
    with (out / "splits.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("stem", "split"), *rows])
    (out / "dataset.toml").write_text(MANIFEST)
    return out
