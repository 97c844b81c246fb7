"""Decode and normalise every case once; all later crops come from memory."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from leanseg.data.dataset import Case, Dataset
from leanseg.images.digest import pixel_digest
from leanseg.images.preprocess import Preprocessing
from leanseg.images.resample import resample_labels, resample_mask, whole


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One case on the network's grid.

    Args:
        image: (C, *spatial) normalised float32.
        target: class numbers (1, *spatial), or (K, *spatial) of 0/1 where classes overlap; uint8, 0 without labels.
        valid: (1, *spatial) of 0/1, where loss and scores count; uint8.
        case: where it comes from.
        digest: of the image's own pixels.
    """

    image: Tensor
    target: Tensor
    valid: Tensor
    case: Case
    digest: str = ""


def load_sample(dataset: Dataset, case: Case, preprocessing: Preprocessing) -> Sample:
    """Read one case and bring image, labels and valid pixels to the network's grid.

    Raises:
        InputError: a file of the case cannot be used.
    """
    image = dataset.read_image(case)
    prepared = preprocessing.prepare(image)
    everywhere = whole(prepared.shape)
    valid = resample_mask(dataset.read_valid(case, image=image), prepared.resampling)
    valid &= prepared.valid(everywhere)
    overlapping = dataset.classes.overlapping
    target = np.zeros((len(dataset.classes.names) if overlapping else 1, *prepared.shape), np.uint8)
    if case.masks:
        labels = dataset.read_labels(case, image=image)
        resampled = resample_labels(labels, prepared.resampling, overlapping=overlapping)
        target = resampled if overlapping else resampled[None]
    return Sample(
        image=_tensor(prepared.read(everywhere)),
        target=_tensor(target),
        valid=_tensor(valid[None].astype(np.uint8)),
        case=case,
        digest=pixel_digest(image),
    )


def load_samples(dataset: Dataset, cases: Sequence[Case], preprocessing: Preprocessing) -> list[Sample]:
    """Load all cases on two threads with a progress bar; the first unusable file stops it with its own error."""
    with ThreadPoolExecutor(2) as pool:
        loaded = pool.map(lambda case: load_sample(dataset, case, preprocessing), cases)
        return list(track(loaded, total=len(cases), description="Reading images", transient=True))


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
