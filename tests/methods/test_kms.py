"""Shifts along the axes against dense covariance matrices, determinants and Gaussian divergences."""

from __future__ import annotations

from functools import reduce
from math import log

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from leanseg.errors import UsageError
from leanseg.methods.kms import (
    correlations,
    kms_colour,
    kms_fit,
    kms_kl,
    kms_log_det,
    kms_multiply,
    kms_quadratic,
    kms_trace,
    kms_whiten,
)

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)
SEEDS = st.integers(0, 999)


def line(n: int, rho: float) -> np.ndarray:
    places = np.arange(n)
    return np.power(rho, np.abs(places[:, None] - places))


def dense(shape: tuple[int, ...], rho: tuple[float, ...]) -> np.ndarray:
    return reduce(np.kron, [line(n, r) for n, r in zip(shape, rho, strict=True)])


def draw(seed: int, *shape: int, low: float = -2.0, high: float = 2.0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(low, high, shape))


def rhos(seed: int, count: int) -> tuple[float, ...]:
    return tuple(np.random.default_rng(seed + 1000).uniform(0, 0.95, count).tolist())


@pytest.mark.parametrize("n", range(1, 7))
@pytest.mark.parametrize("rho", [0.0, 0.3, 0.75, 0.95])
def test_one_axis_is_the_dense_matrix(n: int, rho: float) -> None:
    covariance, units = line(n, rho), torch.eye(n, dtype=torch.float64)
    factor = np.linalg.cholesky(covariance)
    whitening = kms_whiten(units, (rho,)).numpy().T
    assert np.abs(whitening - np.linalg.inv(factor)).max() < 1e-12
    assert np.abs(whitening.T @ whitening - np.linalg.inv(covariance)).max() < 1e-12
    assert np.abs(kms_colour(units, (rho,)).numpy().T - factor).max() < 1e-12
    assert np.abs(kms_multiply(units, (rho,)).numpy() - covariance).max() < 1e-12
    assert abs(kms_log_det((n,), (rho,)) - np.linalg.slogdet(covariance)[1]) < 1e-12


@pytest.mark.parametrize("n", range(1, 7))
@pytest.mark.parametrize("rho", [0.0, 0.3, 0.75, 0.95])
def test_the_trace_is_the_product_of_precision_and_covariance_entry_by_entry(n: int, rho: float) -> None:
    def trace(g: Tensor) -> Tensor:
        return kms_trace(g, (rho,), (0.5,))

    hessian = torch.autograd.functional.hessian(trace, torch.ones(n, dtype=torch.float64)).numpy()
    assert np.abs(hessian / 2 - np.linalg.inv(line(n, rho)) * line(n, 0.5)).max() < 1e-12


def test_worked_example() -> None:
    i, j = np.indices((3, 4))
    d, g = torch.from_numpy(0.1 * i - 0.2 * j + 0.05 * i * j), torch.from_numpy(0.5 + 0.1 * i + 0.05 * j)
    rho, rho_q, s = (0.75, 0.75), (0.5, 0.5), 1.3133
    assert kms_quadratic(d, rho).item() == pytest.approx(0.5429081633, abs=1e-9)
    assert kms_trace(g, rho, rho_q).item() == pytest.approx(14.5325, abs=1e-9)
    assert kms_log_det((3, 4), rho) == pytest.approx(-14.0535357441, abs=1e-9)
    assert kms_log_det((3, 4), rho_q) == pytest.approx(-4.8905952317, abs=1e-9)
    divergence = kms_kl(d - 2, g, mu=-2.0, s=s, rho=rho, rho_q=rho_q).item()
    assert divergence == pytest.approx(1.9079236082, abs=1e-9)
    assert divergence == pytest.approx(dense_kl(d.numpy(), g.numpy(), s, rho, rho_q), abs=1e-9)


def dense_kl(d: np.ndarray, g: np.ndarray, s: float, rho: tuple[float, ...], rho_q: tuple[float, ...]) -> float:
    prior = torch.from_numpy(s * s * dense(d.shape, rho))
    deviations = np.diag(g.ravel())
    posterior = torch.from_numpy(deviations @ dense(d.shape, rho_q) @ deviations)
    normal = torch.distributions.MultivariateNormal
    mean = torch.from_numpy(d.ravel())
    return torch.distributions.kl_divergence(normal(mean, posterior), normal(torch.zeros_like(mean), prior)).item()


@given(shape=SHAPES, seed=SEEDS)
def test_everything_agrees_with_dense_matrices(shape: tuple[int, ...], seed: int) -> None:
    rho, rho_q = rhos(seed, len(shape)), rhos(seed + 1, len(shape))
    d, g = draw(seed, *shape), draw(seed, *shape, low=0.2)
    covariance, other = dense(shape, rho), dense(shape, rho_q)
    precision, deviations = np.linalg.inv(covariance), np.diag(g.numpy().ravel())
    flat = d.numpy().ravel()
    assert kms_quadratic(d, rho).item() == pytest.approx(flat @ precision @ flat)
    assert kms_trace(g, rho, rho_q).item() == pytest.approx(np.trace(precision @ deviations @ other @ deviations))
    assert kms_log_det(shape, rho) == pytest.approx(np.linalg.slogdet(covariance)[1], abs=1e-9)
    assert np.allclose(kms_multiply(d, rho).numpy().ravel(), covariance @ flat)
    assert np.allclose(kms_colour(d, rho).numpy().ravel(), np.linalg.cholesky(covariance) @ flat)
    assert torch.allclose(kms_whiten(kms_colour(d, rho), rho), d)
    divergence = kms_kl(d + 1, g, mu=1.0, s=0.7, rho=rho, rho_q=rho_q).item()
    assert divergence == pytest.approx(dense_kl(d.numpy(), g.numpy(), 0.7, rho, rho_q))


def test_three_axes() -> None:
    assert kms_log_det((2, 3, 4), (0.75,) * 3) == pytest.approx(-38.0272143665, abs=1e-9)
    d, g = draw(0, 1, 3, 4), draw(1, 1, 3, 4, low=0.2)
    prior = {"mu": -2.0, "s": 1.3, "rho": (0.9, 0.75, 0.3), "rho_q": (0.1, 0.5, 0.6)}
    flat = {**prior, "rho": (0.75, 0.3), "rho_q": (0.5, 0.6)}
    assert torch.allclose(kms_kl(d, g, **prior), kms_kl(d[0], g[0], **flat))


@given(shape=SHAPES, seed=SEEDS, data=st.data())
def test_flipping_and_transposing_change_nothing(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(shape))))
    flips = data.draw(st.sets(st.sampled_from(range(len(shape)))))
    d, g, rho, rho_q = draw(seed, *shape), draw(seed, *shape, low=0.2), rhos(seed, len(shape)), rhos(seed + 1, 3)
    there = kms_kl(d, g, mu=0.5, s=1.3, rho=rho, rho_q=rho_q[: len(shape)])
    turned = [rho[k] for k in order], [rho_q[k] for k in order]
    moved = (x.permute(*order).flip(list(flips)) for x in (d, g))
    back = kms_kl(*moved, mu=0.5, s=1.3, rho=turned[0], rho_q=turned[1])
    assert abs(there - back) < 1e-10 * max(1, abs(there))


@given(shape=SHAPES, seed=SEEDS)
def test_a_field_is_at_distance_zero_of_itself_and_of_nothing_else(shape: tuple[int, ...], seed: int) -> None:
    rho, field = rhos(seed, len(shape)), torch.full(shape, 0.5, dtype=torch.float64)
    same = {"mu": 0.5, "s": 0.5, "rho": rho, "rho_q": rho}
    assert abs(kms_kl(field, field, **same)) < 1e-9
    assert kms_kl(field + 0.1, field, **same) > 1e-5
    assert kms_kl(field, field * 1.1, **same) > 1e-5


def test_each_image_of_a_batch_is_alone() -> None:
    m, g = draw(0, 2, 1, 3, 4), draw(1, 2, 1, 3, 4, low=0.2)
    prior = {"mu": -2.0, "s": 1.3, "rho": (0.75, 0.3), "rho_q": (0.5, 0.6)}
    together = kms_kl(m, g, **prior)
    assert together.shape == (2, 1)
    assert torch.allclose(together[1, 0], kms_kl(m[1, 0], g[1, 0], **prior))


@pytest.mark.parametrize("shape", [(3, 4), (1, 5), (2, 2, 3)])
def test_gradients_are_those_of_finite_differences(shape: tuple[int, ...]) -> None:
    m, g = draw(0, *shape).requires_grad_(), draw(1, *shape, low=0.5).requires_grad_()
    rho = (0.75, 0.5, 0.3)[: len(shape)]
    assert torch.autograd.gradcheck(lambda m, g: kms_kl(m, g, mu=-2.0, s=1.3, rho=rho, rho_q=rho), (m, g))
    assert torch.autograd.gradcheck(lambda u: kms_multiply(kms_colour(u, rho), rho), m)


@pytest.mark.parametrize(("rho", "tolerance"), [(0.75, 1e-3), (0.99, 3e-2)])
def test_float32_is_enough(rho: float, tolerance: float) -> None:
    places = sum(torch.meshgrid(*(torch.linspace(-1, 1, n) for n in (12, 40, 40)), indexing="ij"))
    divergences, gradients = [], []
    for kind in (torch.float32, torch.float64):
        m = (1.3 * torch.sin(2 * places) - 2).to(kind).requires_grad_()
        g = (1.3 + 0.2 * torch.cos(places)).to(kind).requires_grad_()
        divergences.append(kms_kl(m, g, mu=-2.0, s=1.3, rho=(rho,) * 3, rho_q=(rho,) * 3))
        divergences[-1].backward()
        gradients.append(torch.cat([m.grad, g.grad]).double())
    assert divergences[0].item() == pytest.approx(divergences[1].item(), rel=1e-4)
    assert (gradients[0] - gradients[1]).norm() < tolerance * gradients[1].norm()


@given(seed=SEEDS)
def test_the_fitted_prior_has_the_least_divergence(seed: int) -> None:
    rho, rho_q = rhos(seed, 2), rhos(seed + 1, 2)
    fields = [(draw(seed, *shape), draw(seed + 1, *shape, low=0.3, high=2.0)) for shape in ((2, 4, 5), (1, 3, 2))]

    def divergence(mu: float, s: float) -> float:
        return sum(float(kms_kl(m, g, mu=mu, s=s, rho=rho, rho_q=rho_q).sum()) for m, g in fields)

    mu, s = kms_fit(fields, rho=rho, rho_q=rho_q)
    least = divergence(mu, s)
    assert all(divergence(mu + a, s + b) > least for a, b in ((0.02, 0), (-0.02, 0), (0, 0.02), (0, -0.02)))


def test_samples_have_the_covariance() -> None:
    count, shape, rho, s = 40000, (3, 4), (0.75, 0.3), 1.3
    noise = torch.randn(count, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    samples = (s * kms_colour(noise, rho)).flatten(1)
    wanted = torch.from_numpy(s * s * dense(shape, rho))
    # the variance of an entry of a Gaussian covariance with known mean is (K_ii K_jj + K_ij^2) / count
    error = ((wanted.diagonal()[:, None] * wanted.diagonal() + wanted.square()) / count).sqrt()
    assert ((samples.T @ samples / count - wanted).abs() < 5 * error).all()


def test_correlations_fall_alike_over_the_same_length() -> None:
    coarse, fine = correlations((3.0, 1.0), length=3.476)
    assert coarse == pytest.approx(fine**3)
    assert fine == pytest.approx(0.75, abs=1e-4)
    assert log(coarse) == pytest.approx(-3 / 3.476)


@pytest.mark.parametrize("rho", [(), (0.5,) * 3, (0.5, 0.995), (-0.1, 0.5), (float("nan"), 0.5)])
def test_a_rho_that_does_not_fit_is_refused(rho: tuple[float, ...]) -> None:
    field = torch.ones(3, 4)
    for function in (kms_quadratic, kms_whiten, kms_colour, kms_multiply):
        with pytest.raises(UsageError, match="rho needs"):
            function(field, rho)
    with pytest.raises(UsageError, match="rho needs 2 values"):
        kms_log_det((3, 4), rho)
    with pytest.raises(UsageError, match="rho needs 2 values"):
        kms_trace(field, (0.5, 0.5), rho)
