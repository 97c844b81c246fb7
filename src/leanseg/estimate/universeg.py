"""UniverSeg as a reverse segmenter: it needs no training, but the authors' weights, which the user brings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from leanseg.errors import UsageError
from leanseg.estimate.prepare import Prepared, regridded, small_masks
from leanseg.estimate.reverse import check_images
from leanseg.estimate.universeg_net import WHERE, load_universeg
from leanseg.images.preprocess import LUMA
from leanseg.types import Mask, Pixels

SIZE = 128
"""Pixels along each axis on which the network was trained."""


class UniverSegReverse:
    """The network as a reverse segmenter: grey images, scaled to [0, 1], 128 x 128 pixels.

    Args:
        weights: path of the authors' file.
        threshold: see :class:`leanseg.estimate.reverse.Taught`; 0.4 as published for SPE.

    Raises:
        UsageError: no file is given.
        InputError: the file cannot be used.

    Source:
        As used by SPE, arXiv 2504.15667.

    Example:
        >>> UniverSegReverse()
        Traceback (most recent call last):
        ...
        leanseg.errors.UsageError: UniverSeg needs the authors' weights, ...
    """

    def __init__(self, *, weights: str | Path | None = None, threshold: float = 0.4) -> None:
        if weights is None:
            raise UsageError(WHERE)
        self.net, self.threshold = load_universeg(weights), threshold

    def prepare(self, image: Pixels) -> Prepared:
        """See :class:`leanseg.estimate.reverse.ReverseSegmenter`."""
        if image.ndim != 3 or not np.isfinite(image).all():
            raise UsageError(f"expected finite pixels (C, H, W), found {image.shape}; a volume goes slice by slice")
        values = image.astype(np.float32)
        grey = np.tensordot(np.array(LUMA), values, 1) if len(values) == 3 else values.mean(0)
        low, high = float(grey.min()), float(grey.max())
        scaled = (grey - low) / (high - low if high > low else 1.0)
        return Prepared(regridded(scaled[None], (SIZE, SIZE)), image.shape[1:])

    def fit(self, supports: Sequence[Prepared], queries: Sequence[Prepared]) -> Shown:
        """See :class:`leanseg.estimate.reverse.ReverseSegmenter`."""
        check_images(supports, queries)
        return Shown(self, supports, queries)


class Shown:
    """Images that wait for masks; made by :meth:`UniverSegReverse.fit`. 64 masks take about 2 GB of memory."""

    def __init__(self, settings: UniverSegReverse, supports: Sequence[Prepared], queries: Sequence[Prepared]) -> None:
        self.threshold = settings.threshold
        self._net, self._supports, self._queries = settings.net, supports, queries

    def predict(self, masks: Sequence[Mask | None]) -> list[NDArray[np.float32]]:
        """See :class:`leanseg.estimate.reverse.Taught`."""
        small = small_masks(masks, self._supports)
        pairs = [
            (image.pixels, mask >= 0.5) for image, mask in zip(self._supports, small, strict=True) if mask is not None
        ]
        if not pairs:
            return [np.zeros(query.shape, np.float32) for query in self._queries]
        images = torch.from_numpy(np.stack([image for image, _ in pairs]))
        labels = torch.from_numpy(np.stack([mask for _, mask in pairs]))[:, None].float()
        with torch.no_grad():
            maps = [self._net(torch.from_numpy(q.pixels)[None], images, labels).sigmoid() for q in self._queries]
        answers = zip(maps, self._queries, strict=True)
        return [np.clip(regridded(answer[0, 0].numpy(), query.shape), 0, 1) for answer, query in answers]
