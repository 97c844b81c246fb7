"""How sure a mean score is: bootstrap intervals and the paired comparison of two models."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from leanseg.errors import UsageError

Values = NDArray[np.float64]

BLOCK = 1_000_000
"""Numbers drawn at a time, which bounds the memory."""


@dataclass(frozen=True)
class Estimate:
    """A mean and how far it can be trusted.

    Args:
        mean: of all values.
        interval: where the mean would lie in other samples; None for fewer than 3 independent values.
        n: how many values.
        groups: how many of them are independent (patients, else n).
    """

    mean: float
    interval: tuple[float, float] | None
    n: int
    groups: int


@dataclass(frozen=True)
class Comparison:
    """How two models differ on the same images.

    Args:
        difference: of the means, first minus second.
        p_value: of the two-sided Wilcoxon signed-rank test; None for fewer than 3 independent values.
        wins: images on which the first model scores higher.
        losses: images on which the second model scores higher.
    """

    difference: Estimate
    p_value: float | None
    wins: int
    losses: int


def bootstrap_mean(
    values: Sequence[float] | Values,
    *,
    groups: Sequence[Hashable] | None = None,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """The mean with its bias-corrected and accelerated (BCa) bootstrap interval.

    Args:
        values: one score for each image, without None (count those apart).
        groups: the patient of each image: patients are resampled with all their images, for images of one patient are
            alike; None takes every image for independent.
        level: probability that the interval aims at, in (0, 1).
        resamples: how many samples are drawn.
        seed: the same seed gives the same interval.

    Raises:
        UsageError: no value, a value is nan, or groups and values differ in number.

    Source:
        Efron, Better bootstrap confidence intervals, Journal of the American Statistical Association 1987.

    Example:
        >>> found = bootstrap_mean([0.7, 0.8, 0.9, 0.8, 0.6, 0.8])
        >>> round(found.mean, 3), [round(edge, 2) for edge in found.interval]
        (0.767, [0.7, 0.83])
        >>> bootstrap_mean([0.7, 0.8]).interval is None
        True
    """
    if not 0 < level < 1:
        raise UsageError(f"level must lie between 0 and 1, found {level}; 0.95 is usual")
    sums, counts = _per_group(values, groups)
    mean, units = float(sums.sum() / counts.sum()), len(sums)
    interval = None
    if units >= 3:
        means = _resampled_means(sums, counts, resamples, seed)
        interval = _bca(mean, means, (sums.sum() - sums) / (counts.sum() - counts), level)
    return Estimate(mean=mean, interval=interval, n=int(counts.sum()), groups=units)


def compare(
    first: Sequence[float] | Values,
    second: Sequence[float] | Values,
    *,
    groups: Sequence[Hashable] | None = None,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compare two models image by image: bootstrap interval of the mean difference and Wilcoxon signed-rank test.

    Args:
        first: one score for each image.
        second: the other model's scores of the same images in the same order.
        groups: the patient of each image; the test then ranks the mean difference of each patient.
        level: of the interval, in (0, 1).
        resamples: how many samples are drawn.
        seed: the same seed gives the same interval.

    Raises:
        UsageError: the numbers of scores differ, there is none, or one is nan.

    Example:
        >>> found = compare([0.8, 0.9, 0.7, 0.8, 0.9, 0.7], [0.7, 0.7, 0.6, 0.6, 0.8, 0.6])
        >>> round(found.difference.mean, 3), round(found.p_value, 3), found.wins
        (0.133, 0.031, 6)
    """
    if len(first) != len(second):
        raise UsageError(f"a paired comparison needs the same images twice, found {len(first)} and {len(second)}")
    differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    estimate = bootstrap_mean(differences, groups=groups, level=level, resamples=resamples, seed=seed)
    sums, counts = _per_group(differences, groups)
    p_value = None
    if len(sums) >= 3:
        # scipy.stats takes half a second to import, and few commands compare.
        from scipy.stats import wilcoxon

        p_value = float(wilcoxon(sums / counts).pvalue) if sums.any() else 1.0
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    return Comparison(difference=estimate, p_value=p_value, wins=wins, losses=losses)


def _per_group(values: Sequence[float] | Values, groups: Sequence[Hashable] | None) -> tuple[Values, Values]:
    """Sum and number of the values of each group."""
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1 or numbers.size == 0 or not np.isfinite(numbers).all():
        raise UsageError(f"expected a list of finite scores, found {numbers}; count undefined ones apart")
    if groups is None:
        return numbers, np.ones_like(numbers)
    if len(groups) != numbers.size:
        raise UsageError(f"expected one group for each of {numbers.size} values, found {len(groups)}")
    order: dict[Hashable, int] = {}
    place = [order.setdefault(group, len(order)) for group in groups]
    return np.bincount(place, numbers).astype(np.float64), np.bincount(place).astype(np.float64)


def _resampled_means(sums: Values, counts: Values, resamples: int, seed: int) -> Values:
    rng, units = np.random.default_rng(seed), len(sums)
    rows = max(1, BLOCK // units)
    means = []
    for start in range(0, resamples, rows):
        drawn = rng.integers(units, size=(min(rows, resamples - start), units))
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    return np.concatenate(means)


def _bca(mean: float, means: Values, left_out: Values, level: float) -> tuple[float, float]:
    """Efron's interval from resampled means and the means without one group each."""
    below = ((means < mean).mean() + (means <= mean).mean()) / 2
    # a half resample keeps the bias finite when all means lie on one side
    bias = ndtri(np.clip(below, 0.5 / means.size, 1 - 0.5 / means.size))
    pull = left_out.mean() - left_out
    # The ratio does not depend on the scale; without it, squares of tiny differences vanish.
    pull = pull / (np.abs(pull).max() or 1.0)
    spread = float(np.square(pull).sum())
    skew = float((pull**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    normal = bias + ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    low, high = np.quantile(means, ndtr(bias + normal / (1 - skew * normal)))
    return float(low), float(high)
