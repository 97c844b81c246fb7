"""The orientation tag of photographs and TIFF files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leanseg.types import Pixels

TAG = 274

# Number in the tag -> (rows and columns swapped, then rows reversed, then columns reversed).
_TURNS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn stored pixels (..., H, W) the way they are displayed.

    Args:
        pixels: as stored in the file.
        orientation: value of the tag, 1 to 8; anything else counts as 1.

    Source: EXIF 2.32, tag 0x0112.

    Example:
        >>> upright(np.array([[1, 2], [3, 4]]), 6).tolist()
        [[3, 1], [4, 2]]
    """
    swap, rows, columns = _TURNS.get(orientation, _TURNS[1])
    turned = np.swapaxes(pixels, -1, -2) if swap else pixels
    return turned[..., :: -1 if rows else 1, :: -1 if columns else 1]


def stored_shape(shape: Sequence[int], orientation: int) -> tuple[int, ...]:
    """Size (..., H, W) on disk from the displayed size and back."""
    swap = _TURNS.get(orientation, _TURNS[1])[0]
    return (*shape[:-2], shape[-1], shape[-2]) if swap else tuple(shape)


def stored_region(region: Sequence[slice], shape: Sequence[int], orientation: int) -> tuple[slice, ...]:
    """Where a displayed rectangle lies on disk.

    Args:
        region: slices with start and stop for (..., rows, columns) as displayed.
        shape: displayed size (..., H, W).
        orientation: value of the tag.
    """
    swap, *mirrored = _TURNS.get(orientation, _TURNS[1])
    plane = [
        slice(size - part.stop, size - part.start) if flip else part
        for part, size, flip in zip(region[-2:], shape[-2:], mirrored, strict=True)
    ]
    return (*region[:-2], *(reversed(plane) if swap else plane))
