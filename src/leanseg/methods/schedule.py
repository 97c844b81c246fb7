"""What a plan decides for every method alike: crops, their number, and how the weights follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from leanseg.loading.augment import Augmentation
from leanseg.loading.crops import Crops
from leanseg.loading.samples import Sample
from leanseg.methods.segmenter import Optimiser
from leanseg.methods.validation_score import EvenOdds, ValidationScore
from leanseg.types import Classes


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Crops, steps and optimiser of a training.

    Args:
        classes: what is segmented.
        crop: side of the training crops in pixels.
        batch: crops in a step.
        epochs: number of epochs, of all stages together.
        epoch_steps: steps in an epoch.
        augmentation: how crops differ from their image.
        optimiser: "muon" or "adamw".
        learning_rate: its peak.
        weight_decay: on weights; biases and normalisation layers have none.
        average: decay of the moving average of the weights.
        foreground: share of crops centred on the foreground.
        window: side of the windows in which the network sees whole images in validation; None shows it all at once.
        judge: the score of the validation images by which weights are chosen.
        one_image: whether all crops of a step come from one image, so that batch normalisation learns to cope with
            the statistics of single images.
        by_site: whether every site gives as many crops as the others.
        seed: of the crops.
        workers: processes that make crops beside the trainer.

    Example:
        >>> disc = Classes(names=("disc",))
        >>> schedule = Schedule(classes=disc, crop=8, batch=2, epochs=3, augmentation=Augmentation())
        >>> schedule.fitting(epochs=2)["steps"]
        200
    """

    classes: Classes
    crop: int
    batch: int
    epochs: int
    epoch_steps: int = 100
    augmentation: Augmentation
    optimiser: Optimiser = "muon"
    learning_rate: float = 5e-2
    weight_decay: float = 1e-4
    average: float = 0.99
    foreground: float = 0.0
    window: int | None = None
    judge: type[ValidationScore] = EvenOdds
    one_image: bool = False
    by_site: bool = False
    seed: int = 0
    workers: int = 0

    def crops(self, samples: Sequence[Sample], net: nn.Module, **changes: Any) -> Crops:
        """Training crops of some samples for a network; ``changes`` are arguments of :class:`Crops`."""
        settings = {
            "size": self.crop,
            "batch": self.batch,
            "augmentation": self.augmentation,
            "dims": int(getattr(net, "dims", 2)),
            "seed": self.seed,
            "by_site": self.by_site,
            "foreground": self.foreground,
            "one_image": self.one_image,
        }
        return Crops(samples, **{**settings, **changes})

    def fitting(self, *, epochs: int, rate: float = 1.0) -> dict[str, Any]:
        """The arguments of :class:`~leanseg.methods.segmenter.Segmenter` for a stage of some epochs.

        ``rate`` is a share of the peak of the learning rate.
        """
        return {
            "classes": self.classes,
            "steps": epochs * self.epoch_steps,
            "optimiser": self.optimiser,
            "learning_rate": rate * self.learning_rate,
            "weight_decay": self.weight_decay,
            "average": self.average,
            "window": self.window,
            "judge": self.judge,
            "seed": self.seed,
        }
