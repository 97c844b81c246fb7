"""Expectation maximisation over a network and one field of label errors for each image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from leanseg.loading.crops import Batch
from leanseg.loading.samples import Sample
from leanseg.methods.label_error_field import bound, data_term, two_class_logits
from leanseg.methods.segmenter import Segmenter
from leanseg.methods.whole_image import whole_logits


class NoisySegmenter(Segmenter):
    """Steps of the network on labels as far as they are believed; after each epoch, steps of the fields.

    Args:
        samples: all training samples, in the order of their crops.
        fields: of each sample, (2, *spatial) float16: mean, and standard deviation before softplus; written to.
        prior: mu, s, rho, rho_q, kind and nodes, as :func:`leanseg.methods.label_error_field.bound` takes them.
        e_steps: steps of each field after an epoch.
        e_rate: their learning rate.
        warm_up: steps of the network in which labels are believed and the usual loss counts.
        settings: of :class:`Segmenter`.

    Source:
        Tadokoro, Takagi and Maeda, arXiv 2504.14795. The network is asked once for all steps of a field.
    """

    def __init__(
        self,
        *,
        samples: Sequence[Sample],
        fields: Sequence[Tensor],
        prior: dict[str, Any],
        e_steps: int,
        e_rate: float,
        warm_up: int,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.samples, self.fields, self.prior = samples, fields, prior
        self.e_steps, self.e_rate, self.warm_up = e_steps, e_rate, warm_up

    def training_loss(self, batch: Batch) -> Tensor:
        """The M-step: minus the data term of the bound, the mean over valid pixels and all answers."""
        if self.global_step < self.warm_up:
            return super().training_loss(batch)
        mean, deviation = batch["maps"][:, :1], F.softplus(batch["maps"][:, 1:])
        how = {"kind": self.prior["kind"], "nodes": self.prior["nodes"], "valid": batch["valid"]}
        sums = [
            data_term(as_classes(z), batch["target"], mean, deviation, **how).sum()
            for z in self.answers(batch["image"])
        ]
        pixels = (batch["valid"] > 0).sum().clamp_min(1)
        loss: Tensor = -torch.stack(sums).mean() / pixels
        return loss

    def on_train_epoch_end(self) -> None:
        """The E-step of every image, each in one of the processes."""
        if self.global_step >= self.warm_up:
            for number in range(self.trainer.global_rank, len(self.samples), self.trainer.world_size):
                found = fit_field(
                    self.averaged.eval(), self.samples[number], self.fields[number], prior=self.prior,
                    steps=self.e_steps, rate=self.e_rate,
                )  # fmt: skip
                self.fields[number].copy_(found)
            self.trainer.strategy.barrier()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the fields, so that a resumed training doubts the same labels."""
        checkpoint["label_errors"] = [field.clone() for field in self.fields]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Into the tensors from which crops are cut."""
        for field, kept in zip(self.fields, checkpoint["label_errors"], strict=True):
            field.copy_(kept)


def fit_field(
    net: torch.nn.Module, sample: Sample, field: Tensor, *, prior: dict[str, Any], steps: int, rate: float
) -> Tensor:
    """The E-step of one image in its own frame: the bound is raised by the field, the network stays as it is.

    Args:
        net: in evaluation mode; asked once.
        sample: image and labels.
        field: (2, *spatial) to start from.
        prior: as of :class:`NoisySegmenter`.
        steps: of Adam.
        rate: its learning rate, in logits.

    Returns:
        (2, *spatial) float32.
    """
    logits, labels, valid, mean, raw = stacked(net, sample, field)
    mean, raw = mean.clone().requires_grad_(), raw.clone().requires_grad_()
    optimiser = torch.optim.Adam([mean, raw], lr=rate)
    for _ in range(steps):
        optimiser.zero_grad()
        # The sum over pixels: a mean would leave gradients beside Adam's epsilon.
        loss = -bound(logits, labels, mean, F.softplus(raw), valid=valid, **prior).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return torch.cat([_image(part.detach(), sample, net) for part in (mean, raw)])


@torch.no_grad()
def stacked(net: torch.nn.Module, sample: Sample, field: Tensor) -> tuple[Tensor, ...]:
    """Class logits (N, C, *spatial), labels, valid, mean and raw deviation (N, 1, *spatial) of one whole image.

    N is 1, or the number of slices where a 2-D network sees a volume: then each slice has a field of its own.
    """
    device = next(net.parameters()).device
    logits = whole_logits(net, sample.image.to(device)).cpu()
    parts = (as_classes(logits[None])[0], sample.target, sample.valid, field[:1].float(), field[1:].float())
    return tuple(part.transpose(0, 1) if _in_slices(sample, net) else part[None] for part in parts)


def as_classes(logits: Tensor) -> Tensor:
    """One logit becomes two; several stay."""
    return two_class_logits(logits) if logits.shape[1] == 1 else logits


def _image(part: Tensor, sample: Sample, net: torch.nn.Module) -> Tensor:
    return part.transpose(0, 1) if _in_slices(sample, net) else part[0]


def _in_slices(sample: Sample, net: torch.nn.Module) -> bool:
    return sample.image.ndim == 4 and getattr(net, "dims", 2) == 2
