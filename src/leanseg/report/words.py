"""Numbers, durations and sizes as a person writes them."""

from __future__ import annotations

import math

import numpy as np

DASH = "\u2013"


def spell(value: object) -> str:
    """A cell's text: numbers short, None and nan as a dash.

    Example:
        >>> spell(0.81234), spell(12345), spell(None), spell("p01")
        ('0.812', '12,345', '–', 'p01')
    """
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        number = float(value)
        return f"{number:.3f}" if abs(number) < 100 else f"{number:,.1f}"
    if isinstance(value, list | tuple):
        return ", ".join(spell(entry) for entry in value)
    return str(value)


def duration(seconds: float) -> str:
    """A time that a person can read.

    Example:
        >>> duration(7.25), duration(250), duration(7300)
        ('7.2 s', '4 min 10 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(count: float) -> str:
    """A number of bytes that a person can read.

    Example:
        >>> size(900), size(1_300_000_000)
        ('900 B', '1.3 GB')
    """
    power = min(max(math.floor(math.log10(max(count, 1)) / 3), 0), 4)
    unit, decimals = (("B", 0), ("kB", 0), ("MB", 1), ("GB", 1), ("TB", 1))[power]
    return f"{count / 1000**power:.{decimals}f} {unit}"
