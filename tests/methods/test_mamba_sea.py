"""Two views of each image and noise in features: gone in use, repeatable, and blind to nothing but style."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from leanseg.errors import UsageError
from leanseg.methods.two_views import TwoViews
from leanseg.nets.global_appearance import GlobalAppearance
from leanseg.nets.token_style import TokenStyle
from leanseg.nets.unet import UNet
from testers.methods import MethodTester, fit, make, score
from testers.samples import discs

pytestmark = pytest.mark.filterwarnings("ignore")


class TestMambaSea(MethodTester):
    name = "mamba-sea"


class TestLearntAppearance(MethodTester):
    name = "mamba-sea"

    def short(self, **settings: Any) -> Any:
        return super().short(appearance="gva", agreement="logits", **settings)

    def test_the_change_is_learnt_with_the_network(self) -> None:
        method = self.short()
        fit(method, self.samples(), discs(1, 24, 24))
        module = method.module
        assert isinstance(module.appearance, GlobalAppearance)
        learnt = {id(p) for group in module.optimizers().param_groups for p in group["params"]}
        assert learnt == {id(p) for p in (*module.net.parameters(), *module.appearance.parameters())}
        module.appearance.p, module.appearance.threshold = 1.0, 2.0
        module.net(module.changed(self.samples()[0].image[None])).square().sum().backward()
        assert all(p.grad is not None and bool(p.grad.any()) for p in module.appearance.enter.parameters())


def test_it_learns() -> None:
    method = make("mamba-sea", epochs=6)
    fit(method, discs(8, 32, 32), discs(2, 32, 32, seed=1))
    assert score(method.result(), discs(4, 32, 32, seed=2)) > 0.85


def test_the_result_carries_no_noise() -> None:
    method = make("mamba-sea", net=UNet(in_channels=1, widths=(4, 8)), epochs=1, epoch_steps=2, crop=16)
    fit(method, discs(2, 24, 24), discs(1, 24, 24))
    net = method.result()
    assert not any(isinstance(part, TokenStyle) for part in net.modules())
    assert not any(part._forward_hooks for part in net.modules())


def test_validation_leaves_everything_in_training_mode() -> None:
    method = make("mamba-sea", appearance="gva", epochs=2, epoch_steps=2, crop=16)
    modes = []

    class Watch(type(method.module)):  # type: ignore[misc]
        def training_loss(self, batch: Any) -> Any:
            noisy = [m for m in self.modules() if isinstance(m, TokenStyle | GlobalAppearance)]
            modes.append(all(m.training for m in self.net.modules()) and self.appearance.training and bool(noisy))
            return super().training_loss(batch)

    method.module.__class__ = Watch
    fit(method, discs(2, 24, 24), discs(1, 24, 24))
    assert modes == [True] * 4


def test_without_token_style_there_is_nothing_to_take_off() -> None:
    method = make("mamba-sea", token_style=False, epochs=1, epoch_steps=2, crop=16)
    fit(method, discs(2, 24, 24), discs(1, 24, 24))
    assert not any(isinstance(part, TokenStyle) for part in method.result().modules())


def test_the_loss_is_that_of_both_views_and_their_disagreement() -> None:
    """Each part by itself: a step without it has another loss."""
    batch = {"image": torch.randn(2, 1, 16, 16), "target": torch.ones(2, 1, 16, 16), "valid": torch.ones(2, 1, 16, 16)}
    module = make("mamba-sea", token_style=False, consistency=0.1).module
    module.log = lambda *_, **__: None
    module.eval()  # no statistics of the batch: a view has one answer
    module.changed = lambda image: -image
    one, other = module.answers(batch["image"])[0], module.answers(-batch["image"])[0]
    losses = [module.loss(logits, batch["target"], batch["valid"]) for logits in (one, other)]
    apart = (one.sigmoid() - other.sigmoid()).square().mean()
    assert float(losses[0]) != pytest.approx(float(losses[1])) and float(apart) > 0
    assert float(module.training_loss(batch)) == pytest.approx(float(sum(losses) / 2 + 0.1 * apart), rel=1e-5)


def test_noise_is_in_the_network_while_it_learns() -> None:
    net = UNet(in_channels=1, widths=(4, 8))
    module = make("mamba-sea", net=net, style_p=1.0).module
    image = torch.randn(4, 1, 16, 16)
    module.net.train()
    torch.manual_seed(0)
    assert not torch.equal(module.net(image), module.net(image))
    assert all(style.gains is not None for style in module._styles) and len(module._styles) == 2


def test_appearance_where_nothing_is_dark_has_a_gradient_of_every_parameter() -> None:
    appearance = GlobalAppearance(channels=1)
    bright = torch.full((2, 1, 8, 8), 0.9)
    found = appearance(bright)
    assert torch.equal(found, bright)
    found.sum().backward()
    assert all(p.grad is not None and not bool(p.grad.any()) for p in appearance.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"appearance": "bright"}, "found 'bright'"),
        ({"agreement": "masks"}, "'masks'"),
        ({"appearance": "none", "token_style": False}, "nothing is left"),
        ({"style_window": 0.0}, "window above 0"),
    ],
)
def test_what_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make("mamba-sea", **settings)


def test_disagreement_counts_valid_pixels_alone() -> None:
    module = make("mamba-sea").module
    assert isinstance(module, TwoViews)
    one, other = torch.zeros(1, 1, 2, 2), torch.tensor([[[[0.0, 100.0], [0.0, 0.0]]]])
    valid = torch.tensor([[[[1, 1], [1, 0]]]])
    assert float(module.disagreement(one, other, valid)) == pytest.approx(0.25 / 3)  # (1 - 0.5)^2 on one of three
    assert float(module.disagreement(one, other, valid * 0)) == 0
