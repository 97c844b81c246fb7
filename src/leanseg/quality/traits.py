"""What can be said about a mask and its probabilities without knowing the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NAMES = ("doubt", "extent", "raggedness", "pieces", "certainty")
"""What :meth:`Traits.vector` holds beside the soft Dice."""


@dataclass(frozen=True, kw_only=True)
class Traits:
    """Sums over one class of one image, inside the field of view.

    Args:
        area: pixels of the mask.
        field: pixels of the field of view.
        inside: sum of the probabilities in the mask.
        total: sum of all probabilities.
        entropy: sum of the entropies of all pixels, in nats.
        border: pairs of neighbours along the axes of which one belongs to the mask.
        components: connected pieces.

    Example:
        >>> square = Traits(area=4, field=100, inside=3.0, total=4.0, entropy=2.0, border=8, components=1)
        >>> square.soft_dice
        0.75
    """

    area: int
    field: int
    inside: float
    total: float
    entropy: float
    border: int
    components: int

    @property
    def soft_dice(self) -> float | None:
        """The Dice that the probabilities promise, 2 sum(p m) / (sum p + sum m); None where nothing was found.

        Source: Borges et al., arXiv 2402.10665.
        """
        return 2 * self.inside / (self.total + self.area) if self.area else None

    def vector(self) -> NDArray[np.float64]:
        """(5,) numbers of about the same size for masks of any size, in the order of :data:`NAMES`."""
        area = max(self.area, 1)
        return np.array(
            [
                math.log1p(self.entropy / area),
                math.log(area / max(self.field, 1)),
                math.log1p(self.border / math.sqrt(area)),
                math.log1p(self.components),
                self.inside / area,
            ]
        )
