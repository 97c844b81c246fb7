"""Learn what training images look like, and how far apart images of that kind are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from leanseg.quality.likeness import Likeness

FEWEST = 5
"""Patients without whom nothing can be said about others."""

PARTS = 10
"""Groups of patients that are left out in turn."""

LEAST_SPREAD = 0.02
"""Of every measure beside its mean, so that a set of copies does not make all other images look strange."""

Floats = NDArray[np.float64]


def fit_likeness(
    looks: Floats, *, names: Sequence[str], patients: Sequence[str], sites: Sequence[str] = ()
) -> Likeness | None:
    """Mean, spread and shrunken correlations of images, and the distances of patients left out in turn.

    Args:
        looks: (N, D) one row for each image.
        names: (D,) what is measured.
        patients: (N,) whom they show.
        sites: (N,) where they come from, for a model that was judged on sites it had not seen: whole sites are then
            left out in turn, and images are as unlike as those sites are to each other before it is said.

    Returns:
        None with fewer than five patients.

    Source:
        Shrinkage of correlations: Schaefer and Strimmer, 2005, with its optimal intensity.

    Example:
        >>> looks = np.random.default_rng(0).normal(size=(50, 2))
        >>> like = fit_likeness(looks, names=("noise", "size"), patients=[str(n) for n in range(50)])
        >>> like(np.array([0.0, 6.0]))
        (True, ('larger',))
    """
    known, number = np.unique(list(patients), return_inverse=True)
    if len(known) < FEWEST:
        return None
    part = np.unique(list(sites), return_inverse=True)[1] if len(sites) else number % PARTS
    distances: list[float] = []
    for left in np.unique(part):
        judge = _fit(looks[part != left], names, ())
        distances += [judge.distance(row) for row in looks[part == left]]
    return _fit(looks, names, tuple(sorted(distances)))


def _fit(looks: Floats, names: Sequence[str], distances: tuple[float, ...]) -> Likeness:
    centre = looks.mean(0)
    scale = np.maximum(looks.std(0, ddof=1), LEAST_SPREAD * np.abs(centre) + 1e-6)
    precision = np.linalg.inv(shrunken_correlation((looks - centre) / scale))
    return Likeness(
        names=tuple(names),
        centre=tuple(centre.tolist()),
        scale=tuple(scale.tolist()),
        precision=tuple(tuple(row) for row in precision.tolist()),
        distances=distances,
    )


def shrunken_correlation(standard: Floats) -> Floats:
    """The correlation matrix, drawn towards independence by as much as its entries are uncertain.

    Args:
        standard: (N, D) standardised observations, at least two.

    Returns:
        (D, D), positive definite.

    Source:
        Schaefer and Strimmer, A shrinkage approach to large-scale covariance matrix estimation, 2005, section 3.

    Example:
        >>> shrunken_correlation(np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])).round(2).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    count, width = standard.shape
    products = np.einsum("ni,nj->nij", standard, standard)
    mean = products.mean(0)
    off = ~np.eye(width, dtype=bool)
    variance = ((products - mean) ** 2).sum(0)[off].sum() * count / (count - 1) ** 3
    strength = float((mean[off] ** 2).sum())
    share = min(1.0, variance / strength) if strength > 0 else 1.0
    # Never quite without: copies of one image would have no inverse.
    return np.where(off, (1 - max(share, 0.01)) * mean * count / (count - 1), 1.0)
