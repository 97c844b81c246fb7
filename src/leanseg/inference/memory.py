"""How much memory a run may take, and the largest tile that stays within it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from leanseg.errors import UsageError

DEFAULT = 2 * 10**9
"""Bytes when nothing is said."""

LIBRARIES = 330 * 10**6
"""Bytes that Python, the libraries, the low-resolution pass and an overlay take beside the tiles."""

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def parse_memory(text: str) -> int:
    """Bytes from words such as "2GB", "1.5 GiB" or "800M".

    Raises:
        UsageError: not an amount of memory, or less than the libraries take by themselves.

    Example:
        >>> parse_memory("2GB"), parse_memory("1.5 GiB"), parse_memory("800M")
        (2000000000, 1610612736, 800000000)
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]i?|)b?\s*", text.lower())
    amount = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if amount < 1:
        raise UsageError(f"memory is an amount such as 2GB or 800MB, found {text!r}")
    if amount <= LIBRARIES:
        raise UsageError(f"memory: Python and the libraries alone take {spell_memory(LIBRARIES)}, found {text!r}")
    return int(amount)


def spell_memory(amount: float) -> str:
    """Bytes in words.

    Example:
        >>> spell_memory(1.25e9), spell_memory(3e6)
        ('1.2 GB', '3 MB')
    """
    return f"{amount / 1e9:.1f} GB" if amount >= 1e9 else f"{max(1, round(amount / 1e6))} MB"


def largest_fitting(sides: Iterable[int], cost: Callable[[int], float], *, room: float) -> int | None:
    """The first of several sides, largest first, whose cost fits; None when not even the last does.

    Example:
        >>> largest_fitting([400, 200, 100], lambda side: side**2, room=50_000)
        200
    """
    return next((side for side in sides if cost(side) <= room), None)
