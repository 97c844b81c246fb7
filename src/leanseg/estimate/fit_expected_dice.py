"""Fit the expected Dice of a bundle to images that its network was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leanseg.estimate.conformal import conformal_quantile
from leanseg.quality.expected_dice import ExpectedDice, spread
from leanseg.quality.traits import NAMES, Traits

FEWEST = 3
"""Patients without whom nothing is fitted."""

PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Of squared weights, for each unit of observation weight; one is chosen by leaving patients out."""

SPOILT = 0.1
"""Weight of a spoilt copy beside an image: enough to know poor masks, too little to bend what holds for good ones."""

PARTS = 20
"""At most so many groups of patients are left out in turn."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One class of one labelled image, as the model saw it.

    Args:
        traits: of the mask and its probabilities.
        dice: the true one; None where neither truth nor mask holds the class.
        patient: whom the image shows.
        spoilt: whether the image was made worse on purpose; it then teaches, but does not judge.
    """

    traits: Traits
    dice: float | None
    patient: str
    spoilt: bool = False


@dataclass(frozen=True)
class _Table:
    """Observations as arrays: traits, soft Dice, Dice, patient number, weight, and which ones judge."""

    traits: Floats
    soft: Floats
    dice: Floats
    patient: NDArray[np.intp]
    weight: Floats
    judges: NDArray[np.bool_]


@dataclass(frozen=True)
class _Line:
    centre: Floats
    scale: Floats
    weights: Floats
    intercept: float
    best: float

    def __call__(self, traits: Floats, soft: Floats) -> Floats:
        value: Floats = np.clip(
            soft + self.intercept + (traits - self.centre) / self.scale @ self.weights, 0, self.best
        )
        return value


def fit_expected_dice(seen: Sequence[Seen], *, confidence: float = 0.9) -> ExpectedDice | None:
    """Soft Dice plus a ridge regression of what it is off by; the margin is conformal, from patients left out in turn.

    Args:
        seen: images of one class; those where nothing was found or is to be found teach nothing.
        confidence: share of new images whose Dice shall lie in the interval, if they come from the same source.

    Returns:
        None with fewer than three patients.

    Source:
        Ridge on the residual of the soft Dice is ours; margins: Barber et al., Predictive inference with the
        jackknife+, 2021, simplified, with whole patients as in Lee, Barber and Willett, arXiv 2306.06342.

    Example:
        >>> one = Traits(area=50, field=100, inside=45.0, total=50.0, entropy=9.0, border=30, components=1)
        >>> seen = [Seen(traits=one, dice=0.7 + n / 100, patient=str(n)) for n in range(9)]
        >>> model = fit_expected_dice(seen)
        >>> round(model(one).value, 2), model.margin is None
        (0.74, False)
    """
    table = _table([s for s in seen if s.dice is not None and s.traits.area])
    if table is None:
        return None
    groups = _groups(table)
    penalty = min(PENALTIES, key=lambda size: float(_off(table, groups, size)[1] @ table.weight))
    value, error = _off(table, groups, penalty)
    judges = table.judges
    margin = conformal_quantile(
        error[judges] / spread(value[judges]), alpha=1 - confidence, groups=table.patient[judges].tolist()
    )
    low = np.clip(value - (margin if np.isfinite(margin) else 0.0) * spread(value), 0, 1)[judges]
    line = _fit(table, np.ones(len(table.dice), bool), penalty)
    return ExpectedDice(
        centre=tuple(line.centre.tolist()),
        scale=tuple(line.scale.tolist()),
        weights=tuple(line.weights.tolist()),
        intercept=line.intercept,
        margin=margin if np.isfinite(margin) else None,
        confidence=confidence,
        patients=len(set(table.patient[judges].tolist())),
        best=line.best,
        usual=float(np.quantile(low, 0.1)),
    )


def _table(seen: Sequence[Seen]) -> _Table | None:
    judges = np.array([not s.spoilt for s in seen], bool)
    patients, number = np.unique([s.patient for s in seen], return_inverse=True)
    if len(set(number[judges].tolist())) < FEWEST:
        return None
    # All images of a patient together weigh as much as those of another.
    single = np.where(judges, 1.0, SPOILT)
    weight = single / np.maximum(np.bincount(number, weights=single, minlength=len(patients)), 1.0)[number]
    soft = np.array([s.traits.soft_dice for s in seen], np.float64)
    dice = np.array([s.dice for s in seen], np.float64)
    return _Table(np.stack([s.traits.vector() for s in seen]), soft, dice, number, weight, judges)


def _groups(table: _Table) -> NDArray[np.intp]:
    """The part in which each observation is left out: patients dealt in turn."""
    part: NDArray[np.intp] = table.patient % PARTS
    return part


def _off(table: _Table, groups: NDArray[np.intp], penalty: float) -> tuple[Floats, Floats]:
    """What is expected of each observation without its patient, and how far that is off."""
    value = np.zeros(len(table.dice))
    for part in np.unique(groups):
        left = groups == part
        value[left] = _fit(table, ~left, penalty)(table.traits[left], table.soft[left])
    return value, np.abs(value - table.dice)


def _fit(table: _Table, rows: NDArray[np.bool_], penalty: float) -> _Line:
    traits, weight = table.traits[rows], table.weight[rows] / table.weight[rows].sum()
    residual = table.dice[rows] - table.soft[rows]
    centre = weight @ traits
    scale = np.sqrt(weight @ (traits - centre) ** 2)
    # A trait that does not vary teaches nothing.
    scale = np.where(scale > 1e-3, scale, np.inf)
    standard = (traits - centre) / scale
    mean = float(weight @ residual)
    normal = standard.T @ (weight[:, None] * standard) + penalty * np.eye(len(NAMES)) / len(set(table.patient[rows]))
    weights = np.linalg.solve(normal, standard.T @ (weight * (residual - mean)))
    best = float(table.dice[rows & table.judges].max())
    return _Line(centre, np.where(np.isfinite(scale), scale, 1.0), weights, mean, best)
