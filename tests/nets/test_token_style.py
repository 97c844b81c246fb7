"""Noise in the style of token sequences: what is disturbed, by how much, how often, and where it is attached."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from leanseg.errors import UsageError
from leanseg.nets import create
from leanseg.nets.token_style import TokenStyle, attach_token_style
from leanseg.nets.unet import UNet
from leanseg.nets.vm_unet import VMUNet
from testers.nets import noise


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def style(**keywords: Any) -> TokenStyle:
    return TokenStyle(**{"p": 1.0, **keywords})


def changed(after: Tensor, before: Tensor) -> Tensor:
    """Which tokens of each image (and direction) differ in any channel."""
    return (after != before).any(-2)


def without_noise(monkeypatch: pytest.MonkeyPatch, first: float = 0.0, second: float = 0.0) -> None:
    """Let every e1 and every e2 be a given number."""
    values = iter([first, second] * 100)
    monkeypatch.setattr(torch, "randn", lambda shape, **_: torch.full(tuple(shape), next(values)))


def test_no_noise_gives_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    without_noise(monkeypatch)
    y = noise(3, 4, 20)
    assert torch.equal(style(window=1)(y), y)


@given(length=st.integers(1, 40), share=st.floats(0.01, 1), seed=st.integers(0, 99))
def test_one_window_of_the_right_length(length: int, share: float, seed: int) -> None:
    module = style(window=share)
    torch.manual_seed(seed)
    y = noise(3, 4, length, seed=seed)
    after = module(y)
    for row in changed(after, y):
        places = row.nonzero().flatten().tolist()
        assert len(places) == max(1, int(share * length))
        assert places == list(range(places[0], places[-1] + 1))
    untouched = ~changed(after, y)
    assert torch.equal(after.mT[untouched], y.mT[untouched])


@pytest.mark.parametrize(("share", "wanted"), [(0.75, 7), (0.05, 1)])
def test_lengths_of_the_paper(share: float, wanted: int) -> None:
    y = noise(200, 2, 10)
    rows = changed(style(window=share)(y), y)
    assert rows.sum(-1).unique().tolist() == [wanted]
    assert rows.float().argmax(-1).unique().tolist() == list(range(10 - wanted + 1))


def test_the_whole_sequence_takes_the_new_mean_and_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    y = 3 * noise(4, 5, 50) + noise(4, 5, 1, seed=2)
    without_noise(monkeypatch, 0.5, -1.5)
    after = style(window=1)(y)
    variance, mean = torch.var_mean(y, -1, correction=0)
    spread = (variance + 1e-6).sqrt()
    beta = mean + 0.5 * (mean.var(0, correction=0) + 1e-6).sqrt()
    gamma = spread - 1.5 * (spread.var(0, correction=0) + 1e-6).sqrt()
    torch.testing.assert_close(after.mean(-1), beta, rtol=0, atol=1e-5)
    wanted = gamma.abs() * variance.sqrt() / spread
    torch.testing.assert_close(after.std(-1, correction=0), wanted, rtol=1e-5, atol=1e-5)


def test_a_window_is_disturbed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published code did it twice: the square of the gain inside, and none of the tokens clean."""
    y = noise(4, 5, 40)
    without_noise(monkeypatch, 0.7, 0.9)
    after = style(window=0.5)(y)
    variance, mean = torch.var_mean(y, -1, correction=0, keepdim=True)
    spread = (variance + 1e-6).sqrt()
    beta = mean + 0.7 * (mean.var(0, correction=0) + 1e-6).sqrt()
    gamma = spread + 0.9 * (spread.var(0, correction=0) + 1e-6).sqrt()
    inside = changed(after, y).unsqueeze(1)
    found, wanted = (after - beta) / gamma, (y - mean) / spread
    torch.testing.assert_close(found.masked_fill(~inside, 0), wanted.masked_fill(~inside, 0), rtol=0, atol=1e-5)


def test_alone_or_in_use_nothing_happens() -> None:
    one, several = noise(1, 4, 10), noise(3, 4, 10)
    assert style()(one) is one
    assert style().eval()(several) is several
    assert style(p=0)(several) is several


def test_directions_have_coins_and_windows_of_their_own() -> None:
    y = noise(2, 4, 3, 30)
    module = TokenStyle(p=0.5, window=0.2)
    rows = torch.stack([changed(module(y), y) for _ in range(400)])  # (calls, images, directions, tokens)
    disturbed = rows.any(-1)
    assert torch.equal(disturbed[:, 0], disturbed[:, 1]), "a coin falls for a direction, not for an image"
    shares = disturbed[:, 0].float().mean(0)
    assert bool(((shares > 0.4) & (shares < 0.6)).all())
    together = disturbed[:, 0].float().sum(-1).var()
    assert 0.7 < float(together) < 1.3, "four independent coins have the variance 1"
    both = rows[disturbed[:, 0, 0] & disturbed[:, 0, 1]].float().argmax(-1)
    assert len((both[:, 0, 0] - both[:, 0, 1]).unique()) > 10
    assert len((both[:, 0, 0] - both[:, 1, 0]).unique()) > 10


def test_torch_s_seed_repeats_what_is_drawn() -> None:
    y, module = noise(4, 3, 20), TokenStyle(p=0.7)

    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.stack([module(y) for _ in range(5)])

    first = drawn(3)
    assert torch.equal(drawn(3), first)
    assert not torch.equal(drawn(4), first)


def test_negative_gains_are_counted_and_may_be_floored(monkeypatch: pytest.MonkeyPatch) -> None:
    y = noise(6, 2, 30) * torch.linspace(0.1, 3, 6).view(6, 1, 1)
    for floor in (None, 0.1):
        without_noise(monkeypatch, 0.0, -1.0)
        module = style(window=1, gain_floor=floor)
        after = module(y)
        assert module.gains is not None
        assert module.gains.shape == (6, 2, 1)
        assert 0 < float((module.gains < 0).float().mean()) < 1
        centred, before = after - after.mean(-1, keepdim=True), y - y.mean(-1, keepdim=True)
        mirrored = bool(((centred * before).sum(-1) < 0).any())
        assert mirrored == (floor is None)


def test_scales_are_constants_for_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images do not meet in the gradient unless asked."""
    for detach in (True, False):
        without_noise(monkeypatch, 1.0, 1.0)
        y = noise(3, 2, 10).requires_grad_()
        (gradient,) = torch.autograd.grad(style(window=1, detach_scale=detach)(y)[0].square().sum(), y)
        assert bool(gradient[0].abs().sum() > 0)
        assert bool(gradient[1:].abs().sum() > 0) != detach


def test_short_numbers_stay_short() -> None:
    y = noise(2, 3, 10).bfloat16()
    assert style()(y).dtype == torch.bfloat16


@pytest.mark.parametrize("keywords", [{"p": 1.5}, {"p": -0.1}, {"window": 0.0}, {"window": 1.1}])
def test_wrong_shares(keywords: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="window"):
        TokenStyle(**keywords)


@pytest.mark.parametrize("mixer", ["ssd", "s6", "none"])
def test_a_vm_unet_is_disturbed_in_scan_order(mixer: str) -> None:
    net = VMUNet(in_channels=1, widths=(8, 16), patch=2, mixer=mixer, drop_path=0)
    styles = attach_token_style(net, p=1.0)
    assert len(styles) == 4
    x = noise(3, 1, 8, 12)
    assert not torch.equal(net(x), net(x))
    net(x).sum().backward()
    gains = [module.gains for module in styles]
    directions = 1 if mixer == "none" else 4
    assert [gain.shape for gain in gains if gain is not None] == [(3, directions, inner, 1) for inner in (16, 32) * 2]
    assert torch.equal(net.eval()(x), net(x))


@pytest.mark.parametrize("name", ["unet", "mini-net", "med2d-segnet", "xnet-plus"])
def test_other_nets_are_disturbed_behind_their_stages(name: str) -> None:
    net = create(name, in_channels=2, classes=2)
    names, x = list(net.state_dict()), noise(2, 2, 32, 32)
    before = copy.deepcopy(net).eval()(x)
    assert len(attach_token_style(net, p=1.0)) >= 2
    assert list(net.state_dict()) == names
    assert torch.equal(net.eval()(x), before)
    net.train()(x).sum().backward()


def test_rows_of_a_map_are_the_sequence() -> None:
    net = UNet(in_channels=1, widths=(3,))
    (module,) = attach_token_style(net, p=1.0, window=0.25)
    seen: list[Tensor] = []
    net.encoders[0].register_forward_hook(lambda *call: seen.append(call[2]))
    net.encoders[0].eval()
    plain = net.encoders[0](noise(2, 1, 6, 8))
    module.train()
    disturbed = net.encoders[0](noise(2, 1, 6, 8))
    assert plain.shape == disturbed.shape
    assert int(changed(module.train()(plain.flatten(2)), plain.flatten(2)).sum(-1).max()) == 12


def test_a_copy_has_noise_of_its_own() -> None:
    net = UNet(in_channels=1, widths=(3, 4))
    attach_token_style(net, p=1.0)
    other, x = copy.deepcopy(net), noise(2, 1, 8, 8)
    other.eval()
    assert all(part.training for part in net.modules())
    assert torch.equal(other(x), other(x))
    assert net.token_styles[0].gains is None
    net.train()(x)
    assert net.token_styles[0].gains is not None
    assert other.token_styles[0].gains is None


def test_a_net_without_stages_is_refused() -> None:
    with pytest.raises(UsageError, match="found none in Conv2d"):
        attach_token_style(nn.Conv2d(1, 1, 1))
