"""VM-UNet: counts of the specification, exports, and that its control does not scan."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from leanseg.errors import UsageError
from leanseg.export.onnx import export_onnx
from leanseg.nets import ss2d
from leanseg.nets.ss2d import SS2D, STEPS, DualScans, SelectiveScans
from leanseg.nets.vm_unet import VMUNet
from testers.nets import NetTester, close, noise, settled

SMALL: dict[str, Any] = {"widths": (16, 32), "patch": 2}
PUBLISHED: dict[str, Any] = {
    "widths": (96, 192, 384, 768),
    "depths": (2, 2, 2, 2),
    "decoder_depths": (2, 2, 2, 1),
    "drop_path": 0.2,
}


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


class VMTester(NetTester):
    @torch.no_grad()
    def test_images_of_a_batch_do_not_meet(self) -> None:
        """To the last digit in float64: normalisation over few channels makes much of how a product is rounded."""
        net, x = settled(self.build()).double(), self.image(17, batch=2).double()
        close(net(x), torch.cat([net(x[:1]), net(x[1:])]), 1e-12)


class TestDual(VMTester):
    name = "vm-unet"
    keywords = SMALL
    golden = (0.29774, 0.22393, -0.07828)


class TestExact(VMTester):
    name = "vm-unet"
    keywords = {**SMALL, "mixer": "s6", "state": 4}  # noqa: RUF012
    golden = (0.44012, 0.69592, 1.10775)


class TestWithoutScans(VMTester):
    name = "vm-unet"
    keywords = {**SMALL, "mixer": "none", "depths": (1, 2), "decoder_depths": (1, 1)}  # noqa: RUF012
    golden = (0.20984, 1.16241, -0.08465)

    def test_halo_is_the_reach_of_an_output(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With different weights: normalisation over equal channels has no gradient."""
        monkeypatch.setattr("testers.nets.positive", settled)
        super().test_halo_is_the_reach_of_an_output(monkeypatch)


@pytest.mark.parametrize(
    ("keywords", "wanted"),
    [
        ({"mixer": "s6"}, 363_218),
        ({"mixer": "ssd"}, 314_954),
        ({"mixer": "none"}, 204_242),
        ({"mixer": "none", "depths": 2}, 358_130),
        ({"mixer": "s6", "patch": 2}, 360_626),
        ({"mixer": "ssd", "patch": 2}, 312_362),
        ({"mixer": "none", "patch": 2}, 201_650),
        ({"mixer": "none", "depths": 2, "patch": 2}, 355_538),
        ({**PUBLISHED, "mixer": "s6", "classes": 1}, 27_427_561),
        ({**PUBLISHED, "mixer": "none", "classes": 1}, 22_037_737),
    ],
)
def test_counts(keywords: dict[str, Any], wanted: int) -> None:
    assert parameters(VMUNet(**{"classes": 2, **keywords})) == wanted


@pytest.mark.parametrize(
    ("channels", "mixer", "wanted"),
    [(96, "s6", 105_216), (24, "s6", 14_400), (24, "ssd", 10_788), (24, "none", 4_032)],
)
def test_counts_of_a_block(channels: int, mixer: str, wanted: int) -> None:
    assert parameters(SS2D(channels=channels, mixer=mixer)) == wanted


def test_how_scans_start() -> None:
    exact, dual = SelectiveScans(channels=8, rank=2, state=4), DualScans(channels=32, state=4, head_channels=16)
    for scans in (exact, dual):
        for layer in scans.step:
            steps = nn.functional.softplus(layer.bias)
            assert bool(((steps > 0.99 * STEPS[0]) & (steps < 1.01 * STEPS[1])).all())
        assert bool((scans.share == 1).all())
        # Optimisers take whatever has two axes for a matrix.
        assert scans.log_rate.ndim == scans.share.ndim == 1
    rates = exact.log_rate.exp().view(4, 8, 4)
    torch.testing.assert_close(rates, torch.arange(1.0, 5).expand(4, 8, 4))


def test_a_block_is_the_equation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Direction by direction, token by token."""
    for mixer in ("s6", "ssd"):
        block, x = settled(SS2D(channels=16, mixer=mixer, state=3)).double(), noise(1, 3, 4, 16, dtype=torch.float64)
        u, gate = block.enter(x).chunk(2, -1)
        u = nn.functional.silu(block.local(u.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
        total = torch.zeros_like(u)
        for direction in range(4):
            order = torch.arange(12).view(3, 4)
            order = (order.t() if direction % 2 else order).flatten()
            order = order.flip(0) if direction > 1 else order
            total.view(12, 32)[order] += scanned(block.scans, u.view(12, 32)[order], direction)
        wanted = block.leave(block.norm(total) * nn.functional.silu(gate))
        torch.testing.assert_close(block(x), wanted, rtol=1e-10, atol=1e-10)


def scanned(scans: nn.Module, tokens: Tensor, direction: int) -> Tensor:
    """One direction's scan of (L, E) tokens by the definition, for either mixer."""
    state, inner = scans.state, tokens.shape[1]
    read, step = scans.read[direction](tokens), scans.step[direction]
    b, c = read[:, -2 * state : -state], read[:, -state:]
    if isinstance(scans, SelectiveScans):
        dt = nn.functional.softplus(step(read[:, : scans.rank]))
        rates, share = scans.log_rate.view(4, inner, state)[direction], scans.share.view(4, inner)[direction]
    else:
        wide = inner // scans.heads
        dt = nn.functional.softplus(step(tokens)).repeat_interleave(wide, 1)
        rates = scans.log_rate.view(4, -1)[direction].repeat_interleave(wide)[:, None].expand(inner, state)
        share = scans.share.view(4, -1)[direction].repeat_interleave(wide)
    h, ys = torch.zeros(inner, state, dtype=tokens.dtype), []
    for t, token in enumerate(tokens):
        h = torch.exp(-dt[t][:, None] * rates.exp()) * h + (dt[t] * token)[:, None] * b[t]
        ys.append(h @ c[t] + share * token)
    return torch.stack(ys)


def test_the_control_does_not_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Tensor) -> Tensor:
        raise AssertionError("a scan")

    for name in ("ssd_scan", "selective_scan", "cross_scan"):
        monkeypatch.setattr(ss2d, name, forbidden)
    x = torch.zeros(1, 2, 8, 8)
    VMUNet(in_channels=2, mixer="none", **SMALL)(x)
    for mixer in ("ssd", "s6"):
        with pytest.raises(AssertionError, match="a scan"):
            VMUNet(in_channels=2, mixer=mixer, **SMALL)(x)


@torch.no_grad()
@pytest.mark.parametrize("mixer", ["ssd", "s6", "none"])
def test_sizes_that_fit_nothing(mixer: str) -> None:
    assert VMUNet(classes=2, mixer=mixer)(torch.rand(1, 3, 97, 131)).shape == (1, 2, 97, 131)


@pytest.mark.parametrize("mixer", ["ssd", "s6", "none"])
def test_export_at_any_size(mixer: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = VMUNet(in_channels=2, classes=2, mixer=mixer, widths=(16, 32), state=4).eval()
    session = onnxruntime.InferenceSession(export_onnx(net, channels=2), providers=["CPUExecutionProvider"])
    for height, width in ((128, 128), (33, 70)):
        x = noise(2, 2, height, width)
        (found,) = session.run(None, {"image": x.numpy().astype(np.float32)})
        with torch.no_grad():
            close(torch.from_numpy(found), net(x), 1e-4)


@torch.no_grad()
@pytest.mark.parametrize("mixer", ["ssd", "s6"])
def test_scans_are_in_float32_under_autocast(mixer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = {"ssd": "ssd_scan", "s6": "selective_scan"}[mixer]
    scan, answers = getattr(ss2d, name), []
    monkeypatch.setattr(ss2d, name, lambda *inputs: answers.append(scan(*inputs)) or answers[-1])
    net = VMUNet(widths=(8,), patch=1, mixer=mixer)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(torch.rand(1, 3, 64, 64))
    assert {answer.dtype for answer in answers} == {torch.float32}
    assert answers[0].shape[2] == 4096
    assert bool(logits.isfinite().all())


def test_blocks_are_skipped_in_training_only() -> None:
    net = VMUNet(in_channels=1, widths=(8, 16), patch=2, depths=2, drop_path=0.9, mixer="none")
    rates = [block.drop_path for stage in net.encoders for block in stage[1:]]
    np.testing.assert_allclose(rates, [0, 0.3, 0.6, 0.9], rtol=1e-6)
    back = [block.drop_path for stage in net.decoders for block in stage]
    np.testing.assert_allclose(back, [0, 0.3, 0.6, 0.9], rtol=1e-6)
    x = noise(2, 1, 16, 16)
    assert not torch.equal(net.train()(x), net(x))
    assert torch.equal(net.eval()(x), net(x))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"widths": (24, 40)}, "each twice the one before"),
        ({"widths": (6, 12)}, "multiple of 4"),
        ({"depths": (1, 1)}, "a depth for each of 3 levels"),
        ({"decoder_depths": (1,)}, "a depth for each of 3 levels"),
        ({"mixer": "s4"}, "ssd, s6, none, found 's4'"),
        ({"head_channels": 7}, "head_channels to divide 48"),
    ],
)
def test_keywords_that_do_not_fit(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        VMUNet(**keywords)
