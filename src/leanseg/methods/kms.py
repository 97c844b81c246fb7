"""Gaussian fields on a pixel grid whose correlation falls by a factor a pixel along each axis, by shifts alone.

The covariance is a Kronecker product of Kac-Murdock-Szegő matrices R(rho)[a, b] = rho^|a - b|, one for each spatial
axis. Its inverse is a product of tridiagonal matrices and its Cholesky factor L an autoregression along each axis. In
all functions ``rho`` has one value for each spatial axis, and these are the last axes of a tensor; any axes before them
number independent fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, log1p, prod, sqrt

import torch
from torch import Tensor
from torch.nn import functional as F

from leanseg.errors import UsageError

STIFFEST = 0.99
"""The largest rho: beyond it the precision 1 / (1 - rho^2) blows up."""


def correlations(spacing: Sequence[float], *, length: float) -> tuple[float, ...]:
    """One rho for each axis, so that the correlation falls by 1/e over the same length along all of them.

    Args:
        spacing: distance between neighbours along each axis in mm.
        length: in mm.

    Example:
        >>> [round(rho, 4) for rho in correlations((2.0, 1.0), length=4.0)]
        [0.6065, 0.7788]
    """
    return tuple(exp(-step / length) for step in spacing)


def kms_log_det(shape: Sequence[int], rho: Sequence[float]) -> float:
    """Logarithm of the determinant of the covariance.

    Args:
        shape: pixels along each spatial axis.
        rho: correlation of neighbours along each spatial axis.

    Raises:
        UsageError: rho does not fit.

    Example:
        >>> round(kms_log_det((3, 4), (0.75, 0.75)), 10)
        -14.0535357441
    """
    _check(rho, len(shape))
    return sum(prod(shape) // n * (n - 1) * log1p(-r * r) for n, r in zip(shape, rho, strict=True))


def kms_whiten(field: Tensor, rho: Sequence[float]) -> Tensor:
    """L^-1 field: white noise from a field.

    Args:
        field: (..., *spatial).
        rho: correlation of neighbours along each spatial axis.

    Raises:
        UsageError: rho does not fit.

    Example:
        >>> kms_whiten(torch.ones(1, 3), (0.6,))
        tensor([[1.0000, 0.5000, 0.5000]])
    """
    for axis, r in _axes(field, rho):
        before, after = field.narrow(axis, 0, field.shape[axis] - 1), field.narrow(axis, 1, field.shape[axis] - 1)
        field = torch.cat((field.narrow(axis, 0, 1), (after - r * before) / sqrt(1 - r * r)), axis)
    return field


def kms_colour(noise: Tensor, rho: Sequence[float]) -> Tensor:
    """L noise: a field from white noise, the inverse of :func:`kms_whiten`.

    Args:
        noise: (..., *spatial); independent standard normal values give a sample.
        rho: correlation of neighbours along each spatial axis.

    Raises:
        UsageError: rho does not fit.

    Example:
        >>> kms_colour(torch.tensor([1.0, 0.5, 0.5]), (0.6,))
        tensor([1., 1., 1.])
    """
    for axis, r in _axes(noise, rho):
        rest = noise.narrow(axis, 1, noise.shape[axis] - 1) * sqrt(1 - r * r)
        noise = _accumulate(torch.cat((noise.narrow(axis, 0, 1), rest), axis), axis, r)
    return noise


def kms_multiply(field: Tensor, rho: Sequence[float]) -> Tensor:
    """The covariance times a field.

    Args:
        field: (..., *spatial).
        rho: correlation of neighbours along each spatial axis.

    Raises:
        UsageError: rho does not fit.

    Example:
        >>> kms_multiply(torch.tensor([0.0, 1.0, 0.0]), (0.5,))
        tensor([0.5000, 1.0000, 0.5000])
    """
    for axis, r in _axes(field, rho):
        backward = _accumulate(field.flip(axis), axis, r).flip(axis)
        field = _accumulate(field, axis, r) + backward - field
    return field


def kms_quadratic(d: Tensor, rho: Sequence[float]) -> Tensor:
    """d K^-1 d, for every field.

    Args:
        d: (..., *spatial), a field less its mean.
        rho: correlation of neighbours along each spatial axis.

    Returns:
        (...).

    Raises:
        UsageError: rho does not fit.

    Example:
        >>> kms_quadratic(torch.ones(1, 3), (0.6,))
        tensor([1.5000])
    """
    return kms_whiten(d, rho).square().flatten(-len(rho)).sum(-1)


def kms_trace(g: Tensor, rho: Sequence[float], rho_q: Sequence[float]) -> Tensor:
    """trace(K(rho)^-1 G K(rho_q) G) with G = diag(g), for every field.

    Args:
        g: (..., *spatial), standard deviations.
        rho: correlation of neighbours along each spatial axis, in the prior.
        rho_q: the same of the field whose deviations these are.

    Returns:
        (...).

    Raises:
        UsageError: rho or rho_q does not fit.

    Example:
        >>> kms_trace(torch.ones(2, 5, 4), (0.75, 0.5), (0.75, 0.5))
        tensor([20., 20.])
    """
    _check(rho_q, len(rho))
    product = g
    for (axis, r), q in zip(_axes(g, rho), rho_q, strict=True):
        if g.shape[axis] > 1:
            product = _tridiagonal(product, axis, r, r * q)
    return (g * product).flatten(-len(rho)).sum(-1)


def kms_kl(m: Tensor, g: Tensor, *, mu: float, s: float, rho: Sequence[float], rho_q: Sequence[float]) -> Tensor:
    """Kullback-Leibler divergence from N(m, G K(rho_q) G), G = diag(g), to N(mu, s^2 K(rho)), for every field.

    Args:
        m: (..., *spatial), means.
        g: (..., *spatial), standard deviations, above 0.
        mu: mean of the prior.
        s: standard deviation of the prior.
        rho: correlation of neighbours along each spatial axis, in the prior.
        rho_q: the same of the field.

    Returns:
        (...).

    Raises:
        UsageError: rho or rho_q does not fit.

    Source:
        Tadokoro, Takagi and Maeda, arXiv 2504.14795; the separable form of its divergence is ours.

    Example:
        >>> field = torch.full((1, 5, 4), 2.0)
        >>> round(kms_kl(field, field, mu=0.0, s=2.0, rho=(0.75, 0.5), rho_q=(0.75, 0.5)).item(), 4)
        1.5714
    """
    shape = g.shape[-len(rho) :]
    scaled = (kms_quadratic(m - mu, rho) + kms_trace(g, rho, rho_q)) / s**2
    constant = kms_log_det(shape, rho) - kms_log_det(shape, rho_q) + prod(shape) * (2 * log(s) - 1)
    return (scaled + constant) / 2 - g.log().flatten(-len(rho)).sum(-1)


def kms_fit(
    fields: Sequence[tuple[Tensor, Tensor]], *, rho: Sequence[float], rho_q: Sequence[float]
) -> tuple[float, float]:
    """Mean and deviation of the one prior that lies closest to all fields: the least sum of their divergences.

    Args:
        fields: m and g of each, (..., *spatial), as of :func:`kms_kl`.
        rho: correlation of neighbours along each spatial axis, in the prior.
        rho_q: the same of the fields.

    Returns:
        mu and s.

    Raises:
        UsageError: rho or rho_q does not fit.

    Example:
        >>> field = torch.full((1, 5, 4), 2.0)
        >>> kms_fit([(field, field)], rho=(0.75, 0.5), rho_q=(0.75, 0.5))
        (2.0, 2.0)
    """
    # Generalised least squares: what neighbours tell alike counts once.
    ones = [kms_whiten(torch.ones_like(m), rho) for m, _ in fields]
    weighted = sum(float((one * kms_whiten(m, rho)).sum()) for one, (m, _) in zip(ones, fields, strict=True))
    mu = weighted / sum(float(one.square().sum()) for one in ones)
    scatter = sum(float((kms_quadratic(m - mu, rho) + kms_trace(g, rho, rho_q)).sum()) for m, g in fields)
    return mu, sqrt(scatter / sum(m.numel() for m, _ in fields))


def _check(rho: Sequence[float], dims: int) -> None:
    if len(rho) != dims or not all(0 <= r <= STIFFEST for r in rho):
        raise UsageError(f"rho needs {dims} values from 0 to {STIFFEST}, one for each spatial axis, found {tuple(rho)}")


def _axes(field: Tensor, rho: Sequence[float]) -> list[tuple[int, float]]:
    """Each spatial axis, counted from the end, with its rho."""
    _check(rho, min(max(len(rho), 1), field.ndim))
    return list(enumerate(rho, start=-len(rho)))


def _accumulate(x: Tensor, axis: int, r: float) -> Tensor:
    """y_t = x_t + r y_(t - 1) along one axis."""
    # 1 / (1 - r S) = (1 + r S)(1 + r^2 S^2)(1 + r^4 S^4) ... for a shift S: log2(n) shifts instead of n steps.
    shift = 1
    while shift < x.shape[axis]:
        rest = x.shape[axis] - shift
        tail = torch.add(x.narrow(axis, shift, rest), x.narrow(axis, 0, rest), alpha=r**shift)
        x = torch.cat((x.narrow(axis, 0, shift), tail), axis)
        shift *= 2
    return x


def _tridiagonal(x: Tensor, axis: int, r: float, beside: float) -> Tensor:
    """Along one axis: the diagonal of R(r)^-1, and -beside / (1 - r^2) next to it."""
    diagonal = x.new_full((x.shape[axis],), 1 + r * r)
    diagonal[[0, -1]] = 1
    before, after = x.narrow(axis, 0, x.shape[axis] - 1), x.narrow(axis, 1, x.shape[axis] - 1)
    behind = -axis - 1
    neighbours = F.pad(before, (*(0, 0) * behind, 1, 0)) + F.pad(after, (*(0, 0) * behind, 0, 1))
    return (diagonal.view(-1, *[1] * behind) * x - beside * neighbours) / (1 - r * r)
