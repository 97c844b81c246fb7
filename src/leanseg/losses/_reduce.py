"""What every loss shares: probabilities and truth of the foreground as flat maps, and sums over valid pixels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Maps(NamedTuple):
    """Foreground maps of a batch, zero wherever nothing counts: probability, truth (N, K, P) and valid (N, 1, P)."""

    probability: Tensor
    truth: Tensor
    valid: Tensor


class Sums(NamedTuple):
    """Sums over the valid pixels of each image and class, (N, K) each."""

    both: Tensor
    probability: Tensor
    truth: Tensor


def foreground_maps(logits: Tensor, target: Tensor, valid: Tensor | None, *, exclusive: bool) -> Maps:
    """Probabilities and truth of the foreground classes.

    Args:
        logits: (N, K, *spatial); with ``exclusive`` the first channel is the background.
        target: class numbers (N, 1, *spatial) where exclusive, else 0 or 1 for each class (N, K, *spatial).
        valid: (N, 1, *spatial), where the loss counts; None for everywhere.
        exclusive: softmax over the channels instead of a sigmoid for each.
    """
    flat, truth, where = _flat(logits, target, valid)
    if exclusive:
        numbers = torch.arange(1, flat.shape[1], device=flat.device)[None, :, None]
        return Maps(flat.softmax(1)[:, 1:] * where, (truth == numbers).to(flat.dtype), where)
    return Maps(flat.sigmoid() * where, truth, where)


def overlap_sums(maps: Maps, *, pooled: bool = False) -> Sums:
    """The three sums that Dice and Jaccard are made of; ``pooled`` over all images, as if they were one (1, K)."""
    over = (0, 2) if pooled else (2,)
    both, probability, truth = (
        part.sum(over) for part in (maps.probability * maps.truth, maps.probability, maps.truth)
    )
    return Sums(*(part.view(-1, maps.truth.shape[1]) for part in (both, probability, truth)))


def dice_term(sums: Sums, smooth: float) -> Tensor:
    """1 - (2 both + s) / (probability + truth + s), mean over classes and images."""
    return (1 - (2 * sums.both + smooth) / (sums.probability + sums.truth + smooth)).mean()


def jaccard_term(sums: Sums, smooth: float) -> Tensor:
    """1 - (both + s) / (probability + truth - both + s), mean over classes and images."""
    return (1 - (sums.both + smooth) / (sums.probability + sums.truth - sums.both + smooth)).mean()


def tversky_term(sums: Sums, smooth: float, *, false_alarms: float, misses: float) -> Tensor:
    """1 - (both + s) / (both + a (probability - both) + b (truth - both) + s), mean over classes and images."""
    wrong = false_alarms * (sums.probability - sums.both) + misses * (sums.truth - sums.both)
    return (1 - (sums.both + smooth) / (sums.both + wrong + smooth)).mean()


def cross_entropy_term(
    logits: Tensor, target: Tensor, valid: Tensor | None, *, exclusive: bool, smoothing: float = 0.0
) -> Tensor:
    """Binary cross-entropy, or cross-entropy over exclusive classes: mean over valid pixels, then over images."""
    flat, truth, where = _flat(logits, target, valid)
    if exclusive:
        each = F.cross_entropy(flat, truth[:, 0].long(), reduction="none", label_smoothing=smoothing)[:, None]
    else:
        softened = truth * (1 - smoothing) + smoothing / 2
        each = F.binary_cross_entropy_with_logits(flat, softened, reduction="none")
    counted = where.sum((1, 2)).clamp_min(1) * each.shape[1]
    return ((each * where).sum((1, 2)) / counted).mean()


def _flat(logits: Tensor, target: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, truth and where both count, (N, K or 1, P) each."""
    # Sums over many pixels need more digits than 16 bits hold.
    flat = logits.flatten(2).to(torch.promote_types(logits.dtype, torch.float32))
    where = (torch.ones_like(target[:, :1]) if valid is None else valid).flatten(2) > 0
    # Whatever lies outside, NaN included, must reach neither the loss nor a gradient.
    return flat, torch.where(where, target.flatten(2).to(flat.dtype), 0.0), where
