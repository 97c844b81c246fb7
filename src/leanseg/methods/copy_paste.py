"""Bidirectional copy-paste: a box of one image is pasted into another, and a teacher labels what has no labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from leanseg.inference.postprocess import keep_largest
from leanseg.loading.crops import Batch
from leanseg.losses.dice import Dice
from leanseg.methods.segmenter import Segmenter


def box_mask(shape: tuple[int, ...], *, share: float, random: np.random.Generator) -> Tensor:
    """True outside one box at a random place.

    Args:
        shape: spatial shape, (H, W) or (D, H, W).
        share: side of the box as a share of each axis, rounded down.
        random: the step's own generator.

    Returns:
        (1, 1, *shape) bool.

    Source:
        Bai et al., Bidirectional copy-paste, CVPR 2023, section 3.1.

    Example:
        >>> int(box_mask((6, 9), share=2 / 3, random=np.random.default_rng(0)).logical_not().sum())
        24
    """
    # A share of 2/3 is no exact binary number: 2/3 of 9 has to be 6.
    sides = [int(share * n + 1e-9) for n in shape]
    starts = [int(random.integers(n - side + 1)) for n, side in zip(shape, sides, strict=True)]
    outside = torch.ones(1, 1, *shape, dtype=torch.bool)
    inside: tuple[Any, ...] = tuple(slice(a, a + side) for a, side in zip(starts, sides, strict=True))
    outside[(..., *inside)] = False
    return outside


class _Boxes(Segmenter):
    """What both stages share.

    Args:
        box: side of the box as a share of each axis; 0 pastes nothing.
        settings: of :class:`Segmenter`.
    """

    def __init__(self, *, box: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.box = box

    def outside(self, image: Tensor) -> Tensor:
        """The mask of this step, one for the whole batch."""
        random = np.random.default_rng((self.seed, self.global_step))
        return box_mask(tuple(image.shape[2:]), share=self.box, random=random).to(image.device)


class LabelledPaste(_Boxes):
    """Stage 1: labelled images are pasted into each other."""

    def training_loss(self, batch: Batch) -> Tensor:
        """The usual loss of x = M x_a + (1 - M) x_b, for which the labels are mixed alike."""
        outside = self.outside(batch["image"])
        mixed = {key: torch.where(outside, batch[key], batch[key].roll(1, 0)) for key in ("image", "target", "valid")}
        return super().training_loss({**batch, **mixed})


class CopyPaste(_Boxes):
    """Stage 2: labelled and unlabelled images are pasted into each other; the averaged network is the teacher.

    Half of the labelled images show outside the box, with an unlabelled one inside; for the other half it is the
    other way round. So each image has true labels in one part and the teacher's in the other.

    Args:
        pseudo_weight: of the loss where the teacher gave the labels.
        consistency: final weight, after a linear rise, of the Dice between the answers of a network that gives several.
        largest_component: the teacher's labels keep the largest piece of each class alone.
        confidence: least probability of a teacher's label that counts.
        mix: paste; without, labelled and unlabelled images stay apart (mean teacher).
        settings: box and those of :class:`Segmenter`; ``average`` is the teacher's memory.

    Source:
        Bai et al., CVPR 2023, equations 4 to 8; consistency: Zhou et al., XNet v2, BIBM 2024.
    """

    def __init__(
        self,
        *,
        pseudo_weight: float,
        consistency: float,
        largest_component: bool,
        confidence: float,
        mix: bool,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.pseudo_weight, self.consistency, self.mix = pseudo_weight, consistency, mix
        self.largest_component, self.confidence = largest_component, confidence
        self.agreement = Dice(exclusive=not self.classes.sigmoid, pooled=True)

    @property
    def decay(self) -> float:
        """The teacher starts as the student and follows slowly from the first step on."""
        return self.average

    def training_loss(self, batch: Batch) -> Tensor:
        """True and pseudo labels, each in its own region, and the consistency of several answers: one number."""
        image, other = batch["image"], batch["unlabelled"]
        pseudo, sure = self.pseudo_labels(other["image"])
        own, taught = batch["valid"] > 0, (other["valid"] > 0) & sure
        if self.mix:
            keep = self._kept(image)
            image, own, taught = torch.where(keep, image, other["image"]), own & keep, taught & ~keep
            labelled, unlabelled, valid = slice(None), slice(None), own | taught
        else:
            labelled, unlabelled, valid = slice(len(image)), slice(len(image), None), torch.cat([own, taught])
            image = torch.cat([image, other["image"]])
        answers = self.answers(image)
        true = [self.loss(z[labelled], batch["target"], own) for z in answers]
        guessed = [self.loss(z[unlabelled], pseudo, taught) for z in answers]
        loss = torch.stack(true).sum() + self.pseudo_weight * torch.stack(guessed).sum()
        if self.consistency and len(answers) > 1:
            weight = self.consistency * min(1.0, (self.global_step + 1) / self.steps)
            loss = loss + weight * self.disagreement(answers, valid)
        return loss

    def _kept(self, image: Tensor) -> Tensor:
        """Where labelled images show: half of them outside the box, the others inside."""
        first = torch.arange(len(image), device=image.device) < (len(image) + 1) // 2
        return self.outside(image) == first.view(-1, *[1] * (image.ndim - 1))

    @torch.no_grad()
    def pseudo_labels(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The teacher's labels, as a target, and where they count, (N, 1, *spatial) bool."""
        logits = self.averaged.eval()(image).float()
        labels = self._hard(logits)
        chance = logits.sigmoid() if self.classes.sigmoid else logits.softmax(1).amax(1, keepdim=True)
        sure = torch.maximum(chance, 1 - chance).amin(1, keepdim=True) if self.classes.sigmoid else chance
        if self.largest_component:
            labels = torch.stack([self._largest(one) for one in labels])
        return labels, sure >= self.confidence

    def disagreement(self, answers: tuple[Tensor, ...], valid: Tensor) -> Tensor:
        """Dice of the first answer and each other one, in both directions; the one that teaches has no gradient."""
        first, hard = answers[0], self._hard(answers[0].detach())
        terms = []
        for other in answers[1:]:
            terms += [self.agreement(first, self._hard(other.detach()), valid), self.agreement(other, hard, valid)]
        return torch.stack(terms).sum()

    def _hard(self, logits: Tensor) -> Tensor:
        labels = logits > 0 if self.classes.sigmoid else logits.argmax(1, keepdim=True)
        return labels.to(torch.uint8)

    def _largest(self, labels: Tensor) -> Tensor:
        planes = labels if self.classes.overlapping else labels[0]
        kept = torch.from_numpy(keep_largest(planes.cpu().numpy(), classes=self.classes)).to(labels.device)
        return kept if self.classes.overlapping else kept[None]
