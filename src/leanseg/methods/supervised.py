"""Training from labelled images alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from leanseg.loading.augment import Augmentation
from leanseg.loading.crops import Crops
from leanseg.loading.loaders import crop_loader, sample_loader
from leanseg.loading.samples import Sample
from leanseg.methods.segmenter import Optimiser, Segmenter
from leanseg.methods.stage import Stage
from leanseg.types import Classes

UNCHANGED = Augmentation(rotation=0, scale=1, gain=0, offset=0)


class Supervised:
    """The default method: every image has a mask.

    Args:
        net: the network.
        loss: takes logits, target and valid.
        classes: what is segmented.
        crop: side of the training crops in pixels.
        batch: crops in a step.
        epochs: number of epochs.
        epoch_steps: steps in an epoch.
        augmentation: how crops differ from their image.
        optimiser: "muon" or "adamw".
        learning_rate: its peak.
        weight_decay: on weights; biases and normalisation layers have none.
        average: decay of the moving average of the weights.
        foreground: share of crops centred on the foreground.
        one_image: whether all crops of a step come from one image, so that batch normalisation learns to cope with
            the statistics of single images.
        by_site: whether every site gives as many crops as the others.
        seed: of the crops.
        workers: processes that make crops beside the trainer.

    Source:
        The recipe is ours; its evidence stands in ``benchmarks/results``.
    """

    def __init__(
        self,
        *,
        net: nn.Module,
        loss: nn.Module,
        classes: Classes,
        crop: int,
        batch: int,
        epochs: int,
        epoch_steps: int = 100,
        augmentation: Augmentation,
        optimiser: Optimiser = "muon",
        learning_rate: float = 5e-2,
        weight_decay: float = 1e-4,
        average: float = 0.99,
        foreground: float = 0.0,
        one_image: bool = False,
        by_site: bool = False,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        self.crop, self.batch, self.epochs, self.epoch_steps = crop, batch, epochs, epoch_steps
        self.augmentation, self.foreground, self.seed, self.workers = augmentation, foreground, seed, workers
        self.one_image, self.by_site = one_image, by_site
        self.module = Segmenter(
            net=net,
            loss=loss,
            classes=classes,
            steps=epochs * epoch_steps,
            optimiser=optimiser,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            average=average,
        )
        self._train: Sequence[Sample] = ()

    def stages(self, train: Sequence[Sample], val: Sequence[Sample]) -> Iterator[Stage]:
        """One fit."""
        self._train = train
        crops = self._crops(self.augmentation, self.batch, self.seed, one_image=self.one_image)
        loader = crop_loader(crops, steps=self.epoch_steps, workers=self.workers)
        yield Stage(name="fit", module=self.module, train=loader, val=sample_loader(val), epochs=self.epochs)

    @property
    def network(self) -> nn.Module:
        """The network as it was given."""
        return self.module.net

    def result(self) -> nn.Module:
        """The averaged weights, with normalisation statistics estimated anew for them."""
        net = copy.deepcopy(self.module.averaged).cpu()
        estimate_statistics(net, self._crops(UNCHANGED, 4 * self.batch, self.seed + 1))
        return net

    def _crops(self, augmentation: Augmentation, batch: int, seed: int, *, one_image: bool = False) -> Crops:
        return Crops(
            self._train,
            size=self.crop,
            batch=batch,
            augmentation=augmentation,
            dims=int(getattr(self.module.net, "dims", 2)),
            seed=seed,
            by_site=self.by_site,
            foreground=self.foreground,
            one_image=one_image,
        )


@torch.no_grad()
def estimate_statistics(net: nn.Module, crops: Crops, *, batches: int = 20) -> None:
    """Replace the running statistics of every batch normalisation by the mean over some batches; ends in eval mode.

    Averaged weights never produced the running statistics that training left behind, and small batches are noisy.
    """
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm3d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    net.train()
    for step in range(batches if norms else 0):
        net(crops[step]["image"])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    net.eval()
