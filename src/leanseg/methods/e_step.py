"""The E-step: which labels of an image are wrong, as its field sees them for a network that stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from leanseg.loading.samples import Sample
from leanseg.methods.gaussian_expectation import WIDEST
from leanseg.methods.kms import kms_fit
from leanseg.methods.label_error_field import bound, two_class_logits
from leanseg.methods.whole_image import whole_logits

START = (-5.0, 1.0)
"""Mean of a field, and its deviation before softplus, while nothing is known: 1.5 % of the labels are wrong."""

FROM_SCRATCH = 150
"""Steps of a field by which a correlation is judged, at a rate of 0.1."""

LOOKED_AT = 32
"""Images by which a correlation is chosen."""

NARROWEST = 0.1
"""Deviation of a fitted prior; fields of a narrower one could never leave its mean."""


def unknown_field(sample: Sample) -> Tensor:
    """A field of which nothing is known."""
    start = torch.tensor(START, dtype=torch.float16).view(2, *[1] * (sample.image.ndim - 1))
    return start.expand(2, *sample.image.shape[1:]).contiguous()


def unknown_fields(samples: Sequence[Sample]) -> list[Tensor]:
    """One for each sample, in memory that processes share: crops are cut while fields are written to."""
    fields = [unknown_field(sample) for sample in samples]
    # One block of memory: every shared tensor holds a file open.
    block = torch.cat([field.flatten() for field in fields]).share_memory_()  # type: ignore[no-untyped-call]
    parts = block.split([field.numel() for field in fields])
    return [part.view_as(field) for part, field in zip(parts, fields, strict=True)]


def fit_field(
    net: torch.nn.Module,
    sample: Sample,
    field: Tensor,
    *,
    prior: dict[str, Any],
    steps: int,
    rate: float,
    window: int | None = None,
) -> Tensor:
    """The E-step of one image in its own frame: the bound is raised by the field, the network stays as it is.

    Args:
        net: in evaluation mode; asked once.
        sample: image and labels.
        field: (2, *spatial) to start from.
        prior: mu, s, rho, rho_q, kind and nodes, as :func:`leanseg.methods.label_error_field.bound` takes them.
        steps: of Adam.
        rate: its learning rate, in logits.
        window: as for :func:`~leanseg.methods.whole_image.whole_logits`.

    Returns:
        (2, *spatial) float32.
    """
    logits, labels, valid, mean, raw = stacked(net, sample, field, window=window)
    mean, raw = mean.clone().requires_grad_(), raw.clone().requires_grad_()
    optimiser = torch.optim.Adam([mean, raw], lr=rate)
    for _ in range(steps):
        optimiser.zero_grad()
        # The sum over pixels: a mean would leave gradients beside Adam's epsilon.
        loss = -bound(logits, labels, mean, F.softplus(raw), valid=valid, **prior).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return torch.cat([_image(part.detach(), sample, net) for part in (mean, raw)])


def fitted_prior(fields: Sequence[Tensor], prior: dict[str, Any]) -> dict[str, float]:
    """mu and s of the prior that lies closest to the fields, with s where the table of expectations holds."""
    pairs = [(field[:1].float(), F.softplus(field[1:].float())) for field in fields]
    mu, s = kms_fit(pairs, rho=prior["rho"], rho_q=prior["rho_q"])
    return {"mu": mu, "s": min(max(s, NARROWEST), WIDEST / 2)}


def bound_by_correlation(
    net: torch.nn.Module,
    samples: Sequence[Sample],
    prior: dict[str, Any],
    choices: Sequence[float],
    *,
    window: int | None = None,
) -> dict[float, float]:
    """The mean bound of some images for each correlation, each with a field of its own from scratch.

    Args:
        net: in evaluation mode.
        samples: images and labels, of which every n-th is looked at, at most 32.
        prior: as of :func:`fit_field`; its correlations are replaced.
        choices: correlations of neighbours, the same along all axes.
        window: as for :func:`~leanseg.methods.whole_image.whole_logits`.
    """
    looked_at = samples[:: -(-len(samples) // LOOKED_AT)]
    found = {}
    for choice in choices:
        rho = (choice,) * len(prior["rho"])
        these = {**prior, "rho": rho, "rho_q": rho}
        values = []
        for sample in looked_at:
            how: dict[str, Any] = {"prior": these, "steps": FROM_SCRATCH, "rate": 0.1, "window": window}
            field = fit_field(net, sample, unknown_field(sample), **how)
            logits, labels, valid, mean, raw = stacked(net, sample, field, window=window)
            values.append(float(bound(logits, labels, mean, F.softplus(raw), valid=valid, **these).sum()))
        found[choice] = sum(values) / len(values)
    return found


@torch.no_grad()
def stacked(net: torch.nn.Module, sample: Sample, field: Tensor, *, window: int | None = None) -> tuple[Tensor, ...]:
    """Class logits (N, C, *spatial), labels, valid, mean and raw deviation (N, 1, *spatial) of one whole image.

    N is 1, or the number of slices where a 2-D network sees a volume: then each slice has a field of its own.
    """
    device = next(net.parameters()).device
    logits = whole_logits(net, sample.image.to(device), window=window).cpu()
    parts = (as_classes(logits[None])[0], sample.target, sample.valid, field[:1].float(), field[1:].float())
    return tuple(part.transpose(0, 1) if _in_slices(sample, net) else part[None] for part in parts)


def as_classes(logits: Tensor) -> Tensor:
    """One logit becomes two; several stay."""
    return two_class_logits(logits) if logits.shape[1] == 1 else logits


def _image(part: Tensor, sample: Sample, net: torch.nn.Module) -> Tensor:
    return part.transpose(0, 1) if _in_slices(sample, net) else part[0]


def _in_slices(sample: Sample, net: torch.nn.Module) -> bool:
    return sample.image.ndim == 4 and getattr(net, "dims", 2) == 2
