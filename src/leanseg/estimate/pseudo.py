"""Pseudo scores: how well masks teach a reverse segmenter, measured on images whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leanseg.errors import UsageError
from leanseg.estimate.line import Values
from leanseg.estimate.reverse import Taught
from leanseg.estimate.set_metrics import scores_of, set_metric
from leanseg.types import Mask


@dataclass(frozen=True, eq=False)
class Pseudo:
    """Pseudo scores of some rows (checkpoints, or degraded masks of one), image by image.

    Args:
        scores: (rows, draws, n) one for each image with known truth.
        empty: (rows,) where no mask had enough pixels to teach anything, so that all scores are the worst.
    """

    scores: Values
    empty: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.scores.ndim != 3 or not self.scores.size or not np.isfinite(self.scores).all():
            raise UsageError(f"pseudo scores must be finite, (rows, draws, images), found {self.scores.shape}")
        if self.empty.shape != self.scores.shape[:1]:
            raise UsageError(f"expected one flag for each of {len(self.scores)} rows, found {self.empty.shape}")


def choose_support(
    masks: Sequence[Mask], rng: np.random.Generator, *, resample: bool = False, least: int = 10, most: int = 64
) -> list[Mask | None]:
    """The masks that teach; None in the place of the others.

    Args:
        masks: one for each image.
        rng: draws among too many.
        resample: choose among images drawn with replacement, as a bootstrap does.
        least: pixels that a mask needs.
        most: masks that may teach.

    Source:
        SPE, arXiv 2504.15667: at least 10 pixels, and a random 64 if there are more.

    Example:
        >>> masks = [np.zeros((4, 4), bool), np.ones((4, 4), bool)]
        >>> [mask is None for mask in choose_support(masks, np.random.default_rng())]
        [True, False]
    """
    drawn = set(rng.integers(len(masks), size=len(masks)).tolist() if resample else range(len(masks)))
    fit = [i for i, mask in enumerate(masks) if i in drawn and np.count_nonzero(mask) >= least]
    kept = set(rng.choice(fit, most, replace=False).tolist() if len(fit) > most else fit)
    return [mask if i in kept else None for i, mask in enumerate(masks)]


def pseudo_scores(
    taught: Taught,
    rows: Sequence[Sequence[Mask]],
    truths: Sequence[Mask],
    *,
    metric: str = "dice",
    draws: int = 1,
    least: int = 10,
    most: int = 64,
    seed: int = 0,
) -> Pseudo:
    """Let each row of masks teach and score the answers.

    Args:
        taught: compared beforehand with the supports (the images of ``rows``) and the queries (those of ``truths``).
        rows: for each checkpoint one mask for each support.
        truths: one mask for each query.
        metric: a name in :data:`leanseg.estimate.set_metrics.METRICS`.
        draws: 1 teaches with all masks; more draw the supports anew with replacement, so that an interval made of the
            scores knows how much depends on which images the target set happens to hold.
        least: pixels that a mask needs.
        most: masks that may teach.
        seed: the same seed gives the same supports.

    Raises:
        UsageError: no such metric, or masks that do not fit the images.

    Source:
        SPE, arXiv 2504.15667, pseudo_t.

    Example:
        >>> from leanseg.estimate.patch_fusion import PatchFusion
        >>> fusion, image = PatchFusion(), np.arange(4096.0).reshape(1, 64, 64)
        >>> mask, known = image[0] > 2000, [fusion.prepare(image)]
        >>> found = pseudo_scores(fusion.fit(known, known), [[mask], [mask & False]], [mask])
        >>> found.scores.round(1).tolist(), found.empty.tolist()
        ([[[1.0]], [[0.0]]], [False, True])
    """
    scores = []
    for masks in rows:
        row = []
        for draw in range(draws):
            # Every row sees the same draw: what differs between checkpoints is then not the luck of the supports.
            rng = np.random.default_rng([seed, draw])
            chosen = choose_support(masks, rng, resample=draws > 1, least=least, most=most)
            row.append(_row_scores(taught, chosen, truths, metric))
        scores.append(row)
    empty = [all(np.count_nonzero(mask) < least for mask in masks) for masks in rows]
    return Pseudo(np.array(scores), np.array(empty))


def _row_scores(taught: Taught, chosen: Sequence[Mask | None], truths: Sequence[Mask], metric: str) -> Values:
    if all(mask is None for mask in chosen):
        return np.array([set_metric(metric).worst(truth.shape) for truth in truths])
    return scores_of([answer > taught.threshold for answer in taught.predict(chosen)], truths, metric)
