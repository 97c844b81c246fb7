"""Draws ``pareto.py``'s picture: the Dice of each set against the size of a network and against its time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from leanseg.report._axes import COLOURS, Axes, Box, document, line, text

WIDTH, HEIGHT = 780, 400
PANELS = {
    "parameters": ("parameters", Box(56, 14, 386, 290), lambda value: f"{value / 1e6:g} M"),
    "milliseconds": ("milliseconds an image", Box(430, 14, 750, 290), lambda value: f"{value:,g}"),
}
"""What is measured: its name, where it is drawn, how its numbers are written."""

DODGE, ASIDE = 4, {"parameters": 9, "milliseconds": 0}
"""Pixels between the sets at one network, and by which networks of one size stand aside, in turns left and right."""

Net = Mapping[str, Any]


def _circle(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5"'


def _polygon(*corners: tuple[float, float]) -> Callable[[float, float], str]:
    def draw(x: float, y: float) -> str:
        points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
        return f'<polygon points="{points}"'

    return draw


SHAPES = (
    _polygon((0, -6), (6, 0), (0, 6), (-6, 0)),
    _polygon((-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (-4.5, 4.5)),
    _circle,
    _polygon((0, -5.5), (5.5, 4), (-5.5, 4)),
)


def picture(nets: Sequence[Net], sets: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """An SVG that stands by itself.

    Args:
        nets: each with its name, parameters and milliseconds; those that no set has are shown as a line.
        sets: for each set the mean Dice of each network and the ends of its interval.
    """
    shapes = {net["name"]: shape for net, shape in zip(_shown(nets, sets), SHAPES, strict=False)}
    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#fff"/>']
    for key, (label, box, spell) in PANELS.items():
        parts.append(_panel(key, label, box, spell, nets, sets, shapes))
    parts += [_legend(sets, shapes)]
    return str(document(parts, width=WIDTH, height=HEIGHT, title="Dice against parameters and against time"))


def _shown(nets: Sequence[Net], sets: Mapping[str, Any]) -> list[Net]:
    return [net for net in nets if any(net["name"] in found for found in sets.values())]


def _panel(
    key: str,
    label: str,
    box: Box,
    spell: Callable[[float], str],
    nets: Sequence[Net],
    sets: Mapping[str, Mapping[str, Sequence[float]]],
    shapes: Mapping[str, Callable[[float, float], str]],
) -> str:
    """One chart with a logarithmic axis."""
    powers = [math.log10(net[key]) for net in nets]
    first, last = math.floor(min(powers)), math.ceil(max(powers))
    ends = [value for found in sets.values() for point in found.values() for value in point]
    axes = Axes(box, (first, last), (min(ends, default=0.0), max(ends, default=1.0)), round_y=True)
    parts = [axes.draw("", "Dice" if box.left < WIDTH / 2 else "")]
    parts += [
        text(axes.x(power), box.bottom + 16, spell(10.0**power), "small", anchor="middle")
        for power in range(first, last + 1)
    ]
    parts.append(text((box.left + box.right) / 2, box.bottom + 36, label, "label", anchor="middle"))
    for turn, net in enumerate(nets):
        x = axes.x(math.log10(net[key]))
        if net["name"] not in shapes:
            y = box.bottom - 8 - 15 * (len(nets) - 1 - turn)
            name = text(x - 5, y, f"{net['name']}, not trained", "small", anchor="end")
            parts += [line(x, box.top, x, box.bottom, "mark"), name]
        for number, (found, colour) in enumerate(zip(sets.values(), COLOURS, strict=False)):
            if net["name"] in found:
                place = x + DODGE * (number - (len(sets) - 1) / 2) + ASIDE[key] * (-1 if turn % 2 == 0 else 1)
                parts.append(_point(axes, place, found[net["name"]], colour, shapes[net["name"]]))
    return "".join(parts)


def _point(axes: Axes, x: float, point: Sequence[float], colour: str, shape: Callable[[float, float], str]) -> str:
    mean, low, high = (axes.y(value) for value in point)
    interval = f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{colour}" stroke-width="1.5" opacity="0.6"/>'
    return f'{interval}{shape(x, mean)} fill="{colour}" stroke="#fff"/>'


def _legend(sets: Mapping[str, Any], shapes: Mapping[str, Callable[[float, float], str]]) -> str:
    parts = []
    for number, (name, colour) in enumerate(zip(sets, COLOURS, strict=False)):
        x = 60 + 145 * number
        parts += [f'<rect x="{x}" y="350" width="14" height="5" rx="2" fill="{colour}"/>', text(x + 20, 357, name, "")]
    for number, (name, shape) in enumerate(shapes.items()):
        x = 60 + 181 * number
        parts += [f'{shape(x + 7, 378)} fill="#666"/>', text(x + 20, 382, name, "")]
    return "".join(parts)
