"""Labelled and unlabelled crops of one step, side by side."""

from __future__ import annotations

from torch.utils.data import Dataset

from leanseg.loading.crops import Batch, Crops


class Together(Dataset[Batch]):
    """The batch of labelled crops of each step, which holds that of unlabelled crops as ``"unlabelled"``.

    Args:
        labelled: crops of images with masks.
        unlabelled: crops of images without.
    """

    def __init__(self, labelled: Crops, unlabelled: Crops) -> None:
        self.labelled, self.unlabelled = labelled, unlabelled

    def __getitem__(self, step: int) -> Batch:
        return {**self.labelled[step], "unlabelled": self.unlabelled[step]}

    def share(self, *, rank: int, world: int) -> None:
        """Make one process's part of each batch."""
        for crops in (self.labelled, self.unlabelled):
            crops.share(rank=rank, world=world)
