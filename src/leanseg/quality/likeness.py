"""Is an image like those a model learnt from? Its distance from them, and in which respects it differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FALSE_ALARMS = 0.05
"""Share of images like those of training that are called unlike, where there were enough of them."""

STRIKING = 2.0
"""Standard deviations from which a respect is worth naming."""

WORDS_OF_UNIT = ("level", "contrast")
"""Measures in the unit of the file, the second one as its logarithm."""

WORDS = {
    "level": ("darker", "brighter"),
    "contrast": ("of lower contrast", "of higher contrast"),
    "asymmetry": ("with more dark pixels", "with more bright pixels"),
    "tails": ("with fewer extreme values", "with more extreme values"),
    "detail 1": ("blurred", "sharper or noisier"),
    "detail 2": ("with less fine structure", "with more fine structure"),
    "detail 3": ("with less coarse structure", "with more coarse structure"),
    "noise": ("smooth between edges, as after compression", "noisy"),
    "field": ("with a smaller field of view", "with a larger field of view"),
    "size": ("smaller", "larger"),
}


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """What training images look like.

    Args:
        names: (D,) of what is measured.
        centre: (D,) means over the training images.
        scale: (D,) their standard deviations.
        precision: (D, D) inverse of the correlation matrix, shrunk towards independence.
        distances: distances of images that took no part in these figures, sorted.

    Example:
        >>> one = {"names": ("level of grey",), "centre": (100.0,), "scale": (10.0,), "precision": ((1.0,),)}
        >>> like = Likeness(**one, distances=(0.5, 1.0, 1.5))
        >>> like(np.array([130.0])), like(np.array([105.0]))
        ((True, ('brighter (grey)',)), (False, ()))
    """

    names: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    distances: tuple[float, ...]

    def __call__(self, looks: NDArray[np.float64]) -> tuple[bool, tuple[str, ...]]:
        """Whether an image is unlike, and in which respects, the most striking first.

        Args:
            looks: (D,) as :func:`~leanseg.quality.appearance.appearance` gives them.
        """
        if self.distance(looks) <= self.limit:
            return False, ()
        return True, self.respects(looks) or ("an unusual combination of brightness, contrast and detail",)

    def respects(self, looks: NDArray[np.float64], *, striking: float = STRIKING) -> tuple[str, ...]:
        """In which up to three respects images differ, the most striking first.

        Args:
            looks: (D,) of one image, or the mean of several.
            striking: standard deviations from which a respect is named.
        """
        standard = self._standard(looks)
        order = [n for n in np.argsort(-np.abs(standard), kind="stable") if abs(standard[n]) >= striking]
        return tuple(dict.fromkeys(spell_out(self.names[n])[int(standard[n] > 0)] for n in order[:3]))

    def in_our_unit(self, looks: NDArray[np.float64]) -> NDArray[np.float64]:
        """Looks of an image in another unit, of 16 bits say, as if its mean level were that of training images.

        Args:
            looks: (D,) of one image.

        Example:
            >>> names = ("level of grey", "contrast of grey")
            >>> one = {"names": names, "centre": (100.0, 2.0), "scale": (9.0, 1.0), "precision": ((1.0, 0), (0, 1.0))}
            >>> Likeness(**one, distances=(1.0,)).in_our_unit(np.array([25700.0, 2 + np.log(257)])).tolist()
            [100.0, 2.0]
        """
        level, contrast = (np.array([name.startswith(f"{what} of ") for name in self.names]) for what in WORDS_OF_UNIT)
        wanted, found = np.array(self.centre)[level].mean(), looks[level].mean()
        if wanted <= 0 or found <= 0:
            return looks
        return np.where(level, looks * wanted / found, np.where(contrast, looks + np.log(wanted / found), looks))

    def distance(self, looks: NDArray[np.float64]) -> float:
        """Mahalanobis's distance, divided by the root of D: about 1 for training images."""
        standard = self._standard(looks)
        return float(np.sqrt(standard @ np.array(self.precision) @ standard / len(standard)))

    @property
    def limit(self) -> float:
        """The distance beyond which an image is unlike; the largest known one where fewer than 19 are."""
        rank = int(np.ceil((len(self.distances) + 1) * (1 - FALSE_ALARMS) - 1e-9))
        return self.distances[min(rank, len(self.distances)) - 1]

    def _standard(self, looks: NDArray[np.float64]) -> NDArray[np.float64]:
        standard: NDArray[np.float64] = (looks - np.array(self.centre)) / np.array(self.scale)
        return standard

    def to_dict(self) -> dict[str, Any]:
        """Plain types, as written to a bundle."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Likeness:
        """The inverse of :meth:`to_dict`."""
        plain: dict[str, Any] = {name: tuple(value) for name, value in fields.items()}
        return cls(**{**plain, "precision": tuple(tuple(row) for row in plain["precision"])})


def spell_out(name: str) -> tuple[str, str]:
    """What a small and what a large value of a measure means.

    Example:
        >>> spell_out("level of grey")
        ('darker (grey)', 'brighter (grey)')
    """
    what, _, channel = name.partition(" of ")
    less, more = (words + (f" ({channel})" if channel else "") for words in WORDS[what])
    return less, more
