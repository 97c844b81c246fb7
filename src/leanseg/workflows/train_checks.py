"""Options of a training that cannot be meant, told before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from leanseg.errors import UsageError

if TYPE_CHECKING:
    from leanseg.workflows.train import Train

LEAST = {
    "snapshots": 0, "patience": 0, "workers": 0, "epochs": 1, "epoch_steps": 1, "crop": 1, "batch": 1, "folds": 1,
    "labelled": 1, "processes": 1, "threads": 1, "longest": 1, "diameter": 1, "learning_rate": 0,
}  # fmt: skip
IMAGENET = "imagenet"
"""What ``--init`` takes instead of a model: published weights of the encoder ``efficientnet-lite0``."""


def is_model(init: str) -> bool:
    """Whether ``--init`` names a model, which brings a network and its preprocessing, and not weights alone."""
    return init != IMAGENET and not init.endswith(".safetensors")


PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


def check_options(options: Train) -> None:
    """Refuse numbers out of range, an unknown precision, and a device that is not there.

    Raises:
        UsageError: for the first such option.
    """
    for name, least in LEAST.items():
        value = getattr(options, name)
        if value is not None and value < least:
            raise UsageError(f"--{name.replace('_', '-')} is a number from {least}, found {value}")
    if options.minutes is not None and options.minutes <= 0:
        raise UsageError(f"--minutes is a number above 0, found {options.minutes:g}")
    if options.foreground is not None and not 0 <= options.foreground <= 1:
        raise UsageError(f"--foreground is a share from 0 to 1, found {options.foreground:g}")
    if options.precision is not None and options.precision not in PRECISIONS:
        raise UsageError(f"--precision is one of {', '.join(PRECISIONS)}; found {options.precision!r}")
    _check_device(options.device)


def _check_device(device: str) -> None:
    import torch

    there: dict[str, Callable[[], bool]] = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if device in there and not there[device]():
        raise UsageError(f"--device {device}: this installation of torch finds no such device; choose another one")
