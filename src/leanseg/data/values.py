"""What the values in a mask file tell about how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["empty", "binary", "ramp", "instances", "classes", "many"]

NEAR = 16
"""JPEG at the usual qualities moves most pixels of a flat area by less than this."""
MOST_CLASSES = 20
"""More different values than this are no classes that anybody has drawn."""


def count_values(values: NDArray[Any]) -> dict[int, int]:
    """How many pixels have each value.

    Example:
        >>> count_values(np.array([[0, 0, 255]]))
        {0: 2, 255: 1}
    """
    found, counts = np.unique(values, return_counts=True)
    return {int(value): int(count) for value, count in zip(found, counts, strict=True)}


def kind_of(counts: Mapping[int, int]) -> Kind:
    """The likely origin of a mask, from its histogram.

    Args:
        counts: pixels of each value.

    Returns:
        ``"empty"`` (one value), ``"binary"`` (two), ``"ramp"`` (two levels blurred by JPEG or by resizing),
        ``"instances"`` (objects numbered one after the other), ``"classes"`` (few values) or ``"many"``.

    Example:
        >>> kind_of({0: 90, 1: 3, 254: 2, 255: 40}), kind_of({0: 90, 1: 5, 2: 5})
        ('ramp', 'classes')
    """
    if len(counts) <= 2:
        return "empty" if len(counts) == 1 else "binary"
    numbers = sorted(counts)
    consecutive = numbers[-1] - numbers[0] == len(numbers) - 1
    full = numbers[-1] in (255, 65535)
    if not full and (numbers[-1] > 255 or (consecutive and len(numbers) > MOST_CLASSES)):
        return "instances"
    if _is_ramp(counts):
        return "ramp"
    return "classes" if len(counts) <= MOST_CLASSES else "many"


def levels(counts: Mapping[int, int]) -> tuple[int, int]:
    """The two most frequent values at least 64 apart, lower one first (twice the same if there is only one).

    Example:
        >>> levels({0: 90, 1: 50, 254: 2, 255: 40})
        (0, 255)
    """
    by_count = sorted(counts, key=lambda value: (-counts[value], value))
    first = by_count[0]
    second = next((value for value in by_count if abs(value - first) >= 64), first)
    return min(first, second), max(first, second)


def _is_ramp(counts: Mapping[int, int]) -> bool:
    low, high = levels(counts)
    if low == high:
        return False
    others = [value for value in counts if value not in (low, high)]
    near = [value for value in others if min(abs(value - low), abs(value - high)) <= NEAR]
    beside = {level: sum(n for v, n in counts.items() if abs(v - level) <= NEAR) for level in (low, high)}
    far = sum(counts[value] for value in others if value not in near)
    return bool(near) and far <= 1.5 * min(beside.values())
