"""A repaired copy of a data set whose masks were spoiled by JPEG, palettes, mixed values or numbered objects."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leanseg.data.manifest import FILE, Manifest, manifest_text, read_manifest
from leanseg.data.masks import binarise, histogram_text, looks_inverted, read_leniently, write_png
from leanseg.data.pairing import index
from leanseg.data.values import count_values, kind_of
from leanseg.errors import InputError, UsageError
from leanseg.images.atomic import replacing
from leanseg.images.image import stem_of
from leanseg.types import Classes


@dataclass(frozen=True)
class Change:
    """What became of one file.

    Args:
        file: relative to the source.
        action: what was done, or why nothing could be done.
        repaired: False when the mask is as bad as before.
    """

    file: Path
    action: str
    repaired: bool = True


@dataclass(frozen=True, kw_only=True)
class Repair:
    """How masks are repaired.

    Args:
        classes: what the masks should spell.
        invert: flip the masks that look inverted (foreground on more than half of the mask and of its border).
        instances_to_binary: turn numbered objects into foreground.

    Example:
        >>> vessel = Classes(names=("vessel",), values=(255,))
        >>> values, action = Repair(classes=vessel).mask(np.array([[0, 1]]), Path("m.png"))
        >>> values.tolist(), action
        ([[0, 255]], '0/1 to 0/255')
    """

    classes: Classes
    invert: bool = False
    instances_to_binary: bool = False

    def mask(self, values: NDArray[Any], path: Path) -> tuple[NDArray[Any], str]:
        """The repaired values and what was done; an empty text when nothing was.

        Args:
            values: (H, W) or (D, H, W) as read from the file.
            path: the file, for errors.

        Raises:
            InputError: the values cannot be understood without guessing.
        """
        counts = count_values(values)
        if len(set(self.classes.values)) > 1:
            return self._several(values, counts, path)
        low, high = self.classes.background, self.classes.values[0]
        expected = {low, high} | ({self.classes.ignore} if self.classes.ignore is not None else set())
        action = ""
        if not set(counts) <= expected:
            foreground = binarise(values, path, instances=self.instances_to_binary)
            action = _how(counts, low, high)
            values = np.where(foreground, high, low)
        if self.invert and looks_inverted(values == high):
            action = f"{action}, inverted".lstrip(", ")
            values = np.where(values == low, high, np.where(values == high, low, values))
        return values, action

    def _several(self, values: NDArray[Any], counts: dict[int, int], path: Path) -> tuple[NDArray[Any], str]:
        spelled = (self.classes.background, *self.classes.values)
        if set(counts) <= {*spelled, self.classes.ignore}:
            return values, ""
        if min(counts) >= 0 and max(counts) < len(spelled):
            return np.array(spelled)[values], f"class numbers to the values {', '.join(map(str, spelled))}"
        raise InputError(path, f"values that no class has: {histogram_text(counts)}; declare them or export it again")


def repair_dataset(source: Path, out: Path, *, invert: bool = False, instances_to_binary: bool = False) -> list[Change]:
    """Write a copy of a data set with masks that hold class values only; the source stays as it is.

    Masks blurred by JPEG are parted half way, 0/1 and 0/255 are made one, class numbers become class values. Sizes are
    never changed. Everything else is copied byte for byte.

    Args:
        source: a folder with ``images/`` and ``masks/``, with or without ``dataset.toml``.
        out: a folder that does not exist yet.
        invert, instances_to_binary: see :class:`Repair`.

    Returns:
        one entry for each file that was changed or that could not be repaired.

    Raises:
        InputError: the source is no such folder.
        UsageError: the copy exists already or lies inside the source.
    """
    if not ((source / "images").is_dir() and (source / "masks").is_dir()):
        raise InputError(source, "expected a folder with images/ and masks/, found none")
    if out.exists() or source.resolve() in out.resolve().parents:
        raise UsageError(f"{out}: give a folder that does not exist yet, outside of {source}")
    declared = (source / FILE).is_file()
    folders = [path for path in sorted((source / "masks").iterdir()) if path.is_dir()]
    masks = [path for folder in folders or [source / "masks"] for path in index(folder).values()]
    if declared:
        classes = read_manifest(source / FILE).classes
    else:
        classes = _guess_classes(masks, [folder.name for folder in folders], instances_to_binary)
    repair = Repair(classes=classes, invert=invert, instances_to_binary=instances_to_binary)
    shutil.copytree(source, out, ignore=lambda folder, _: [path.name for path in masks if path.parent == Path(folder)])
    changes = [change for path in masks if (change := _copy_mask(path, source, out, repair))]
    if not declared:
        with replacing(out / FILE) as temporary:
            temporary.write_text(manifest_text(Manifest(classes=classes)), encoding="utf-8")
        changes.append(Change(Path(FILE), f"written with the classes {', '.join(classes.names)}"))
    return changes


def _copy_mask(path: Path, source: Path, out: Path, repair: Repair) -> Change | None:
    inner = path.relative_to(source)
    try:
        values, problem = read_leniently(path)
        values, action = repair.mask(values, path)
        action = action or ("colours or transparency to grey" if problem else "")
        if action and values.ndim != 2:
            raise InputError(path, "masks of volumes are not repaired; export it again")
    except InputError as error:
        shutil.copy2(path, out / inner)
        return Change(inner, error.message, repaired=False)
    if not action:
        shutil.copy2(path, out / inner)
        return None
    write_png(values, (out / inner).with_name(f"{stem_of(path)}.png"))
    return Change(inner, action)


def _how(counts: dict[int, int], low: int, high: int) -> str:
    kind = kind_of(counts)
    if kind == "ramp":
        return f"{len(counts)} values parted half way into {low}/{high}"
    if kind == "instances":
        return f"{len(counts) - 1} numbered objects to {low}/{high}"
    return f"{'/'.join(map(str, sorted(counts)))} to {low}/{high}"


def _guess_classes(masks: Sequence[Path], folders: Sequence[str], instances: bool) -> Classes:
    """One class if every mask means two values, else the values of the masks that are fine."""
    values: set[int] = set()
    binary = True
    for path in masks:
        try:
            drawn, _ = read_leniently(path)
        except InputError:
            continue
        counts = count_values(drawn)
        kind = kind_of(counts)
        if kind in ("binary", "classes", "empty"):
            values |= set(counts)
        binary &= kind in ("binary", "empty", "ramp") or (kind in ("instances", "classes") and instances)
    if folders:
        return Classes(names=tuple(folders), values=(255,) * len(folders), overlapping=True)
    foreground = tuple(sorted(values - {0}))
    if binary or not foreground:
        return Classes(names=("foreground",), values=foreground if len(foreground) == 1 else (255,))
    return Classes(names=tuple(f"class-{value}" for value in foreground), values=foreground)
