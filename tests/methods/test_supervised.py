"""Training from labelled images alone: it learns what its labels show."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from leanseg.loading.augment import Augmentation
from leanseg.loading.crops import Crops
from leanseg.loading.samples import Sample
from leanseg.losses.dice_jaccard_bce import DiceJaccardBCE
from leanseg.methods.supervised import Supervised, estimate_statistics
from leanseg.methods.whole_image import hard_masks, mean_dice, true_masks, whole_logits
from leanseg.nets.mini_net import MiniNet
from leanseg.types import Classes
from testers.samples import discs

pytestmark = pytest.mark.filterwarnings("ignore")


class Losses(Callback):
    """The mean loss of every epoch."""

    def __init__(self) -> None:
        self.epochs: list[float] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.epochs.append(float(trainer.callback_metrics["loss"]))


def fit(method: Supervised, train: list[Sample], val: list[Sample]) -> list[float]:
    losses = Losses()
    for stage in method.stages(train, val):
        Trainer(
            accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, callbacks=[losses],
            enable_model_summary=False, num_sanity_val_steps=0, max_epochs=stage.epochs, use_distributed_sampler=False,
        ).fit(stage.module, stage.train, stage.val)  # fmt: skip
    return losses.epochs


def supervised(classes: Classes, **settings: Any) -> Supervised:
    torch.manual_seed(0)
    net = MiniNet(in_channels=1, classes=classes.outputs, widths=(4, 8))
    fixed = {"crop": 32, "batch": 4, "epochs": 4, "epoch_steps": 15, "augmentation": Augmentation()}
    loss = DiceJaccardBCE(exclusive=not classes.sigmoid)
    return Supervised(net=net, loss=loss, classes=classes, **{**fixed, **settings})


def score(net: nn.Module, samples: list[Sample], classes: Classes) -> float:
    scores = []
    for sample in samples:
        masks = hard_masks(whole_logits(net, sample.image), classes)
        scores.append(mean_dice(masks, true_masks(sample.target, classes), sample.valid) or 0.0)
    return sum(scores) / len(scores)


def best_threshold(samples: list[Sample]) -> float:
    """Dice of the first class by brightness alone, with the threshold that fits these very images best."""
    dices = []
    for threshold in torch.linspace(0, 3, 60):
        masks = [(s.image > threshold, s.target == 1, s.valid) for s in samples]
        dices.append(sum(mean_dice(*three) or 0.0 for three in masks) / len(samples))
    return max(dices)


@pytest.mark.parametrize(("names", "epochs", "wanted"), [(("disc",), 4, 0.9), (("dim", "bright"), 8, 0.85)])
def test_it_learns_discs_that_no_threshold_finds(names: tuple[str, ...], epochs: int, wanted: float) -> None:
    classes = Classes(names=names)
    train, unseen = (discs(6, 40, 44, seed=seed, classes=len(names)) for seed in (0, 1))
    method = supervised(classes, epochs=epochs, learning_rate=3e-2)
    untrained = score(method.network, unseen, classes)
    losses = fit(method, train, unseen)
    net = method.result()
    assert losses[-1] < 0.5 * losses[0]
    assert score(net, unseen, classes) > wanted > untrained + 0.3
    assert best_threshold(unseen) < 0.7
    assert not net.training
    assert net is not method.network


def test_the_same_seed_gives_the_same_network() -> None:
    classes, train = Classes(names=("disc",)), discs(2, 24, 24)
    nets = []
    for seed in (0, 0, 1):
        method = supervised(classes, crop=16, epochs=1, epoch_steps=2, seed=seed)
        fit(method, train, train)
        nets.append(torch.cat([p.flatten() for p in method.result().parameters()]))
    assert torch.equal(nets[0], nets[1])
    assert not torch.equal(nets[0], nets[2])


def test_statistics_are_the_mean_over_batches() -> None:
    net = nn.Sequential(nn.BatchNorm2d(1, momentum=0.3), nn.ReLU())
    net[0].running_mean.fill_(99)
    crops = Crops(discs(3, 20, 20), size=12, batch=2, augmentation=Augmentation(warped=0, gain=0, offset=0))
    estimate_statistics(net, crops, batches=5)
    images = [crops[step]["image"] for step in range(5)]
    assert float(net[0].running_mean) == pytest.approx(sum(float(i.mean()) for i in images) / 5, abs=1e-5)
    assert float(net[0].running_var) == pytest.approx(sum(float(i.var()) for i in images) / 5, rel=1e-5)
    assert net[0].momentum == 0.3
    assert not net.training


def test_a_network_without_normalisation_sees_no_batch() -> None:
    class NoCrops:
        def __getitem__(self, step: int) -> Any:
            raise AssertionError("no batch is needed")

    estimate_statistics(nn.Conv2d(1, 1, 1), NoCrops())  # type: ignore[arg-type]
