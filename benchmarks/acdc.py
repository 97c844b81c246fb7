"""ACDC as semi-supervised methods know it (HDF5 slices and volumes), as NIfTI volumes of half the resolution."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import cv2
import h5py
import nibabel
import numpy as np

VALIDATION = 4
"""The last patients of the training list."""

MANIFEST = """name = "ACDC"
modality = "cine MRI"
licence = "CC BY-NC-SA 4.0"
patient = "(patient\\\\d+)_.*"
single_object = true

[classes]
1 = "right ventricle"
2 = "myocardium"
3 = "left ventricle"
"""


def convert(download: Path, out: Path, *, labelled: int) -> Path:
    """Write the data set; of the training patients, the first ``labelled`` of the list keep their masks.

    Args:
        download: holds slices/, volumes/, train_slices.list and test.list.
        out: the new folder.
        labelled: number of patients; all others but those for validation are unlabelled.
    """
    names = (download / "train_slices.list").read_text().split()
    patients = list(dict.fromkeys(name.split("_")[0] for name in names))
    part = dict.fromkeys(patients[:labelled], "train") | dict.fromkeys(patients[-VALIDATION:], "val")
    rows = []
    for volume in sorted({name.rpartition("_slice_")[0] for name in names}):
        slices = [name for name in names if name.startswith(f"{volume}_slice_")]
        slices.sort(key=lambda name: int(name.rpartition("_")[2]))
        planes = [_read(download / "slices" / f"{name}.h5") for name in slices]
        image, label = (np.stack(some) for some in zip(*planes, strict=True))
        patient = volume.split("_")[0]
        split = part.get(patient)
        _write(out / ("images" if split else "unlabelled"), volume, image, cv2.INTER_AREA)
        if split:
            _write(out / "masks", volume, label, cv2.INTER_NEAREST)
            rows.append((volume, split, patient))
    for volume in (download / "test.list").read_text().split():
        image, label = _read(download / "volumes" / f"{volume}.h5")
        _write(out / "images", volume, image, cv2.INTER_AREA)
        _write(out / "masks", volume, label, cv2.INTER_NEAREST)
        rows.append((volume, "test", volume.split("_")[0]))
    with (out / "splits.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("stem", "split", "patient"), *rows])
    (out / "dataset.toml").write_text(MANIFEST)
    return out


def _read(path: Path) -> tuple[Any, Any]:
    with h5py.File(path) as file:
        return file["image"][()], file["label"][()]


def _write(folder: Path, stem: str, volume: Any, interpolation: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    height, width = (side // 2 for side in volume.shape[1:])
    half = np.stack([cv2.resize(plane, (width, height), interpolation=interpolation) for plane in volume])
    # The copy has no spacing: distances are in pixels of the halved plane.
    nibabel.save(nibabel.Nifti1Image(half.transpose(2, 1, 0), np.eye(4)), folder / f"{stem}.nii.gz")
