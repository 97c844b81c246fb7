"""Med-2D SegNet: the counts of the reconstruction, its block, its gate, and what padding does to it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from leanseg.errors import UsageError
from leanseg.export.onnx import export_onnx
from leanseg.nets.folding import fold_conv_norm
from leanseg.nets.med2d_segnet import Med2DSegNet
from leanseg.nets.med_block import ChannelGate, MedBlock
from leanseg.nets.unet import UNet
from testers.nets import NetTester, close, noise, settled

OTHER = {"widths": (31, 62, 124, 248), "repeats": (1, 1, 1, 2)}


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def statistics(module: nn.Module) -> int:
    """What normalisation layers remember, without their counters."""
    return sum(b.numel() for b in module.buffers() if b.is_floating_point())


def small(**changes: Any) -> Med2DSegNet:
    return Med2DSegNet(**{"in_channels": 2, "classes": 3, "widths": (3, 4, 6), "repeats": (2, 1, 2), **changes})


class GatedTester(NetTester):
    @torch.no_grad()
    def test_padding_by_the_caller_changes_nothing(self) -> None:
        """If it says which pixels are only padding: gates count the others."""
        net, x = settled(self.build()), self.image(13)
        padded = np.pad(x.numpy(), ((0, 0), (0, 0), (0, 3), (0, 3)), mode="reflect")
        valid = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
        valid[..., :13, :13] = True
        assert torch.equal(net(torch.from_numpy(padded), valid)[..., :13, :13], net(x))
        assert not torch.equal(net(torch.from_numpy(padded))[..., :13, :13], net(x))


class TestMed2DSegNet(GatedTester):
    name = "med2d-segnet"
    keywords = {"widths": (3, 4, 6), "repeats": (2, 1, 2)}  # noqa: RUF012
    golden = (-0.48302, -0.04256, -0.54495)


class TestLearnedGate(GatedTester):
    name = "med2d-segnet"
    keywords = {"widths": (3, 5), "repeats": (1, 2), "gate": "learned"}  # noqa: RUF012
    golden = (0.45558, -0.5733, -0.22451)


class TestWithoutGate(NetTester):
    name = "med2d-segnet"
    keywords = {"widths": (3, 4), "repeats": (2, 1), "gate": "none", "kernel": 3, "expansion": 2}  # noqa: RUF012
    golden = (-0.1297, 0.01142, -0.10286)


def test_counts_of_the_parts() -> None:
    net = Med2DSegNet()
    assert parameters(net.stem) == 696
    assert [[parameters(block) for block in stage] for stage in net.stages] == [
        [15_216, 14_592],
        [19_344],
        [61_728, 141_312, 141_312],
        [215_616, 503_808, 503_808],
    ]
    assert [parameters(decoder) for decoder in net.decoders] == [15_648, 20_832, 83_136, 332_160]
    assert [[parameters(conv) for conv in decoder[::3]] for decoder in net.decoders] == [
        [10_368, 5_184],
        [15_552, 5_184],
        [62_208, 20_736],
        [248_832, 82_944],
    ]
    assert parameters(net.head) == 25


@pytest.mark.parametrize(
    ("keywords", "wanted", "remembered"),
    [
        ({}, 2_069_233, 22_464),
        ({"classes": 2}, 2_069_258, 22_464),
        (OTHER, 2_068_631, 15_314),
        ({"widths": (12, 24, 48, 96)}, 581_305, 11_232),
        ({"gate": "none"}, 2_069_233, 22_464),
        # Two numbers for each hidden channel of the nine blocks.
        ({"gate": "learned"}, 2_069_233 + 12 * (24 + 24 + 24 + 48 + 96 + 96 + 96 + 192 + 192), 22_464),
    ],
)
def test_counts(keywords: dict[str, Any], wanted: int, remembered: int) -> None:
    net = Med2DSegNet(**keywords)
    assert (parameters(net), statistics(net)) == (wanted, remembered)


@pytest.mark.parametrize(
    ("fan_in", "fan_out", "stride", "wanted"),
    [(24, 24, 1, 14_592), (24, 24, 2, 15_216), (48, 96, 2, 61_728), (192, 192, 1, 503_808)],
)
def test_count_of_a_block(fan_in: int, fan_out: int, stride: int, wanted: int) -> None:
    hidden = 6 * fan_in
    projected = 0 if (fan_in, stride) == (fan_out, 1) else fan_in * fan_out + 2 * fan_out
    formula = 6 * fan_in**2 + 2 * hidden + 49 * hidden + 2 * hidden + hidden * fan_out + 2 * fan_out + projected
    block = MedBlock(fan_in=fan_in, fan_out=fan_out, stride=stride)
    assert parameters(block) == formula == wanted
    learned = MedBlock(fan_in=fan_in, fan_out=fan_out, stride=stride, gate="learned")
    assert parameters(learned) == wanted + 2 * hidden


def test_counts_of_the_matched_u_nets() -> None:
    assert parameters(UNet(widths=(33, 66, 132, 264))) == 2_071_840
    assert parameters(UNet(widths=(9, 18, 36))) == 37_792


@torch.no_grad()
@pytest.mark.parametrize(("keywords", "wanted"), [({}, 3_578_707_968), (OTHER, 4_816_898_048)])
def test_multiply_adds(keywords: dict[str, Any], wanted: int) -> None:
    """At 256x256, counted at 64x64: all layers grow with the image."""
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal total
        total += layer.weight.numel() * output.shape[-2] * output.shape[-1]

    net = Med2DSegNet(**keywords).eval()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    net(torch.zeros(1, 3, 64, 64))
    assert 16 * total == wanted


@torch.no_grad()
def test_every_size() -> None:
    net = Med2DSegNet(in_channels=1, classes=2, widths=(1, 1, 1, 1), repeats=(1, 1, 1, 1), expansion=1).eval()
    for side in range(17, 81):
        for size in ((side, 97 - side), (side, 17)):
            assert net(torch.zeros(1, 1, *size)).shape == (1, 2, *size)


@torch.no_grad()
def test_golden_logits_of_the_default() -> None:
    logits = settled(Med2DSegNet())(noise(1, 3, 64, 64))[0, 0]
    found = torch.stack([logits[0, 0], logits[1, 2], logits[31, 40], logits[63, 63], logits.mean(), logits.std()])
    close(found, torch.tensor([-0.58176, 0.02263, 0.12007, -0.41666, -0.03372, 0.32039]), 1e-4)


@torch.no_grad()
@pytest.mark.parametrize(("fan_out", "stride"), [(3, 1), (3, 2), (5, 1)])
def test_a_block_is_the_equation(fan_out: int, stride: int) -> None:
    block = settled(MedBlock(fan_in=3, fan_out=fan_out, stride=stride, expansion=2)).double()
    x = noise(2, 3, 9, 8, dtype=torch.float64)

    def layer(parts: nn.Sequential, x: Tensor) -> Tensor:
        return parts[1](parts[0](x))

    a = layer(block.expand, x).clamp(0, 6)
    d = layer(block.depthwise, a).clamp(0, 6)
    g = 1 / (1 + torch.exp(-d.mean((2, 3), keepdim=True)))
    s = x if (fan_out, stride) == (3, 1) else layer(block.shortcut, x)
    torch.testing.assert_close(block(x), layer(block.reduce, g * d) + s, rtol=1e-12, atol=1e-12)
    assert [conv.bias for conv in block.modules() if isinstance(conv, nn.Conv2d)] == [None] * (4 if s is not x else 3)


@torch.no_grad()
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_against_a_loop(stride: int) -> None:
    block = settled(MedBlock(fan_in=1, fan_out=1, stride=stride, expansion=2))
    kernels, x = block.depthwise[0].weight.numpy().astype(np.float64), noise(1, 2, 9, 9)
    padded = np.pad(x[0].numpy().astype(np.float64), ((0, 0), (3, 3), (3, 3)))
    side = -(-9 // stride)
    wanted = np.zeros((2, side, side))
    for c in range(2):
        for i in range(side):
            for j in range(side):
                for u in range(7):
                    for v in range(7):
                        wanted[c, i, j] += kernels[c, 0, u, v] * padded[c, stride * i + u, stride * j + v]
    np.testing.assert_allclose(block.depthwise[0](x)[0].numpy(), wanted, rtol=0, atol=1e-6)


@torch.no_grad()
def test_without_reduction_a_block_passes_its_input_on() -> None:
    block, x = settled(MedBlock(fan_in=4, fan_out=4)), noise(2, 4, 9, 7)
    block.reduce[0].weight.zero_()
    nn.init.zeros_(block.reduce[1].bias)
    nn.init.zeros_(block.reduce[1].running_mean)
    before = x.clone()
    assert torch.equal(block(x), x)
    assert torch.equal(x, before)


@torch.no_grad()
@pytest.mark.parametrize("level", [0.0, 0.3, 2.5, 6.0])
def test_gate_of_a_constant(level: float) -> None:
    wanted = 1 / (1 + np.exp(-np.float64(level)))
    for learned in (False, True):
        gate = ChannelGate(2, learned=learned)(torch.full((1, 2, 16, 16), level))
        np.testing.assert_allclose(gate.numpy(), wanted, rtol=0, atol=1e-7)
        assert gate.shape == (1, 2, 1, 1)


@torch.no_grad()
def test_gate_counts_valid_pixels_only() -> None:
    x, gate = noise(2, 3, 6, 5), ChannelGate(3)
    valid = torch.zeros(2, 1, 9, 7)
    valid[..., :6, :5] = 1
    larger = torch.full((2, 3, 9, 7), 50.0)
    larger[..., :6, :5] = x
    close(gate(larger, valid), gate(x), 1e-7)
    assert not torch.allclose(gate(larger), gate(x))
    assert torch.equal(gate(x, torch.zeros(2, 1, 6, 5)), torch.full((2, 3, 1, 1), 0.5))


@torch.no_grad()
def test_no_gate_is_a_gate_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    gated, plain, x = settled(small()), small(gate="none"), noise(2, 2, 16, 24)
    plain.load_state_dict(gated.state_dict())
    plain.eval()
    assert not torch.allclose(gated(x), plain(x))
    monkeypatch.setattr(ChannelGate, "forward", lambda self, x, valid=None: torch.ones(*x.shape[:2], 1, 1))
    assert torch.equal(gated(x), plain(x))


@torch.no_grad()
def test_a_learned_gate_scales_and_shifts_the_mean() -> None:
    gate, x = settled(ChannelGate(3, learned=True)), noise(2, 3, 5, 5)
    scale, shift = gate.affine.weight.view(1, 3, 1, 1), gate.affine.bias.view(1, 3, 1, 1)
    torch.testing.assert_close(gate(x), torch.sigmoid(scale * x.mean((2, 3), keepdim=True) + shift))


@torch.no_grad()
def test_pixels_that_do_not_count_have_no_part_in_the_gates() -> None:
    net, x = settled(small()), noise(1, 2, 16, 128)
    valid = torch.zeros(1, 1, 16, 128)
    valid[..., 5, 3] = 1
    other = x.clone()
    other[..., 120:] += 1
    assert torch.equal(net(x, torch.ones(1, 1, 16, 128)), net(x, torch.ones(1, 1, 16, 128, dtype=torch.bool)))
    close(net(x, torch.ones(1, 1, 16, 128)), net(x), 1e-6)
    # The far end reaches the near one through the gates alone.
    assert torch.equal(net(x, valid)[..., :8], net(other, valid)[..., :8])
    assert not torch.equal(net(x)[..., :8], net(other)[..., :8])
    # One pixel is enough at every resolution: the gates are not those of an image without any.
    assert not torch.equal(net(x, valid), net(x, torch.zeros_like(valid)))


def trained(**changes: Any) -> Med2DSegNet:
    """A net after three passes in training mode on random data, so that its statistics are its own."""
    torch.manual_seed(3)
    net = small(**changes).double().train()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(-1, 1)
                module.bias.uniform_(-1, 1)
        for step in range(3):
            net(noise(2, 2, 32, 32, seed=step, dtype=torch.float64))
    return net.eval()


@torch.no_grad()
@pytest.mark.parametrize("gate", ["mean", "none", "learned"])
def test_folding_changes_no_logit(gate: str) -> None:
    """The gate stands between the depthwise convolution and the reduction, and stays there."""
    net, x = trained(gate=gate), noise(2, 2, 31, 38, seed=9, dtype=torch.float64)
    folded = copy.deepcopy(net)
    for module in folded.modules():
        if isinstance(module, nn.Sequential):
            fold_conv_norm(module)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    for dtype, tolerance in ((torch.float64, 1e-11), (torch.float32, 1e-5)):
        close(folded.to(dtype)(x.to(dtype)), net.to(dtype)(x.to(dtype)), tolerance)


@torch.no_grad()
def test_a_mirrored_image_has_mirrored_features() -> None:
    block, x = settled(MedBlock(fan_in=4, fan_out=6)), noise(1, 4, 15, 12)
    kernels = block.depthwise[0].weight
    kernels.copy_((kernels + kernels.flip(-1)) / 2)
    close(block(x.flip(-1)), block(x).flip(-1), 1e-5)


@torch.no_grad()
def test_encode_gives_every_resolution_or_the_first_ones() -> None:
    net, x = settled(small()), noise(1, 2, 16, 24)
    features = net.encode(x)
    assert [tuple(f.shape[1:]) for f in features] == [(3, 16, 24), (3, 8, 12), (4, 4, 6), (6, 2, 3)]
    for levels in (1, 3):
        assert all(torch.equal(a, b) for a, b in zip(net.encode(x, levels), features[:levels], strict=True))


@torch.no_grad()
def test_stochastic_depth_passes_the_input_on_for_some_images() -> None:
    x = noise(64, 3, 5, 5)
    block = settled(MedBlock(fan_in=3, fan_out=3, stochastic_depth=0.25))
    used = block(x)
    # Normalised by its memory, so that only the draw differs from use.
    block.training = True
    torch.manual_seed(0)
    answer = block(x)
    passed = (answer == x).flatten(1).all(1)
    assert 4 <= int(passed.sum()) <= 32
    torch.testing.assert_close(answer[~passed], x[~passed] + (used - x)[~passed] / 0.75, rtol=1e-5, atol=1e-5)
    projected = settled(MedBlock(fan_in=3, fan_out=4, stochastic_depth=0.25))
    used = projected(x)
    projected.training = True
    assert torch.equal(projected(x), used)


def test_wrong_keywords() -> None:
    for keywords in ({"repeats": (1, 1)}, {"widths": (), "repeats": ()}, {"repeats": (1, 0, 1, 1)}):
        with pytest.raises(UsageError, match="one number of blocks, from 1, for each width"):
            Med2DSegNet(**keywords)
    for keywords in ({"kernel": 4}, {"gate": "max"}, {"stochastic_depth": 1.0}):
        with pytest.raises(UsageError, match="an odd kernel, a gate of mean, none, learned"):
            Med2DSegNet(**keywords)


@pytest.mark.parametrize("gate", ["mean", "learned"])
def test_exported_it_answers_equally(gate: str) -> None:
    graph = onnx.load_from_string(export_onnx(settled(small(gate=gate)), channels=2)).graph
    assert "BatchNormalization" not in {node.op_type for node in graph.node}
