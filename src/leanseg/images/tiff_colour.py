"""From the samples of a TIFF file to grey values or red, green and blue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffPage

from leanseg.errors import InputError
from leanseg.types import Pixels

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_ALPHA = (1, 2)
_JPEG = (6, 7)


@dataclass(frozen=True, kw_only=True)
class Colour:
    """How the samples of one file are to be understood.

    Args:
        photometric: the file's PhotometricInterpretation.
        highest: value of the brightest sample, for inversion.
        colormap: (3, entries) 8-bit colours of a palette, else None.
        keep: how many channels come before the transparency.
    """

    photometric: int
    highest: int
    colormap: NDArray[np.uint8] | None
    keep: int

    @property
    def grey_palette(self) -> bool:
        """Whether every entry of the palette is a grey."""
        return self.colormap is not None and bool((self.colormap == self.colormap[:1]).all())

    def convert(self, samples: Pixels) -> Pixels:
        """(C, *spatial) samples as stored to grey or RGB."""
        samples = samples[: self.keep]
        if samples.dtype == np.bool_:
            samples = samples.astype(np.uint8) * np.uint8(255)
        if self.colormap is not None:
            return self.colormap[:1, samples[0]] if self.grey_palette else self.colormap[:, samples[0]]
        if self.photometric == _WHITE_IS_ZERO:
            return samples.dtype.type(255 if self.highest == 1 else self.highest) - samples
        if self.photometric == _CMYK:
            ink = samples.astype(np.float32)
            light = (self.highest - ink[:3]) * (self.highest - ink[3:4]) / self.highest
            return np.rint(light).astype(samples.dtype)
        return samples


def colour_of(path: Path, page: TiffPage, channels: int) -> Colour:
    """Read the colour tags of a page.

    Args:
        path: the file.
        page: its first page.
        channels: samples of a pixel over all its planes.

    Raises:
        InputError: a colour space that is not supported.
    """
    kind = int(page.photometric)
    if page.dtype is None or page.dtype.kind not in "buif":
        raise InputError(path, f"expected whole or decimal numbers, found samples of type {page.dtype}. Convert them.")
    supported = kind in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK)
    if kind == _WHITE_IS_ZERO:
        supported = page.dtype.kind in "bu"
    if kind == _YCBCR:  # the JPEG decoder gives RGB
        supported = int(page.compression) in _JPEG
    if not supported:
        raise InputError(path, f"expected grey or RGB, found colour space {page.photometric!s}. Convert it to RGB.")
    if kind == _CMYK and channels != 4:
        raise InputError(path, f"expected 4 inks, found {channels}. Convert it to RGB.")
    alpha = sum(int(extra) in _ALPHA for extra in page.extrasamples)
    return Colour(
        photometric=kind,
        highest=2 ** int(page.bitspersample) - 1,
        colormap=_colormap(page) if kind == _PALETTE else None,
        keep=channels - alpha,
    )


def _colormap(page: TiffPage) -> NDArray[np.uint8]:
    """Palette colours are stored with 16 bits; some writers put 8-bit values there all the same."""
    entries: NDArray[Any] = np.asarray(page.colormap)
    return (entries >> 8 if entries.max() > 255 else entries).astype(np.uint8)
