"""Training from labelled images alone: it learns what its labels show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from leanseg.loading.augment import Augmentation
from leanseg.loading.crops import Crops
from leanseg.loading.samples import Sample
from leanseg.methods.schedule import Schedule
from leanseg.methods.supervised import estimate_statistics, settled
from leanseg.methods.validation_score import EvenOdds, validation_score
from leanseg.methods.whole_image import mean_dice
from leanseg.types import Classes
from testers.methods import MethodTester, fit, make, score
from testers.samples import discs

pytestmark = pytest.mark.filterwarnings("ignore")


class TestSupervised(MethodTester):
    name = "supervised"


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
    method = make("supervised", classes, epochs=epochs, learning_rate=3e-2)
    untrained = score(method.network, unseen, classes)
    losses = fit(method, train, unseen)
    assert losses[-1] < 0.5 * losses[0]
    assert score(method.result(), unseen, classes) > wanted > untrained + 0.3
    assert best_threshold(unseen) < 0.7


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


def schedule(**settings: Any) -> Schedule:
    sizes: dict[str, Any] = {"crop": 12, "batch": 2, "epochs": 1, "augmentation": Augmentation()}
    return Schedule(classes=Classes(names=("disc",)), **{**sizes, **settings})


def bright_discs(*, mean: float) -> nn.Module:
    """Finds discs, which are 1 above noise around 0, where its running mean is theirs and the noise's."""
    net = nn.Sequential(nn.BatchNorm2d(1, affine=False), nn.Conv2d(1, 1, 1))
    net[0].running_mean.fill_(mean)
    nn.init.constant_(net[1].weight, 1.0)
    nn.init.constant_(net[1].bias, -0.5)
    return net


@pytest.mark.parametrize(("mean", "kept"), [(0.0, True), (99.0, False)])
def test_statistics_are_estimated_anew_unless_the_averaged_ones_score_better(mean: float, kept: bool) -> None:
    samples, val = discs(3, 20, 20), discs(3, 20, 20, seed=1)
    # Crops as bright as no validation image would mislead.
    shifted = [replace(sample, image=sample.image + 5 * kept) for sample in samples]
    net = settled(bright_discs(mean=mean), shifted, val, schedule())
    assert (float(net[0].running_mean) == mean) is kept
    assert not net.training
    assert validation_score(net, val, score=EvenOdds(Classes(names=("disc",)))) > 0.3


def test_without_validation_images_statistics_are_estimated_anew() -> None:
    net = settled(bright_discs(mean=99.0), discs(3, 20, 20), [], schedule())
    assert abs(float(net[0].running_mean)) < 1


def test_a_network_without_normalisation_needs_no_crops() -> None:
    net = nn.Conv2d(1, 1, 1)
    assert torch.equal(settled(net, [], [], schedule()).weight, net.weight)
