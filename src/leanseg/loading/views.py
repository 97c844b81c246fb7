"""Several views of every training crop, and the regions of the crop, for contrast between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leanseg.loading.augment import Augmentation, warp
from leanseg.loading.crops import Batch, Crops
from leanseg.loading.regions import Kind, find_regions
from leanseg.loading.samples import Sample

UPRIGHT = Augmentation(flips=False, turns=False, warped=0, gain=0, offset=0)
"""Pixels are copied: numbers of regions stay whole, and images that are built alike can be compared cell by cell."""


class Regions(Sequence[Tensor]):
    """The regions of clean images, each cut when it is first asked for and kept in memory that processes share.

    Args:
        images: (C, H, W) each, of any sizes.
        kind: see :func:`~leanseg.loading.regions.find_regions`.
        n_regions: about how many in an area as large as a crop; a smaller image has as many.
        crop: side of the crops in pixels.

    Example:
        >>> Regions([torch.zeros(1, 2, 2)], kind="grid", n_regions=2, crop=2)[0].tolist()
        [[[0.0, 1.0], [0.0, 1.0]]]
    """

    def __init__(self, images: Sequence[Tensor], *, kind: Kind, n_regions: int, crop: int) -> None:
        self.images, self.kind = images, kind
        sizes = [image[0].numel() for image in images]
        self._counts = [round(n_regions * max(1.0, size / crop**2)) for size in sizes]
        # One block of memory: every shared tensor holds a file open, and slices of volumes are many.
        block = torch.empty(sum(sizes)).share_memory_()  # type: ignore[no-untyped-call]
        self._labels = block.split(sizes)
        self._made = torch.zeros(len(images), dtype=torch.bool).share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        return len(self.images)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | Sequence[Tensor]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        image = self.images[index]
        labels: Tensor = self._labels[index].view(1, *image.shape[1:])
        if not self._made[index]:
            labels[0] = find_regions(image, kind=self.kind, n_regions=self._counts[index])
            self._made[index] = True
        return labels


class Views(Crops):
    """Crops without labels, each seen four times; item ``step`` is the whole batch of that step.

    ``"image"`` and ``"second"`` differ in appearance alone, and ``"regions"``, (N, H, W) and -1 where nothing counts,
    fit both, upright as the image. ``"third"`` and ``"fourth"`` are the two once more, each turned, mirrored and zoomed
    in its own way.
    ``"index"`` says which image a crop comes from and ``"position"`` where its slice lies; both are (N,).

    Args:
        samples: at least one, all of them images: see :func:`sliced`.
        augmentation: how views differ.
        positions: of each sample in its volume, 0 to 1, NaN for none; empty for none at all.
        regions: (1, H, W) of each sample; without any, the batch has none.
        settings: size, batch, seed and by_site of :class:`Crops`.

    Source:
        SuperCL, arXiv 2504.14737, section 3; there regions are cut anew from every view.

    Example:
        >>> from leanseg.data.dataset import Case
        >>> flat = dict(target=torch.zeros(1, 9, 9, dtype=torch.uint8), valid=torch.ones(1, 9, 9, dtype=torch.uint8))
        >>> sample = Sample(image=torch.zeros(3, 9, 9), case=Case(stem="a", image=(), patient="a"), **flat)
        >>> sorted(Views([sample], size=8, batch=2, augmentation=Augmentation())[0])
        ['fourth', 'image', 'index', 'position', 'second', 'third']
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        augmentation: Augmentation,
        positions: Sequence[float] = (),
        regions: Sequence[Tensor] = (),
        **settings: Any,
    ) -> None:
        super().__init__(samples, augmentation=UPRIGHT, maps=regions, **settings)
        self.views, self.positions = augmentation, positions

    def __getitem__(self, step: int) -> Batch:
        clean = super().__getitem__(step)
        first = (step * self._world + self._rank) * self.batch
        crops = zip(clean["image"].numpy(), clean["valid"].numpy(), strict=True)
        # Not the generators that have drawn the crops.
        views = [self._views(*crop, np.random.default_rng((self.seed, first + i, 1))) for i, crop in enumerate(crops)]
        names = ("image", "second", "third", "fourth")
        batch = {name: torch.from_numpy(np.stack([view[i] for view in views])) for i, name in enumerate(names)}
        batch["index"] = clean["index"]
        place = [self.positions[i] if self.positions else math.nan for i in clean["index"]]
        batch["position"] = torch.tensor(place)
        if self.maps:
            batch["regions"] = clean["maps"][:, 0].round().long().where(clean["valid"][:, 0] > 0, -1)
        return batch

    def _views(
        self, image: NDArray[np.float32], valid: NDArray[np.uint8], random: np.random.Generator
    ) -> list[NDArray[np.float32]]:
        middle = (self.size - 1) / 2
        plain = [self.views.appearance(image, random).astype(np.float32) for _ in range(2)]
        matrices = [self.views.matrix((middle, middle), self.size, random) for _ in plain]
        return [*plain, *(warp(view, valid, m, self.size)[0] for view, m in zip(plain, matrices, strict=True))]


def sliced(samples: Sequence[Sample]) -> tuple[list[Sample], list[float]]:
    """Images as they are, and every slice of a volume that has pixels that count; they share the samples' memory.

    Returns:
        The images, and where each lies in its volume, from 0 to 1 along the first axis; NaN where there is no volume.
    """
    images: list[Sample] = []
    places: list[float] = []
    for sample in samples:
        if sample.image.ndim == 3:
            images.append(sample)
            places.append(math.nan)
            continue
        depth = sample.image.shape[1]
        for z in range(depth):
            if sample.valid[:, z].any():
                parts = {name: getattr(sample, name)[:, z] for name in ("image", "target", "valid")}
                images.append(replace(sample, **parts))
                places.append(z / max(depth - 1, 1))
    return images, places
