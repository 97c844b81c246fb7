"""Boxes, regions and pseudo-labels of bidirectional copy-paste."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor, nn

from leanseg.losses import create
from leanseg.methods.copy_paste import CopyPaste, LabelledPaste, box_mask
from leanseg.nets.mini_net import MiniNet
from leanseg.nets.xnet_plus import XNetPlus
from leanseg.types import Classes

DISC, TWO = Classes(names=("disc",)), Classes(names=("a", "b"))
SETTINGS: dict[str, Any] = {
    "box": 2 / 3, "seed": 3, "steps": 10, "pseudo_weight": 0.5, "consistency": 0.5, "largest_component": False,
    "confidence": 0.0, "mix": True,
}  # fmt: skip


class Says(nn.Module):
    """A network whose logits are its image times a weight."""

    def __init__(self, dims: int = 2) -> None:
        super().__init__()
        self.dims = dims
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class Nothing(nn.Module):
    """A loss that asks for nothing."""

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        return 0 * logits.sum()


def module(net: nn.Module | None = None, classes: Classes = DISC, **changes: Any) -> CopyPaste:
    torch.manual_seed(0)
    loss = create("dice-jaccard-bce", exclusive=not classes.sigmoid)
    return CopyPaste(net=net or Says(), loss=loss, classes=classes, **{**SETTINGS, **changes})


def part(*shape: int, channels: int = 1, labels: int = 2, seed: int = 0) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    n, *spatial = shape
    return {
        "image": torch.randn(n, channels, *spatial, generator=random),
        "target": torch.randint(0, labels, (n, 1, *spatial), generator=random, dtype=torch.uint8),
        "valid": torch.ones(n, 1, *spatial, dtype=torch.uint8),
    }


def batch(*shape: int, **keywords: Any) -> dict[str, Any]:
    return {**part(*shape, **keywords), "unlabelled": part(*shape, seed=1, **keywords)}


@given(shape=st.lists(st.integers(1, 30), min_size=2, max_size=3), seed=st.integers(0, 999))
def test_a_box_is_one_rectangle_of_two_thirds(shape: list[int], seed: int) -> None:
    mask = box_mask(tuple(shape), share=2 / 3, random=np.random.default_rng(seed))[0, 0]
    inside = (~mask).nonzero()
    assert len(inside) == np.prod([2 * n // 3 for n in shape])
    if len(inside):
        extent = inside.amax(0) - inside.amin(0) + 1
        assert extent.tolist() == [2 * n // 3 for n in shape]


def test_every_place_of_the_box_is_as_likely() -> None:
    random = np.random.default_rng(0)
    corners = Counter(
        tuple((~box_mask((9, 6), share=2 / 3, random=random)[0, 0]).nonzero()[0].tolist()) for _ in range(6000)
    )
    assert set(corners) == {(y, x) for y in range(4) for x in range(3)}
    assert chisquare(list(corners.values())).pvalue > 1e-3


def test_labels_and_images_are_pasted_alike() -> None:
    """Stage 1: the image says its own label, so that a perfect network stays perfect."""
    found = part(4, 12, 12)
    found["image"] = 100.0 * (2 * found["target"].float() - 1)
    settings = {key: SETTINGS[key] for key in ("box", "seed", "steps")}
    loss = create("dice-jaccard-bce", exclusive=False)
    stage = LabelledPaste(net=Says(), loss=loss, classes=DISC, **settings)
    assert float(stage.training_loss(found).detach()) < 1e-5
    assert float(stage.training_loss({**found, "target": found["target"].roll(1, 0)}).detach()) > 0.1


def test_both_images_show_in_both_ways() -> None:
    seen: list[Tensor] = []

    class Looks(Says):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return super().forward(x)

    ones, twos = batch(4, 9, 9), batch(4, 9, 9)
    ones["image"], ones["unlabelled"]["image"] = torch.ones(4, 1, 9, 9), 2 * torch.ones(4, 1, 9, 9)
    made = module(Looks())
    made.training_loss(ones)
    mixed, outside = seen[-1], made.outside(ones["image"])[0, 0]
    for number, image in enumerate(mixed[:, 0]):
        own = outside if number < 2 else ~outside
        assert torch.equal(image, torch.where(own, 1.0, 2.0))
    seen.clear()
    module(Looks(), mix=False).training_loss(twos)
    assert torch.equal(seen[-1], torch.cat([twos["image"], twos["unlabelled"]["image"]]))


@pytest.mark.parametrize("mix", [True, False])
@pytest.mark.parametrize("shape", [(4, 12, 12), (3, 6, 8, 7)])
def test_each_label_reaches_only_its_region(mix: bool, shape: tuple[int, ...]) -> None:
    """Without weight for the teacher's labels, nothing that an unlabelled image shows moves the loss."""
    made = module(Says(len(shape) - 1), pseudo_weight=0.0, mix=mix)
    found = batch(*shape)
    first = float(made.training_loss(found).detach())
    changed = {**found, "unlabelled": part(*shape, seed=9)}
    assert float(made.training_loss(changed).detach()) == first
    assert float(made.training_loss({**found, "target": 1 - found["target"]}).detach()) != first


@pytest.mark.parametrize("name", ["dice-jaccard-bce", "dice", "jaccard", "cross-entropy"])
def test_losses_are_exact_in_a_region(name: str) -> None:
    loss = create(name, exclusive=True)
    region = box_mask((9, 9), share=2 / 3, random=np.random.default_rng(1))
    target = torch.randint(0, 3, (2, 1, 9, 9))
    logits = torch.randn(2, 3, 9, 9, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(logits, target, region.expand(2, -1, -1, -1)), logits)
    assert not gradient[(~region).expand_as(gradient)].any() and gradient.any()
    everywhere = torch.ones(2, 1, 9, 9)
    assert torch.equal(loss(logits, target, everywhere), loss(logits, target))
    assert float(loss(logits, target, 0 * everywhere).detach()) == 0.0


@pytest.mark.parametrize("pooled", [True, False])
def test_without_pasting_each_half_has_the_loss_that_it_has_alone(pooled: bool) -> None:
    loss = create("dice-jaccard-bce", exclusive=False, pooled=pooled)
    made = CopyPaste(net=Says(), loss=loss, classes=DISC, **{**SETTINGS, "mix": False, "consistency": 0.0})
    found = batch(4, 9, 9)
    other = found["unlabelled"]
    pseudo, sure = made.pseudo_labels(other["image"])
    alone = loss(made.net(found["image"]), found["target"], found["valid"])
    taught = loss(made.net(other["image"]), pseudo, (other["valid"] > 0) & sure)
    wanted = alone + SETTINGS["pseudo_weight"] * taught
    assert float(made.training_loss(found).detach()) == pytest.approx(float(wanted.detach()), rel=1e-6)


def test_answers_that_agree_where_an_image_shows_nothing_are_not_apart() -> None:
    """A class that some images of the batch show: those without it add next to nothing."""
    made = module()
    logits = torch.full((4, 1, 32, 32), -8.0)
    logits[:1, :, 8:24, 8:24] = 8.0
    valid = torch.ones(4, 1, 32, 32, dtype=torch.bool)
    assert float(made.disagreement((logits, logits), valid)) < 0.02


def test_the_teacher_labels_by_even_odds_and_knows_how_sure_it_is() -> None:
    image = torch.tensor([-3.0, -0.1, 0.1, 3.0]).view(1, 1, 2, 2)
    labels, sure = module(confidence=0.9).pseudo_labels(image)
    assert labels.flatten().tolist() == [0, 0, 1, 1]
    assert sure.flatten().tolist() == [True, False, False, True]
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.1, 0.0]]).view(2, 3, 1, 1)
    labels, sure = module(classes=TWO, confidence=0.5).pseudo_labels(logits)
    assert labels.flatten().tolist() == [0, 1] and sure.flatten().tolist() == [True, False]


@pytest.mark.parametrize("depth", [(), (3,)])
def test_the_largest_piece_of_each_class_is_kept(depth: tuple[int, ...]) -> None:
    image = torch.full((1, 1, *depth, 9, 9), -1.0)
    image[..., 0:2, 0:5], image[..., 5:6, 0:7] = 1.0, 1.0
    labels, _ = module(largest_component=True).pseudo_labels(image)
    sizes = [int(labels[..., 0:2, :].sum()), int(labels[..., 5:6, :].sum())]
    assert sizes == [10 * (3 if depth else 1), 0]
    absent, _ = module(largest_component=True).pseudo_labels(-image.abs())
    assert not absent.any()


def test_the_teacher_follows_slowly_from_the_first_step() -> None:
    made = module(average=0.99)
    start = 1.0
    with torch.no_grad():
        made.net.weight.fill_(5.0)
    for step in range(1, 11):
        made.on_train_batch_end(None, {}, step)
        assert float(made.averaged.weight) == pytest.approx(5 + 0.99**step * (start - 5), rel=1e-6)
    assert not made.averaged.weight.requires_grad
    optimised = {id(p) for group in made.configure_optimizers()["optimizer"].param_groups for p in group["params"]}
    assert id(made.net.weight) in optimised and id(made.averaged.weight) not in optimised
    assert "averaged.weight" in made.state_dict()


def xnet() -> XNetPlus:
    torch.manual_seed(1)
    return XNetPlus(in_channels=1, classes=1, base=2, levels=3)


def gradients(found: dict[str, Any], **changes: Any) -> Tensor:
    """Of the network at the last step, when the consistency has its full weight."""
    made = module(xnet().double(), steps=1, **changes)
    torch.manual_seed(5)  # the wavelet weights of the step
    made.training_loss(found).backward()
    flat = [p.grad if p.grad is not None else torch.zeros_like(p) for p in made.net.parameters()]
    return torch.cat([gradient.flatten() for gradient in flat])


def in_double(found: dict[str, Any]) -> dict[str, Any]:
    other = {**found["unlabelled"], "image": found["unlabelled"]["image"].double()}
    return {**found, "image": found["image"].double(), "unlabelled": other}


def test_consistency_adds_its_own_gradient_in_proportion() -> None:
    found = in_double(batch(2, 16, 16))
    without, half, whole = (gradients(found, consistency=weight) for weight in (0.0, 0.5, 1.0))
    assert float((half - without).norm()) > 1e-6
    torch.testing.assert_close(whole - without, 2 * (half - without), rtol=1e-5, atol=1e-12)


def test_consistency_alone_moves_every_branch() -> None:
    made = module(xnet(), steps=1, pseudo_weight=0.0)
    made.loss = Nothing()
    made.training_loss(batch(2, 16, 16)).backward()
    moved = {name.split(".")[0] for name, p in made.net.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {name.split(".")[0] for name, _ in made.net.named_parameters()}


def test_a_network_with_one_answer_has_no_consistency() -> None:
    found = batch(2, 16, 16)
    losses = []
    for consistency in (0.0, 5.0):
        torch.manual_seed(0)
        made = module(MiniNet(in_channels=1, widths=(2, 3)), steps=1, consistency=consistency)
        losses.append(float(made.training_loss(found).detach()))
    assert losses[0] == losses[1]


@pytest.mark.parametrize("fill", [0.0, 7.0])
def test_flat_images_give_finite_losses(fill: float) -> None:
    found = batch(2, 16, 16)
    for images in (found, found["unlabelled"]):
        images["image"].fill_(fill)
    made = module(xnet())
    loss = made.training_loss(found)
    loss.backward()
    assert bool(torch.isfinite(loss))
    assert all(bool(torch.isfinite(p.grad).all()) for p in made.net.parameters() if p.grad is not None)
