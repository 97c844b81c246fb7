"""Where the samples of a TIFF file lie and how to fetch a part of them."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffPageSeries

from leanseg.errors import InputError
from leanseg.images.guard import Budget
from leanseg.types import Pixels

_JPEG = (6, 7, 33007, 34892)


class Layout(Protocol):
    """Samples on disk, as (C, D, H, W) before any conversion of colours."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def read(self, region: Sequence[slice]) -> Pixels: ...


def layout_of(path: Path, series: TiffPageSeries, *, budget: Budget, cache: int) -> Layout:
    """The way to fetch parts of a picture or stack.

    Args:
        path: the file.
        series: the pages that belong together, as tifffile groups them.
        budget: the largest tile or strip that is decoded.
        cache: bytes of decoded tiles that are kept for the next region.

    Raises:
        InputError: axes other than channels, depth, rows and columns; tiles beyond the budget.
    """
    roles = _roles(path, series.axes, series.shape)
    if series.dataoffset is not None:
        return _Mapped(path, series, series.dataoffset, roles)
    page = series.keyframe
    lead = series.shape[: len(series.shape) - len(page.shape)]
    if math.prod(lead) != len(series.pages) or page.imagedepth > 1 or any(p is None for p in series.pages):
        raise InputError(path, f"expected one page for each plane, found axes {series.axes}. Save it as plain pages.")
    planes = _arranged(np.arange(len(series.pages)).reshape(lead), roles[: len(lead)], wanted="CD")
    layout = _Segmented(path, series, planes, cache)
    what = "tile" if page.is_tiled else "strip"
    advice = f"That is a single {what} of the file: save it with tiles of 256 x 256 pixels."
    budget.check(path, layout.segment, layout.dtype, advice=advice)
    return layout


class _Mapped:
    """Uncompressed samples in one run, which the system reads as they are touched."""

    def __init__(self, path: Path, series: TiffPageSeries, offset: int, roles: str) -> None:
        self._path = path
        self._offset = offset
        self._on_disk = np.dtype(series.dtype).newbyteorder(series.keyframe.parent.byteorder)
        self.dtype = self._on_disk.newbyteorder("=")
        self._stored = series.shape
        self._roles = roles
        self.shape = self._open().shape

    def read(self, region: Sequence[slice]) -> Pixels:
        part = self._open()[(slice(None), *region)]
        return np.array(part, dtype=self.dtype)

    def _open(self) -> Pixels:
        flat = np.memmap(self._path, self._on_disk, mode="r", offset=self._offset, shape=self._stored)
        return _arranged(flat, self._roles, wanted="CDYX")


class _Segmented:
    """Tiles or strips that are decoded one by one; the last ones used stay decoded."""

    def __init__(self, path: Path, series: TiffPageSeries, planes: NDArray[Any], cache: int) -> None:
        page = series.keyframe
        self._path = path
        self._planes = planes
        pages = [p for p in series.pages if p is not None]
        self._places = [(p.dataoffsets, p.databytecounts) for p in pages]
        self._jpeg = [{"jpegtables": p.jpegtables} for p in pages] if page.compression in _JPEG else None
        self._decode = page.decode
        self.dtype = np.dtype(page.dtype)
        self._nodata = page.nodata
        self._planar = page.planarconfig == 2
        self._samples = page.samplesperpixel
        self._rows = page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength)
        self._columns = page.tilewidth if page.is_tiled else page.imagewidth
        self.shape = (planes.shape[0] * self._samples, planes.shape[1], page.imagelength, page.imagewidth)
        self._kept: OrderedDict[tuple[int, int], Pixels] = OrderedDict()
        self._room = cache
        self._lock = Lock()

    @property
    def segment(self) -> tuple[int, int, int]:
        """Size of a decoded tile or strip."""
        return self._rows, self._columns, 1 if self._planar else self._samples

    def read(self, region: Sequence[slice]) -> Pixels:
        depth, rows, columns = region
        size = (rows.stop - rows.start, columns.stop - columns.start)
        out = np.empty((self.shape[0], depth.stop - depth.start, *size), self.dtype)
        for channel, z in product(range(self._planes.shape[0]), range(depth.start, depth.stop)):
            page = int(self._planes[channel, z])
            first = channel * self._samples
            self._read_plane(page, rows, columns, out[first : first + self._samples, z - depth.start])
        return out

    def _read_plane(self, page: int, rows: slice, columns: slice, out: Pixels) -> None:
        """Fill ``out`` (S, h, w) from the segments of one page that touch the rectangle."""
        down, across = (math.ceil(n / step) for n, step in zip(self.shape[2:], self.segment[:2], strict=True))
        touched_rows = range(rows.start // self._rows, math.ceil(rows.stop / self._rows))
        touched_columns = range(columns.start // self._columns, math.ceil(columns.stop / self._columns))
        layers = range(self._samples if self._planar else 1)
        for layer, i, j in product(layers, touched_rows, touched_columns):
            segment = self._segment(page, (layer * down + i) * across + j)
            top, left = i * self._rows, j * self._columns
            y0, y1 = max(top, rows.start), min(top + self._rows, rows.stop)
            x0, x1 = max(left, columns.start), min(left + self._columns, columns.stop)
            part = np.moveaxis(segment[y0 - top : y1 - top, x0 - left : x1 - left], -1, 0)
            place = (slice(y0 - rows.start, y1 - rows.start), slice(x0 - columns.start, x1 - columns.start))
            out[(slice(layer, layer + 1) if self._planar else slice(None), *place)] = part

    def _segment(self, page: int, index: int) -> Pixels:
        """One decoded tile or strip, (rows, columns, S)."""
        key = (page, index)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        segment = self._decoded(page, index)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = segment
                self._room -= segment.nbytes
            while self._room < 0:
                _, dropped = self._kept.popitem(last=False)
                self._room += dropped.nbytes
        return segment

    def _decoded(self, page: int, index: int) -> Pixels:
        offsets, counts = self._places[page]
        if index >= len(offsets):
            raise InputError(self._path, "the file is cut off: its index of tiles ends early. Copy or export it again.")
        if counts[index] == 0:
            return np.full(self.segment, self._nodata, self.dtype)
        with self._path.open("rb") as stream:
            stream.seek(offsets[index])
            data = stream.read(counts[index])
        if len(data) < counts[index]:
            raise InputError(self._path, "the file is cut off: pixels are missing at its end. Copy or export it again.")
        decoded = self._decode(data, index, **(self._jpeg[page] if self._jpeg else {}))[0]
        if decoded is None:
            raise InputError(self._path, "a tile of the file is empty. Copy or export it again.")
        segment: Pixels = decoded[0]
        return segment


def _roles(path: Path, axes: str, shape: Sequence[int]) -> str:
    """One letter for each stored axis: C, D, Y, X, or - for an axis of length 1."""
    letters = {"Y": "Y", "X": "X", "S": "C", "C": "C", "Z": "D", "Q": "D", "I": "D"}
    roles = "".join(
        "-" if size == 1 and axis not in "YX" else letters.get(axis, "?")
        for axis, size in zip(axes, shape, strict=True)
    )
    used = roles.replace("-", "")
    if "?" in used or len(set(used)) < len(used) or not {"X", "Y"} <= set(used):
        found = ", ".join(f"{axis} = {size}" for axis, size in zip(axes, shape, strict=True))
        msg = f"expected one channel axis and one depth axis at most, found {found}. Save each time or series apart."
        raise InputError(path, msg)
    return roles


def _arranged(array: NDArray[Any], roles: str, *, wanted: str) -> NDArray[Any]:
    """A view whose axes are ``wanted``; axes that are absent get length 1."""
    kept = roles.replace("-", "")
    array = array[tuple(0 if role == "-" else slice(None) for role in roles)]
    array = array.transpose([kept.index(role) for role in wanted if role in kept])
    return array[tuple(slice(None) if role in kept else None for role in wanted)]
