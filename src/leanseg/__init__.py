"""leanseg: medical image segmentation that asks for less.

Example:
    >>> import leanseg
    >>> leanseg.Classes(names=("vessel",), values=(255,)).outputs
    1
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from leanseg.bundle import Bundle as Bundle
    from leanseg.bundle import read_bundle as read_bundle
    from leanseg.data.dataset import Dataset as Dataset
    from leanseg.data.folder import open_dataset as open_dataset
    from leanseg.images.image import Image as Image
    from leanseg.images.read import read_image as read_image
    from leanseg.inference.predictor import Predictor as Predictor
    from leanseg.types import Classes as Classes
    from leanseg.types import Segmentation as Segmentation

_HOMES = {
    "Bundle": "leanseg.bundle",
    "Classes": "leanseg.types",
    "Dataset": "leanseg.data.dataset",
    "Image": "leanseg.images.image",
    "Predictor": "leanseg.inference.predictor",
    "Segmentation": "leanseg.types",
    "open_dataset": "leanseg.data.folder",
    "read_bundle": "leanseg.bundle",
    "read_image": "leanseg.images.read",
}
"""Public name -> the module that is imported when the name is first used."""

__all__ = [*_HOMES, "evaluate", "segment", "train"]


def segment(**options: Any) -> Any:
    """Segment images as ``leanseg segment`` does.

    Args:
        **options: those of the command with ``_`` for ``-``; see :class:`leanseg.workflows.segment.Segment`.

    Raises:
        UsageError: an option is not known or has the wrong type.
    """
    return _run("segment", options)


def train(**options: Any) -> Any:
    """Train a model as ``leanseg train`` does.

    Args:
        **options: those of the command with ``_`` for ``-``; see :class:`leanseg.workflows.train.Train`.

    Raises:
        UsageError: an option is not known or has the wrong type.
    """
    return _run("train", options)


def evaluate(**options: Any) -> Any:
    """Score a model or masks as ``leanseg evaluate`` does.

    Args:
        **options: those of the command with ``_`` for ``-``; see :class:`leanseg.workflows.evaluate.Evaluate`.

    Raises:
        UsageError: an option is not known or has the wrong type.
    """
    return _run("evaluate", options)


def _run(verb: str, options: dict[str, Any]) -> Any:
    # By name: to the import linter, rooms below would otherwise depend on workflows through the package itself.
    run_with = import_module("leanseg.workflows.config").run_with
    return run_with(getattr(import_module(f"leanseg.workflows.{verb}"), verb.title()), options)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'leanseg' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
