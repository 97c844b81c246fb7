"""Whether probabilities keep their word: calibration error, reliability diagram, Brier score, temperature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, logsumexp

from leanseg.errors import UsageError
from leanseg.metrics.checks import check_masks, check_probabilities
from leanseg.types import Mask

Floats = NDArray[np.floating[Any]]
Sums = NDArray[np.float64]

ENOUGH_PIXELS = 1_000_000
"""More pixels than this do not change a fitted temperature in the digits that matter."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Predicted probabilities and what came true, in bins of equal width; add those of images for pooled scores.

    Args:
        pixels: (bins,) how many probabilities fall into each bin.
        predicted: (bins,) their sums.
        observed: (bins,) how many of those pixels are true.
        squares: sum of the squared differences between probability and truth.

    Source:
        Guo et al., On calibration of modern neural networks, ICML 2017, equation 3.

    Example:
        >>> truth = np.array([False, False, False, True])
        >>> found = Calibration.of(np.full(4, 0.35), truth, bins=10)
        >>> round(found.error, 3), round(found.brier, 4)
        (0.1, 0.1975)
    """

    pixels: NDArray[np.int64]
    predicted: Sums
    observed: Sums
    squares: float

    @classmethod
    def of(cls, probabilities: Floats, truth: Mask, *, valid: Mask | None = None, bins: int = 15) -> Calibration:
        """Collect one image and class.

        Args:
            probabilities: in [0, 1]; any shape.
            truth: the same shape.
            valid: True where pixels count.
            bins: how many, equally wide.

        Raises:
            UsageError: shapes, types or the range do not fit.
        """
        check_masks(probabilities.shape, truth=truth, valid=valid)
        check_probabilities(probabilities)
        if bins < 1:
            raise UsageError(f"bins must be at least 1, found {bins}")
        inside = slice(None) if valid is None else valid
        p, t = probabilities[inside].ravel().astype(np.float64), truth[inside].ravel()
        place = np.minimum((p * bins).astype(np.intp), bins - 1)
        pixels = np.bincount(place, minlength=bins)
        predicted, observed = (np.bincount(place, weights, bins).astype(np.float64) for weights in (p, t))
        return cls(pixels, predicted, observed, float(np.square(p - t).sum()))

    def __add__(self, other: Calibration) -> Calibration:
        return Calibration(
            self.pixels + other.pixels,
            self.predicted + other.predicted,
            self.observed + other.observed,
            self.squares + other.squares,
        )

    @property
    def brier(self) -> float | None:
        """Mean squared difference between probability and truth."""
        total = int(self.pixels.sum())
        return self.squares / total if total else None

    @property
    def error(self) -> float | None:
        """Expected calibration error: |predicted - observed| share, averaged over the pixels."""
        return _gap(self.pixels, self.predicted, self.observed)

    @property
    def foreground_error(self) -> float | None:
        """The expected calibration error without the lowest bin.

        In a medical image nearly all pixels are background beyond doubt; they lie in the lowest bin and make any error
        look small. What is left is where the model sees at least a hint of the class. The choice rests on the
        prediction alone: choosing pixels by their truth would itself spoil the observed shares.
        """
        return _gap(self.pixels[1:], self.predicted[1:], self.observed[1:])

    def curve(self) -> tuple[Sums, Sums]:
        """The reliability diagram: mean predicted probability and observed share of each bin that is not empty."""
        there = self.pixels > 0
        return self.predicted[there] / self.pixels[there], self.observed[there] / self.pixels[there]


def fit_temperature(
    logits: Sequence[Floats], truths: Sequence[Mask], valid: Sequence[Mask | None] | None = None
) -> float:
    """The temperature T that makes sigmoid(logit / T) most likely; for validation images and one class.

    Where only probabilities are at hand, give ``logits_of(probabilities)``. Of more than a million pixels a million are
    drawn, always the same.

    Args:
        logits: one map for each image; shapes may differ.
        truths: one mask for each image.
        valid: one mask or None for each image.

    Returns:
        A number in [0.05, 20]: above 1 the model was too sure of itself, below 1 too shy.

    Raises:
        UsageError: the lists or shapes do not fit, or no pixel is left.

    Source:
        Guo et al., On calibration of modern neural networks, ICML 2017, section 4.2.

    Example:
        >>> logits, truth = np.array([3.0, 3.0, 3.0, 3.0]), np.array([True, True, True, False])
        >>> round(fit_temperature([logits], [truth]), 3)
        2.731
    """
    maps = [None] * len(truths) if valid is None else valid
    if not len(logits) == len(truths) == len(maps):
        msg = f"found {len(logits)} maps of logits, {len(truths)} truths and {len(maps)} valid masks"
        raise UsageError(f"{msg}; give one of each for every image")
    pieces = []
    for z, t, v in zip(logits, truths, maps, strict=True):
        check_masks(z.shape, truth=t, valid=v)
        inside = slice(None) if v is None else v
        # softplus(-z) if true, softplus(z) if not: the sign carries the truth
        pieces.append(np.where(t[inside], -z[inside], z[inside]).ravel())
    signed = _draw(np.concatenate(pieces) if pieces else np.empty(0), "logits")
    return _minimise(lambda t: float(np.logaddexp(0, signed / t).mean()))


def fit_softmax_temperature(logits: Floats, labels: NDArray[np.integer[Any]]) -> float:
    """The temperature T that makes softmax(logits / T) most likely; for classes that exclude each other.

    Args:
        logits: (K, n), one row for each class, background first.
        labels: (n,) class numbers, 0 to K - 1.

    Returns:
        A number in [0.05, 20].

    Raises:
        UsageError: shapes or class numbers do not fit, or no pixel is left.

    Example:
        >>> logits = np.array([[0.0, 0.0, 0.0, 0.0], [3.0, 3.0, 3.0, 3.0]])
        >>> round(fit_softmax_temperature(logits, np.array([1, 1, 1, 0])), 3)
        2.731
    """
    if logits.ndim != 2 or labels.shape != logits.shape[1:]:
        raise UsageError(f"expected logits (K, n) and labels (n,), found {logits.shape} and {labels.shape}")
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < len(logits):
        raise UsageError(f"labels must lie in 0 to {len(logits) - 1}, found {labels.min()} to {labels.max()}")
    chosen = np.take_along_axis(logits, labels[None].astype(np.intp), axis=0)
    behind = _draw((logits - chosen).astype(np.float64), "logits")
    return _minimise(lambda t: float(logsumexp(behind / t, axis=0).mean()))


def logits_of(probabilities: Floats) -> Sums:
    """log(p / (1 - p)), where 0 and 1 become the nearest probabilities that single precision can tell from them.

    Example:
        >>> logits_of(np.array([0.0, 0.5, 1.0])).round(1).tolist()
        [-15.9, 0.0, 15.9]
    """
    margin = float(np.finfo(np.float32).eps)
    logits: Sums = logit(np.clip(probabilities.astype(np.float64), margin, 1 - margin))
    return logits


def apply_temperature(probabilities: Floats, temperature: float) -> NDArray[np.float32]:
    """Probabilities after dividing their logits by a temperature; 1 changes nothing but the rounding.

    Args:
        probabilities: in [0, 1]; any shape.
        temperature: above 0.

    Example:
        >>> apply_temperature(np.array([0.5, 0.9]), 2.0).tolist()
        [0.5, 0.75]
    """
    return np.asarray(expit(logits_of(probabilities) / temperature), dtype=np.float32)


def _gap(pixels: NDArray[np.int64], predicted: Sums, observed: Sums) -> float | None:
    total = int(pixels.sum())
    return float(np.abs(predicted - observed).sum()) / total if total else None


def _draw(values: Floats, name: str) -> Floats:
    """At most a million of the pixels along the last axis."""
    count = values.shape[-1]
    if count == 0 or not np.isfinite(values).all():
        raise UsageError(f"{name} must be finite and at least one pixel must count, found {count} pixels")
    if count <= ENOUGH_PIXELS:
        return values
    return values[..., np.random.default_rng(0).choice(count, ENOUGH_PIXELS, replace=False, shuffle=False)]


def _minimise(loss: Callable[[float], float]) -> float:
    """Where a loss of the temperature is least; it has one minimum, being convex in 1 / T."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(lambda x: loss(exp(x)), bounds=(log(0.05), log(20)), method="bounded")
    return exp(found.x)
