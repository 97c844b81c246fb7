"""Which mask belongs to which image: by the stem of the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from leanseg.errors import InputError
from leanseg.images.image import stem_of
from leanseg.images.read import is_image, list_images

SUFFIXES = tuple(
    joint + word
    for joint in "_-"
    for word in (
        *("mask", "masks", "seg", "segmentation", "Segmentation", "label", "labels", "gt", "GT", "groundtruth"),
        *("annotation", "manual", "manual1", "1stHO", "lesion", "vessel", "fov"),
    )
)
"""What mask files carry behind the stem of their image in common data sets."""


def index(folder: Path) -> dict[str, Path]:
    """The images or masks directly in a folder by their stem; none where there are none.

    Raises:
        InputError: two files have the same stem.
    """
    files: dict[str, Path] = {}
    for path in list_images(folder) if any(map(is_image, folder.iterdir())) else ():
        if (other := files.setdefault(stem_of(path), path)) is not path:
            raise InputError(folder, f"{other.name} and {path.name} have the same stem; keep one of them")
    return files


def match(stem: str, files: Mapping[str, Path], folder: Path) -> Path | None:
    """The file that belongs to a stem: the same name, else the only one with a known suffix behind it.

    Raises:
        InputError: several files could be meant.

    Example:
        >>> match("01", {"01_mask": Path("01_mask.png"), "02": Path("02.png")}, Path("masks"))
        PosixPath('01_mask.png')
    """
    if stem in files:
        return files[stem]
    found = [files[stem + suffix] for suffix in SUFFIXES if stem + suffix in files]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(folder, f"several files could belong to the image {stem!r}: {names}; keep one of them")
    return found[0] if found else None
