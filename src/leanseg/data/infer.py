"""The classes of a folder without ``dataset.toml``, from the values in some of its masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from leanseg.data.dataset import repair_hint
from leanseg.data.manifest import Manifest
from leanseg.data.pairing import index
from leanseg.data.values import Kind, count_values, kind_of
from leanseg.errors import InputError
from leanseg.images.read import read_mask
from leanseg.types import Classes

SAMPLE = 24

STRANGE: dict[Kind, str] = {
    "ramp": "two levels blurred by JPEG or resizing",
    "instances": "numbered objects",
    "many": "no mask",
}
"""Kinds of mask from which no classes follow."""


def infer_classes(root: Path) -> tuple[Manifest, list[str]]:
    """What ``masks/`` shows, and notes that say so.

    Two values are background and one class, a few values as many classes; folders inside ``masks/`` are overlapping
    classes. Anything doubtful is refused with the command that repairs it.

    Args:
        root: a folder with ``images/`` and ``masks/``.

    Raises:
        InputError: there are no masks, or their values are no plain classes.
    """
    masks = root / "masks"
    folders = sorted(path for path in masks.iterdir() if path.is_dir())
    if (files := list(index(masks).values())) or not folders:
        classes, note = infer_values(files, root)
        return Manifest(classes=classes), [note]
    background, *others = sampled_values([path for folder in folders for path in index(folder).values()], root)
    if len(others) != 1:
        raise InputError(masks, f"expected binary masks in each folder, found the values {[background, *others]}")
    names = tuple(folder.name for folder in folders)
    classes = Classes(names=names, values=(others[0],) * len(names), background=background, overlapping=True)
    return Manifest(classes=classes), [
        f"no dataset.toml: overlapping classes {', '.join(names)}, the folders in masks/"
    ]


def infer_values(files: Sequence[Path], root: Path) -> tuple[Classes, str]:
    """Classes from the values in mask files, and a note that says so.

    Args:
        files: masks of exclusive classes.
        root: the data set, for the repair command in an error.

    Raises:
        InputError: the values are no plain classes.
    """
    background, *others = sampled_values(files, root)
    names = ("foreground",) if len(others) == 1 else tuple(f"class-{value}" for value in others)
    pairs = ", ".join(f"{value} = {name}" for value, name in zip(others, names, strict=True))
    note = f"classes are not declared: {background} = background, {pairs} (from up to {2 * SAMPLE} masks)"
    return Classes(names=names, values=tuple(others), background=background), note


def sampled_values(files: Sequence[Path], root: Path) -> list[int]:
    """The values in evenly chosen masks, ascending, the background's 0 first.

    Raises:
        InputError: the masks are JPEG ramps, numbered objects, a mix of 0/1 and 0/255, or all empty.
    """
    if not files:
        raise InputError(root, "expected masks, found none")
    total: Counter[int] = Counter()
    alone: set[int] = set()
    looked_at = files[:: max(1, len(files) // SAMPLE)]
    strange: dict[Path, tuple[Kind, int]] = {}
    for path in looked_at:
        counts = count_values(read_mask(path))
        if (kind := kind_of(counts)) in STRANGE:
            strange[path] = kind, len(counts)
        total.update(counts)
        alone |= {max(counts)} if len(counts) == 2 else set()
    if strange:
        path, (kind, many) = next(iter(strange.items()))
        kinds = {kind for kind, _ in strange.values()}
        found = f"found {many} values ({STRANGE[kind]}), and so in {len(strange)} of {len(looked_at)} masks looked at"
        hint = repair_hint(root) + (" --instances-to-binary" if "instances" in kinds else "")
        raise InputError(path, f"expected a few class values, {found}; {hint}")
    values = sorted(total)
    if len(values) < 2:
        raise InputError(root, f"expected masks of background and classes, found only the value {values[0]}")
    if values[0] != 0:
        msg = f"expected the value 0 for the background, found {values}"
        raise InputError(root, f"{msg}. Declare background and [classes] in dataset.toml.")
    if alone == {1, 255} and values == [0, 1, 255]:
        raise InputError(root, f"some masks are 0/1 and others 0/255; {repair_hint(root)}")
    return values
