"""The weights that ``train --init`` starts from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from leanseg.bundle import Bundle, read_bundle
from leanseg.errors import InputError, UsageError
from leanseg.methods.stage import TRAINED_ON
from leanseg.workflows.train_checks import IMAGENET, is_model

if TYPE_CHECKING:
    from torch import Tensor, nn

PER_CLASS = "one-per-class"
"""The network that holds another one for each class."""


class FirstWeights:
    """Weights of a model, of a file that pre-training wrote, or of an encoder that was trained on ImageNet.

    Args:
        named: a model's name or folder, a ``.safetensors`` file, or ``imagenet``.

    Attributes:
        bundle: the model; None for the others.

    Raises:
        InputError: there is no such model.
        UsageError: the model has a graph and no weights.
    """

    def __init__(self, named: str) -> None:
        self.bundle: Bundle | None = read_bundle(named) if is_model(named) else None
        self.file: Path | None = None if named == IMAGENET else Path(named)
        if self.bundle is None:
            return
        weights = self.bundle.parts[0].weights
        if weights is None:
            raise UsageError(f"--init: the model {self.bundle.name} has no weights to start from, only an ONNX graph")
        self.file = self.bundle.path(weights)

    @property
    def trained_on(self) -> frozenset[str]:
        """Digests of the images that the weights have learnt from, as far as these say."""
        if self.bundle is not None:
            return self.bundle.trained_on
        if self.file is None:
            return frozenset()
        from safetensors import safe_open

        with safe_open(self.file, framework="pt") as file:
            return frozenset((file.metadata() or {}).get(TRAINED_ON, "").split())

    def give(self, net: nn.Module, names: Sequence[str]) -> None:
        """Copy every tensor that fits into a network; a head for other classes stays as it was initialised.

        Args:
            net: changed in place.
            names: of the classes that it shall segment. Of a model with a network for each class, each comes from
                that of its namesake; classes without one start anew.

        Raises:
            InputError: the file is no safetensors file, or nothing in it fits the network.
            UsageError: the network has no encoder that ImageNet's weights fit, or the model none of its classes.
            MissingExtra: the package with ImageNet's weights is not installed.
        """
        found = _of_encoders(net) if self.file is None else _of_file(self.file)
        if self.bundle is not None and self.bundle.parts[0].net == PER_CLASS:
            found = _by_name(found, self.bundle.classes.names, names)
        own = net.state_dict()
        fitting = {name: value for name, value in found.items() if name in own and own[name].shape == value.shape}
        if not any(own[name].ndim > 1 for name in fitting):
            msg = f"none of its {len(found)} tensors fits {type(net).__name__}; train with the --net and the channels"
            raise InputError(self.file or IMAGENET, f"{msg} that they were made with")
        net.load_state_dict({**own, **fitting})


def _of_file(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise InputError(file, f"expected weights to start from, in safetensors: {error}") from error


def _of_encoders(net: nn.Module) -> dict[str, Tensor]:
    """Published weights for every encoder in a network, by their names there."""
    from leanseg.nets.efficientnet_lite import EfficientNetLite0
    from leanseg.nets.imagenet_weights import imagenet_weights

    encoders = {name: part for name, part in net.named_modules() if isinstance(part, EfficientNetLite0)}
    if not encoders:
        wanted = """--net deeplab-v3-plus --net-keywords '{"encoder": "efficientnet-lite0"}'"""
        raise UsageError(f"--init imagenet has weights for one encoder alone: give {wanted} as well")
    channels = next(iter(encoders.values())).in_channels
    weights = imagenet_weights(in_channels=channels)
    return {f"{name}.{key}": value for name in encoders for key, value in weights.items()}


def _by_name(found: dict[str, Tensor], theirs: Sequence[str], ours: Sequence[str]) -> dict[str, Tensor]:
    """Tensors of one network for each class, numbered as our classes are; two single classes are taken for one."""
    if len(theirs) == len(ours) == 1:
        return found
    places = {f"nets.{theirs.index(name)}.": f"nets.{number}." for number, name in enumerate(ours) if name in theirs}
    if not places:
        known, wanted = ", ".join(theirs), ", ".join(ours)
        raise UsageError(f"--init: the model segments {known}, none of which is among {wanted}; name classes alike")
    return {
        place + name.removeprefix(old): value
        for name, value in found.items()
        for old, place in places.items()
        if name.startswith(old)
    }
