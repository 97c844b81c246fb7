"""TIFF and BigTIFF: read as a whole, or tile by tile when the image is larger than memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile, TiffPageSeries

from leanseg.errors import InputError
from leanseg.images.guard import Budget, check_file, check_finite, decoding
from leanseg.images.image import Geometry, Image, stem_of
from leanseg.images.orientation import TAG, stored_region, stored_shape, upright
from leanseg.images.raster import one_channel
from leanseg.images.tiff_colour import colour_of
from leanseg.images.tiff_layout import layout_of
from leanseg.types import Pixels

ENDINGS = (".tif", ".tiff", ".btf", ".svs")
CACHE = 64 * 2**20
"""Bytes of decoded tiles that are kept for the next region."""
ADVICE = "Read it piece by piece: open_image(path, memory=...), or --memory on the command line."


class TiffSource:
    """A TIFF picture or stack that is decoded only where it is looked at; usable from several threads.

    Args:
        path: the file; tiles or strips may be compressed with anything that imagecodecs reads.
        budget: the largest single tile or strip that is decoded.
        cache: bytes of decoded tiles that are kept for the next region.
        palette: give the colours of a colour palette; False gives its index numbers (masks).

    Raises:
        InputError: no TIFF file, several pictures of different size, or axes that are neither channels nor space.

    Example:
        >>> import tempfile, tifffile
        >>> path = Path(tempfile.mkdtemp()) / "slide.tif"
        >>> tifffile.imwrite(path, np.zeros((600, 500, 3), np.uint8), photometric="rgb", tile=(256, 256))
        >>> source = TiffSource(path)
        >>> source.shape, source.read((slice(500, 600), slice(0, 40))).shape
        ((600, 500), (3, 100, 40))
    """

    def __init__(self, path: Path, *, budget: Budget | None = None, cache: int = CACHE, palette: bool = True) -> None:
        check_file(path)
        with decoding(path, "a TIFF image"), TiffFile(path) as tiff:
            series = _main_series(path, tiff)
            page = series.keyframe
            if 0 in series.shape:
                raise InputError(path, f"expected pixels, found an image of size {series.shape}. Export it again.")
            self._layout = layout_of(path, series, budget=budget or Budget(), cache=cache)
            self._colour = colour_of(path, page, self._layout.shape[0])
            self._orientation = int(page.tags.valueof(TAG, 1))
        if not (palette or self._colour.grey_palette):
            self._colour = replace(self._colour, colormap=None)
        sample = self._colour.convert(np.zeros((self._layout.shape[0], 1), self._layout.dtype))
        size = stored_shape(self._layout.shape[1:], self._orientation)
        self.source: Path | None = path
        self.stem = stem_of(path)
        self.channels = len(sample)
        self.dtype = sample.dtype
        self.shape = size if size[0] > 1 else size[1:]
        self.dims = len(self.shape)
        self.geometry = Geometry()
        self._path = path

    def read(self, region: Sequence[slice]) -> Pixels:
        """The pixels of a part.

        Args:
            region: one slice for each spatial axis, without a step.

        Returns:
            (C, *part) as displayed; palettes and inks are resolved, transparency is dropped.

        Raises:
            InputError: the file is cut off or holds NaN there.
        """
        bounds = [slice(*part.indices(size)[:2]) for part, size in zip(region, self.shape, strict=True)]
        bounds = [slice(part.start, max(part.start, part.stop)) for part in bounds]
        full = [slice(0, 1)] * (3 - self.dims) + bounds
        shape = (1,) * (3 - self.dims) + self.shape
        with decoding(self._path, "a TIFF image"):
            samples = self._layout.read(stored_region(full, shape, self._orientation))
            pixels = upright(self._colour.convert(samples), self._orientation)
        pixels = pixels if self.dims == 3 else pixels[:, 0]
        return check_finite(self._path, np.ascontiguousarray(pixels))


def read_tiff(path: Path, *, budget: Budget) -> Image:
    """Read a TIFF file as a whole.

    Args:
        path: the file.
        budget: the largest size that is decoded.

    Returns:
        (C, H, W), or (C, D, H, W) for a stack of pages.

    Raises:
        InputError: as for :class:`TiffSource`, or larger than the budget.
    """
    source = TiffSource(path, budget=budget, cache=0)
    budget.check(path, (source.channels, *source.shape), source.dtype, advice=ADVICE)
    return Image(source.read([slice(None)] * source.dims), source=path)


def read_tiff_mask(path: Path, *, budget: Budget) -> NDArray[Any]:
    """Read the values of a mask from a TIFF file, (H, W) or (D, H, W).

    Raises:
        InputError: unreadable, or colours that do not stand for one value each.
    """
    source = TiffSource(path, budget=budget, cache=0, palette=False)
    budget.check(path, (source.channels, *source.shape), source.dtype, advice="Scale it down.")
    return one_channel(path, source.read([slice(None)] * source.dims))


def _main_series(path: Path, tiff: TiffFile) -> TiffPageSeries:
    """The picture in full size, without thumbnails and a slide's label."""
    full_size = [series for series in tiff.series if not series.keyframe.is_reduced]
    if not full_size:
        raise InputError(path, "expected a picture, found none in the file. Export it again.")
    if len(full_size) > 1 and not tiff.is_svs:
        msg = f"expected one picture or stack, found {len(full_size)} of different kind. Save each one as its own file."
        raise InputError(path, msg)
    if full_size[0].is_multifile:
        raise InputError(path, "the pixels are spread over several OME-TIFF files. Save them as one file.")
    chosen: TiffPageSeries = full_size[0]
    return chosen
