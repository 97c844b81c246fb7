"""The frame, grid and lettering that all charts share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

# The page sets the variables for light, dark and paper; the colours behind the comma serve the SVG on its own.
COLOURS = tuple(
    f"var(--chart-{number}, {colour})"
    for number, colour in enumerate(("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9"), start=1)
)

STYLE = (
    ".axis{stroke:var(--muted,#666);stroke-width:1}.grid{stroke:var(--line,#ddd);stroke-width:1}"
    ".ideal{stroke:var(--muted,#666);stroke-width:1;stroke-dasharray:4 4}"
    ".mark{stroke:var(--muted,#666);stroke-width:1;stroke-dasharray:2 3}"
    ".interval{stroke:var(--text,#222);stroke-width:2}.mean{fill:var(--text,#222)}"
    "text{font:13px system-ui,sans-serif;fill:var(--text,#222)}"
    "text.small{font-size:12px;fill:var(--muted,#666)}"
)


class Box(NamedTuple):
    """The corners of the drawing area in pixels; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round numbers from at most ``low`` to at least ``high``, in steps of 1, 2 or 5.

    Example:
        >>> ticks(0.0, 1.0), ticks(3, 47)
        ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.0, 10.0, 20.0, 30.0, 40.0, 50.0])
    """
    span = high - low if high > low else max(abs(high), 1.0)
    power = 10 ** math.floor(math.log10(span / count))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= count * 1.01)
    first, last = math.floor(low / step + 1e-9), math.ceil(max(high, low + step) / step - 1e-9)
    return [round(float(number * step), 12) for number in range(first, last + 1)]


class Axes:
    """Turns numbers into pixels and draws the frame around them.

    Args:
        box: the drawing area.
        x_range: the numbers at its left and right end.
        y_range: the numbers at its bottom and top end.
        round_x: widen the x range to round numbers.
        round_y: widen the y range to round numbers.
    """

    def __init__(
        self,
        box: Box,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        *,
        round_x: bool = False,
        round_y: bool = False,
    ) -> None:
        self.box = box
        self._ticks_x, self._ticks_y = ticks(*x_range), ticks(*y_range)
        self._x = (self._ticks_x[0], self._ticks_x[-1]) if round_x else x_range
        self._y = (self._ticks_y[0], self._ticks_y[-1]) if round_y else y_range

    def x(self, value: float) -> float:
        """The pixel column of a number."""
        low, high = self._x
        return self.box.left + (value - low) / ((high - low) or 1.0) * (self.box.right - self.box.left)

    def y(self, value: float) -> float:
        """The pixel row of a number."""
        low, high = self._y
        return self.box.bottom - (value - low) / ((high - low) or 1.0) * (self.box.bottom - self.box.top)

    def draw(self, x_label: str, y_label: str, *, ticks_y: Sequence[float] | None = None) -> str:
        """Frame, grid, numbers and labels.

        Args:
            x_label: what the x axis measures; empty for an axis without numbers.
            y_label: what the y axis measures.
            ticks_y: numbers on the y axis, by default round ones.
        """
        left, top, right, bottom = self.box
        parts = []
        for tick in self._ticks_x:
            if left - 0.5 <= self.x(tick) <= right + 0.5:
                parts.append(line(self.x(tick), top, self.x(tick), bottom, "grid"))
                parts.append(text(self.x(tick), bottom + 16, f"{tick:g}", "small", anchor="middle") if x_label else "")
        for tick in self._ticks_y if ticks_y is None else ticks_y:
            parts.append(line(left, self.y(tick), right, self.y(tick), "grid"))
            parts.append(text(left - 7, self.y(tick) + 4, f"{tick:g}", "small", anchor="end"))
        parts += [line(left, bottom, right, bottom, "axis"), line(left, top, left, bottom, "axis")]
        parts.append(text((left + right) / 2, bottom + 36, x_label, "label", anchor="middle"))
        middle = (top + bottom) / 2
        turned = f' transform="rotate(-90 14 {middle:g})"'
        parts.append(text(14, middle, y_label, "label", anchor="middle", more=turned))
        return "".join(parts)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line of one of the kinds in :data:`STYLE`."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(x: float, y: float, words: str, kind: str, *, anchor: str = "start", more: str = "") -> str:
    """Words, made harmless."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def document(parts: Sequence[str], *, width: float, height: float, title: str) -> Markup:
    """The finished picture, with a title for screen readers."""
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img"'
    head = f'{opening} width="{width:g}"><title>{escape(title)}</title><style>{STYLE}</style>'
    # Safe: every foreign word went through escape on its way into the parts.
    return Markup(head + "".join(parts) + "</svg>")
