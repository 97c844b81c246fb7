"""Labels that are wrong in patches: training that doubts them where neighbours are doubtful, and says where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leanseg.errors import UsageError
from leanseg.loading.loaders import crop_loader, sample_loader
from leanseg.loading.samples import Sample
from leanseg.methods.e_step import fit_field, stacked, unknown_field, unknown_fields
from leanseg.methods.error_prior import ErrorPrior
from leanseg.methods.gaussian_expectation import WIDEST
from leanseg.methods.kms import STIFFEST
from leanseg.methods.label_error_field import Bound, error_probability, soft_labels
from leanseg.methods.noisy_segmenter import NoisySegmenter
from leanseg.methods.schedule import Schedule
from leanseg.methods.stage import Method, Stage
from leanseg.methods.supervised import settled
from leanseg.nets.folding import folded

CHOICES = (0.0, 0.5, 0.75, 0.9)
"""Correlations that "auto" compares."""


class SpatialLabelNoise(Method):
    """Learns the network and, for each training image, a Gaussian field: the logit of "this label is wrong".

    Neighbouring pixels err together, so that a shifted outline or a forgotten object is found as a whole. The same
    error in all labels cannot be found: it looks like the truth.

    Args:
        net: the network.
        loss: of the first epochs, in which labels are believed; afterwards the bound takes its place.
        schedule: crops, steps and optimiser.
        bound: "tight", or "paper" for the bound of the source.
        correlation: of the errors of neighbouring pixels, from 0 to 0.99: one for all axes or one for each; "auto"
            takes the one of 0, 0.5, 0.75 and 0.9 whose bound is largest after the first epochs.
        prior_logit: mean of the field's prior; -2 expects 18 % wrong labels.
        prior_scale: standard deviation of the prior, at most 4.
        learn_prior: fit both to the fields after each epoch.
        e_steps: steps of a field when its turn comes.
        e_rate: their learning rate, in logits.
        e_every: epochs from turn to turn of a field.
        warm_up: epochs in which labels are believed.

    Raises:
        UsageError: classes overlap, the correlation is out of range, or no epoch is left after the first ones.

    Source:
        Tadokoro, Takagi and Maeda, arXiv 2504.14795; the tight bound and its error probabilities are ours.
    """

    needs_unlabelled: ClassVar[bool] = False
    stage_names: ClassVar[tuple[str, ...]] = ("fit",)

    def __init__(
        self,
        *,
        net: nn.Module,
        loss: nn.Module,
        schedule: Schedule,
        bound: Bound = "tight",
        correlation: float | Sequence[float] | Literal["auto"] = 0.75,
        prior_logit: float = -2.0,
        prior_scale: float = 1.3132617,
        learn_prior: bool = False,
        e_steps: int = 10,
        e_rate: float = 0.1,
        e_every: int = 2,
        warm_up: int = 3,
    ) -> None:
        if schedule.classes.overlapping:
            raise UsageError("spatial-label-noise needs classes that exclude each other, found overlapping ones")
        if not 0 < prior_scale <= WIDEST / 2:
            raise UsageError(f"prior_scale is above 0 and at most {WIDEST / 2:g}, found {prior_scale}")
        if not 0 <= warm_up < schedule.epochs:
            raise UsageError(f"warm_up takes all of {schedule.epochs} epochs: give more --epochs, or a lower warm_up")
        self.net, self.loss, self.schedule, self.warm_up = net, loss, schedule, warm_up
        self.e_steps, self.e_rate, self.e_every, self.learn_prior = e_steps, e_rate, e_every, learn_prior
        self.choices = CHOICES if correlation == "auto" else ()
        rho = _rho(0.0 if correlation == "auto" else correlation, int(getattr(net, "dims", 2)))
        self.prior = ErrorPrior(mu=prior_logit, s=prior_scale, rho=rho, kind=bound)
        self._fields: list[Tensor] = []
        self._train: Sequence[Sample] = ()
        self._val: Sequence[Sample] = ()
        self._module: NoisySegmenter | None = None

    def stages(self, train: Sequence[Sample], val: Sequence[Sample]) -> Iterator[Stage]:
        """One fit."""
        schedule, (name,) = self.schedule, self.stage_names
        self._train, self._val = train, val
        self._fields = unknown_fields(train)
        self._module = NoisySegmenter(
            net=self.net,
            loss=self.loss,
            samples=train,
            fields=self._fields,
            prior=self.prior,
            e_steps=self.e_steps,
            e_rate=self.e_rate,
            e_every=self.e_every,
            learn_prior=self.learn_prior,
            choices=self.choices,
            warm_up=self.warm_up * schedule.epoch_steps,
            **schedule.fitting(epochs=schedule.epochs),
        )
        crops = schedule.crops(train, self.net, maps=self._fields)
        loader = crop_loader(crops, steps=schedule.epoch_steps, workers=schedule.workers)
        yield Stage(name=name, module=self._module, train=loader, val=sample_loader(val), epochs=schedule.epochs)

    @property
    def network(self) -> nn.Module:
        """The network as it was given."""
        return self.net

    def result(self) -> nn.Module:
        """The averaged weights, settled."""
        assert self._module is not None
        return settled(self._module.averaged, self._train, self._val, self.schedule)

    @property
    def turns(self) -> int:
        """How often the field of an image is fitted: after the first epochs, then every so many."""
        return 1 + (self.schedule.epochs - max(self.warm_up, 1)) // self.e_every

    def findings(self, net: nn.Module) -> dict[str, Tensor]:
        """For each training and validation image, ``wrong/STEM``: P(label is wrong) x 255, ``right/STEM``: corrected.

        All fields are fitted anew, by as many steps as those of training images had, so that one list can rank them.
        """
        found, net = {}, folded(net)
        window = self.schedule.window
        how: dict[str, Any] = {
            "prior": self.prior.arguments(), "steps": self.turns * self.e_steps, "rate": self.e_rate, "window": window,
        }  # fmt: skip
        for sample in (*self._train, *self._val):
            fitted = fit_field(net, sample, unknown_field(sample), **how)
            logits, labels, valid, mean, raw = stacked(net, sample, fitted, window=window)
            deviation = F.softplus(raw)
            wrong = error_probability(logits, labels, mean, deviation) * (valid > 0)
            right = soft_labels(logits, labels, mean, deviation).argmax(1, keepdim=True)
            right = torch.where(valid > 0, right, labels)
            shape = sample.target.shape
            found[f"wrong/{sample.case.stem}"] = (255 * wrong).round().to(torch.uint8).reshape(shape)
            found[f"right/{sample.case.stem}"] = right.to(torch.uint8).reshape(shape)
        return found


def _rho(correlation: float | Sequence[float], dims: int) -> tuple[float, ...]:
    rho = (correlation,) * dims if isinstance(correlation, int | float) else tuple(correlation)
    if len(rho) != dims or not all(0 <= r <= STIFFEST for r in rho):
        raise UsageError(f"correlation is one number from 0 to {STIFFEST}, or {dims}, or 'auto'; found {correlation}")
    return rho
