"""Read an image or a mask of any kind; the ending of the file decides how."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leanseg.errors import InputError
from leanseg.images import dicom, nifti, raster, tiff
from leanseg.images.guard import LIMIT, Budget, check_file
from leanseg.images.image import Geometry, Image, PixelSource

_CACHE_SHARE = 8  # of the memory that is allowed, one part keeps decoded tiles


@dataclass(frozen=True, kw_only=True)
class _Family:
    """File formats that are read alike."""

    endings: tuple[str, ...]
    image: Callable[..., Image]
    mask: Callable[..., NDArray[Any]]


_RASTER = _Family(endings=raster.ENDINGS, image=raster.read_raster, mask=raster.read_raster_mask)
_TIFF = _Family(endings=tiff.ENDINGS, image=tiff.read_tiff, mask=tiff.read_tiff_mask)
_NIFTI = _Family(endings=nifti.ENDINGS, image=nifti.read_nifti, mask=nifti.read_nifti_mask)
_DICOM = _Family(endings=dicom.ENDINGS, image=dicom.read_dicom, mask=dicom.read_dicom_mask)
_SERIES = _Family(endings=(), image=dicom.read_series, mask=dicom.read_dicom_mask)
_FAMILIES = (_RASTER, _TIFF, _NIFTI, _DICOM)

ENDINGS = tuple(ending for family in _FAMILIES for ending in family.endings)
"""Endings of the files that can be read; DICOM files are recognised without one, too."""


def read_image(path: str | Path, *, max_pixels: int = LIMIT) -> Image:
    """Read an image as a whole.

    Args:
        path: a picture, TIFF, NIfTI or DICOM file, or the folder of a DICOM series.
        max_pixels: the most samples (pixels times channels) that are decoded, against decompression bombs.

    Returns:
        (C, H, W) or (C, D, H, W) in the units of the file, with spacing and orientation where the file has them.
        Images from one pixel on are read; transparency is dropped, a single slice counts as a picture.

    Raises:
        InputError: missing, broken, too large, with NaN, or of an unknown kind.

    Example:
        >>> import tempfile, PIL.Image
        >>> path = Path(tempfile.mkdtemp()) / "eye.png"
        >>> PIL.Image.new("RGB", (5, 4)).save(path)
        >>> read_image(path).pixels.shape
        (3, 4, 5)
    """
    path = Path(path)
    return _family(path).image(path, budget=Budget(samples=max_pixels))


def open_image(path: Path, *, memory: int | None = None) -> PixelSource:
    """Open an image, in memory where it fits and else (TIFF only) piece by piece.

    Args:
        path: as for :func:`read_image`.
        memory: bytes that the decoded pixels may take; None for the limit of :func:`read_image` alone.

    Raises:
        InputError: as for :func:`read_image`, or larger than ``memory`` and no TIFF; the message holds the figures.
    """
    family = _family(path)
    budget = Budget(memory=memory)
    if family is not _TIFF:
        return family.image(path, budget=budget)
    cache = tiff.CACHE if memory is None else min(tiff.CACHE, memory // _CACHE_SHARE)
    source = tiff.TiffSource(path, budget=budget, cache=cache)
    samples = source.channels * math.prod(source.shape)
    if samples > budget.samples or (memory is not None and samples * source.dtype.itemsize > memory):
        return source
    return tiff.read_tiff(path, budget=budget)


def read_mask(path: Path) -> NDArray[Any]:
    """Read the values of a mask file.

    Args:
        path: as for :func:`read_image`. A palette of greys gives its grey values, a palette of colours its index
            numbers; channels that are all the same and transparency count once; black and white is 0 and 255.

    Returns:
        whole numbers (H, W) or (D, H, W), as they are in the file (a JPEG's ramps included).

    Raises:
        InputError: unreadable, colours that do not stand for one value each, or fractions.
    """
    values = _family(path).mask(path, budget=Budget())
    if values.dtype.kind in "ui":
        return values
    whole = np.rint(values)
    if np.abs(values - whole).max() > 1e-3:
        msg = f"expected whole numbers in a mask, found {values.min():g} to {values.max():g} with fractions"
        raise InputError(path, f"{msg}. Threshold it, or check that it is no probability map.")
    kind = np.result_type(np.min_scalar_type(int(whole.min())), np.min_scalar_type(int(whole.max())))
    return np.asarray(whole, kind)


def read_mask_geometry(path: Path) -> Geometry:
    """Where the voxels of a mask lie, as far as a NIfTI header says so; other kinds of file are not asked."""
    return nifti.read_nifti_geometry(path) if path.name.lower().endswith(nifti.ENDINGS) else Geometry()


def is_image(path: Path) -> bool:
    """Whether a path looks like something that can be read: by its ending, or as a DICOM file by its first bytes."""
    if path.is_dir():
        return any(dicom.is_dicom(entry) for entry in _visible(path))
    return path.is_file() and (path.name.lower().endswith(ENDINGS) or dicom.is_dicom(path))


def list_images(source: Path | Iterable[Path]) -> list[Path]:
    """Find the images that a user named.

    Args:
        source: files, folders or patterns (``scans/*.png``), one or several. A folder stands for the images directly
            in it; the slices of one DICOM series count as one image, named by their folder, also when that folder
            lies directly in the named one. Files without a readable ending are passed over.

    Returns:
        files and series folders, each once, sorted within a folder. ``a.png`` and ``a.jpg`` are two images; what is
        written about both would have one name.

    Raises:
        InputError: nothing there, or nothing readable in a folder.
    """
    found: dict[Path, None] = {}
    for path in [source] if isinstance(source, Path) else source:
        for match in _matches(path):
            found.update(dict.fromkeys(_in_folder(match) if match.is_dir() else [match]))
    return list(found)


def passed_over(folder: Path) -> list[str]:
    """Names of what :func:`list_images` leaves out of a folder: other kinds of file, and folders without slices."""
    return [f"{entry.name}/" if entry.is_dir() else entry.name for entry in _visible(folder) if not is_image(entry)]


def _family(path: Path) -> _Family:
    if path.is_dir():
        return _SERIES
    check_file(path)
    name = path.name.lower()
    for family in _FAMILIES:
        if name.endswith(family.endings):
            return family
    if dicom.is_dicom(path):
        return _DICOM
    raise InputError(path, f"unknown kind of file. Readable are {', '.join(ENDINGS)} and DICOM without an ending.")


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _matches(path: Path) -> Iterator[Path]:
    """The path itself, or what its pattern matches where the shell has not done so."""
    if path.exists() or not any(sign in str(path) for sign in "*?["):
        if not path.exists():
            raise InputError(path, "expected an image or a folder, found nothing there. Check the path.")
        yield path
        return
    root = Path(path.anchor or ".")
    matches = sorted(root.glob(str(path.relative_to(path.anchor))))
    if not matches:
        raise InputError(path, "no file matches the pattern. Check it, and quote it for the shell.")
    yield from matches


def _in_folder(folder: Path) -> list[Path]:
    images: list[Path] = []
    for entry in _visible(folder):
        if entry.is_dir() and is_image(entry):
            images += _slices_as_one(entry)
        elif entry.is_file() and is_image(entry) and not dicom.is_dicom(entry):
            images.append(entry)
    images += _slices_as_one(folder) if is_image(folder) else []
    if not images:
        inner = ", ".join(f"{entry.name}/" for entry in _visible(folder) if entry.is_dir())
        hint = f" Folders in it are not searched: {inner}." if inner else ""
        raise InputError(folder, f"no images in the folder. Readable are {', '.join(ENDINGS)} and DICOM series.{hint}")
    return images


def _slices_as_one(folder: Path) -> list[Path]:
    """A folder of slices as one image, a folder of single DICOM pictures as its files."""
    series, broken = dicom.series_in(folder)
    if any(len(files) > 1 for files in series) or not (series or broken):
        return [folder]  # where a slice is broken, reading the folder names it
    return sorted([*(files[0] for files in series), *broken])
