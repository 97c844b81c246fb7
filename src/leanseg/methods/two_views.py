"""Training on each image as it is and in another look, with answers that should agree."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leanseg.loading.crops import Batch
from leanseg.methods.random_appearance import RandomAppearance, unit_range
from leanseg.methods.segmenter import Segmenter
from leanseg.nets.global_appearance import GlobalAppearance
from leanseg.nets.token_style import TokenStyle

Agreement = Literal["probabilities", "logits"]


class TwoViews(Segmenter):
    """A :class:`~leanseg.methods.segmenter.Segmenter` whose loss is the mean over both views, plus their disagreement.

    Args:
        appearance: changes the look of images; None shows each as it is, once.
        consistency: weight of the mean squared difference between both answers, where pixels count.
        agreement: between "probabilities" or "logits".
        styles: noise inside the network; its strength is logged.
        settings: of the segmenter.
    """

    def __init__(
        self,
        *,
        appearance: RandomAppearance | GlobalAppearance | None,
        consistency: float,
        agreement: Agreement = "probabilities",
        styles: Sequence[TokenStyle] = (),
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.appearance: RandomAppearance | GlobalAppearance | None = appearance
        self.consistency = consistency
        self.agreement: Agreement = agreement
        self._styles = tuple(styles)  # parts of the network already

    def learnt(self) -> list[nn.Parameter]:
        """The network, and a change of appearance that is learnt with it."""
        return [*super().learnt(), *([] if self.appearance is None else self.appearance.parameters())]

    def training_loss(self, batch: Batch) -> Tensor:
        """Both losses and the disagreement: one number."""
        image, target, valid = batch["image"], batch["target"], batch["valid"]
        views = [image] if self.appearance is None else [image, self.changed(image)]
        answers = [self.answers(view) for view in views]
        losses = [self.loss(z, target, valid) for z in itertools.chain(*answers)]
        loss = torch.stack(losses).mean()
        if self.consistency and len(answers) > 1:
            apart = [self.disagreement(one, other, valid) for one, other in zip(*answers, strict=True)]
            loss = loss + self.consistency * torch.stack(apart).mean()
        self._log_strength(len(image))
        return loss

    def disagreement(self, one: Tensor, other: Tensor, valid: Tensor) -> Tensor:
        """The mean squared difference over valid pixels and classes."""
        if self.agreement == "probabilities":
            one, other = ((z.sigmoid() if self.classes.sigmoid else z.softmax(1)) for z in (one, other))
        apart = F.mse_loss(one.float(), other.float(), reduction="none").mean(1, keepdim=True)
        counted = valid.to(apart)
        return (apart * counted).sum() / counted.sum().clamp_min(1)

    def changed(self, image: Tensor) -> Tensor:
        """The second view. A learnt change works between 0 and 1; the range of the image comes back afterwards."""
        if isinstance(self.appearance, GlobalAppearance):
            unit, low, span = unit_range(image)
            back: Tensor = self.appearance(unit) * span + low
            return back
        return image if self.appearance is None else self.appearance(image)

    def _log_strength(self, size: int) -> None:
        gains = [style.gains for style in self._styles if style.gains is not None]
        if gains:
            mirrored = torch.stack([(one < 0).float().mean() for one in gains]).mean()
            self.log("mirrored_channels", mirrored, on_step=False, on_epoch=True, batch_size=size)
        change = getattr(self.appearance, "change", None)
        if change is not None:
            self.log("change_of_appearance", change, on_step=False, on_epoch=True, batch_size=size)
