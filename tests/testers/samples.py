"""Samples made in memory, whose pixels say where they lie."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from leanseg.data.dataset import Case
from leanseg.loading.samples import Sample


def numbered(*shape: int, stem: str = "a", overlapping: bool = False, labelled: bool = True) -> Sample:
    """A sample whose single channel holds 1, 2, 3, ... and whose labels are random, of two classes."""
    random = np.random.default_rng(len(stem) + sum(shape))
    image = 1 + np.arange(math.prod(shape), dtype=np.float32).reshape(1, *shape)
    target = random.integers(0, 2, (2, *shape)) if overlapping else random.integers(0, 3, (1, *shape))
    return Sample(
        image=torch.from_numpy(image),
        target=torch.from_numpy((target * labelled).astype(np.uint8)),
        valid=torch.ones(1, *shape, dtype=torch.uint8),
        case=Case(stem=stem, image=(), masks=(Path(stem),) if labelled else (), patient=f"patient {stem}", site="here"),
    )


def discs(count: int, *shape: int, seed: int = 0, classes: int = 1) -> list[Sample]:
    """Discs (balls) that noise hides from any threshold; each class is 1 brighter than the one before."""
    random = np.random.default_rng(seed)
    samples = []
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"))
    for number in range(count):
        target = np.zeros(shape, np.uint8)
        for label in range(1, classes + 1):
            radius = random.uniform(0.15, 0.25) * min(shape)
            centre = [random.uniform(radius, n - radius) for n in shape]
            distance = np.sqrt(((grid - np.reshape(centre, (-1, *[1] * len(shape)))) ** 2).sum(0))
            target[distance < radius] = label
        image = target + random.normal(0, 0.5, shape)
        samples.append(
            Sample(
                image=torch.from_numpy(image[None].astype(np.float32)),
                target=torch.from_numpy(target[None]),
                valid=torch.ones(1, *shape, dtype=torch.uint8),
                case=Case(stem=str(number), image=(), masks=(Path("mask"),), patient=str(number)),
            )
        )
    return samples
