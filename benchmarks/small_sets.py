"""Public sets at 128 pixels, whose training labels are as wrong as asked for, and whose test labels are true."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sklearn.metrics import roc_auc_score

from leanseg.data.folder import open_dataset
from leanseg.data.label_noise import corrupt_mask
from leanseg.data.public import public_set
from leanseg.data.splits import complete_splits
from leanseg.images.read import read_image
from leanseg.workflows.fitting import FINDINGS

SIDE = 128
"""Longest side of an image in pixels."""


@dataclass(frozen=True)
class Shown:
    """An image of a set: (H, W, 3) and its true labels (H, W), in the split "train", "val" or "test"."""

    stem: str
    split: str
    image: Any
    labels: Any


def jsrt(download: Path, work: Path) -> Iterator[Shown]:  # noqa: ARG001
    """Lungs (1) and hearts (2) on chest films; a fifth of the training images is for validation."""
    for split in ("train", "test"):
        for number, path in enumerate(sorted((download / split / "images").iterdir())):
            labels = cv2.imread(str(download / split / "labels" / path.name), cv2.IMREAD_UNCHANGED)
            part = "val" if split == "train" and number % 5 == 4 else split
            yield Shown(path.stem, part, cv2.imread(str(path)), labels)


def isic2017(download: Path, work: Path) -> Iterator[Shown]:
    """Skin lesions, with a split that is drawn once."""
    folder = work / "isic2017"
    if not folder.exists():
        public_set("isic2017").convert(download, folder)
    dataset = open_dataset(folder)
    for case in complete_splits(dataset.cases, seed=0):
        pixels, labels = dataset.read_image(case).pixels, dataset.read_labels(case)
        size = tuple(round(side * SIDE / max(labels.shape)) for side in labels.shape[::-1])
        image = cv2.resize(np.moveaxis(pixels, 0, -1)[..., ::-1].copy(), size, interpolation=cv2.INTER_AREA)
        yield Shown(case.stem, case.split, image, cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST))


SETS: dict[str, Callable[[Path, Path], Iterator[Shown]]] = {"jsrt": jsrt, "isic2017": isic2017}


def write_set(
    cases: Iterator[Shown], out: Path, *, names: Sequence[str], share: float = 0.0, amount: float = 0.0, seed: int = 0
) -> Path:
    """Write a data folder; ``clean/`` holds the true masks, which no command reads.

    Args:
        cases: all images.
        out: the new folder.
        names: of the classes 1, 2, ...; those beyond become background.
        share: of the training and validation images whose label is wrong.
        amount: by how much of the object.
        seed: of the errors.
    """
    for folder in ("images", "masks", "clean"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    rows = [("stem", "split")]
    for case in cases:
        true = np.where(case.labels > len(names), 0, case.labels).astype(np.uint8)
        drawn = true
        if case.split != "test":
            drawn = corrupt_mask(drawn, stem=case.stem, seed=seed, share=share, amount=amount).labels
        for folder, picture in (("images", case.image), ("masks", drawn), ("clean", true)):
            cv2.imwrite(str(out / folder / f"{case.stem}.png"), picture)
        rows.append((case.stem, case.split))
    with (out / "splits.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    lines = [f'{number} = "{name}"\n' for number, name in enumerate(names, start=1)]
    (out / "dataset.toml").write_text("".join(["[classes]\n", *lines]))
    return out


def label_error_scores(run: Path, data: Path) -> dict[str, float]:
    """How well the maps of a run tell wrong labels, over all pixels of all training images."""
    from safetensors.numpy import load_file

    found = load_file(run / "fold-0" / FINDINGS)
    chances, wrong, left = [], [], 0
    for case in open_dataset(data).subset("train"):
        clean, given = (read_image(data / folder / f"{case.stem}.png").pixels[0] for folder in ("clean", "masks"))
        chances.append(found[f"wrong/{case.stem}"].ravel() / 255)
        wrong.append((clean != given).ravel())
        left += int((found[f"right/{case.stem}"][0] != clean).sum())
    chance, truth = np.concatenate(chances), np.concatenate(wrong)
    return {
        "auroc": float(roc_auc_score(truth, chance)),
        "brier": float(np.mean((chance - truth) ** 2)),
        "wrong_pixels": int(truth.sum()),
        "expected_wrong_pixels": float(chance.sum()),
        "wrong_pixels_of_corrected_labels": left,
    }
