"""One network for each lesion: each learns its own class, whatever the others do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from leanseg.errors import UsageError
from leanseg.loading.samples import Sample
from leanseg.losses.tversky import Tversky
from leanseg.methods.dr_lesions import of_class
from leanseg.nets.mini_net import MiniNet
from leanseg.nets.one_per_class import OnePerClass
from leanseg.types import Classes
from testers import methods
from testers.methods import MethodTester, fit, score
from testers.samples import discs

pytestmark = pytest.mark.filterwarnings("ignore")

LESIONS = Classes(names=("MA", "EX"), overlapping=True)


def make(classes: Classes = LESIONS, **settings: Any) -> Any:
    torch.manual_seed(0)
    small = {"net": "mini-net", "net_keywords": {"widths": (4, 8)}}
    net = OnePerClass(in_channels=1, classes=len(classes.names), **small)
    return methods.make("dr-lesions", classes, net=net, **settings)


def lesions(count: int, seed: int = 0) -> list[Sample]:
    """The first class is a disc, the second all that is not."""
    return [replace(s, target=torch.cat([s.target, 1 - s.target])) for s in discs(count, 32, 32, seed=seed)]


class TestDrLesions(MethodTester):
    name = "dr-lesions"

    def samples(self, seed: int = 0) -> list[Sample]:
        return discs(4, 24, 24, seed=seed)

    def short(self, **settings: Any) -> Any:
        return make(methods.DISC, **{"crop": 16, "epochs": 2, "epoch_steps": 2, **settings})

    def test_stages_are_those_that_are_declared(self) -> None:
        method = make(epochs=5, epoch_steps=2)
        stages = list(method.stages(lesions(2), lesions(1, seed=1)))
        assert tuple(stage.name for stage in stages) == method.stages_for(LESIONS) == ("fit-0", "fit-1")
        assert [stage.epochs for stage in stages] == [3, 2], "five epochs, the first class takes what is left over"


def test_each_network_learns_its_own_class() -> None:
    train, unseen = lesions(6), lesions(4, seed=1)
    method = make(epochs=8, learning_rate=3e-2, foreground=0.5)
    fit(method, train, unseen)
    net = method.result()
    assert score(net, unseen, LESIONS) > 0.85
    for number, name in enumerate(LESIONS.names):
        assert score(net.nets[number], of_class(unseen, number), Classes(names=(name,))) > 0.8


def test_a_network_does_not_depend_on_the_labels_of_other_classes() -> None:
    train = lesions(3)
    other = [replace(s, target=torch.stack([s.target[0], torch.zeros_like(s.target[1])])) for s in train]
    nets = []
    for samples in (train, other):
        method = make(epochs=2, epoch_steps=3, crop=16)
        fit(method, samples, lesions(1, seed=1))
        nets.append(method.result().nets)
    first, second = (methods.weights(net) for net in (nets[0][0], nets[1][0]))
    assert torch.equal(first, second)
    assert not torch.equal(methods.weights(nets[0][1]), methods.weights(nets[1][1]))


def test_tiny_lesions_learn_from_a_loss_that_minds_misses() -> None:
    losses = [type(stage.module.loss) for stage in make(epochs=2).stages(lesions(2), lesions(1))]
    assert losses[0] is Tversky and losses[1] is not Tversky
    losses = [type(stage.module.loss) for stage in make(epochs=2, tiny=()).stages(lesions(2), lesions(1))]
    assert Tversky not in losses


def test_a_lesion_that_no_validation_image_shows_does_not_choose_by_them() -> None:
    method = make(epochs=2)
    val = [replace(s, target=torch.stack([torch.zeros_like(s.target[0]), s.target[1]])) for s in lesions(2, seed=1)]
    judged = {stage.name: len(stage.val) for stage in method.stages(lesions(2), val)}
    assert judged == {"fit-0": 0, "fit-1": 2}


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="at least --epochs 2"):
        make(epochs=1)
    with pytest.raises(UsageError, match="one network for each"):
        methods.make("dr-lesions", LESIONS, net=MiniNet(in_channels=1, classes=2))
    with pytest.raises(UsageError, match="one network for each"):
        make(Classes(names=("a", "b")))
