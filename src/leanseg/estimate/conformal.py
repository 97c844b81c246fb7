"""A bound that the error of a new case keeps with a promised probability."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from leanseg.errors import UsageError

Groups: TypeAlias = Sequence[Hashable] | NDArray[np.integer[Any]]
"""The patient of each image."""


def conformal_quantile(
    scores: Sequence[float] | NDArray[np.floating[Any]], alpha: float, groups: Groups | None = None
) -> float:
    """The ceil((n + 1)(1 - alpha))-th smallest of n scores, or infinity where n is too small for any promise.

    A new score that is exchangeable with these exceeds it with a probability of at most alpha.

    Args:
        scores: one for each image; infinity is allowed.
        alpha: probability of exceeding the bound, in (0, 1).
        groups: the patient of each image. Then patients are exchangeable: each of G has the weight 1 / (G + 1), shared
            equally by its images, and 1 / (G + 1) sits at infinity for the new patient.

    Raises:
        UsageError: alpha is out of range, a score is nan, or groups and scores differ in number.

    Source:
        Papadopoulos et al., ECML 2002; Lee, Barber and Willett, arXiv 2306.06342, for groups.

    Example:
        >>> conformal_quantile(range(1, 10), 0.1), conformal_quantile(range(1, 9), 0.1)
        (9.0, inf)
        >>> conformal_quantile([1, 2, 3, 4, 9, 9], 0.4, groups="aaaabc")
        9.0
    """
    if not 0 < alpha < 1:
        raise UsageError(f"alpha must lie between 0 and 1, found {alpha}; 0.1 is usual")
    values = np.asarray(scores, np.float64)
    if values.ndim != 1 or np.isnan(values).any():
        raise UsageError(f"expected a list of scores without nan, found shape {values.shape}; leave such images out")
    weights, units = np.ones(values.size), values.size
    if groups is not None:
        place = group_numbers(groups, values.size)
        sizes = np.bincount(place)
        weights, units = 1 / sizes[place], sizes.size
    ascending = np.argsort(values, kind="stable")
    # (n + 1)(1 - alpha) may come out a little above a whole number and would then ask for one score more.
    needed = (units + 1) * (1 - alpha) - 1e-9
    index = int(np.searchsorted(np.cumsum(weights[ascending]), needed))
    return float(values[ascending[index]]) if index < values.size else float("inf")


def group_numbers(groups: Groups | None, count: int) -> NDArray[np.intp]:
    """(count,) the number of each image's patient, in order of appearance; without groups each image is its own.

    Args:
        groups: the patient of each image.
        count: images.

    Raises:
        UsageError: groups and images differ in number.

    Example:
        >>> group_numbers("abac", 4).tolist()
        [0, 1, 0, 2]
    """
    names = range(count) if groups is None else groups
    if len(names) != count:
        raise UsageError(f"expected one group for each of {count} images, found {len(names)}")
    order: dict[Hashable, int] = {}
    return np.array([order.setdefault(name, len(order)) for name in names], np.intp)
