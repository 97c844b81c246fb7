"""Draws ``speed.py``'s picture: milliseconds of one image, on a logarithmic axis, shortest first."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from leanseg.report._axes import COLOURS, document, line, text

SIDE = 512
WIDTH, LEFT, RIGHT, STEP = 780, 210, 700, 24


def bars(best: Mapping[tuple[str, int, int], tuple[float, ...]], *, ours: Collection[str]) -> str:
    """An SVG that stands by itself.

    Args:
        best: by arm, threads and side; milliseconds come first.
        ours: the arms that are Mini-Net.
    """
    times = sorted((found[0], arm) for (arm, threads, side), found in best.items() if (threads, side) == (1, SIDE))
    first, last = math.floor(math.log10(times[0][0])), math.ceil(math.log10(times[-1][0]))
    bottom = 30 + STEP * len(times)

    def place(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (math.log10(value) - first) / (last - first)

    parts = [f'<rect width="{WIDTH}" height="{bottom + 60}" rx="6" fill="#fff"/>']
    for power in range(first, last + 1):
        x = place(10.0**power)
        parts += [line(x, 20, x, bottom, "grid"), text(x, bottom + 18, f"{10**power:,g}", "small", anchor="middle")]
    for number, (time, arm) in enumerate(times):
        y = 30 + STEP * number
        colour = COLOURS[0] if arm in ours else COLOURS[1]
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{place(time) - LEFT:.1f}" height="15" rx="3" fill="{colour}"/>')
        parts += [
            text(LEFT - 8, y + 12, arm, "small", anchor="end"),
            text(place(time) + 6, y + 12, f"{time:,.0f}", "small"),
        ]
    label = f"milliseconds, {SIDE} x {SIDE} pixels, one thread; blue: Mini-Net, the same network in several ways"
    parts.append(text((LEFT + RIGHT) / 2, bottom + 40, label, "label", anchor="middle"))
    return str(document(parts, width=WIDTH, height=bottom + 60, title="Time of one image"))
