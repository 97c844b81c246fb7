"""Training from labelled images alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import ClassVar

import torch
from torch import nn

from leanseg.loading.augment import Augmentation
from leanseg.loading.crops import Crops
from leanseg.loading.loaders import crop_loader, sample_loader
from leanseg.loading.samples import Sample
from leanseg.methods.schedule import Schedule
from leanseg.methods.segmenter import Segmenter
from leanseg.methods.stage import Method, Stage
from leanseg.methods.validation_score import validation_score

UNCHANGED = Augmentation(rotation=0, scale=1, gain=0, offset=0)


class Supervised(Method):
    """The default method: every image has a mask.

    Args:
        net: the network.
        loss: takes logits, target and valid.
        schedule: crops, steps and optimiser.

    Source:
        The recipe is ours; its evidence stands in ``benchmarks/results``.
    """

    needs_unlabelled: ClassVar[bool] = False
    stage_names: ClassVar[tuple[str, ...]] = ("fit",)

    def __init__(self, *, net: nn.Module, loss: nn.Module, schedule: Schedule) -> None:
        self.schedule = schedule
        self.module = Segmenter(net=net, loss=loss, **schedule.fitting(epochs=schedule.epochs))
        self._train: Sequence[Sample] = ()
        self._val: Sequence[Sample] = ()

    def stages(self, train: Sequence[Sample], val: Sequence[Sample]) -> Iterator[Stage]:
        """One fit."""
        self._train, self._val = train, val
        schedule = self.schedule
        crops = schedule.crops(train, self.network)
        loader = crop_loader(crops, steps=schedule.epoch_steps, workers=schedule.workers)
        (name,) = self.stage_names
        yield Stage(name=name, module=self.module, train=loader, val=sample_loader(val), epochs=schedule.epochs)

    @property
    def network(self) -> nn.Module:
        """The network as it was given."""
        return self.module.net

    def result(self) -> nn.Module:
        """The averaged weights, with the normalisation statistics that suit them better."""
        return settled(self.module.averaged, self._train, self._val, self.schedule)


def settled(averaged: nn.Module, samples: Sequence[Sample], val: Sequence[Sample], schedule: Schedule) -> nn.Module:
    """A copy of averaged weights, on the CPU, whose normalisation statistics come from unchanged crops of samples.

    Where these score lower on the validation images than the statistics that were averaged with the weights, as the
    few crops of a short training can, it keeps the latter.
    """
    net = copy.deepcopy(averaged).cpu().eval()
    if not _norms(net):
        return net
    plain = {"augmentation": UNCHANGED, "batch": 4 * schedule.batch, "seed": schedule.seed + 1, "one_image": False}
    anew = copy.deepcopy(net)
    estimate_statistics(anew, schedule.crops(samples, net, **plain))

    def score(one: nn.Module) -> float:
        return validation_score(one, val, score=schedule.judge(schedule.classes), window=schedule.window)

    return max((anew, net), key=score)


@torch.no_grad()
def estimate_statistics(net: nn.Module, crops: Crops, *, batches: int = 20) -> None:
    """Replace the running statistics of every batch normalisation by the mean over some batches; ends in eval mode.

    Averaged weights never produced the running statistics that training left behind, and small batches are noisy.
    """
    norms = _norms(net)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    net.train()
    for step in range(batches):
        net(crops[step]["image"])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    net.eval()


def _norms(net: nn.Module) -> list[nn.BatchNorm2d | nn.BatchNorm3d]:
    return [m for m in net.modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm3d)]
