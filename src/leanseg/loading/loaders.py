"""Batches by step number, so that a resumed training sees what an uninterrupted one would have seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch.utils.data import DataLoader, Sampler

from leanseg.loading.crops import Batch, Crops
from leanseg.loading.samples import Sample
from leanseg.loading.together import Together


class Steps(Sampler[int]):
    """The numbers of the steps of one epoch: epoch e of length n has e n, e n + 1, ...

    Args:
        length: steps in an epoch.

    Example:
        >>> steps = Steps(length=3)
        >>> steps.set_epoch(2)
        >>> list(steps)
        [6, 7, 8]
    """

    def __init__(self, *, length: int) -> None:
        self.length, self.epoch = length, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.epoch * self.length, (self.epoch + 1) * self.length))

    def __len__(self) -> int:
        return self.length


def crop_loader(crops: Crops | Together, *, steps: int, workers: int = 0) -> DataLoader[Batch]:
    """Batches of crops, ``steps`` to an epoch.

    Args:
        crops: makes the batch of a step.
        steps: steps in an epoch.
        workers: processes beside the trainer; 0 is best where there are few cores.
    """
    return DataLoader(crops, batch_size=None, sampler=Steps(length=steps), num_workers=workers)


def sample_loader(samples: Sequence[Sample]) -> DataLoader[Batch]:
    """Whole samples, one at a time, in order: image, target and valid."""
    return DataLoader(samples, batch_size=None, collate_fn=_tensors)  # type: ignore[arg-type]


def _tensors(sample: Sample) -> Batch:
    return {"image": sample.image, "target": sample.target, "valid": sample.valid}
