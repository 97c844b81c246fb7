"""The expected mean score of a model on a set of images without labels, with an interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from leanseg.errors import UsageError
from leanseg.estimate.baselines import carry_over, constant
from leanseg.estimate.conformal import Groups, group_numbers
from leanseg.estimate.line import Form, Values, transfer
from leanseg.estimate.pseudo import Pseudo
from leanseg.estimate.set_metrics import set_metric

FLAGS = {
    "carry_over": "the pseudo scores tell nothing here: this is the score on the held-out images, carried over",
    "empty_support": "the model found next to nothing on one of the sets: its masks could not be judged",
}
"""What each flag of a :class:`SetEstimate` says."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SetEstimate:
    """What a model is expected to score on a set of images.

    Args:
        value: the mean score of the chosen checkpoint.
        interval: where it would lie with other images.
        slope: of the line from pseudo to real scores.
        intercept: of that line.
        flags: keys of :data:`FLAGS`.
        values: (T,) estimates for all checkpoints.
        baselines: (T,) each: the score on the held-out images carried over, their mean over the checkpoints, and the
            pseudo score as it is. An estimate that does not beat them is worth nothing.
    """

    value: float
    interval: tuple[float, float]
    slope: float
    intercept: float
    flags: tuple[str, ...]
    values: Values
    baselines: Mapping[str, Values]


def estimate_set(
    known: Pseudo,
    target: Pseudo,
    real: Values,
    *,
    metric: str = "dice",
    form: Form = "difference",
    slope: float | None = None,
    checkpoint: int = -1,
    level: float = 0.95,
    resamples: int = 1000,
    groups: tuple[Groups | None, Groups | None] = (None, None),
    seed: int = 0,
) -> SetEstimate:
    """Estimate the mean score on target images from how well the model's masks of them teach.

    Three sets: A has labels and is segmented in reverse, B has labels and was held out of training, C is the target.

    Args:
        known: of masks of B, scored on A: the checkpoints of ``target`` first, then further rows that serve the line
            alone. Where there is one checkpoint, these are its degraded masks (:mod:`leanseg.estimate.degrade`).
        target: of masks of C, scored on A, T rows.
        real: (rows of ``known``, images of B) scores of the same masks of B.
        metric: a name in :data:`leanseg.estimate.set_metrics.METRICS`.
        form: see :func:`leanseg.estimate.line.transfer`.
        slope: keep to this one, for instance 1, instead of fitting it.
        checkpoint: the row of ``target`` in use.
        level: probability that the interval aims at, in (0, 1).
        resamples: how often A and B are drawn anew; C too, where the pseudo scores have several draws.
        groups: the patients of A and of B, drawn as a whole; None takes images for independent.
        seed: the same seed gives the same interval.

    Raises:
        UsageError: arrays do not fit one another, or one row gives no line.

    Source:
        SPE, arXiv 2504.15667; the difference form, the interval and the fallbacks are ours.

    Example:
        >>> def pseudo(*means):
        ...     return Pseudo(np.repeat(means, 5).reshape(len(means), 1, 5), np.zeros(len(means), bool))
        >>> real = np.array([[0.5] * 4, [0.9] * 4])
        >>> found = estimate_set(pseudo(0.4, 0.8), pseudo(0.35, 0.7), real)
        >>> round(found.value, 3), round(found.slope, 3), found.flags
        (0.8, 1.0, ())
    """
    kind = set_metric(metric)
    _check(known, target, real, level)
    count, values_b, values_c = len(target.scores), known.scores.mean((1, 2)), target.scores.mean((1, 2))
    values, line = transfer(values_b, values_c, real.mean(1), form=form, slope=slope)
    rng = np.random.default_rng(seed)
    weights = [
        _weights(n, g, resamples, rng) for n, g in zip((known.scores.shape[2], real.shape[1]), groups, strict=True)
    ]
    drawn_b, drawn_c = (_resampled(part.scores, weights[0], rng) for part in (known, target))
    drawn, _ = transfer(drawn_b, drawn_c, weights[1] @ real.T, form=form, slope=slope)
    edges = np.quantile(drawn[:, checkpoint], [(1 - level) / 2, (1 + level) / 2])
    low, high = (float(edge) for edge in np.clip(edges, kind.low, kind.high))
    row = checkpoint % count
    found = {"carry_over": not line.usable, "empty_support": known.empty[row] or target.empty[row]}
    return SetEstimate(
        value=float(np.clip(values[checkpoint], kind.low, kind.high)),
        interval=(low, high),
        slope=float(line.slope),
        intercept=float(line.intercept),
        flags=tuple(flag for flag, holds in found.items() if holds),
        values=np.clip(values, kind.low, kind.high),
        baselines={"carry-over": carry_over(real, count), "constant": constant(real, count), "pseudo": values_c},
    )


def _check(known: Pseudo, target: Pseudo, real: Values, level: float) -> None:
    if real.ndim != 2 or not real.size or not np.isfinite(real).all():
        raise UsageError(f"real scores must be finite, (rows, images of B), found {real.shape}")
    if known.scores.shape[2] != target.scores.shape[2]:
        found = f"{known.scores.shape[2]} and {target.scores.shape[2]}"
        raise UsageError(f"both sets must be scored on the same labelled images, found {found}")
    if not 0 < level < 1:
        raise UsageError(f"level must lie between 0 and 1, found {level}; 0.95 is usual")


def _weights(count: int, groups: Groups | None, resamples: int, rng: np.random.Generator) -> Values:
    """How much each image counts in each resample, (resamples, count), adding up to 1."""
    place = group_numbers(groups, count)
    units = int(place.max()) + 1
    times = rng.multinomial(units, np.full(units, 1 / units), size=resamples)[:, place]
    shares: Values = times / times.sum(axis=1, keepdims=True)
    return shares


def _resampled(scores: Values, weights: Values, rng: np.random.Generator) -> Values:
    """(resamples, rows) means, each over one draw of supports and the resampled images."""
    means = np.einsum("tsn,rn->rts", scores, weights)
    draw = rng.integers(scores.shape[1], size=len(weights))
    drawn: Values = means[np.arange(len(weights)), :, draw]
    return drawn
