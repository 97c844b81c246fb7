"""The Dice to expect of a mask, with an interval, by what the bundle learnt from images it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from leanseg.quality.traits import Traits
from leanseg.types import Expected

FloatOrArray = TypeVar("FloatOrArray", float, NDArray[np.float64])

NOTHING = "nothing was found"


@dataclass(frozen=True, kw_only=True)
class ExpectedDice:
    """Soft Dice corrected by a linear function of the mask's traits, and how far that was off for unseen images.

    Args:
        centre: (5,) mean traits of the images it was fitted to.
        scale: (5,) their standard deviations.
        weights: (5,) of the standardised traits.
        intercept: added.
        margin: errors of unseen images, divided by :func:`spread`, that the wanted share of images does not exceed;
            None where there were too few patients to promise anything.
        confidence: that share.
        patients: from whom it was learnt.
        best: the highest Dice seen; nothing better is expected.
        usual: the low end of the interval that nine of ten unseen images reached (without margin, the Dice expected).

    Example:
        >>> still = {"centre": (0,) * 5, "scale": (1,) * 5, "weights": (0,) * 5, "intercept": -0.05}
        >>> model = ExpectedDice(**still, margin=0.5, confidence=0.9, patients=20, best=1.0, usual=0.6)
        >>> found = model(Traits(area=4, field=100, inside=3.0, total=4.0, entropy=2.0, border=8, components=1))
        >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
        (0.7, 0.525, 0.875)
    """

    centre: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    margin: float | None
    confidence: float
    patients: int
    best: float
    usual: float

    def __call__(self, traits: Traits) -> Expected:
        """What to expect of one mask."""
        soft = traits.soft_dice
        if soft is None:
            return Expected(usual=self.usual, note=NOTHING)
        standard = (traits.vector() - np.array(self.centre)) / np.array(self.scale)
        value = float(np.clip(soft + self.intercept + standard @ np.array(self.weights), 0, self.best))
        if self.margin is None:
            note = f"interval unavailable: learnt from {self.patients} patients only"
            return Expected(value=value, usual=self.usual, note=note)
        reach = self.margin * spread(value)
        return Expected(value=value, low=max(0.0, value - reach), high=min(1.0, value + reach), usual=self.usual)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, as written to a bundle."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> ExpectedDice:
        """The inverse of :meth:`to_dict`; lists become tuples."""
        plain: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
        return cls(**plain)


def spread(value: FloatOrArray) -> FloatOrArray:
    """How far a Dice is expected to be off, up to a factor: good masks vary less than poor ones."""
    return 1.05 - value
