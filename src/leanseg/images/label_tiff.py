"""A mask as a tiled TIFF, written piece by piece."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from leanseg.errors import UsageError
from leanseg.images.atomic import replacing

TILE = 256
_CLASSIC = 2**31  # beyond this many bytes, offsets of 32 bits could run out
_SHORT, _LONG, _LONG8 = 3, 4, 16  # field types of TIFF 6.0 and BigTIFF
_DEFLATE = 8


class LabelTiffWriter:
    """Write a mask larger than memory, in rectangles of any size and order.

    Tiles are compressed and written as soon as they are covered; only begun ones stay in memory. The file gets its
    name when the block ends well and every pixel was written; otherwise it is removed.

    Args:
        path: the file.
        shape: size (H, W) in pixels.
        dtype: ``uint8`` or ``uint16``.
        palette: (256, 3) colours of the values of a ``uint8`` mask; grey without one.

    Raises:
        UsageError: a wrong type or size, a rectangle outside, or pixels that were written twice or never.

    Source: TIFF 6.0 (Adobe, 1992), sections 2, 5 and 15; Deflate with compression 8; BigTIFF above 2 GB of pixels.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "mask.tif"
        >>> with LabelTiffWriter(path, shape=(600, 400)) as writer:
        ...     for top in range(0, 600, 100):
        ...         writer.write((slice(top, top + 100), slice(0, 400)), np.full((100, 400), 255, np.uint8))
        >>> import tifffile
        >>> int(tifffile.imread(path).min())
        255
    """

    def __init__(
        self,
        path: Path,
        *,
        shape: tuple[int, ...],
        dtype: DTypeLike = np.uint8,
        palette: NDArray[np.uint8] | None = None,
    ) -> None:
        self._dtype = np.dtype(dtype).newbyteorder("<")
        if self._dtype.kind != "u" or self._dtype.itemsize > 2:
            raise UsageError(f"a mask holds uint8 or uint16, not {np.dtype(dtype)}")
        if len(shape) != 2 or min(shape) < 1:
            raise UsageError(f"expected a size (H, W) of at least one pixel, found {shape}")
        if palette is not None and (self._dtype.itemsize != 1 or palette.shape != (256, 3)):
            raise UsageError(f"a palette has 256 colours for a mask of uint8, found {palette.shape} for {self._dtype}")
        self._palette = palette
        self._path = path
        self._shape = shape
        self._grid = tuple(math.ceil(n / TILE) for n in shape)
        self._places: dict[tuple[int, int], tuple[int, int]] = {}
        self._begun: dict[tuple[int, int], tuple[NDArray[Any], NDArray[np.bool_]]] = {}
        self._big = math.prod(shape) * self._dtype.itemsize >= _CLASSIC
        self._closing = ExitStack()

    def __enter__(self) -> LabelTiffWriter:
        with ExitStack() as opening:
            temporary = opening.enter_context(replacing(self._path))
            self._file: BinaryIO = opening.enter_context(temporary.open("w+b"))
            # The place of the directory, left open here, is filled in at the end.
            self._file.write(
                struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0) if self._big else struct.pack("<2sHI", b"II", 42, 0)
            )
            self._closing = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._closing.__exit__(kind, error, trace)
            return
        with self._closing:
            missing = math.prod(self._grid) - len(self._places)
            if missing:
                raise UsageError(f"{self._path}: {missing} of {math.prod(self._grid)} tiles were never written fully")
            self._write_directory()

    def write(self, region: Sequence[slice], values: NDArray[Any]) -> None:
        """Write one rectangle.

        Args:
            region: rows and columns with start and stop.
            values: (h, w) mask values of that size.
        """
        rows, columns = region
        inside = 0 <= rows.start < rows.stop <= self._shape[0] and 0 <= columns.start < columns.stop <= self._shape[1]
        if not inside or values.shape != (rows.stop - rows.start, columns.stop - columns.start):
            raise UsageError(f"rows {rows}, columns {columns} do not fit values {values.shape} in a mask {self._shape}")
        if values.dtype.kind not in "ub" or values.dtype.itemsize > self._dtype.itemsize:
            raise UsageError(f"a mask of {self._dtype} does not hold values of type {values.dtype}")
        down = range(rows.start // TILE, math.ceil(rows.stop / TILE))
        across = range(columns.start // TILE, math.ceil(columns.stop / TILE))
        for i, j in product(down, across):
            top, left = i * TILE, j * TILE
            y0, y1 = max(top, rows.start), min(top + TILE, rows.stop)
            x0, x1 = max(left, columns.start), min(left + TILE, columns.stop)
            part = values[y0 - rows.start : y1 - rows.start, x0 - columns.start : x1 - columns.start]
            self._fill((i, j), (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)), part)

    def _fill(self, tile: tuple[int, int], place: tuple[slice, slice], part: NDArray[Any]) -> None:
        if tile not in self._begun:
            todo = np.zeros((TILE, TILE), np.bool_)
            todo[: self._shape[0] - tile[0] * TILE, : self._shape[1] - tile[1] * TILE] = True
            self._begun[tile] = (np.zeros((TILE, TILE), self._dtype), todo)
        pixels, todo = self._begun[tile]
        if tile in self._places or not todo[place].all():
            raise UsageError(f"{self._path}: pixels of tile {tile} were written twice")
        pixels[place] = part
        todo[place] = False
        if not todo.any():
            data = zlib.compress(self._begun.pop(tile)[0].tobytes())
            self._places[tile] = (self._append(data), len(data))

    def _append(self, data: bytes) -> int:
        """Write at the end of the file, on an even position as the format asks, and say where."""
        end = self._file.seek(0, 2)
        self._file.write(b"\0" * (end % 2) + data)
        return end + end % 2

    def _write_directory(self) -> None:
        offsets, counts = zip(*(self._places[tile] for tile in np.ndindex(*self._grid)), strict=True)
        wide = _LONG8 if self._big else _LONG
        # The format wants 16 bits: all reds, then all greens, then all blues.
        colours = [] if self._palette is None else [(320, _SHORT, (self._palette.T.astype(int) * 257).ravel().tolist())]
        fields = (
            (256, _LONG, [self._shape[1]]),
            (257, _LONG, [self._shape[0]]),
            (258, _SHORT, [8 * self._dtype.itemsize]),
            (259, _SHORT, [_DEFLATE]),
            (262, _SHORT, [3 if colours else 1]),  # a palette; else black is zero
            (277, _SHORT, [1]),  # samples per pixel
            *colours,
            (322, _LONG, [TILE]),
            (323, _LONG, [TILE]),
            (324, wide, offsets),
            (325, wide, counts),
        )
        entries = b"".join(self._field(*field) for field in fields)
        count, end = ("<Q", "<Q") if self._big else ("<H", "<I")
        place = self._append(struct.pack(count, len(fields)) + entries + struct.pack(end, 0))
        if place >= 2**32 and not self._big:
            raise UsageError(f"{self._path}: the compressed mask is larger than 4 GB")
        self._file.seek(8 if self._big else 4)
        self._file.write(struct.pack(end, place))

    def _field(self, tag: int, kind: int, values: Sequence[int]) -> bytes:
        """One entry of the directory; values that do not fit into it are put at the end of the file."""
        data = struct.pack(f"<{len(values)}{ {_SHORT: 'H', _LONG: 'I', _LONG8: 'Q'}[kind] }", *values)
        room, number = (8, "<Q") if self._big else (4, "<I")
        if len(data) > room:
            data = struct.pack(number, self._append(data))
        return struct.pack("<HH", tag, kind) + struct.pack(number, len(values)) + data.ljust(room, b"\0")
