"""What every score asks of the arrays that it is given."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from leanseg.errors import UsageError


def check_masks(shape: tuple[int, ...], **masks: NDArray[Any] | None) -> None:
    """Refuse masks that are not boolean or not of one shape.

    Args:
        shape: the expected shape, (H, W) or (D, H, W).
        masks: the arrays under the names that the message uses; None is let pass.

    Raises:
        UsageError: a mask has another type or shape.

    Example:
        >>> check_masks((2,), truth=np.array([True, False]), valid=None)
    """
    for name, mask in masks.items():
        if mask is None:
            continue
        if mask.dtype != np.bool_:
            raise UsageError(f"{name} must be a boolean mask, found {mask.dtype}; compare with a class number first")
        if mask.shape != shape:
            raise UsageError(f"{name} must have the shape {shape}, found {mask.shape}; bring both to one grid first")


def check_probabilities(probabilities: NDArray[Any]) -> None:
    """Refuse numbers that are no probabilities.

    Raises:
        UsageError: not floating point, outside [0, 1] or nan.

    Example:
        >>> check_probabilities(np.array([0.0, 0.5, 1.0]))
    """
    if not np.issubdtype(probabilities.dtype, np.floating):
        raise UsageError(f"probabilities must be floating point, found {probabilities.dtype}")
    if probabilities.size == 0:
        return
    low, high = float(probabilities.min()), float(probabilities.max())
    if not (low >= 0 and high <= 1):
        raise UsageError(f"probabilities must lie in [0, 1], found {low} to {high}; give probabilities, not logits")
