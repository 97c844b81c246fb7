"""By what score of the validation images weights are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from rich.progress import track
from torch import Tensor, nn

from leanseg.loading.samples import Sample
from leanseg.methods.whole_image import hard_masks, mean_dice, true_masks, whole_logits
from leanseg.metrics.ranking import RankingCounts, best_mean_dice
from leanseg.types import Classes


class ValidationScore(Protocol):
    """Collects images and gives one number for all of them."""

    def __init__(self, classes: Classes) -> None: ...

    def add(self, logits: Tensor, target: Tensor, valid: Tensor) -> None:
        """One image: (outputs, *spatial) logits, (1 or K, *spatial) target and (1, *spatial) valid pixels."""
        ...

    def mean(self) -> float:
        """In [0, 1], larger is better; 0 where no image has a score."""
        ...


class EvenOdds:
    """The mean Dice of the images at even odds.

    Args:
        classes: how to read logits and targets.
    """

    def __init__(self, classes: Classes) -> None:
        self.classes = classes
        self._dices: list[float] = []

    def add(self, logits: Tensor, target: Tensor, valid: Tensor) -> None:
        """One image."""
        dice = mean_dice(hard_masks(logits, self.classes), true_masks(target, self.classes), valid)
        if dice is not None:
            self._dices.append(dice)

    def mean(self) -> float:
        """Images that neither show nor are given any class do not count."""
        return sum(self._dices) / max(len(self._dices), 1)


class BestThreshold:
    """The mean Dice of the images at the threshold that is best for them, for classes with a threshold each.

    Rare classes seldom reach even odds, least of all at the moment at which they are told apart best.

    Args:
        classes: how to read logits and targets.
    """

    def __init__(self, classes: Classes) -> None:
        self.classes = classes
        self._counts: list[list[RankingCounts]] = [[] for _ in classes.names]

    def add(self, logits: Tensor, target: Tensor, valid: Tensor) -> None:
        """One image."""
        truths, counted = true_masks(target, self.classes).cpu().numpy(), valid[0].cpu().numpy() > 0
        maps = logits.sigmoid().cpu().numpy().astype(np.float32)
        for counts, scores, truth in zip(self._counts, maps, truths, strict=True):
            counts.append(RankingCounts.of(scores, truth, valid=counted, bins=1024))

    def mean(self) -> float:
        """Over the classes that some image shows."""
        shown = [counts for counts in self._counts if any(one.positives.any() for one in counts)]
        return sum(best_mean_dice(counts) for counts in shown) / max(len(shown), 1)


def validation_score(
    net: nn.Module, samples: Sequence[Sample], *, score: ValidationScore, window: int | None = None
) -> float:
    """The score of all samples.

    Args:
        net: takes (N, C, *spatial), in eval mode.
        samples: with masks.
        score: has seen no image yet.
        window: as for :func:`whole_logits`.
    """
    for sample in track(samples, description="validating", transient=True):
        score.add(whole_logits(net, sample.image, window=window), sample.target, sample.valid)
    return score.mean()


def judges(samples: Sequence[Sample]) -> Sequence[Sample]:
    """The samples, or none where all targets are empty: such would choose the weights that find least."""
    return samples if any(bool(sample.target.any()) for sample in samples) else ()
