"""A network's answer for a whole sample while training: no tiles, no files."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from leanseg.images.resample import Region
from leanseg.inference.windows import window_rows
from leanseg.types import Classes

SLICES = 8
"""Slices of a volume that a 2-D network sees at once."""


@torch.no_grad()
def whole_logits(net: nn.Module, image: Tensor, *, window: int | None = None) -> Tensor:
    """Logits for one whole image.

    Args:
        net: takes (N, C, *spatial); a 2-D net goes through a volume slice by slice.
        image: (C, H, W) or (C, D, H, W).
        window: side of the overlapping windows in which a net sees a larger picture; None shows it the whole.

    Returns:
        (K, *spatial) float32.

    Example:
        >>> whole_logits(nn.Conv2d(1, 2, 1), torch.zeros(1, 5, 4, 4)).shape
        torch.Size([2, 5, 4, 4])
    """
    if image.ndim == 4 and getattr(net, "dims", 2) == 2:
        parts = [net(part).float() for part in torch.split(image.transpose(0, 1), SLICES)]
        return torch.cat(parts).transpose(0, 1)
    if window is not None and max(image.shape[1:]) > window:
        return _windowed(net, image, window)
    logits: Tensor = net(image[None])[0].float()
    return logits


def _windowed(net: nn.Module, image: Tensor, window: int) -> Tensor:
    """As the predictor does it, but for the mean of logits instead of probabilities."""

    def answer(region: Region) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = net(image[(None, slice(None), *region)])[0].float().cpu().numpy()
        return logits

    rows = [maps for _, maps in window_rows(answer, image.shape[1:], window=window)]
    return torch.from_numpy(np.concatenate(rows, axis=1))


def hard_masks(logits: Tensor, classes: Classes) -> Tensor:
    """One mask for each class at even odds, (K, *spatial) bool, from (outputs, *spatial) logits."""
    if classes.sigmoid:
        return logits > 0
    best = logits.argmax(0)
    return torch.stack([best == number for number in range(1, logits.shape[0])])


def true_masks(target: Tensor, classes: Classes) -> Tensor:
    """One mask for each class, (K, *spatial) bool, from a sample's target."""
    if classes.overlapping:
        return target > 0
    return torch.cat([target == number for number in range(1, len(classes.names) + 1)])


def mean_dice(prediction: Tensor, truth: Tensor, valid: Tensor) -> float | None:
    """Mean Dice over the classes that the image or the prediction shows, None where there are none.

    Args:
        prediction: (K, *spatial) bool.
        truth: (K, *spatial) bool.
        valid: (1, *spatial), where scores count.
    """
    prediction, truth = (prediction & (valid > 0)).flatten(1), (truth & (valid > 0)).flatten(1)
    total = prediction.sum(1) + truth.sum(1)
    shown = total > 0
    if not bool(shown.any()):
        return None
    return float((2 * (prediction & truth).sum(1)[shown] / total[shown]).mean())
