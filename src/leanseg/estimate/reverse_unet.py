"""Classical reverse validation: a small U-Net is trained on the masks that are to be judged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leanseg.errors import UsageError
from leanseg.estimate.prepare import Prepared, regridded, small_masks, z_scored
from leanseg.estimate.reverse import check_images
from leanseg.losses.dice_jaccard_bce import DiceJaccardBCE
from leanseg.nets.unet import UNet
from leanseg.types import Mask, Pixels


class ReverseUNet:
    """A U-Net trained from scratch for each set of masks; seconds instead of milliseconds.

    Args:
        size: pixels of the grid along each axis.
        steps: of AdamW.
        width: channels at full resolution, doubled at each of two coarser ones.
        batch: images a step.
        rate: learning rate.
        seed: of the weights and of the order of images; the global generator of torch stays as it is.
        threshold: see :class:`leanseg.estimate.reverse.Taught`.

    Raises:
        UsageError: a number is out of range.

    Source:
        Reverse validation: Zhong et al., ECML PKDD 2010; for segmentation Valindria et al., arXiv 1702.03407.

    Example:
        >>> net, image = ReverseUNet(size=16, steps=1, width=2), np.eye(16)[None]
        >>> known = [net.prepare(image)]
        >>> net.fit(known, known).predict([image[0] > 0])[0].shape
        (16, 16)
    """

    def __init__(
        self,
        *,
        size: int = 64,
        steps: int = 200,
        width: int = 8,
        batch: int = 8,
        rate: float = 5e-3,
        seed: int = 0,
        threshold: float = 0.5,
    ) -> None:
        if min(size, steps, width, batch) < 1 or not rate > 0:
            raise UsageError(f"expected positive numbers, found {size=}, {steps=}, {width=}, {batch=}, {rate=}")
        self.size, self.steps, self.width, self.batch, self.rate = size, steps, width, batch, rate
        self.seed, self.threshold = seed, threshold

    def prepare(self, image: Pixels) -> Prepared:
        """See :class:`leanseg.estimate.reverse.ReverseSegmenter`."""
        if image.ndim != 3:
            raise UsageError(f"expected an image (C, H, W), found {image.shape}; a volume goes slice by slice")
        return z_scored(image, self.size)

    def fit(self, supports: Sequence[Prepared], queries: Sequence[Prepared]) -> Pupil:
        """See :class:`leanseg.estimate.reverse.ReverseSegmenter`."""
        check_images(supports, queries)
        return Pupil(self, supports, queries)


class Pupil:
    """Images that wait for masks; made by :meth:`ReverseUNet.fit`."""

    def __init__(self, settings: ReverseUNet, supports: Sequence[Prepared], queries: Sequence[Prepared]) -> None:
        self.threshold = settings.threshold
        self._settings, self._supports, self._queries = settings, supports, queries

    def predict(self, masks: Sequence[Mask | None]) -> list[NDArray[np.float32]]:
        """See :class:`leanseg.estimate.reverse.Taught`."""
        small = small_masks(masks, self._supports)
        pairs = [(image.pixels, mask) for image, mask in zip(self._supports, small, strict=True) if mask is not None]
        if not pairs:
            return [np.zeros(query.shape, np.float32) for query in self._queries]
        images, targets = (torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))
        net = self._trained(images, targets[:, None])
        found = []
        with torch.no_grad():
            for part in torch.split(torch.from_numpy(np.stack([q.pixels for q in self._queries])), 32):
                found += list(net(part).sigmoid()[:, 0].numpy())
        answers = zip(found, self._queries, strict=True)
        return [np.clip(regridded(answer, query.shape), 0, 1) for answer, query in answers]

    def _trained(self, images: Tensor, targets: Tensor) -> UNet:
        chosen, width = self._settings, self._settings.width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(chosen.seed)
            net = UNet(in_channels=images.shape[1], classes=1, widths=(width, 2 * width, 4 * width))
        optimiser, loss = torch.optim.AdamW(net.parameters(), chosen.rate), DiceJaccardBCE()
        generator = torch.Generator().manual_seed(chosen.seed)
        for _ in range(chosen.steps):
            drawn = torch.randint(len(images), (chosen.batch,), generator=generator)
            optimiser.zero_grad()
            loss(net(images[drawn]), targets[drawn]).backward()
            optimiser.step()
        return net.eval()
