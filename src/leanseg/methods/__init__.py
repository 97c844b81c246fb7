"""Methods by name: how a network is trained from a certain situation of labels."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from leanseg.errors import UsageError

if TYPE_CHECKING:
    from leanseg.methods.stage import Method

METHODS = {
    "dr-lesions": "leanseg.methods.dr_lesions:DrLesions",
    "mamba-sea": "leanseg.methods.mamba_sea:MambaSea",
    "spatial-label-noise": "leanseg.methods.spatial_label_noise:SpatialLabelNoise",
    "supercl": "leanseg.methods.supercl:SuperCL",
    "supervised": "leanseg.methods.supervised:Supervised",
    "wt-bcp": "leanseg.methods.wt_bcp:WtBcp",
}
"""Registry: the name used on the command line -> ``module:Class``."""


def method_class(name: str) -> type[Method]:
    """The class of a registered method.

    Raises:
        UsageError: no such method.

    Example:
        >>> method_class("supervised").stage_names
        ('fit',)
    """
    if name not in METHODS:
        raise UsageError(f"unknown method {name!r}; registered are {', '.join(sorted(METHODS))}")
    module, _, attribute = METHODS[name].partition(":")
    found: type[Method] = getattr(import_module(module), attribute)
    return found


def create(name: str, **keywords: Any) -> Method:
    """Build a method by its registered name.

    Raises:
        UsageError: no such method, or the keywords do not fit it.
    """
    kind = method_class(name)
    try:
        return kind(**keywords)
    except TypeError as error:
        raise UsageError(f"cannot build method {name!r}: {error}") from error
