"""Training batches: the crop with a given seed, step and index is always the same, whoever makes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from leanseg.loading.augment import Augmentation, warp
from leanseg.loading.samples import Sample

Batch = dict[str, Any]
"""image (N, C, *spatial), target, valid, index (N,), transform (N, 2, 3), site, patient and labelled."""


class Crops(Dataset[Batch]):
    """Random square crops (cubes in 3-D) of samples in memory; item ``step`` is the whole batch of that step.

    Args:
        samples: at least one.
        size: side of a crop in pixels. Crops stay inside the image unless they are turned or zoomed; smaller images
            are shown whole and surrounded by zeros that are not valid.
        batch: crops in a batch.
        augmentation: how the crops differ from their image.
        dims: 2 also cuts slices out of volumes.
        seed: another seed gives other batches.
        by_site: draw the site of a crop first, then one of its images, so that small sites weigh as much as large ones.
        foreground: share of crops centred on a foreground pixel, for small structures; they come from images that show
            some.
        one_image: cut all crops of a batch from one image.
        maps: float maps (E, *spatial) of each sample, read anew for every crop, which follow the image's geometry but
            not its changes of appearance; they come as ``"maps"``.

    Example:
        >>> from leanseg.data.dataset import Case
        >>> flat = dict(target=torch.zeros(1, 9, 9, dtype=torch.uint8), valid=torch.ones(1, 9, 9, dtype=torch.uint8))
        >>> sample = Sample(image=torch.zeros(3, 9, 9), case=Case(stem="a", image=(), patient="a"), **flat)
        >>> Crops([sample], size=8, batch=2, augmentation=Augmentation())[0]["image"].shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        size: int,
        batch: int,
        augmentation: Augmentation,
        dims: int = 2,
        seed: int = 0,
        by_site: bool = False,
        foreground: float = 0.0,
        one_image: bool = False,
        maps: Sequence[Tensor] = (),
    ) -> None:
        self.samples, self.size, self.batch, self.augmentation = samples, size, batch, augmentation
        sites = np.array([sample.case.site if by_site else "" for sample in samples])
        self._groups = [np.flatnonzero(sites == site) for site in np.unique(sites)]
        self._shown = np.array([foreground > 0 and bool(sample.target.any()) for sample in samples])
        self._showing = [group[self._shown[group]] for group in self._groups if self._shown[group].any()]
        self.dims, self.seed, self.foreground, self.one_image = dims, seed, foreground, one_image
        self.maps = maps
        self.share(rank=0, world=1)

    def share(self, *, rank: int, world: int) -> None:
        """Make one process's part of each batch: that of number ``rank`` out of ``world``."""
        self._rank, self._world = rank, world

    def __getitem__(self, step: int) -> Batch:
        first = (step * self._world + self._rank) * self.batch
        random = [np.random.default_rng((self.seed, first + i)) for i in range(self.batch)]
        drawn = [self._choose(r) for r in random]
        chosen = [drawn[0][0] if self.one_image else number for number, _ in drawn]
        crops = [self._crop(n, centred, r) for n, (_, centred), r in zip(chosen, drawn, random, strict=True)]
        images, maps, labels, matrices = zip(*crops, strict=True)
        cases = [self.samples[i].case for i in chosen]
        stacked = torch.from_numpy(np.stack(labels))
        extra = {"maps": torch.from_numpy(np.stack(maps))} if self.maps else {}
        return {
            **extra,
            "image": torch.from_numpy(np.stack(images)),
            "target": stacked[:, :-1],
            "valid": stacked[:, -1:],
            "index": torch.tensor(chosen),
            "transform": torch.from_numpy(np.stack(matrices)),
            "site": [case.site for case in cases],
            "patient": [case.patient for case in cases],
            "labelled": torch.tensor([bool(case.masks) for case in cases]),
        }

    def _choose(self, random: np.random.Generator) -> tuple[int, bool]:
        """An image, and whether the crop is centred on its foreground."""
        number, centred = _draw(self._groups, random), random.random() < self.foreground
        if centred and self._showing and not self._shown[number]:
            number = _draw(self._showing, random)
        return number, centred

    def _crop(self, number: int, centred: bool, random: np.random.Generator) -> tuple[Any, Any, Any, Any]:
        sample = self.samples[number]
        image, target, valid = (_array(t) for t in (sample.image, sample.target, sample.valid))
        centre = _inside(self._centre(target, valid, centred, random), valid.shape[1:], self.size)
        channels = len(image)
        planes = [*image, *(plane.float().numpy() for plane in self.maps[number])] if self.maps else image
        if self.dims == 3:
            crop, labels = _block(
                np.stack(planes), target, valid, centre, self.size, random, flips=self.augmentation.flips
            )
            matrix = np.zeros((2, 3), np.float32)
        else:
            if image.ndim == 4:
                planes = [plane[centre[0]] for plane in planes]
                target, valid = target[:, centre[0]], valid[:, centre[0]]
            y, x = centre[-2:]
            # An even crop is centred between pixels, so that unwarped crops copy pixels instead of averaging them.
            half = 0.0 if self.size % 2 else -0.5
            matrix = self.augmentation.matrix((x + half, y + half), self.size, random)
            crop, labels = warp(planes, np.concatenate([target, valid]), matrix, self.size)
        image, maps = crop[:channels], crop[channels:]
        return self.augmentation.appearance(image, random).astype(np.float32), maps, labels, matrix

    def _centre(self, target: Any, valid: Any, centred: bool, random: np.random.Generator) -> tuple[int, ...]:
        """A random pixel that counts, or of the foreground if there is any; tried before all pixels are looked at."""
        shape = valid.shape[1:]
        for foreground in (True, False) if centred else (False,):
            for _ in range(100):
                point = tuple(int(random.integers(n)) for n in shape)
                if valid[(0, *point)] and (not foreground or target[(slice(None), *point)].any()):
                    return point
            hits = np.flatnonzero((valid[0] > 0) & target.any(0) if foreground else valid[0])
            if len(hits):
                return tuple(int(n) for n in np.unravel_index(hits[random.integers(len(hits))], shape))
        return point


def _inside(centre: tuple[int, ...], shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    """The nearest centre of a crop that shows nothing beyond the image, or all of an image that is smaller.

    Example:
        >>> _inside((0, 7, 29), (30, 30, 30), 8), _inside((0,), (5,), 8), _inside((4,), (5,), 8)
        ((4, 7, 26), (1,), (4,))
    """
    ends = [sorted((size // 2, n - 1 - (size - 1) // 2)) for n in shape]
    return tuple(min(max(c, low), high) for c, (low, high) in zip(centre, ends, strict=True))


def _draw(groups: Sequence[Any], random: np.random.Generator) -> int:
    """One of a group, one of all groups."""
    group = groups[int(random.integers(len(groups)))]
    return int(group[random.integers(len(group))])


def _block(
    image: Any, target: Any, valid: Any, centre: tuple[int, ...], size: int, random: np.random.Generator, *, flips: bool
) -> tuple[Any, Any]:
    """A cube around a voxel, zeros outside, mirrored at random."""
    starts = [c - size // 2 for c in centre]
    inside = tuple(slice(max(s, 0), min(s + size, n)) for s, n in zip(starts, image.shape[1:], strict=True))
    place = tuple(slice(i.start - s, i.stop - s) for i, s in zip(inside, starts, strict=True))
    turned = tuple(slice(None, None, -1 if flips and random.random() < 0.5 else 1) for _ in inside)

    def cut(planes: Any) -> Any:
        out = np.zeros((len(planes), *[size] * len(starts)), planes.dtype)
        out[(slice(None), *place)] = planes[(slice(None), *inside)]
        return out[(slice(None), *turned)]

    return cut(image), np.concatenate([cut(target), cut(valid)])


def _array(tensor: Tensor) -> Any:
    return tensor.numpy()
