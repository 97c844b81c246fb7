"""Open a data set folder: ours, plain images and masks, nnU-Net's raw folder or a MONAI datalist."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from leanseg.data.datalist import open_datalist
from leanseg.data.dataset import SPLITS, Case, Dataset
from leanseg.data.infer import infer_classes
from leanseg.data.manifest import FILE, Manifest, read_manifest
from leanseg.data.nnunet import is_nnunet, open_nnunet
from leanseg.data.pairing import index, match
from leanseg.data.splits import FILE as TABLE
from leanseg.data.splits import has_patients, read_splits
from leanseg.errors import InputError, UsageError

__all__ = ["SPLITS", "Case", "Dataset", "open_dataset"]


def open_dataset(path: str | Path) -> Dataset:
    """Open a data set without decoding a pixel (only a folder without dataset.toml has some masks read).

    Args:
        path: a folder with ``images/`` and ``masks/``, best with a ``dataset.toml`` (see :mod:`leanseg.data.manifest`);
            an nnU-Net raw folder (``imagesTr``, ``labelsTr``, ``dataset.json``); a folder of the Medical Segmentation
            Decathlon; or the JSON file of a MONAI datalist.

    Returns:
        the data set; its ``notes`` say what was inferred and should be shown to the user.

    Raises:
        InputError: it is no data set, or its files do not fit together.

    Example:
        >>> open_dataset("no-such-folder")
        Traceback (most recent call last):
        leanseg.errors.InputError: no-such-folder: expected a data set, found nothing there
    """
    path = Path(path)
    if not path.exists():
        raise InputError(path, "expected a data set, found nothing there")
    if path.name in (FILE, "dataset.json") and (path.name == FILE or is_nnunet(path.parent)):
        path = path.parent
    if path.is_file():
        return open_datalist(path)
    if (path / FILE).is_file():
        return _open_folder(path, read_manifest(path / FILE), ())
    if is_nnunet(path):
        return open_nnunet(path)
    if (path / "dataset.json").is_file():
        return open_datalist(path / "dataset.json")
    if not ((path / "images").is_dir() and (path / "masks").is_dir()):
        expected = "expected the folders images/ and masks/, or a dataset.json"
        found = ", ".join(sorted(p.name for p in path.iterdir())[:8]) or "nothing"
        raise InputError(path, f"{expected}; found {found}")
    manifest, notes = infer_classes(path)
    return _open_folder(path, manifest, notes)


def _open_folder(root: Path, manifest: Manifest, notes: Sequence[str]) -> Dataset:
    images = _image_files(root / "images", manifest.channels)
    if not images:
        raise InputError(
            root / "images", "expected images, found none (channel folders need [channels] in dataset.toml)"
        )
    masks = _mask_files(root / "masks", manifest, images)
    valid, objects = (index(root / part) if (root / part).is_dir() else {} for part in ("valid", "instances"))
    unlabelled = _image_files(root / "unlabelled", manifest.channels)
    if both := sorted(set(images) & set(unlabelled)):
        raise InputError(root / "unlabelled", f"the stem {both[0]!r} is in images/ too; every stem needs to be unique")

    def case(stem: str, files: tuple[Path, ...]) -> Case:
        try:
            patient, site = manifest.patient_of(stem), manifest.site_of(stem)
        except UsageError as error:
            raise InputError(root / FILE, str(error)) from error
        field, numbered = match(stem, valid, root / "valid"), match(stem, objects, root / "instances")
        return Case(
            stem=stem, image=files, masks=masks.get(stem, ()), valid=field, objects=numbered, patient=patient, site=site
        )

    every = tuple(case(stem, files) for stem, files in sorted({**images, **unlabelled}.items()))
    patients_known = bool(manifest.patient)
    if (table := root / TABLE).is_file():
        every, patients_known = read_splits(table, every), patients_known or has_patients(table)
    cases = tuple(c for c in every if c.masks)
    return Dataset(
        root=root,
        name=manifest.name or root.resolve().name,
        modality=manifest.modality,
        licence=manifest.licence,
        classes=manifest.classes,
        channels=manifest.channels,
        cases=cases,
        unlabelled=tuple(c for c in every if not c.masks),
        notes=(*notes, *_remarks(patients_known, cases, [stem for stem in images if stem not in masks])),
    )


def _remarks(patients_known: bool, cases: Sequence[Case], without: Sequence[str]) -> list[str]:
    notes = []
    if cases and not patients_known:
        notes.append("patients are not declared: every image counts as a patient of its own")
    if without and cases:
        notes.append(f"{len(without)} images have no mask and count as unlabelled: {_some(without)}")
    unused = [case.stem for case in cases if not case.split]
    if 0 < len(unused) < len(cases):
        notes.append(f"{len(unused)} labelled images have no split in splits.csv and are not used: {_some(unused)}")
    return notes


def _image_files(folder: Path, channels: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    if not folder.is_dir():
        return {}
    if not channels or not all((folder / name).is_dir() for name in channels):
        return {stem: (path,) for stem, path in index(folder).items()}
    layers = [index(folder / name) for name in channels]
    return _gather(folder, channels, {stem for layer in layers for stem in layer}, [layer.get for layer in layers])


def _mask_files(
    folder: Path, manifest: Manifest, images: Mapping[str, tuple[Path, ...]]
) -> dict[str, tuple[Path, ...]]:
    if not folder.is_dir():
        return {}
    names = manifest.classes.names
    folders = [folder / name for name in names] if manifest.classes.overlapping else [folder]
    if lacking := [sub.name for sub in folders if not sub.is_dir()]:
        raise InputError(folder, f"overlapping classes need a folder for each class, missing: {', '.join(lacking)}")
    layers = [{stem: match(stem, files, sub) for stem in images} for sub in folders for files in [index(sub)]]
    found = {stem for layer in layers for stem, path in layer.items() if path}
    if not found and any(index(sub) for sub in folders):
        mask = next(iter(index(folders[0])), "nothing")
        raise InputError(
            folder, f"no mask has the stem of an image: images as {next(iter(images))!r}, masks as {mask!r}"
        )
    return _gather(folder, names, found, [layer.get for layer in layers])


def _gather(
    folder: Path, names: Sequence[str], stems: set[str], layers: Sequence[Callable[[str], Path | None]]
) -> dict[str, tuple[Path, ...]]:
    """One file of each layer for every stem; a stem that lacks one is refused."""
    gathered = {}
    for stem in sorted(stems):
        files = [layer(stem) for layer in layers]
        complete = tuple(file for file in files if file is not None)
        if len(complete) != len(files):
            lacking = [name for name, file in zip(names, files, strict=False) if file is None]
            msg = f"{stem} has no file in {', '.join(lacking)}. Add it (a mask of background where nothing was found)."
            raise InputError(folder, msg)
        gathered[stem] = complete
    return gathered


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
