"""Networks by name: plain torch modules whose constructor keywords are their whole configuration."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from leanseg.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

NETS = {
    "deeplab-v3-plus": "leanseg.nets.deeplab_v3_plus:DeepLabV3Plus",
    "med2d-segnet": "leanseg.nets.med2d_segnet:Med2DSegNet",
    "mini-net": "leanseg.nets.mini_net:MiniNet",
    "mini-net-cascade": "leanseg.nets.cascade:MiniNetCascade",
    "one-per-class": "leanseg.nets.one_per_class:OnePerClass",
    "unet": "leanseg.nets.unet:UNet",
    "vm-unet": "leanseg.nets.vm_unet:VMUNet",
    "xnet-plus": "leanseg.nets.xnet_plus:XNetPlus",
}
"""Registry: the name used on the command line and in bundles -> ``module:Class``."""


def create(name: str, *, trust: bool = False, **keywords: Any) -> nn.Module:
    """Build a network.

    Args:
        name: a registered name, or ``package.module:Class`` of the caller's own.
        trust: allow a class that is not registered, whose code will run.
        keywords: the constructor's keywords.

    Raises:
        UsageError: the name is unknown, foreign code was not trusted, or the keywords do not fit.

    Example:
        >>> create("mini-net", in_channels=1, classes=2).dims
        2
    """
    if name not in NETS and not (trust and ":" in name):
        hint = "; a class of your own needs --trust" if ":" in name else ""
        raise UsageError(f"unknown net {name!r}; registered are {', '.join(sorted(NETS))}{hint}")
    module, _, attribute = NETS.get(name, name).partition(":")
    try:
        net: nn.Module = getattr(import_module(module), attribute)(**keywords)
    except (ImportError, AttributeError, TypeError) as error:
        raise UsageError(f"cannot build net {name!r} with {keywords}: {error}") from error
    return net
