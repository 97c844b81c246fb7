"""Images of any size on one small grid, with equal brightness, and which of them look alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from leanseg.errors import UsageError
from leanseg.images.resample import Resampling
from leanseg.images.statistics import affine
from leanseg.metrics.checks import check_masks
from leanseg.types import Mask, Pixels

Floats = NDArray[np.float32]

THUMBNAIL = 16
"""Pixels along each axis by which images are compared as a whole."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image as a reverse segmenter sees it.

    Args:
        pixels: (C, *size) on the small grid.
        shape: (H, W) or (D, H, W) of the image itself, to which answers return.
    """

    pixels: Floats
    shape: tuple[int, ...]


def z_scored(image: Pixels, size: int) -> Prepared:
    """Mean 0 and deviation 1 in each channel, on a grid of ``size`` pixels along each axis.

    Args:
        image: (C, *spatial), any number type; a constant channel becomes 0.
        size: pixels.

    Raises:
        UsageError: the image holds values that are no numbers.

    Example:
        >>> z_scored(np.array([[[10, 10], [20, 20]]]), 2).pixels.tolist()
        [[[-1.0, -1.0], [1.0, 1.0]]]
    """
    values = image.astype(np.float32)
    if not np.isfinite(values).all():
        raise UsageError("an image holds NaN or infinite pixels; replace them by numbers")
    shape = image.shape[1:]
    return Prepared(regridded(_standard(values), (size,) * len(shape)), shape)


def regridded(values: NDArray[np.generic], size: Sequence[int]) -> Floats:
    """The last axes of an array on another grid of the same field, averaged where it shrinks.

    Args:
        values: (..., *spatial); a mask becomes the share of each pixel that it covers.
        size: of the new grid, one number for each spatial axis.

    Example:
        >>> regridded(np.array([[True, False]]), (1, 4)).tolist()
        [[1.0, 0.75, 0.25, 0.0]]
    """
    return Resampling(before=values.shape[values.ndim - len(size) :], after=tuple(size))(values)


def small_masks(masks: Sequence[Mask | None], supports: Sequence[Prepared]) -> list[Floats | None]:
    """Each mask on the grid of its prepared image, as shares in [0, 1]; None stays None.

    Raises:
        UsageError: there is not one mask of the right shape for each image.

    Example:
        >>> small_masks([np.ones((4, 4), bool), None], [Prepared(np.zeros((1, 2, 2), np.float32), (4, 4))] * 2)
        [array([[1., 1.],
               [1., 1.]], dtype=float32), None]
    """
    if len(masks) != len(supports):
        raise UsageError(f"expected one mask or None for each of {len(supports)} images, found {len(masks)}")
    small: list[Floats | None] = []
    for mask, support in zip(masks, supports, strict=True):
        check_masks(support.shape, mask=mask)
        small.append(None if mask is None else regridded(mask, support.pixels.shape[1:]))
    return small


def thumbnails(images: Sequence[Prepared]) -> Floats:
    """What images look like from afar: (n, C * 16 * 16), or 16 cubed for volumes, each with mean 0 and deviation 1.

    Example:
        >>> thumbnails([z_scored(np.arange(64).reshape(1, 8, 8), 32)]).shape
        (1, 256)
    """
    small = [regridded(image.pixels, (THUMBNAIL,) * (image.pixels.ndim - 1)) for image in images]
    return np.stack([_standard(pixels).ravel() for pixels in small])


def nearest(queries: Floats, others: Floats, count: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The images that look most alike.

    Args:
        queries: (m, d) thumbnails.
        others: (n, d) thumbnails.
        count: how many, or all where there are fewer.

    Returns:
        Their numbers, nearest first, and their Euclidean distances, both (m, count).

    Example:
        >>> nearest(np.array([[0.0]]), np.array([[3.0], [-1.0]]), 2)
        (array([[1, 0]]), array([[1., 3.]]))
    """
    distances = cdist(queries, others)
    order = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(distances, order, axis=1)


def _standard(pixels: Floats) -> Floats:
    shift, divisor = affine("z-score", pixels, np.ones(pixels.shape[1:], bool))
    column = (-1, *[1] * (pixels.ndim - 1))
    return (pixels - shift.reshape(column)) / divisor.reshape(column)
