"""How far the images of each site are from those of all other sites, and in which respects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leanseg.estimate.fit_likeness import fit_likeness

STRIKING = 1.0
"""Standard deviations from which the mean of a site is said to differ."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SiteShift:
    """One site as a model sees it that learnt from the others.

    Args:
        site: its name.
        distances: of each of its images, in multiples of the distance that one in twenty of the other sites' own images
            exceeds; empty where the others are too few to tell.
        respects: in which its images differ on average, the most striking first.
    """

    site: str
    distances: tuple[float, ...]
    respects: tuple[str, ...]

    @property
    def unlike(self) -> float | None:
        """Share of the images in [0, 1] that a model of the other sites would call unlike."""
        return float(np.mean(np.array(self.distances) > 1)) if self.distances else None


def site_shifts(
    looks: Floats, *, names: Sequence[str], sites: Sequence[str], patients: Sequence[str]
) -> tuple[SiteShift, ...]:
    """Compare each site with all others together.

    Args:
        looks: (N, D) one row for each image, as :func:`~leanseg.quality.appearance.appearance` gives them.
        names: (D,) what is measured.
        sites: (N,) where the images come from.
        patients: (N,) whom they show.

    Example:
        >>> looks = np.random.default_rng(0).normal(100, 10, (40, 1))
        >>> looks[30:] -= 60
        >>> here, there = site_shifts(
        ...     looks, names=("level of grey",), sites=["A"] * 30 + ["B"] * 10, patients=[str(n) for n in range(40)]
        ... )
        >>> there.site, there.unlike, there.respects
        ('B', 1.0, ('darker (grey)',))
    """
    where, who = np.array(sites), np.array(patients)
    found = []
    for site in np.unique(where):
        own = where == site
        others = fit_likeness(looks[~own], names=names, patients=who[~own].tolist())
        if others is None:
            found.append(SiteShift(site=str(site), distances=(), respects=()))
            continue
        distances = tuple(others.distance(row) / others.limit for row in looks[own])
        respects = others.respects(looks[own].mean(0), striking=STRIKING)
        found.append(SiteShift(site=str(site), distances=distances, respects=respects))
    return tuple(found)
