"""Images and masks at the size of a screen: area averages, so that thin structures grow faint instead of vanishing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from leanseg.images.image import PixelSource
from leanseg.types import Classes, Labels, Mask

LONGEST = 1024
"""Longest side of a picture in pixels."""

STRIP = 2_000_000
"""Pixels of a large image that are held in memory at a time."""

Read = Callable[[slice], NDArray[np.generic]]
"""Rows of a plane: (C, rows, W)."""


def display_size(shape: tuple[int, int], longest: int = LONGEST) -> tuple[int, int]:
    """Height and width at which an image of that size is shown: never more than it has, never above ``longest``.

    Example:
        >>> display_size((2048, 1024)), display_size((100, 50))
        ((1024, 512), (100, 50))
    """
    scale = min(1.0, longest / max(shape))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def shrink(read: Read, shape: tuple[int, int], longest: int = LONGEST) -> NDArray[np.float32]:
    """Area-average a plane that is read in strips of rows, so that its size does not matter.

    Args:
        read: gives rows of the plane, (C, rows, W).
        shape: height and width of the plane in pixels.
        longest: longest side of the result in pixels.

    Returns:
        (C, h, w) averages in the units of the plane.

    Example:
        >>> plane = np.array([[[0, 4], [4, 8]]])
        >>> shrink(lambda rows: plane[:, rows], (2, 2), 1).tolist()
        [[[4.0]]]
    """
    height, width = display_size(shape, longest)
    factor = max(1, min(shape) // min(height, width))
    blocks = np.concatenate([_block_mean(rows, factor) for rows in _strips(read, shape, factor)], axis=1)
    small = [cv2.resize(channel, (width, height), interpolation=cv2.INTER_AREA) for channel in blocks]
    return np.stack(small).astype(np.float32, copy=False)


def _strips(read: Read, shape: tuple[int, int], factor: int) -> Iterator[NDArray[np.generic]]:
    rows = max(1, STRIP // shape[1] // factor) * factor
    yield from (read(slice(top, min(top + rows, shape[0]))) for top in range(0, shape[0], rows))


def _block_mean(rows: NDArray[np.generic], factor: int) -> NDArray[np.float32]:
    values = rows.astype(np.float32)
    if factor == 1:
        return values
    # Blocks at the far edges may be incomplete: repeating the edge keeps their averages honest to one block.
    padding = [(0, 0), (0, -values.shape[1] % factor), (0, -values.shape[2] % factor)]
    values = np.pad(values, padding, mode="edge")
    channels, height, width = values.shape
    means: NDArray[np.float32] = values.reshape(channels, height // factor, factor, width // factor, factor).mean(
        (2, 4)
    )
    return means


def best_slice(labels: Labels, classes: Classes) -> int:
    """The slice of a volume that holds the most foreground; the middle one where there is none.

    Args:
        labels: (D, H, W), or (K, D, H, W) where classes overlap.
        classes: what the labels mean.
    """
    first = 1 if classes.overlapping else 0
    counts = np.count_nonzero(labels, axis=tuple(axis for axis in range(labels.ndim) if axis != first))
    return int(counts.argmax()) if counts.any() else labels.shape[first] // 2


def picture(image: PixelSource, *, index: int | None = None, longest: int = LONGEST) -> NDArray[np.uint8]:
    """An image as a person sees it: 8-bit colour as it is, anything else from its 1st to its 99th percentile.

    Three channels of more bits are stretched together, so that colours stay as they are; others show their first one.

    Args:
        image: (C, H, W) or (C, D, H, W) pixels, in memory or read from disk.
        index: the slice of a volume.
        longest: longest side of the result in pixels.

    Returns:
        (h, w, 3) RGB.
    """
    before = () if index is None else (slice(index, index + 1),)

    def rows(part: slice) -> NDArray[np.generic]:
        pixels = image.read((*before, part, slice(0, image.shape[-1])))
        return pixels.reshape(pixels.shape[0], pixels.shape[-2], pixels.shape[-1])

    depth = rows(slice(0, 1)).dtype
    small = shrink(rows, (image.shape[-2], image.shape[-1]), longest)
    if image.channels == 3 and depth == np.uint8:
        colour: NDArray[np.uint8] = small.round().astype(np.uint8).transpose(1, 2, 0)
        return np.ascontiguousarray(colour)
    channels = small if image.channels == 3 else small[:1]
    stretched = _stretch(channels).transpose(1, 2, 0)
    return np.ascontiguousarray(np.broadcast_to(stretched, (*stretched.shape[:2], 3)))


def _stretch(channels: NDArray[np.float32]) -> NDArray[np.uint8]:
    finite = np.nan_to_num(channels, posinf=0.0, neginf=0.0)
    low, high = np.percentile(finite, (1, 99))
    # A picture with few bright pixels has equal percentiles; its full range still shows them.
    low, high = (low, high) if high > low else (finite.min(), finite.max())
    stretched = (finite - low) / max(high - low, 1e-12) * 255
    return np.asarray(stretched.clip(0, 255).round(), np.uint8)


def coverage(mask: Mask, longest: int = LONGEST) -> NDArray[np.float32]:
    """The share of every shown pixel that a mask covers.

    Args:
        mask: (H, W).
        longest: longest side of the result in pixels.

    Returns:
        (h, w) in [0, 1].
    """
    size = (mask.shape[0], mask.shape[1])
    share: NDArray[np.float32] = shrink(lambda rows: mask[None, rows], size, longest)[0]
    return share
