"""Losses by name: each takes logits, target and valid, and gives one number."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from leanseg.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

LOSSES = {
    "dice-jaccard-bce": "leanseg.losses.dice_jaccard_bce:DiceJaccardBCE",
    "dice": "leanseg.losses.dice:Dice",
    "jaccard": "leanseg.losses.jaccard:Jaccard",
    "cross-entropy": "leanseg.losses.cross_entropy:CrossEntropy",
    "tversky": "leanseg.losses.tversky:Tversky",
}
"""Registry: the name used on the command line -> ``module:Class``."""


def create(name: str, **keywords: Any) -> nn.Module:
    """Build a loss by its registered name.

    Raises:
        UsageError: no such loss, or the keywords do not fit it.

    Example:
        >>> create("dice", smooth=0.0).smooth
        0.0
    """
    if name not in LOSSES:
        raise UsageError(f"unknown loss {name!r}; registered are {', '.join(sorted(LOSSES))}")
    module, _, attribute = LOSSES[name].partition(":")
    kind = getattr(import_module(module), attribute)
    try:
        loss: nn.Module = kind(**keywords)
    except TypeError as error:
        raise UsageError(f"cannot build loss {name!r}: {error}") from error
    return loss
