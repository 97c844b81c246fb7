"""What every method must keep: subclass :class:`MethodTester` with a way to make the method."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from leanseg.loading.augment import Augmentation
from leanseg.loading.samples import Sample
from leanseg.losses.dice_jaccard_bce import DiceJaccardBCE
from leanseg.methods import create
from leanseg.methods.schedule import Schedule
from leanseg.methods.stage import Method
from leanseg.methods.whole_image import hard_masks, mean_dice, true_masks, whole_logits
from leanseg.nets.mini_net import MiniNet
from leanseg.types import Classes
from testers.samples import discs

DISC = Classes(names=("disc",))


class Losses(Callback):
    """The mean loss of every epoch."""

    def __init__(self) -> None:
        self.epochs: list[float] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.epochs.append(float(trainer.callback_metrics["loss"]))


def fit(method: Method, train: list[Sample], val: list[Sample]) -> list[float]:
    """All stages, as ``leanseg train`` runs them but for files; the loss of every epoch."""
    losses = Losses()
    for stage in method.stages(train, val):
        Trainer(
            accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, callbacks=[losses],
            enable_model_summary=False, num_sanity_val_steps=0, max_epochs=stage.epochs, use_distributed_sampler=False,
            gradient_clip_val=1.0,
        ).fit(stage.module, stage.train, stage.val)  # fmt: skip
    return losses.epochs


def make(name: str, classes: Classes = DISC, *, net: nn.Module | None = None, **settings: Any) -> Method:
    """A method on a tiny Mini-Net; what is no field of the schedule goes to the method."""
    torch.manual_seed(0)
    chosen = net or MiniNet(in_channels=1, classes=classes.outputs, widths=(4, 8))
    fixed = {"crop": 32, "batch": 4, "epochs": 4, "epoch_steps": 15, "augmentation": Augmentation()}
    given = {**fixed, **settings}
    schedule = {key: given.pop(key) for key in tuple(given) if key in Schedule.__dataclass_fields__}
    loss = DiceJaccardBCE(exclusive=not classes.sigmoid)
    return create(name, net=chosen, loss=loss, schedule=Schedule(classes=classes, **schedule), **given)


def score(net: nn.Module, samples: list[Sample], classes: Classes = DISC) -> float:
    """Mean Dice over some samples."""
    scores = []
    for sample in samples:
        masks = hard_masks(whole_logits(net, sample.image), classes)
        scores.append(mean_dice(masks, true_masks(sample.target, classes), sample.valid) or 0.0)
    return sum(scores) / len(scores)


def hidden(samples: list[Sample]) -> list[Sample]:
    """The same images without their labels."""
    return [
        replace(
            sample,
            target=torch.zeros_like(sample.target),
            case=replace(sample.case, masks=(), stem=f"hidden {sample.case.stem}"),
        )
        for sample in samples
    ]


def weights(net: nn.Module) -> torch.Tensor:
    """All parameters of a network in one row."""
    return torch.cat([p.detach().flatten() for p in net.parameters()])


class MethodTester:
    """The checks; a method's own test file holds only what is special about it."""

    name: ClassVar[str]

    def samples(self, seed: int = 0) -> list[Sample]:
        """Four labelled images, and two without labels for a method that needs them."""
        labelled, others = discs(4, 24, 24, seed=seed), discs(2, 24, 24, seed=seed + 50)
        return [*labelled, *hidden(others)] if make(self.name).needs_unlabelled else labelled

    def short(self, **settings: Any) -> Method:
        return make(self.name, **{"crop": 16, "epochs": 2, "epoch_steps": 2, **settings})

    def test_the_same_seed_gives_the_same_network(self) -> None:
        nets = []
        for seed in (0, 0, 1):
            method = self.short(seed=seed)
            fit(method, self.samples(), discs(1, 24, 24))
            nets.append(weights(method.result()))
        assert torch.equal(nets[0], nets[1])
        assert not torch.equal(nets[0], nets[2])

    def test_the_result_is_ready_for_use_and_differs_from_what_was_given(self) -> None:
        method = self.short()
        given = weights(method.network).clone()
        losses = fit(method, self.samples(), discs(1, 24, 24))
        net = method.result()
        assert all(torch.isfinite(torch.tensor(losses)))
        assert not net.training and net is not method.network
        assert float((weights(net) - given).abs().max()) > 1e-4

    def test_stages_are_those_that_are_declared(self) -> None:
        method = self.short(epochs=3)
        stages = list(method.stages(self.samples(), discs(1, 24, 24)))
        assert tuple(stage.name for stage in stages) == method.stage_names
        assert sum(stage.epochs for stage in stages) == 3

    def test_keywords_that_do_not_exist_are_refused(self) -> None:
        with pytest.raises(Exception, match="nonsense"):
            self.short(nonsense=1)
