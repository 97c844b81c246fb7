"""Expectation maximisation over a network and one field of label errors for each image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from leanseg.loading.crops import Batch
from leanseg.loading.samples import Sample
from leanseg.methods.e_step import as_classes, bound_by_correlation, fit_field, fitted_prior
from leanseg.methods.error_prior import ErrorPrior
from leanseg.methods.label_error_field import data_term
from leanseg.methods.segmenter import Segmenter
from leanseg.nets.folding import folded


class NoisySegmenter(Segmenter):
    """Steps of the network on labels as far as they are believed; after each epoch, steps of the fields.

    Args:
        samples: all training samples, in the order of their crops.
        fields: of each sample, (2, *spatial) float16: mean, and standard deviation before softplus; written to.
        prior: of all fields; learnt here where that is asked for.
        e_steps: steps of a field when its turn comes.
        e_rate: their learning rate.
        e_every: epochs from turn to turn of a field.
        warm_up: steps of the network in which labels are believed and the usual loss counts.
        learn_prior: fit mu and s to the fields after each epoch.
        choices: correlations of which the first E-step takes the one with the largest bound; none to keep the prior's.
        settings: of :class:`Segmenter`.

    Source:
        Tadokoro, Takagi and Maeda, arXiv 2504.14795. The network is asked once for all steps of a field.
    """

    def __init__(
        self,
        *,
        samples: Sequence[Sample],
        fields: Sequence[Tensor],
        prior: ErrorPrior,
        e_steps: int,
        e_rate: float,
        e_every: int,
        warm_up: int,
        learn_prior: bool,
        choices: Sequence[float] = (),
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.samples, self.fields, self.prior = samples, fields, prior
        self.e_steps, self.e_rate, self.e_every = e_steps, e_rate, e_every
        self.warm_up, self.learn_prior, self.choices = warm_up, learn_prior, choices

    def training_loss(self, batch: Batch) -> Tensor:
        """The M-step: minus the data term of the bound, the mean over valid pixels and all answers."""
        if self.global_step < self.warm_up:
            return super().training_loss(batch)
        mean, deviation = batch["maps"][:, :1], F.softplus(batch["maps"][:, 1:])
        how = {"kind": self.prior.kind, "nodes": None, "valid": batch["valid"]}
        sums = [
            data_term(as_classes(z), batch["target"], mean, deviation, **how).sum()
            for z in self.answers(batch["image"])
        ]
        pixels = (batch["valid"] > 0).sum().clamp_min(1)
        loss: Tensor = -torch.stack(sums).mean() / pixels
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, step: int) -> None:
        """After the last step of an epoch also the E-step, of the images whose turn it is.

        Not at the end of the epoch: there one process may have joined in the mean of a logged value already, which
        the others would take for the barrier.
        """
        super().on_train_batch_end(outputs, batch, step)
        if self.trainer.is_last_batch and self.global_step >= self.warm_up:
            self._expect(folded(self.averaged.eval()))

    def _expect(self, net: torch.nn.Module) -> None:
        """Each image is fitted by one of the processes; the first one learns from all of them."""
        if self.choices:
            self._choose_correlation(net)
        rank, world = self.trainer.global_rank, self.trainer.world_size
        first = self.global_step <= max(self.warm_up, self.trainer.num_training_batches)
        for turn, number in enumerate(range(rank, len(self.samples), world)):
            # After the first epochs nothing is known of any field: they all get a turn.
            if first or (turn + self.current_epoch) % self.e_every == 0:
                found = fit_field(
                    net, self.samples[number], self.fields[number], prior=self.prior.arguments(),
                    steps=self.e_steps, rate=self.e_rate, window=self.window,
                )  # fmt: skip
                self.fields[number].copy_(found)
        self.trainer.strategy.barrier()
        if self.learn_prior and rank == 0:
            self.prior.learn(**fitted_prior(self.fields, self.prior.arguments()))
        self.trainer.strategy.barrier()

    def _choose_correlation(self, net: torch.nn.Module) -> None:
        bounds = bound_by_correlation(net, self.samples, self.prior.arguments(), self.choices, window=self.window)
        best = max(bounds, key=lambda rho: bounds[rho])
        self.prior.learn(rho=best)
        self.choices = ()
        found = {f"bound_{rho:g}": value for rho, value in bounds.items()} | {"correlation": best}
        self.log_dict(found, on_step=False, on_epoch=True, batch_size=1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the fields and their prior, so that a resumed training doubts the same labels."""
        checkpoint["label_errors"] = [field.clone() for field in self.fields]
        checkpoint["label_error_prior"] = self.prior.values.clone()
        checkpoint["correlation_choices"] = tuple(self.choices)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Into the tensors from which crops are cut."""
        for field, kept in zip(self.fields, checkpoint["label_errors"], strict=True):
            field.copy_(kept)
        self.prior.restore(checkpoint["label_error_prior"])
        self.choices = checkpoint["correlation_choices"]
