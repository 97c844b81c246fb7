"""The training loop's view of a segmentation network: loss, optimiser, averaged weights and validation."""

from __future__ import annotations

import copy
import math
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from leanseg.errors import LeansegError
from leanseg.loading.crops import Batch, Crops
from leanseg.loading.together import Together
from leanseg.methods.muon import Muon
from leanseg.methods.validation_score import EvenOdds, ValidationScore
from leanseg.methods.whole_image import whole_logits
from leanseg.types import Classes

Optimiser = Literal["muon", "adamw"]

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""

COLLAPSED = 1e-4
"""A spread of logits over a whole image below which the output is constant."""


class Segmenter(LightningModule):
    """Trains a network on one rise and fall of the learning rate and keeps a moving average of its weights.

    Args:
        net: the network to train.
        loss: takes logits, target and valid.
        classes: how to read the logits.
        steps: length of the training in steps.
        optimiser: "muon" or "adamw".
        learning_rate: its peak, reached after a tenth of the steps.
        weight_decay: on weights; biases and normalisation layers have none.
        average: decay of the moving average of the weights.
        window: side of the windows in which the network sees whole images; None shows it all at once.
        judge: the score of the validation images by which weights are chosen.
        seed: of what is drawn in a step.

    Raises:
        LeansegError: while fitting, when the loss is no number or the output has become constant.
    """

    def __init__(
        self,
        *,
        net: nn.Module,
        loss: nn.Module,
        classes: Classes,
        steps: int,
        optimiser: Optimiser = "muon",
        learning_rate: float = 5e-2,
        weight_decay: float = 1e-4,
        average: float = 0.99,
        window: int | None = None,
        judge: type[ValidationScore] = EvenOdds,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.net, self.loss, self.classes, self.steps = net, loss, classes, steps
        self.optimiser: Optimiser = optimiser
        self.learning_rate, self.weight_decay, self.average = learning_rate, weight_decay, average
        self.window, self.seed = window, seed
        self.averaged = copy.deepcopy(net).requires_grad_(False)
        # Plain convolutions are quickest with channels last; a network that folds while training has its own order.
        last = {2: torch.channels_last, 3: torch.channels_last_3d}[getattr(net, "dims", 2)]
        self._format = torch.contiguous_format if hasattr(net, "folded") else last
        self._judge = judge
        self._score = judge(classes)
        self._spread = 0.0

    def setup(self, stage: str) -> None:  # noqa: ARG002
        """Let every process make its own part of each batch."""
        crops = getattr(self.trainer.fit_loop._data_source.instance, "dataset", None)
        if isinstance(crops, Crops | Together):
            crops.share(rank=self.trainer.global_rank, world=self.trainer.world_size)

    def on_fit_start(self) -> None:
        """Also train a network that was loaded for use, whose mode Lightning would leave as it is."""
        self.net.train()
        self.net.to(memory_format=self._format)  # type: ignore[call-overload]

    def learnt(self) -> list[nn.Parameter]:
        """What the optimiser changes."""
        return list(self.net.parameters())

    def configure_optimizers(self) -> Any:
        rate, decay, learnt = self.learning_rate, self.weight_decay, self.learnt()
        optimiser: torch.optim.Optimizer
        if self.optimiser == "muon":
            optimiser = Muon(learnt, lr=rate, weight_decay=decay)
        else:
            weights = [p for p in learnt if p.ndim > 1]
            others = [p for p in learnt if p.ndim <= 1]
            groups: list[Any] = [{"params": weights}, {"params": others, "weight_decay": 0.0}]
            optimiser = torch.optim.AdamW(groups, lr=rate, weight_decay=decay, foreach=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self._factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _factor(self, step: int) -> float:
        """Share of the peak learning rate: linear rise, then half a cosine down to 0."""
        rise = max(1, round(WARM_UP * self.steps))
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, self.steps - rise))))

    @property
    def decay(self) -> float:
        """Of the moving average at this step; early on it follows quickly."""
        return min(self.average, (1 + self.global_step) / (10 + self.global_step))

    def training_loss(self, batch: Batch) -> Tensor:
        """The mean loss over all answers that the network gives while it learns; most give one."""
        losses = [self.loss(logits, batch["target"], batch["valid"]) for logits in self.answers(batch["image"])]
        return torch.stack(losses).mean()

    def answers(self, image: Tensor) -> tuple[Tensor, ...]:
        """All logits that the network gives while it learns."""
        image = image.contiguous(memory_format=self._format)
        several = getattr(self.net, "training_logits", None)
        return several(image) if several else (self.net(image),)

    @property
    def step_seed(self) -> int:
        """Of this step and process: a resumed training draws what an uninterrupted one would have drawn."""
        return int(np.random.default_rng((self.seed, self.global_step, self.global_rank)).integers(1 << 62))

    def training_step(self, batch: Batch, step: int) -> Tensor:  # noqa: ARG002
        torch.manual_seed(self.step_seed)
        loss = self.training_loss(batch)
        if not bool(torch.isfinite(loss)):
            msg = f"the loss is no number at step {self.global_step}: lower --learning-rate, or look for broken pixels"
            raise LeansegError(f"{msg} with: leanseg data check")
        size = len(batch["image"])
        self.log("loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=size, sync_dist=True)
        return loss

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: Batch, step: int) -> None:  # noqa: ARG002
        """Move the average."""
        decay = self.decay
        for mean, new in zip(self.averaged.state_dict().values(), self.net.state_dict().values(), strict=True):
            mean.lerp_(new, 1 - decay) if mean.is_floating_point() else mean.copy_(new)

    def validation_step(self, batch: Batch, index: int) -> None:  # noqa: ARG002
        logits = whole_logits(self.averaged.eval(), batch["image"], window=self.window)
        seen = logits[:, batch["valid"][0].to(logits.device) > 0]
        if seen.numel():
            self._spread = max(self._spread, float((seen.amax(1) - seen.amin(1)).max()))
        self._score.add(logits, batch["target"], batch["valid"])

    def on_validation_epoch_end(self) -> None:
        """Log the score, and stop a training whose output does not depend on the image any more."""
        self.log("val_dice", self._score.mean(), prog_bar=True, sync_dist=True)
        spread, self._spread, self._score = self._spread, 0.0, self._judge(self.classes)
        if self.trainer.sanity_checking or spread > COLLAPSED:
            return
        msg = f"the network's output is constant (spread {spread:.1e}) after {self.global_step} steps. "
        raise LeansegError(msg + "Use the plain head if it is Mini-Net's paper head (head='plain'), or a lower "
                           "--learning-rate.")  # fmt: skip
