"""Did a model's expectations of its own masks hold? Where labels are there, its intervals can be checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leanseg.workflows.scoring import ClassScores


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What came of the intervals for one class of one model.

    Args:
        model: who predicted.
        name: the class.
        images: with a Dice and an interval for it.
        held: of them, those whose Dice lies in the interval.
        error: mean distance of the expected from the true Dice.
    """

    model: str
    name: str
    images: int
    held: int
    error: float


def promises(rows: Sequence[ClassScores]) -> list[Promise]:
    """Check every model and class that gave intervals."""
    found = []
    for model, name in dict.fromkeys((row.model, row.name) for row in rows):
        here = [row for row in rows if (row.model, row.name) == (model, name)]
        numbers = [(row.scores["dice"], row.expected) for row in here if row.expected is not None]
        known = [
            (dice, one.value, one.low, one.high)
            for dice, one in numbers
            if None not in (dice, one.value, one.low, one.high)
        ]
        if known:
            dice, value, low, high = np.array(known, np.float64).T
            held = int(np.count_nonzero((low <= dice) & (dice <= high)))
            error = float(np.abs(value - dice).mean())
            found.append(Promise(model=model, name=name, images=len(known), held=held, error=error))
    return found
