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
