"""Reverse segmenters by name: taught by masks of some images, they segment others whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from leanseg.errors import UsageError
from leanseg.estimate.prepare import Prepared
from leanseg.types import Mask, Pixels

REVERSE = {
    "patch": "leanseg.estimate.patch_fusion:PatchFusion",
    "unet": "leanseg.estimate.reverse_unet:ReverseUNet",
    "universeg": "leanseg.estimate.universeg:UniverSegReverse",
}
"""Registry: the name used on the command line -> ``module:Class``."""


class Taught(Protocol):
    """A reverse segmenter that knows all images and waits for masks; it may be asked again and again."""

    @property
    def threshold(self) -> float:
        """A pixel whose probability exceeds it belongs to the answer."""

    def predict(self, masks: Sequence[Mask | None]) -> list[NDArray[np.float32]]:
        """Segment the queries as the masks of the supports teach.

        Args:
            masks: (H, W) of one class for each support, None for a support that is to teach nothing.

        Returns:
            One (H, W) map of probabilities for each query, at its own size; 0 everywhere where nothing was taught.

        Raises:
            UsageError: there is not one mask of the right shape for each support.
        """


class ReverseSegmenter(Protocol):
    """Masks come last: what depends on images alone is computed once and serves every set of masks."""

    def prepare(self, image: Pixels) -> Prepared:
        """One image, (C, H, W) of any number type, as this segmenter sees it.

        Raises:
            UsageError: the image does not fit.
        """

    def fit(self, supports: Sequence[Prepared], queries: Sequence[Prepared]) -> Taught:
        """Compare the images that will teach with those to be segmented.

        Raises:
            UsageError: no image, or images that do not fit one another.
        """


def create(name: str, **keywords: Any) -> ReverseSegmenter:
    """Build a reverse segmenter.

    Args:
        name: a registered name, or ``package.module:Class`` of the caller's own, whose code will run.
        keywords: the constructor's keywords.

    Raises:
        UsageError: the name is unknown, or the keywords do not fit.

    Example:
        >>> create("patch", reach=1).reach
        1
    """
    if name not in REVERSE and ":" not in name:
        choices = ", ".join(sorted(REVERSE))
        raise UsageError(f"unknown reverse segmenter {name!r}; choose {choices}, or give package.module:Class")
    module, _, attribute = REVERSE.get(name, name).partition(":")
    try:
        made: ReverseSegmenter = getattr(import_module(module), attribute)(**keywords)
    except (ImportError, AttributeError, TypeError) as error:
        raise UsageError(f"cannot build reverse segmenter {name!r} with {keywords}: {error}") from error
    return made


def check_images(supports: Sequence[Prepared], queries: Sequence[Prepared]) -> None:
    """Refuse images that cannot be compared.

    Raises:
        UsageError: there is no image on one side, or channels or grids differ.

    Example:
        >>> image = Prepared(np.zeros((1, 64, 64), np.float32), (80, 80))
        >>> check_images([image], [image])
    """
    if not supports or not queries:
        raise UsageError(f"expected at least one image on either side, found {len(supports)} and {len(queries)}")
    shapes = {image.pixels.shape for image in (*supports, *queries)}
    if len(shapes) > 1:
        raise UsageError(f"all images must have the same channels and grid, found {sorted(shapes)}; convert them first")
