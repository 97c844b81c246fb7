"""Which labels of an image are wrong, as a latent field: bounds of the evidence, soft labels and error maps.

The logit eta of "this label is wrong" is a Gaussian field (:mod:`leanseg.methods.kms`); a wrong label is any other
class with equal chance. For each image the posterior of eta is a Gaussian with a mean ``m`` and a standard deviation
``g`` for each pixel. Everything here needs only expectations over one pixel: Gauss-Hermite sums, no sampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from leanseg.errors import UsageError
from leanseg.methods.gaussian_expectation import expect
from leanseg.methods.kms import kms_kl

Bound: TypeAlias = Literal["tight", "paper"]
"""The clean label summed out exactly, or the bound of the paper, which lies below."""

LOWEST = -30.0
"""Of a logit beside the largest of its pixel: more certainty than half precision can tell."""


def expected_error(m: Tensor, g: Tensor, *, nodes: int | None = 20) -> Tensor:
    """E sigmoid(eta) for eta ~ N(m, g^2), the chance that a label is wrong before the classifier is asked.

    Args:
        m: means, any shape.
        g: standard deviations, the same shape.
        nodes: of the Gauss-Hermite sums; None takes them from a table (:func:`.gaussian_expectation.expect`).

    Example:
        >>> round(expected_error(torch.tensor(-2.0), torch.tensor(1.3132617)).item(), 5)
        0.17678
    """
    return expect("sigmoid", m, g, nodes=nodes)


def data_term(
    logits: Tensor,
    labels: Tensor,
    m: Tensor,
    g: Tensor,
    *,
    kind: Bound = "tight",
    valid: Tensor | None = None,
    nodes: int | None = 20,
) -> Tensor:
    """The bound of log p(labels | image) without its divergence: what the network and the field must explain.

    Args:
        logits: (N, C, *spatial) with C >= 2, any float type; computed in float32 at least.
        labels: class numbers (N, 1, *spatial), any integer type.
        m: (N, 1, *spatial), means of eta.
        g: (N, 1, *spatial), standard deviations of eta.
        kind: "tight" or "paper".
        valid: (N, 1, *spatial), above 0 where the label counts; None for everywhere.
        nodes: of the Gauss-Hermite sums; None takes them from a table (:func:`.gaussian_expectation.expect`).

    Returns:
        (N,), summed over pixels.

    Raises:
        UsageError: the kind is unknown or there is only one logit.

    Source:
        Tadokoro, Takagi and Maeda, arXiv 2504.14795, for "paper"; "tight" is ours.

    Example:
        >>> labels, field = torch.ones(1, 1, 1, 2, dtype=torch.uint8), torch.zeros(1, 1, 1, 2)
        >>> logits = torch.tensor([[[[0.0, 0.0]], [[0.0, 3.0]]]])
        >>> data_term(logits, labels, field, field + 1, valid=torch.tensor([[[[1, 0]]]]))
        tensor([-0.6931])
    """
    odds, gap = _contradiction(logits, labels)
    if _checked(kind) == "paper":
        gain = expected_error(m, g, nodes=nodes) * gap
    else:
        # log f = log p(y) + softplus(eta + tilt) - softplus(eta): p(y) and 1 - p(y) appear only as their log-odds.
        tilt = odds - log(_classes(logits) - 1)
        tilted, plain = (expect("softplus", mean, g, nodes=nodes) for mean in (m + tilt, m))
        gain = tilted - plain
    pixels = gain - F.softplus(odds)
    if valid is not None:
        pixels = pixels.where(valid > 0, 0)
    return pixels.flatten(1).sum(1)


def bound(
    logits: Tensor,
    labels: Tensor,
    m: Tensor,
    g: Tensor,
    *,
    mu: float,
    s: float,
    rho: Sequence[float],
    rho_q: Sequence[float],
    kind: Bound = "tight",
    valid: Tensor | None = None,
    nodes: int | None = 20,
) -> Tensor:
    """Lower bound of log p(labels | image), for each image; pixels that are not valid still belong to the field.

    Args:
        logits: (N, C, *spatial) with C >= 2, any float type; computed in float32 at least.
        labels: class numbers (N, 1, *spatial), any integer type.
        m: (N, 1, *spatial), means of eta.
        g: (N, 1, *spatial), standard deviations of eta, above 0.
        mu: mean of eta in the prior.
        s: standard deviation of eta in the prior.
        rho: correlation of neighbours along each spatial axis, in the prior.
        rho_q: the same in the posterior.
        kind: "tight" or "paper".
        valid: (N, 1, *spatial), above 0 where the label counts; None for everywhere.
        nodes: of the Gauss-Hermite sums; None takes them from a table (:func:`.gaussian_expectation.expect`).

    Returns:
        (N,), summed over pixels.

    Raises:
        UsageError: the kind is unknown, there is only one logit, or rho does not fit the spatial axes.

    Source:
        Tadokoro, Takagi and Maeda, arXiv 2504.14795, for "paper"; "tight" is ours.

    Example:
        >>> labels, field = torch.ones(1, 1, 2, 2, dtype=torch.uint8), torch.zeros(1, 1, 2, 2)
        >>> prior = {"mu": 0.0, "s": 1.0, "rho": (0.5, 0.5), "rho_q": (0.5, 0.5)}
        >>> bound(torch.zeros(1, 2, 2, 2), labels, field, field + 1, **prior).div(4)
        tensor([-0.6931])
    """
    if len(rho) != m.ndim - 2:
        raise UsageError(f"m of shape {tuple(m.shape)} needs rho for {m.ndim - 2} spatial axes, found {tuple(rho)}")
    divergence = kms_kl(m, g, mu=mu, s=s, rho=rho, rho_q=rho_q).squeeze(1)
    return data_term(logits, labels, m, g, kind=kind, valid=valid, nodes=nodes) - divergence


def error_probability(logits: Tensor, labels: Tensor, m: Tensor, g: Tensor, *, nodes: int | None = 20) -> Tensor:
    """P(the label is wrong), by the field and the classifier together; right for fields fitted to either bound.

    Args:
        logits: (N, C, *spatial) with C >= 2.
        labels: class numbers (N, 1, *spatial), any integer type.
        m: (N, 1, *spatial), means of eta.
        g: (N, 1, *spatial), standard deviations of eta.
        nodes: of the Gauss-Hermite sums; None takes them from a table (:func:`.gaussian_expectation.expect`).

    Returns:
        (N, 1, *spatial).

    Raises:
        UsageError: there is only one logit.

    Example:
        >>> sure, labels = torch.tensor([[[9.0, 0.0], [0.0, 9.0]]]), torch.ones(1, 1, 2, dtype=torch.uint8)
        >>> error_probability(sure, labels, torch.zeros(1, 1, 2), torch.ones(1, 1, 2)).round(decimals=2)
        tensor([[[1., 0.]]])
    """
    odds, _ = _contradiction(logits, labels)
    return expected_error(m + odds - log(_classes(logits) - 1), g, nodes=nodes)


@torch.no_grad()
def soft_labels(
    logits: Tensor, labels: Tensor, m: Tensor, g: Tensor, *, kind: Bound = "tight", nodes: int | None = 20
) -> Tensor:
    """What the network is to learn next: cross-entropy with these has the gradient of the data term.

    For "tight" they are also the posterior of the clean label, for fields fitted to either bound; its largest value
    gives the corrected mask.

    Args:
        logits: (N, C, *spatial) with C >= 2, of the network as it is now.
        labels: class numbers (N, 1, *spatial), any integer type.
        m: (N, 1, *spatial), means of eta.
        g: (N, 1, *spatial), standard deviations of eta.
        kind: "tight" or "paper".
        nodes: of the Gauss-Hermite sums; None takes them from a table (:func:`.gaussian_expectation.expect`).

    Returns:
        (N, C, *spatial), sums to 1 over the classes, without gradient.

    Raises:
        UsageError: the kind is unknown or there is only one logit.

    Example:
        >>> sure, labels = torch.tensor([[[9.0, 0.0], [0.0, 9.0]]]), torch.ones(1, 1, 2, dtype=torch.uint8)
        >>> soft_labels(sure, labels, torch.zeros(1, 1, 2), torch.ones(1, 1, 2)).argmax(1)
        tensor([[0, 1]])
    """
    numbers = labels.long()
    if _checked(kind) == "paper":
        wrong = expected_error(m, g, nodes=nodes)
        others = wrong.expand_as(logits) / (_classes(logits) - 1)
    else:
        wrong = error_probability(logits, labels, m, g, nodes=nodes)
        others = wrong * _relative(logits).scatter(1, numbers, -torch.inf).softmax(1)
    return others.scatter(1, numbers, 1 - wrong)


def two_class_logits(logit: Tensor) -> Tensor:
    """Softmax logits (0, z) with the probabilities of a sigmoid.

    Args:
        logit: z (N, 1, *spatial), the foreground's.

    Returns:
        (N, 2, *spatial).

    Example:
        >>> two_class_logits(torch.tensor([[[2.0, -1.0]]]))
        tensor([[[ 0.,  0.],
                 [ 2., -1.]]])
    """
    return torch.cat((torch.zeros_like(logit), logit), 1)


def _contradiction(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """log((1 - p(y)) / p(y)) for the label y, and the mean of log p(k) - log p(y) over the other classes k."""
    numbers, relative = labels.long(), _relative(logits)
    own = relative.gather(1, numbers)
    odds = relative.scatter(1, numbers, -torch.inf).logsumexp(1, keepdim=True) - own
    count = _classes(logits)
    return odds, (relative.sum(1, keepdim=True) - count * own) / (count - 1)


def _relative(logits: Tensor) -> Tensor:
    """Logits less the largest of their pixel, none below LOWEST."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    # The largest is a constant here, so that a network that is sure of the wrong class still gets a gradient.
    return (logits - logits.detach().amax(1, keepdim=True)).clamp(min=LOWEST)


def _classes(logits: Tensor) -> int:
    if logits.shape[1] < 2:
        raise UsageError("label errors need a logit for every class, found one; use two_class_logits(logits)")
    return logits.shape[1]


def _checked(kind: Bound) -> Bound:
    if kind not in ("tight", "paper"):
        raise UsageError(f"unknown bound {kind!r}; choose 'tight' or 'paper'")
    return kind
