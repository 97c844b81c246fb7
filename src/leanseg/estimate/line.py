"""A straight line from what can be measured without labels to the score that needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from leanseg.errors import UsageError

Values: TypeAlias = NDArray[np.float64]
Form: TypeAlias = Literal["difference", "line"]

LEAST_VARIANCE = 1e-6
"""Points that vary less along x carry no slope."""


@dataclass(frozen=True, eq=False)
class Line:
    """y = slope x + intercept, one or many.

    Args:
        slope: (...,).
        intercept: (...,).
        usable: (...,) False where x hardly varies or y falls with it: the slope is then 0 and the intercept mean y.
    """

    slope: Values
    intercept: Values
    usable: NDArray[np.bool_]

    def __call__(self, x: Values) -> Values:
        """y at (..., n) places."""
        return self.slope[..., None] * x + self.intercept[..., None]


def fit_line(x: Values, y: Values, *, slope: float | None = None) -> Line:
    """Least squares along the last axis.

    Args:
        x: (..., n).
        y: (..., n).
        slope: keep to this one and fit the intercept alone.

    Example:
        >>> line = fit_line(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0]))
        >>> float(line.slope), float(line.intercept), bool(line.usable)
        (2.0, 1.0, True)
    """
    mean_x, mean_y = x.mean(-1), y.mean(-1)
    if slope is not None:
        fixed = np.full(mean_x.shape, float(slope))
        return Line(fixed, mean_y - fixed * mean_x, np.ones(mean_x.shape, bool))
    away = x - mean_x[..., None]
    variance, covariance = np.square(away).mean(-1), (away * y).mean(-1)
    usable = (variance >= LEAST_VARIANCE) & (covariance > 0)
    steep = np.where(usable, covariance / np.where(usable, variance, 1.0), 0.0)
    return Line(steep, mean_y - steep * mean_x, usable)


def transfer(
    known: Values, target: Values, real: Values, *, form: Form = "difference", slope: float | None = None
) -> tuple[Values, Line]:
    """Scores on a target set, from a stand-in measured on both sets and real scores on the known one.

    ``"line"`` takes the stand-in through the line; ``"difference"`` adds what the checkpoint's real score is off the
    line on the known set, and so leaves that score as it is where the stand-in does not move. Where no line can be
    used, the real score on the known set is carried over.

    Args:
        known: (..., R) stand-in on the known set; the first T rows are the checkpoints of ``target``.
        target: (..., T) stand-in on the target set.
        real: (..., R) real scores on the known set.
        form: which one.
        slope: keep to this one.

    Returns:
        (..., T) estimates, and the line.

    Raises:
        UsageError: the form is unknown, numbers of rows do not fit, the slope is not positive, or there is a single row
            and no slope.

    Source:
        SPE, arXiv 2504.15667, for the line; the difference form is ours.

    Example:
        >>> real, stand_in = np.array([0.5, 0.9]), np.array([0.4, 0.8])
        >>> [round(float(v), 3) for v in transfer(stand_in, stand_in - 0.1, real)[0]]
        [0.4, 0.8]
    """
    rows, count = known.shape[-1], target.shape[-1]
    if real.shape[-1] != rows or not 1 <= count <= rows:
        msg = f"{rows} rows and {real.shape[-1]} real ones on the known set, {count} on the target"
        raise UsageError(f"expected the target's checkpoints first among the known rows, found {msg}")
    if form not in ("difference", "line"):
        raise UsageError(f"form is 'difference' or 'line', found {form!r}")
    if slope is None and rows == 1:
        msg = "one checkpoint alone gives no line: append rows of degraded masks (leanseg.estimate.degrade)"
        raise UsageError(f"{msg}, or set slope=1")
    if slope is not None and not slope > 0:
        raise UsageError(f"slope must be positive, found {slope}; a better teacher has better masks")
    line, base = fit_line(known, real, slope=slope), real[..., :count]
    moved = base + line.slope[..., None] * (target - known[..., :count]) if form == "difference" else line(target)
    return np.where(line.usable[..., None], moved, base), line
