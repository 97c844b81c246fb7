"""Read a raw folder of nnU-Net: imagesTr, labelsTr and dataset.json, versions 1 and 2."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leanseg.data.dataset import Case, Dataset
from leanseg.data.splits import FILE as TABLE
from leanseg.data.splits import has_patients, read_splits
from leanseg.errors import InputError
from leanseg.types import Classes

FILE = "dataset.json"


def is_nnunet(folder: Path) -> bool:
    """Whether a folder has nnU-Net's layout (files named ``<case>_0000.<ending>`` tell it from other dataset.json)."""
    images = folder / "imagesTr"
    return (
        (folder / FILE).is_file() and images.is_dir() and any(re.search(r"_\d{4}\.", p.name) for p in images.iterdir())
    )


def open_nnunet(folder: Path) -> Dataset:
    """Open an nnU-Net raw folder; ``imagesTs`` becomes the test split where ``labelsTs`` is there.

    A ``splits.csv`` beside dataset.json gives splits, patients and sites, as in a folder of ours.

    Args:
        folder: holds dataset.json, imagesTr and labelsTr.

    Raises:
        InputError: dataset.json lacks an entry, a channel or a label file is missing, labels are regions, or the
            table does not fit.
    """
    description = read_json(folder / FILE)
    channels = _names(description.get("channel_names", description.get("modality", {})))
    ending = str(description.get("file_ending", ".nii.gz"))
    classes = classes_of(description, folder / FILE)
    cases = _cases(folder, "Tr", ending, len(channels), "")
    notes = []
    if (folder / "labelsTs").is_dir():
        cases = [*(Case(**{**vars(c), "split": "train"}) for c in cases)]
        cases += _cases(folder, "Ts", ending, len(channels), "test")
    elif (folder / "imagesTs").is_dir():
        notes.append("imagesTs has no labels and is left out")
    table = folder / TABLE
    every = read_splits(table, cases) if table.is_file() else tuple(cases)
    if not table.is_file() or not has_patients(table):
        notes.append(f"nnU-Net's format declares no patients: every image is one of its own, or {TABLE} names them")
    return Dataset(
        root=folder,
        name=str(description.get("name", folder.resolve().name)),
        modality=", ".join(channels),
        licence=str(description.get("licence", description.get("license", ""))),
        classes=classes,
        channels=channels,
        cases=tuple(case for case in every if case.masks),
        unlabelled=tuple(case for case in every if not case.masks),
        notes=tuple(notes),
    )


def classes_of(description: Mapping[str, Any], path: Path) -> Classes:
    """The classes of ``labels``: name to value (version 2) or value to name (version 1, Decathlon).

    Raises:
        InputError: there are no labels or they are regions (lists of values).

    Example:
        >>> classes_of({"labels": {"0": "background", "1": "spleen"}}, Path("dataset.json")).names
        ('spleen',)
    """
    labels = description.get("labels")
    if not isinstance(labels, dict) or not labels:
        raise InputError(path, 'expected "labels" such as {"background": 0, "spleen": 1}, found none')
    if any(isinstance(value, list) for value in labels.values()):
        msg = "labels are regions (lists of values), which leanseg does not read."
        raise InputError(path, f"{msg} Give plain labels, or one mask for each class in masks/<class>/.")
    try:
        values = {str(name): int(v) for name, v in labels.items()}
    except ValueError:
        values = {str(name): int(v) for v, name in labels.items()}
    background = values.pop("background", 0)
    ignore = values.pop("ignore", None)
    return Classes(names=tuple(values), values=tuple(values.values()), background=background, ignore=ignore)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        InputError: it is no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(path, f"expected a JSON file, found: {error}") from error
    if not isinstance(content, dict):
        raise InputError(path, f"expected a JSON object, found a {type(content).__name__}")
    return content


def _names(channels: Any) -> tuple[str, ...]:
    if isinstance(channels, dict):
        return tuple(str(channels[key]) for key in sorted(channels, key=int))
    return tuple(str(name) for name in channels) if isinstance(channels, list) else (str(channels),)


def _cases(folder: Path, part: str, ending: str, channels: int, split: str) -> list[Case]:
    files: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in (folder / f"images{part}").iterdir():
        if found := re.fullmatch(rf"(.+)_(\d{{4}}){re.escape(ending)}", path.name):
            files[found.group(1)][int(found.group(2))] = path
    if not files:
        raise InputError(folder / f"images{part}", f"expected files such as case_0000{ending}, found none")
    cases = []
    for stem, layers in sorted(files.items()):
        label = folder / f"labels{part}" / f"{stem}{ending}"
        if sorted(layers) != list(range(channels)):
            msg = f"expected {channels} channel files of {stem}, found the numbers {sorted(layers)}"
            raise InputError(folder / f"images{part}", msg)
        if not label.is_file():
            raise InputError(label, f"expected the labels of {stem}, found no such file")
        image = tuple(layers[n] for n in range(channels))
        cases.append(Case(stem=stem, image=image, masks=(label,), patient=stem, split=split))
    return cases
