"""The training loop's view of a network: schedule, average, validation and the errors that stop a training."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn

from leanseg.errors import LeansegError
from leanseg.loading.augment import Augmentation
from leanseg.loading.crops import Crops
from leanseg.loading.loaders import crop_loader, sample_loader
from leanseg.losses.dice_jaccard_bce import DiceJaccardBCE
from leanseg.methods.segmenter import Segmenter
from leanseg.nets.cascade import MiniNetCascade
from leanseg.nets.mini_net import MiniNet
from leanseg.nets.unet import UNet
from leanseg.types import Classes
from testers.samples import discs

pytestmark = pytest.mark.filterwarnings("ignore")
DISC = Classes(names=("disc",))


def segmenter(net: nn.Module, *, classes: Classes = DISC, steps: int = 10, **settings: Any) -> Segmenter:
    return Segmenter(net=net, loss=DiceJaccardBCE(), classes=classes, steps=steps, **settings)


def small(**keywords: Any) -> MiniNet:
    torch.manual_seed(0)
    return MiniNet(in_channels=1, widths=(2, 3), **keywords)


def trainer(**settings: Any) -> Trainer:
    return Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, **settings,
    )  # fmt: skip


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 11, 100, 1000])
def test_the_learning_rate_rises_once_and_falls_once(steps: int) -> None:
    settings = segmenter(nn.Conv2d(1, 1, 1), steps=steps, learning_rate=0.5).configure_optimizers()
    optimiser, schedule = settings["optimizer"], settings["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(steps):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    peak = rates.index(max(rates))
    assert peak <= max(0.1 * steps, 1)
    assert max(rates) == pytest.approx(0.5)
    assert rates == sorted(rates[:peak]) + sorted(rates[peak:], reverse=True)
    assert min(rates) > 0
    if steps >= 100:
        assert rates[-1] < 0.001


@pytest.mark.parametrize("optimiser", ["muon", "adamw"])
def test_only_weights_decay(optimiser: str) -> None:
    net = small()
    groups = segmenter(net, weight_decay=0.3, optimiser=optimiser).configure_optimizers()["optimizer"].param_groups
    for group in groups:
        assert {group["weight_decay"]} == {0.3 if p.ndim == 4 else 0.0 for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(list(net.parameters()))


def test_every_answer_of_a_network_counts_in_its_loss() -> None:
    torch.manual_seed(0)
    net = MiniNetCascade(in_channels=1, widths=(2, 3)).eval()
    module, batch = segmenter(net), Crops(discs(1, 24, 24), size=16, batch=2, augmentation=Augmentation())[0]
    found = module.training_loss(batch)
    losses = [module.loss(logits, batch["target"], batch["valid"]) for logits in net.training_logits(batch["image"])]
    assert not torch.isclose(losses[0], losses[1])
    assert torch.isclose(found, (losses[0] + losses[1]) / 2)


@pytest.mark.parametrize(
    ("net", "order"), [(UNet(in_channels=1), torch.channels_last), (small(), torch.contiguous_format)]
)
def test_plain_networks_run_with_channels_last_and_are_saved_without(
    net: nn.Module, order: torch.memory_format
) -> None:
    module = segmenter(net)
    module.on_fit_start()
    kernels = [p for p in module.net.parameters() if p.ndim == 4 and min(p.shape) > 1]
    assert all(p.is_contiguous(memory_format=order) for p in kernels)
    assert all(p.is_contiguous() for p in module.averaged.parameters())


def test_the_average_follows_quickly_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    module = segmenter(nn.BatchNorm2d(1), average=0.9)
    wanted = 1.0
    for step, value in enumerate([5.0, -2.0, 3.0] + [4.0] * 200, start=1):
        with torch.no_grad():
            module.net.weight.fill_(value)
            module.net.num_batches_tracked.fill_(step)
        monkeypatch.setattr(Segmenter, "global_step", step)
        module.on_train_batch_end(None, {}, 0)
        decay = min(0.9, (1 + step) / (10 + step))
        wanted = decay * wanted + (1 - decay) * value
        assert float(module.averaged.weight.detach()) == pytest.approx(wanted, rel=1e-5)
        assert int(module.averaged.num_batches_tracked) == step
    assert wanted == pytest.approx(4.0, abs=1e-3)
    assert not any(p.requires_grad for p in module.averaged.parameters())


def test_a_fit_moves_net_and_average_and_logs_the_dice() -> None:
    samples = discs(3, 16, 16)
    module, before = segmenter(small(), steps=4), copy.deepcopy(small().state_dict())
    crops = Crops(samples, size=8, batch=2, augmentation=Augmentation())
    fit = trainer(max_epochs=2)
    fit.fit(module, crop_loader(crops, steps=2), sample_loader(samples))
    for net in (module.net, module.averaged):
        assert any(not torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert 0 <= float(fit.callback_metrics["val_dice"]) <= 1
    assert float(fit.callback_metrics["loss"]) > 0


def test_a_network_that_was_loaded_for_use_learns_its_statistics() -> None:
    module = segmenter(small().eval())
    crops = Crops(discs(1, 16, 16), size=8, batch=2, augmentation=Augmentation())
    trainer(max_epochs=1).fit(module, crop_loader(crops, steps=2))
    assert int(module.net.stem[1].num_batches_tracked) == 2


def test_validation_scores_the_average() -> None:
    samples = discs(2, 16, 16)
    module = segmenter(small())
    with torch.no_grad():
        module.averaged.head[0].weight.zero_()
        module.averaged.head[0].bias.fill_(9.0)
        module.averaged.head[0].weight[0, 0] = 1e-2
    check = trainer()
    check.validate(module, sample_loader(samples), verbose=False)
    wanted = [2 * float((s.target > 0).sum()) / (s.target.numel() + float((s.target > 0).sum())) for s in samples]
    assert float(check.callback_metrics["val_dice"]) == pytest.approx(sum(wanted) / 2, abs=1e-6)


@pytest.mark.parametrize("names", [("disc",), ("disc", "cup")])
def test_a_dead_paper_head_stops_the_training_and_names_the_plain_head(names: tuple[str, ...]) -> None:
    classes = Classes(names=names, overlapping=len(names) > 1)
    module = segmenter(small(head="paper", classes=len(names)), classes=classes)
    with torch.no_grad():
        module.averaged.head[0].weight.zero_()
        module.averaged.head[1].bias.fill_(-100)
        module.averaged.head[3].bias.copy_(torch.arange(len(names)))
    samples = discs(1, 16, 16)
    for sample in samples:
        object.__setattr__(sample, "target", sample.target.expand(len(names), -1, -1))
    with pytest.raises(LeansegError, match=r"constant.*plain head"):
        trainer().validate(module, sample_loader(samples), verbose=False)


def test_a_plain_head_cannot_die() -> None:
    module = segmenter(small(head="plain"))
    assert not [m for m in module.averaged.head if isinstance(m, nn.ReLU)]
    with torch.no_grad():
        for parameter in module.averaged.head.parameters():
            parameter.copy_(parameter - 100)
    trainer().validate(module, sample_loader(discs(1, 16, 16)), verbose=False)


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    samples = discs(1, 16, 16)
    samples[0].image[0, 3, 3] = torch.nan
    crops = Crops(samples, size=16, batch=2, augmentation=Augmentation(warped=0))
    with pytest.raises(LeansegError, match=r"no number at step 0.*leanseg data check"):
        trainer(max_epochs=1).fit(segmenter(small()), crop_loader(crops, steps=1), sample_loader(samples))


def test_volumes_are_trained_and_validated() -> None:
    samples = discs(2, 10, 12, 11)
    torch.manual_seed(0)
    net = UNet(in_channels=1, widths=(2, 4), dims=3)
    crops = Crops(samples, size=8, batch=2, dims=3, augmentation=Augmentation())
    fit = trainer(max_epochs=1)
    fit.fit(segmenter(net), crop_loader(crops, steps=2), sample_loader(samples))
    assert "val_dice" in fit.callback_metrics
