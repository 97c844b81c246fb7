"""Read a MONAI datalist: a JSON file that lists images and labels, also that of the Medical Segmentation Decathlon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from leanseg.data.dataset import Case, Dataset
from leanseg.data.infer import infer_values
from leanseg.data.nnunet import classes_of, read_json
from leanseg.errors import InputError
from leanseg.images.image import stem_of
from leanseg.types import Classes

SECTIONS = {"training": "train", "validation": "val", "testing": "test", "test": "test"}


def open_datalist(path: Path) -> Dataset:
    """Open a datalist such as ``{"training": [{"image": "a.nii.gz", "label": "b.nii.gz"}], "testing": [...]}``.

    Paths count from the folder of the JSON file. ``image`` may be a list of channel files; entries may name their
    ``patient`` and ``site``. Entries without a label are unlabelled; those for testing are left out.

    Args:
        path: the JSON file.

    Raises:
        InputError: there is no training list, an entry has no image, or a file is missing.
    """
    description = read_json(path)
    if not isinstance(description.get("training"), list):
        raise InputError(path, 'expected a list "training" of {"image": ..., "label": ...}, found none')
    entries = [(split, entry) for key, split in SECTIONS.items() for entry in description.get(key, [])]
    every = _unique([_case(path, entry, split) for split, entry in entries], path.parent)
    cases = tuple(case for case in every if case.masks)
    if {case.split for case in cases} == {"train"}:
        cases = tuple(replace(case, split="") for case in cases)
    if not cases:
        raise InputError(path, 'expected entries with a "label", found none')
    classes, notes = _classes(path, description, cases)
    left_out = sum(not case.masks and case.split == "test" for case in every)
    if left_out:
        notes.append(f"{left_out} images for testing have no labels and are left out")
    if all(case.patient == case.stem for case in cases):
        notes.append("patients are not declared: every image counts as a patient of its own")
    modality = description.get("modality", "")
    channels = tuple(map(str, modality.values())) if isinstance(modality, dict) else ()
    return Dataset(
        root=path.parent,
        name=str(description.get("name", stem_of(path))),
        modality=", ".join(channels) or str(modality),
        licence=str(description.get("licence", "")),
        classes=classes,
        channels=channels,
        cases=cases,
        unlabelled=tuple(replace(case, split="") for case in every if not case.masks and case.split != "test"),
        notes=tuple(notes),
    )


def _classes(path: Path, description: dict[str, Any], cases: Sequence[Case]) -> tuple[Classes, list[str]]:
    if "labels" in description:
        return classes_of(description, path), []
    classes, note = infer_values([mask for case in cases for mask in case.masks], path.parent)
    return classes, [note]


def _case(path: Path, entry: Any, split: str) -> Case:
    fields = {"image": entry} if isinstance(entry, str) else entry
    if not isinstance(fields, dict) or not fields.get("image"):
        raise InputError(path, f'expected entries with an "image", found {entry!r}')
    image, masks = _files(path, fields["image"]), _files(path, fields.get("label") or [])
    if len(masks) > 1:
        raise InputError(path, f"expected one label for each image, found {len(masks)}: {fields['label']!r}")
    stem = stem_of(image[0])
    patient, site = str(fields.get("patient", "")), str(fields.get("site", ""))
    return Case(stem=stem, image=image, masks=masks, patient=patient, site=site, split=split)


def _files(path: Path, names: str | list[str]) -> tuple[Path, ...]:
    files = tuple(path.parent / name for name in ([names] if isinstance(names, str) else names))
    for file in files:
        if not file.exists():
            raise InputError(file, f"expected this file, listed in {path.name}; found nothing there")
    return files


def _unique(cases: Sequence[Case], root: Path) -> list[Case]:
    """Stems that differ: files of the same name in several folders get the folder's name in front."""
    counts = Counter(case.stem for case in cases)
    named = []
    for case in cases:
        folder = "_".join(case.image[0].parent.relative_to(root).parts) if counts[case.stem] > 1 else ""
        stem = f"{folder}_{case.stem}" if folder else case.stem
        named.append(replace(case, stem=stem, patient=case.patient or stem))
    if twice := [stem for stem, n in Counter(case.stem for case in named).items() if n > 1]:
        raise InputError(root, f"the datalist names the image {twice[0]!r} more than once")
    return named
