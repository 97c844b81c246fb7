"""Masks as they come from drawing programs: read leniently, brought to two values, written as PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from leanseg.data.values import count_values, kind_of, levels
from leanseg.errors import InputError
from leanseg.images.atomic import replacing
from leanseg.images.guard import Budget
from leanseg.images.raster import ENDINGS, read_alpha_mask
from leanseg.images.read import read_image, read_mask
from leanseg.types import Mask


def read_drawn_mask(path: Path) -> NDArray[Any]:
    """The values of :func:`read_leniently`."""
    return read_leniently(path)[0]


def read_leniently(path: Path) -> tuple[NDArray[Any], str]:
    """Read a mask as it comes from a drawing program.

    One saved as a colour JPEG, whose channels differ a little, gives the mean of its channels; one drawn in
    transparency alone gives that.

    Returns:
        the values, and why the mask cannot be used as it is; empty where it can.

    Raises:
        InputError: unreadable, or a picture in real colours.
    """
    try:
        return read_mask(path), ""
    except InputError as error:
        alpha = read_alpha_mask(path, budget=Budget()) if path.name.lower().endswith(ENDINGS) else None
        if alpha is not None:
            return alpha, error.message
        pixels = read_image(path).pixels
        # JPEG's chroma noise stays below this; drawn colours do not.
        if pixels.shape[0] != 3 or np.percentile(np.ptp(pixels.astype(np.int32), axis=0), 99.9) > 48:
            raise
        grey: NDArray[Any] = pixels.astype(np.float32).mean(axis=0).round().astype(np.int32)
        return grey, error.message


def binarise(values: NDArray[Any], path: Path, *, instances: bool = False) -> Mask:
    """Where the foreground lies in a mask that means two values.

    The higher of two values is foreground; two levels blurred by JPEG are parted half way; a mask of one value is
    empty if that is 0 and full if not.

    Args:
        values: (H, W) or (D, H, W).
        path: its file, for the error.
        instances: all values but 0 are numbered objects, which count as foreground.

    Raises:
        InputError: the values mean something else.

    Example:
        >>> binarise(np.array([[0, 3, 255, 252]] * 5), Path("m.png"))[0].tolist()
        [False, False, True, True]
    """
    counts = count_values(values)
    kind = kind_of(counts)
    threshold = {"empty": 0.5, "binary": max(counts) - 0.5, "ramp": sum(levels(counts)) / 2}.get(kind)
    if instances and kind in ("instances", "classes"):
        threshold = 0.5
    if threshold is not None:
        foreground: Mask = values > threshold
        return foreground
    cause = {"instances": "numbered objects", "classes": "several classes"}.get(kind, "no mask")
    raise InputError(path, f"expected two values, found {len(counts)}: {histogram_text(counts)} ({cause})")


def looks_inverted(mask: Mask) -> bool:
    """Whether foreground fills most of a mask and of its border, as when background was drawn instead.

    Example:
        >>> disc = np.zeros((8, 8), bool)
        >>> disc[3:5, 3:5] = True
        >>> looks_inverted(disc), looks_inverted(~disc)
        (False, True)
    """
    border = np.ones(mask.shape, bool)
    border[tuple(slice(1, -1) for _ in mask.shape)] = False
    return bool(mask.mean() > 0.5 and mask[border].mean() > 0.5)


def histogram_text(counts: dict[int, int], *, most: int = 6) -> str:
    """The most frequent values with their share.

    Example:
        >>> histogram_text({0: 75, 255: 25})
        '0: 75.0 %, 255: 25.0 %'
    """
    total = sum(counts.values())
    chosen = sorted(sorted(counts, key=lambda value: -counts[value])[:most])
    shares = ", ".join(f"{value}: {100 * counts[value] / total:.1f} %" for value in chosen)
    return shares + (f" and {len(counts) - most} more" if len(counts) > most else "")


def write_png(values: NDArray[Any], path: Path) -> None:
    """Write (H, W) whole numbers of 8 or 16 bits as a grey PNG."""
    narrow: NDArray[np.integer[Any]] = values.astype(np.uint8 if values.max() < 256 else np.uint16)
    with replacing(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", narrow)[1].tobytes())
