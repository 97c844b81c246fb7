"""Contrast between vectors of which any number may belong together."""

from __future__ import annotations

import torch
from torch import Tensor

from leanseg.errors import UsageError

BASE_TEMPERATURE = 0.07
"""The loss is multiplied by temperature / base temperature: gradients keep their size when the temperature changes."""


def supervised_contrastive(vectors: Tensor, positive: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Cross-entropy of picking a positive of each vector among all others, by cosine similarity.

    Vectors without a positive are left out of the mean, but the others are told from them. All sums are made in 32 bits
    or more, under autocast too.

    Args:
        vectors: (V, C), of any length; a vector of zeros is at right angles to all and has no gradient.
        positive: (V, V) bool, row a true at the positives of vector a; the diagonal is ignored.
        temperature: divides the similarities.

    Returns:
        A scalar; 0 with gradients of 0 where no vector has a positive.

    Raises:
        UsageError: ``positive`` is not (V, V), or the temperature is not above 0.

    Source:
        SupCon, arXiv 2004.11362, eq. 2 with the factor of its code, as in SuperCL, arXiv 2504.14737.

    Example:
        >>> views = torch.ones(8, 3)
        >>> partner = torch.eye(8, dtype=torch.bool).roll(4, 1)
        >>> round(float(supervised_contrastive(views, partner)), 6)
        2.779872
    """
    count = len(vectors)
    if positive.shape != (count, count):
        raise UsageError(f"positive must be ({count}, {count}) for {count} vectors, found {tuple(positive.shape)}")
    if not temperature > 0:
        raise UsageError(f"temperature must be above 0, found {temperature}")
    itself = torch.eye(count, dtype=torch.bool, device=vectors.device)
    pairs = positive.to(vectors.device) & ~itself
    positives = pairs.sum(1)
    with torch.autocast(vectors.device.type, enabled=False):
        wide = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
        length = torch.linalg.vector_norm(wide, dim=1, keepdim=True)
        # Divided by a small number instead, a vector near zero would get a gradient that wrecks the network.
        unit = wide / length.where(length > 0, torch.inf)
        similarity = unit @ unit.T / temperature
        # Minus infinity would make a lone vector infinite and its product with 0 not a number.
        total = similarity.masked_fill(itself, torch.finfo(wide.dtype).min).logsumexp(1)
        each = ((similarity - total[:, None]) * pairs).sum(1) / positives.clamp_min(1)
        mean: Tensor = each.sum() / (positives > 0).sum().clamp_min(1)
    return -temperature / BASE_TEMPERATURE * mean
