"""Charts as plain SVG text that a page embeds; their colours follow the page into dark mode and onto paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from leanseg.errors import UsageError
from leanseg.report._axes import COLOURS, Axes, Box, document, line, text

Numbers = Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line of a chart.

    Args:
        name: what the line shows, as in the legend.
        x: positions, for instance epochs.
        y: values; nan leaves a gap.
    """

    name: str
    x: Numbers
    y: Numbers

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise UsageError(f"curve {self.name!r} has {len(self.x)} positions but {len(self.y)} values")


@dataclass(frozen=True, kw_only=True)
class Dots:
    """One row of a dot plot.

    Args:
        name: what was scored, for instance a class or a model.
        values: one score for each image.
        mean: the mean of the scores.
        low: lower end of the interval of the mean.
        high: upper end of the interval of the mean.
        labels: what each dot is called when pointed at, for instance the image's stem.
    """

    name: str
    values: Numbers
    mean: float
    low: float
    high: float
    labels: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """How often pixels of each predicted probability are really foreground.

    Args:
        edges: limits of the bins, from 0 to 1, one more than there are bins.
        confidence: mean predicted probability in each bin, nan where empty.
        frequency: share of foreground pixels in each bin, nan where empty.
        counts: pixels in each bin.
        name: what was scored, for instance a class or a model.
        error: the expected calibration error, in [0, 1].
    """

    edges: Numbers
    confidence: Numbers
    frequency: Numbers
    counts: Numbers
    name: str = ""
    error: float | None = None


def line_chart(
    curves: Sequence[Curve], *, title: str, x_label: str, y_label: str, mark: tuple[float, str] | None = None
) -> Markup:
    """Lines over a common axis, for instance loss or validation Dice over epochs.

    Args:
        curves: the lines, in the order of the legend.
        title: what the chart shows, read aloud by screen readers.
        x_label: what the x axis counts.
        y_label: what the y axis measures.
        mark: a position on the x axis to point at, and its name.

    Returns:
        An ``<svg>`` element.

    Example:
        >>> loss = Curve(name="training", x=(1, 2, 3), y=(0.9, 0.4, 0.2))
        >>> str(line_chart([loss], title="Loss", x_label="epoch", y_label="loss"))[:4]
        '<svg'
    """
    points = [(x, y) for curve in curves for x, y in zip(curve.x, curve.y, strict=True) if np.isfinite(y)]
    xs, ys = ([point[side] for point in points] or [0.0, 1.0] for side in (0, 1))
    axes = Axes(Box(56, 18, 525, 272), (min(xs), max(xs)), (min(ys), max(ys)), round_y=True)
    parts = [axes.draw(x_label, y_label)]
    if mark is not None:
        x = axes.x(mark[0])
        parts += [line(x, axes.box.top, x, axes.box.bottom, "mark"), text(x + 5, axes.box.top + 10, mark[1], "small")]
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        parts += [_polyline(axes, curve, colour), _key(64 + 150 * number, 334, curve.name, colour)]
    return document(parts, width=540, height=346, title=title)


def _polyline(axes: Axes, curve: Curve, colour: str) -> str:
    pieces: list[list[str]] = [[]]
    for x, y in zip(curve.x, curve.y, strict=True):
        if np.isfinite(y):
            pieces[-1].append(f"{axes.x(x):.1f},{axes.y(y):.1f}")
        elif pieces[-1]:
            pieces.append([])
    shape = 'fill="none" stroke-width="2" stroke-linejoin="round" stroke-linecap="round"'
    return "".join(f'<polyline {shape} stroke="{colour}" points="{" ".join(piece)}"/>' for piece in pieces if piece)


def _key(x: float, y: float, name: str, colour: str) -> str:
    return f'<rect x="{x}" y="{y - 7}" width="14" height="4" rx="2" fill="{colour}"/>' + text(x + 20, y, name, "small")


def reliability_diagram(reliability: Reliability, *, title: str = "Reliability") -> Markup:
    """Predicted probability against the share of foreground, above a histogram of the probabilities.

    Args:
        reliability: the bins.
        title: what the chart shows, read aloud by screen readers.

    Returns:
        An ``<svg>`` element.
    """
    upper = Axes(Box(56, 14, 336, 294), (0.0, 1.0), (0.0, 1.0))
    lower = Axes(Box(56, 318, 336, 366), (0.0, 1.0), (0.0, 1.0))
    # Nearly all pixels are surely background: on a linear scale the other bars could not be seen.
    heights = np.log10(1 + np.asarray(reliability.counts, float))
    heights = heights / max(float(heights.max(initial=0.0)), 1e-12)
    parts = [
        upper.draw("", "share that is foreground"),
        lower.draw("predicted probability", "pixels (log)", ticks_y=()),
    ]
    parts.append(line(upper.x(0), upper.y(0), upper.x(1), upper.y(1), "ideal"))
    dots = []
    for left, right, height, count, said, found in zip(
        reliability.edges[:-1], reliability.edges[1:], heights, reliability.counts,
        reliability.confidence, reliability.frequency, strict=True,
    ):  # fmt: skip
        bar, top = lower.x(left) + 1, lower.y(float(height))
        tip = f"{left:.2f} to {right:.2f}: {int(count):,} pixels"
        parts.append(
            f'<rect x="{bar:.1f}" y="{top:.1f}" width="{max(lower.x(right) - bar - 1, 0.5):.1f}" '
            f'height="{lower.box.bottom - top:.1f}" fill="{COLOURS[0]}" opacity="0.55"><title>{tip}</title></rect>'
        )
        if count and np.isfinite(said) and np.isfinite(found):
            dots.append((upper.x(said), upper.y(found), f"said {said:.3f}, found {found:.3f}"))
    parts.append(
        f'<polyline fill="none" stroke-width="2" stroke="{COLOURS[0]}" '
        f'points="{" ".join(f"{x:.1f},{y:.1f}" for x, y, _ in dots)}"/>'
    )
    parts += [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{COLOURS[0]}"><title>{t}</title></circle>' for x, y, t in dots
    ]
    if reliability.error is not None:
        parts.append(text(upper.box.left + 12, upper.box.top + 20, f"ECE {reliability.error:.4f}", "label"))
    return document(parts, width=356, height=408, title=f"{title} {reliability.name}".strip())


def dot_plot(rows: Sequence[Dots], *, title: str, x_label: str, limits: tuple[float, float] | None = None) -> Markup:
    """Every image's score as a dot, with the mean and its interval; one row for each class or model.

    Args:
        rows: the scores.
        title: what the chart shows, read aloud by screen readers.
        x_label: the name and unit of the score.
        limits: ends of the axis, by default those of the scores.

    Returns:
        An ``<svg>`` element.
    """
    step, top = 56, 10
    names = max((len(row.name) for row in rows), default=0)
    left = min(30 + 7 * names, 200)
    bottom = top + step * max(len(rows), 1)
    finite = [v for row in rows for v in (*row.values, row.low, row.high) if np.isfinite(v)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    # Equal scores are mostly perfect ones: they belong at the end of the axis.
    ends = limits or (low if low < high else high - 0.1, high)
    axes = Axes(Box(left, top, 525, bottom), ends, (0.0, 1.0), round_x=limits is None)
    parts = [axes.draw(x_label, "", ticks_y=())]
    for number, row in enumerate(rows):
        parts.append(_dot_row(axes, row, top + step * (number + 0.5), COLOURS[number % len(COLOURS)]))
    return document(parts, width=540, height=bottom + 46, title=title)


def _dot_row(axes: Axes, row: Dots, middle: float, colour: str) -> str:
    parts = [text(axes.box.left - 10, middle + 4, _clip(row.name, 26), "label", anchor="end")]
    names = row.labels or [""] * len(row.values)
    for number, (value, name) in enumerate(zip(row.values, names, strict=True)):
        if np.isfinite(value):
            # A fixed scatter by golden ratio keeps equal scores apart and the picture the same in every run.
            y = middle + 26 * ((number * 0.618034) % 1 - 0.5)
            tip = str(escape(f"{name} {value:.4g}".strip()))
            parts.append(f'<circle cx="{axes.x(value):.1f}" cy="{y:.1f}" r="3.5" fill="{colour}" opacity="0.5">'
                         f"<title>{tip}</title></circle>")  # fmt: skip
    if np.isfinite(row.mean):
        low, mean, high = (axes.x(v if np.isfinite(v) else row.mean) for v in (row.low, row.mean, row.high))
        parts.append(line(low, middle, high, middle, "interval"))
        parts += [line(end, middle - 6, end, middle + 6, "interval") for end in (low, high)]
        tip = f"mean {row.mean:.4g}, 95 % interval {row.low:.4g} to {row.high:.4g}"
        diamond = f"{mean:.1f},{middle - 7} {mean + 6:.1f},{middle} {mean:.1f},{middle + 7} {mean - 6:.1f},{middle}"
        parts.append(f'<polygon class="mean" points="{diamond}"><title>{tip}</title></polygon>')
    return "".join(parts)


def _clip(name: str, longest: int) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"
