"""Keeps the pictures of the worst and the best cases while the rest goes by."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable

from leanseg.report.contents import Picture


class Extremes:
    """The cases with the lowest and the highest score; only their pictures are drawn and kept.

    Args:
        count: how many at either end.

    Example:
        >>> extremes = Extremes(count=1)
        >>> for name, score in (("a", 0.5), ("b", 0.9), ("c", 0.1)):
        ...     extremes.consider(score, lambda: Picture(b"", name))
        >>> [p.title for p in extremes.worst], [p.title for p in extremes.best]
        (['c'], ['b'])
    """

    def __init__(self, *, count: int = 3) -> None:
        self.count = count
        self._seen = 0
        self._low: list[tuple[float, int, Picture]] = []
        self._high: list[tuple[float, int, Picture]] = []

    def consider(self, score: float, draw: Callable[[], Picture]) -> None:
        """Keep the case if it is among the extremes so far.

        Args:
            score: higher is better.
            draw: makes the picture; only called when it is needed.
        """
        low = len(self._low) < self.count or score < self._low[-1][0]
        high = len(self._high) < self.count or -score < self._high[-1][0]
        if not (low or high):
            return
        self._seen += 1
        picture = draw()
        for wanted, kept, key in ((low, self._low, score), (high, self._high, -score)):
            if wanted:
                insort(kept, (key, self._seen, picture))
                del kept[self.count :]

    @property
    def worst(self) -> list[Picture]:
        """Lowest score first."""
        return [picture for _, _, picture in self._low]

    @property
    def best(self) -> list[Picture]:
        """Highest score first, without those already among the worst."""
        shown = {id(picture) for picture in self.worst}
        return [picture for _, _, picture in self._high if id(picture) not in shown]
