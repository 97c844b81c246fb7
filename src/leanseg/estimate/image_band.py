"""From one number about a prediction to its expected Dice, with an interval that keeps a promised probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from leanseg.errors import UsageError
from leanseg.estimate.conformal import Groups, conformal_quantile, group_numbers
from leanseg.estimate.line import Line, Values, fit_line

Mode: TypeAlias = Literal["split", "normalised", "jackknife+"]

FEW = 40
"""Images below which halving them wastes more than it is worth."""

FLOOR = 0.05
"""Added to the spread by which residuals are divided."""


class DiceRange(NamedTuple):
    """Expected Dice and its interval, (m,) each, in [0, 1]."""

    value: Values
    low: Values
    high: Values


class Band(Protocol):
    """What calibration images have taught."""

    @property
    def usable(self) -> bool:
        """Whether the number says anything about the Dice; if not, the mean Dice stands for all."""

    def __call__(self, strength: Values, spread: Values) -> DiceRange:
        """Expected Dice of m predictions from (m,) numbers and, for "normalised", their (m,) spreads."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SplitBand:
    """A line from one half of the images and the size of its errors on the other.

    Args:
        line: from the number to Dice.
        margin: the conformal quantile of the errors, infinity where there were too few images.
        normalised: errors are in units of the spread + 0.05.
    """

    line: Line
    margin: float
    normalised: bool

    @property
    def usable(self) -> bool:
        """See :class:`Band`."""
        return bool(self.line.usable)

    def __call__(self, strength: Values, spread: Values) -> DiceRange:
        value = np.clip(self.line(strength), 0, 1)
        margin = self.margin * (spread + FLOOR if self.normalised else np.ones_like(value))
        return DiceRange(value, np.maximum(value - margin, 0), np.minimum(value + margin, 1))


@dataclass(frozen=True, kw_only=True, eq=False)
class JackknifeBand:
    """As many lines as there are images (or patients), each fitted without one of them: no image is wasted.

    Args:
        line: fitted to all images.
        left_out: (n,) for each image the line that does not know its patient.
        errors: (n,) what that line is off for the image.
        alpha: promised share of misses; proved are twice as many, usual is this one.
        groups: the patient of each image.
    """

    line: Line
    left_out: Line
    errors: Values
    alpha: float
    groups: Groups | None

    @property
    def usable(self) -> bool:
        """See :class:`Band`."""
        return bool(self.line.usable)

    def __call__(self, strength: Values, spread: Values) -> DiceRange:  # noqa: ARG002, a band like the others
        value = np.clip(self.line(strength), 0, 1)
        each = np.clip(self.left_out(strength), 0, 1)
        upper, lower = (each + self.errors[:, None]).T, (self.errors[:, None] - each).T
        high, low = (
            np.array([conformal_quantile(row, self.alpha, self.groups) for row in rows]) for rows in (upper, lower)
        )
        # The line of all images may lie outside what the others say.
        return DiceRange(value, np.clip(np.minimum(-low, value), 0, 1), np.clip(np.maximum(high, value), 0, 1))


def fit_band(
    strength: Values,
    dice: Values,
    *,
    spread: Values | None = None,
    alpha: float = 0.1,
    mode: Mode | None = None,
    groups: Groups | None = None,
    seed: int = 0,
) -> SplitBand | JackknifeBand:
    """Learn from labelled images that the model was not trained on; one class at a time.

    Args:
        strength: (n,) any number that rises with the Dice.
        dice: (n,) real Dice.
        spread: (n,) how doubtful each strength is; needed for "normalised".
        alpha: promised share of intervals that miss, for images like these.
        mode: "split" fits a line to one half and takes residuals on the other; "normalised" divides these by the
            spread + 0.05, so that doubtful images get wider intervals; "jackknife+" uses all images for both, which is
            the choice below 40 images.
        groups: the patient of each image; patients stay together.
        seed: fixes the halves.

    Raises:
        UsageError: arrays do not fit, fewer than 4 images (or patients), or the mode is unknown or lacks a spread.

    Source:
        Papadopoulos et al., ECML 2002 (split, normalised); Barber et al., arXiv 1905.02928 (jackknife+); Lee, Barber
        and Willett, arXiv 2306.06342 (groups).

    Example:
        >>> s = np.linspace(0, 1, 100)
        >>> band = fit_band(s, 0.5 * s + 0.2 + 0.02 * np.sin(99 * s))
        >>> [round(float(v[0]), 2) for v in band(np.array([0.6]), np.zeros(1))]
        [0.5, 0.48, 0.52]
    """
    spread = np.zeros_like(strength) if spread is None and mode != "normalised" else spread
    if spread is None or strength.ndim != 1 or not strength.shape == dice.shape == spread.shape:
        shapes = [None if part is None else part.shape for part in (strength, dice, spread)]
        raise UsageError(f"expected strength, dice and, if normalised, spread of one length, found {shapes}")
    place = group_numbers(groups, strength.size)
    if place.size == 0 or place.max() < 3:
        raise UsageError(
            f"expected at least 4 calibration images of 4 patients, found {strength.size}; label some more"
        )
    mode = mode or ("jackknife+" if strength.size < FEW else "split")
    if mode == "jackknife+":
        return _jackknife(strength, dice, alpha, place, groups)
    if mode not in ("split", "normalised"):
        raise UsageError(f"mode is 'split', 'normalised' or 'jackknife+', found {mode!r}")
    first = np.random.default_rng(seed).permutation(place.max() + 1)[place] <= place.max() // 2
    line = fit_line(strength[first], dice[first])
    errors = np.abs(np.clip(line(strength[~first]), 0, 1) - dice[~first])
    if mode == "normalised":
        errors = errors / (spread[~first] + FLOOR)
    patients = None if groups is None else place[~first]
    return SplitBand(line=line, margin=conformal_quantile(errors, alpha, patients), normalised=mode == "normalised")


def _jackknife(
    strength: Values, dice: Values, alpha: float, place: NDArray[np.intp], groups: Groups | None
) -> JackknifeBand:
    lines = [fit_line(strength[place != p], dice[place != p]) for p in range(int(place.max()) + 1)]
    parts = zip(*((line.slope, line.intercept, line.usable) for line in lines), strict=True)
    left_out = Line(*(np.array(part)[place] for part in parts))
    errors = np.abs(np.clip(left_out.slope * strength + left_out.intercept, 0, 1) - dice)
    return JackknifeBand(line=fit_line(strength, dice), left_out=left_out, errors=errors, alpha=alpha, groups=groups)
