"""Both bounds against exact evidence, and the maps of a toy: a shifted disc and a classifier that is often wrong."""

from __future__ import annotations

from itertools import product
from math import exp, log

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor
from torch.nn import functional as F

from leanseg.errors import UsageError
from leanseg.methods.kms import kms_colour, kms_kl, kms_multiply
from leanseg.methods.label_error_field import (
    Bound,
    bound,
    data_term,
    error_probability,
    expected_error,
    soft_labels,
    two_class_logits,
)
from leanseg.metrics.ranking import auroc

SCALE = log(1 + exp(1))
PRIOR = {"mu": -2.0, "s": SCALE, "rho": (0.75, 0.75), "rho_q": (0.75, 0.75)}
KINDS: tuple[Bound, ...] = ("tight", "paper")
SEEDS = st.integers(0, 999)


def problem(seed: int, *shape: int, count: int = 2, images: int = 1) -> tuple[Tensor, ...]:
    """Logits, labels, m and g."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, count, (images, 1, *shape), np.uint8)
    logits = rng.normal(0, 2, (images, count, *shape))
    m, g = rng.normal(-1, 2, (images, 1, *shape)), rng.uniform(0.1, 2.5, (images, 1, *shape))
    return torch.from_numpy(logits), torch.from_numpy(labels), torch.from_numpy(m), torch.from_numpy(g)


def label_share(logits: Tensor, labels: Tensor) -> Tensor:
    """p(y), (N, 1, *spatial)."""
    return logits.softmax(1).gather(1, labels.long())


def grid(shape: tuple[int, ...], rho: tuple[float, ...], nodes: int) -> tuple[Tensor, Tensor]:
    """Fields (nodes^n, *shape) from the prior's N(0, K) and the weight of each: integrals over all pixels at once."""
    places, weights = hermegauss(nodes)
    size = int(np.prod(shape))
    noise = torch.from_numpy(np.array(list(product(places, repeat=size)))).view(-1, *shape)
    share = np.array(list(product(weights / weights.sum(), repeat=size))).prod(1)
    return kms_colour(noise, rho), torch.from_numpy(share)


def fit(logits: Tensor, labels: Tensor, kind: Bound) -> tuple[Tensor, Tensor, float]:
    """The m and g that maximise a bound, and its value."""
    m = torch.full(labels.shape, -2.0, dtype=torch.float64).requires_grad_()
    raw = torch.ones_like(m).requires_grad_()
    optimiser = torch.optim.LBFGS(
        [m, raw], max_iter=500, tolerance_grad=1e-9, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = -bound(logits, labels, m, F.softplus(raw), kind=kind, **PRIOR).sum()
        value.backward()
        return value

    optimiser.step(loss)
    return m.detach(), F.softplus(raw).detach(), -loss().item()


@pytest.mark.parametrize(
    ("m", "g", "nodes", "wanted", "digits"),
    [
        (-5, SCALE, 20, 0.014866443, 1e-8),
        (-2, SCALE, 20, 0.176779, 1e-6),
        (0, 1, 20, 0.5, 1e-12),
        (2, 3, 20, 0.71756, 1e-5),
        (2, 3, 100, 0.71742, 1e-5),
    ],
)
def test_expected_error(m: float, g: float, nodes: int, wanted: float, digits: float) -> None:
    found = expected_error(torch.tensor(m, dtype=torch.float64), torch.tensor(g, dtype=torch.float64), nodes=nodes)
    assert found.item() == pytest.approx(wanted, abs=digits)


# Four pixels, of which the network believes the upper two labels to be wrong.
FOUR = torch.tensor([[[[0.1, 0.2], [0.8, 0.95]]]], dtype=torch.float64)
FOUR_LOGITS, FOUR_LABELS = two_class_logits(FOUR.logit()), torch.ones(1, 1, 2, 2, dtype=torch.uint8)


def near(found: Tensor, wanted: list[float], tolerance: float = 2e-3) -> bool:
    return bool(np.allclose(found.flatten().numpy(), wanted, atol=tolerance, rtol=0))


def test_two_by_two_exactly() -> None:
    field, weights = grid((2, 2), (0.75, 0.75), 20)
    eta = -2 + SCALE * field
    error = eta.sigmoid()
    right, wrong = (1 - error) * FOUR[0, 0], error * (1 - FOUR[0, 0])
    weights = weights * (right + wrong).flatten(1).prod(1)
    assert weights.sum().log().item() == pytest.approx(-3.253471, abs=1e-5)
    weights /= weights.sum()
    assert near(torch.einsum("n,nij->ij", weights, wrong / (right + wrong)), [0.6574, 0.4947, 0.0727, 0.0166], 1e-4)
    assert near(torch.einsum("n,nij->ij", weights, eta), [-1.354, -1.434, -1.717, -1.785], 1e-3)


def test_two_by_two_with_the_tight_bound() -> None:
    m, g, value = fit(FOUR_LOGITS, FOUR_LABELS, "tight")
    assert value == pytest.approx(-3.266216, abs=1e-5)
    assert near(error_probability(FOUR_LOGITS, FOUR_LABELS, m, g), [0.652, 0.489, 0.075, 0.018])
    assert near(m, [-1.363, -1.444, -1.724, -1.793])
    assert near(g, [1.312, 1.312, 1.258, 1.249])


def test_two_by_two_with_the_bound_of_the_paper() -> None:
    m, g, value = fit(FOUR_LOGITS, FOUR_LABELS, "paper")
    assert value == pytest.approx(-4.215237, abs=1e-5)
    assert near(expected_error(m, g), [0.207, 0.193, 0.159, 0.146])
    assert near(m, [-1.788, -1.886, -2.130, -2.232])
    assert near(g, [1.370, 1.343, 1.269, 1.236])


def test_the_bound_of_the_paper_is_stationary_where_its_equation_holds() -> None:
    logits, labels = problem(3, 4, 5, count=3)[:2]
    m, g, _ = fit(logits, labels, "paper")
    shares = logits.log_softmax(1)
    own = shares.gather(1, labels.long())
    gap = (shares.sum(1, keepdim=True) - own) / 2 - own
    mean = m.clone().requires_grad_()
    (slope,) = torch.autograd.grad(expected_error(mean, g).sum(), mean)
    assert (m + 2 - SCALE**2 * kms_multiply(slope * gap, (0.75, 0.75))).abs().max() < 1e-5


@given(seed=SEEDS, count=st.sampled_from([2, 3, 5]), shape=st.sampled_from([(1, 2), (2, 1), (1, 3)]))
def test_the_bounds_are_in_order_below_the_evidence(seed: int, count: int, shape: tuple[int, int]) -> None:
    logits, labels, m, g = problem(seed, *shape, count=count)
    field, weights = grid(shape, (0.75, 0.75), 30)
    error, share = (-2 + SCALE * field).sigmoid(), label_share(logits, labels)[0, 0]
    likelihood = (1 - error) * share + error * (1 - share) / (count - 1)
    evidence = (weights @ likelihood.flatten(1).prod(1)).log().item()
    tight, paper = (bound(logits, labels, m, g, kind=kind, **PRIOR).item() for kind in KINDS)
    assert paper <= tight + 1e-9
    assert tight <= evidence + 1e-6


@given(seed=SEEDS, count=st.sampled_from([2, 3, 5]))
def test_the_bound_of_the_paper_is_the_explicit_sum_over_clean_labels(seed: int, count: int) -> None:
    logits, labels, m, g = problem(seed, 2, 2, count=count)
    places, weights = (torch.from_numpy(x) for x in hermegauss(20))
    error = (m[..., None] + g[..., None] * places).sigmoid()
    total = torch.zeros(1, 1, 2, 2, dtype=torch.float64)
    for k, shares in enumerate(logits.log_softmax(1)[0]):
        # the variational q(z = k | eta) and the noise model p(y | z = k, eta) have one form
        q = torch.where((labels == k)[..., None], 1 - error, error / (count - 1))
        total += (q * (q.log() + shares[..., None] - q.log())) @ weights / weights.sum()
    assert data_term(logits, labels, m, g, kind="paper").item() == pytest.approx(total.sum().item(), abs=1e-8)


@given(seed=SEEDS, count=st.sampled_from([2, 3, 5]))
def test_the_posterior_is_bayes_rule_node_by_node(seed: int, count: int) -> None:
    logits, labels, m, g = problem(seed, 2, 3, count=count)
    places, weights = (torch.from_numpy(x) for x in hermegauss(20))
    error = (m[..., None] + g[..., None] * places).sigmoid()
    own = torch.arange(count)[:, None, None, None] == labels[0, 0, :, :, None]
    joint = torch.where(own, 1 - error[0], error[0] / (count - 1)) * logits.softmax(1)[0, ..., None]
    evidence = joint.sum(0)
    posterior = (joint / evidence) @ weights / weights.sum()
    soft = soft_labels(logits, labels, m, g)
    assert torch.allclose(soft[0], posterior)
    assert torch.allclose(error_probability(logits, labels, m, g), 1 - soft.gather(1, labels.long()))
    assert data_term(logits, labels, m, g).item() == pytest.approx((evidence.log() @ weights / weights.sum()).sum())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [2, 4])
def test_soft_labels_teach_the_network_what_the_bound_does(kind: Bound, count: int) -> None:
    logits, labels, m, g = problem(0, 3, 4, count=count, images=2)
    logits.requires_grad_()
    soft = soft_labels(logits, labels, m, g, kind=kind)
    assert not soft.requires_grad
    assert torch.allclose(soft.sum(1), torch.ones(2, 3, 4, dtype=torch.float64))
    (direct,) = torch.autograd.grad(data_term(logits, labels, m, g, kind=kind).sum(), logits)
    (taught,) = torch.autograd.grad((soft * logits.log_softmax(1)).sum(), logits)
    assert torch.allclose(direct, taught)
    assert direct.abs().max() > 0.1


def test_corrected_masks_follow_a_sure_network_only_where_the_field_lets_it() -> None:
    logits = torch.tensor([[[4.0, 4.0], [0.0, 0.0], [3.0, 3.0]]])
    labels, m, g = torch.ones(1, 1, 2, dtype=torch.uint8), torch.tensor([[[0.0, -12.0]]]), torch.ones(1, 1, 2)
    assert soft_labels(logits, labels, m, g).argmax(1).tolist() == [[0, 1]]


@pytest.mark.parametrize("kind", KINDS)
@given(seed=SEEDS, shape=st.sampled_from([(4,), (3, 4), (2, 3, 2)]), data=st.data())
def test_flipping_and_transposing_change_nothing(
    kind: Bound, seed: int, shape: tuple[int, ...], data: st.DataObject
) -> None:
    axes = range(2, 2 + len(shape))
    order, flips = data.draw(st.permutations(axes)), data.draw(st.sets(st.sampled_from(axes)))
    rho, rho_q = (0.75, 0.5, 0.3)[: len(shape)], (0.6, 0.7, 0.2)[: len(shape)]
    arrays = problem(seed, *shape, count=3)
    there = bound(*arrays, mu=-2.0, s=1.3, rho=rho, rho_q=rho_q, kind=kind)
    turned = [x.permute(0, 1, *order).flip(list(flips)) for x in arrays]
    rho, rho_q = ([r[axis - 2] for axis in order] for r in (rho, rho_q))
    back = bound(*turned, mu=-2.0, s=1.3, rho=rho, rho_q=rho_q, kind=kind)
    assert back.item() == pytest.approx(there.item(), rel=1e-12, abs=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 2, 2)])
def test_gradients_are_those_of_finite_differences(kind: Bound, shape: tuple[int, ...]) -> None:
    logits, labels, m, g = problem(1, *shape, count=3, images=2)
    rho = (0.75, 0.5, 0.3)[: len(shape)]

    def value(logits: Tensor, m: Tensor, g: Tensor) -> Tensor:
        return bound(logits, labels, m, g, mu=-2.0, s=1.3, rho=rho, rho_q=rho, kind=kind)

    assert torch.autograd.gradcheck(value, [x.requires_grad_() for x in (logits, m, g)])


@pytest.mark.parametrize("kind", KINDS)
def test_without_correlation_pixels_are_alone(kind: Bound) -> None:
    logits, labels, m, g = problem(2, 3, 4, count=3)
    lonely = {**PRIOR, "rho": (0.0, 0.0), "rho_q": (0.0, 0.0), "kind": kind}
    pixels = [
        bound(*(x[..., i : i + 1, j : j + 1] for x in (logits, labels, m, g)), **lonely)
        for i, j in product(range(3), range(4))
    ]
    assert torch.allclose(bound(logits, labels, m, g, **lonely), torch.stack(pixels).sum(0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_pixels_logits_touch_only_its_own_gradient_until_the_field_moves(kind: Bound) -> None:
    logits, labels, m, g = problem(2, 3, 4, count=3)
    m.requires_grad_()
    changed = logits.clone()
    changed[0, 0, 1, 2] += 5
    first, second = (
        torch.autograd.grad(bound(x, labels, m, g, kind=kind, **PRIOR).sum(), m)[0] for x in (logits, changed)
    )
    assert ((first - second)[0, 0].abs() > 1e-6).nonzero().tolist() == [[1, 2]]


def test_images_of_a_batch_are_alone() -> None:
    arrays = problem(5, 3, 4, count=3, images=4)
    together = bound(*arrays, **PRIOR)
    assert together.shape == (4,)
    assert torch.allclose(bound(*(x[[2, 0]] for x in arrays), **PRIOR), together[[2, 0]])


@pytest.mark.parametrize("kind", KINDS)
def test_ignored_pixels_have_no_data_but_stay_in_the_field(kind: Bound) -> None:
    logits, labels, m, g = problem(6, 3, 4)
    valid = torch.ones(1, 1, 3, 4, dtype=torch.uint8)
    valid[..., 1, 2] = 0
    other = labels.clone()
    other[..., 1, 2] = 1 - other[..., 1, 2]
    given_up = bound(logits, labels, m, g, kind=kind, valid=valid, **PRIOR)
    assert torch.equal(given_up, bound(logits, other, m, g, kind=kind, valid=valid > 0, **PRIOR))
    assert not torch.allclose(given_up, bound(logits, labels, m, g, kind=kind, **PRIOR))
    nothing = bound(logits, labels, m, g, kind=kind, valid=torch.zeros_like(valid), **PRIOR)
    assert torch.equal(nothing, -kms_kl(m, g, **PRIOR)[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(6, 5), (1, 7), (7, 1), (1, 1)])
@pytest.mark.parametrize("valid", [None, torch.zeros(())])
@pytest.mark.parametrize("one_class", [True, False])
@pytest.mark.parametrize("size", [1.0, 60000.0])
def test_values_and_gradients_are_finite(
    kind: Bound, shape: tuple[int, int], valid: Tensor | None, one_class: bool, size: float
) -> None:
    logits, labels, m, g = problem(7, *shape, count=3)
    labels = torch.zeros_like(labels) if one_class else labels
    half = (size * logits.sign()).half().requires_grad_()
    m, g = m.float().requires_grad_(), g.float().requires_grad_()
    where = None if valid is None else valid.expand(labels.shape)
    value = bound(half, labels, m, g, kind=kind, valid=where, **PRIOR)
    value.sum().backward()
    assert value.dtype == torch.float32
    assert all(x.isfinite().all() for x in (value, half.grad, m.grad, g.grad))
    assert soft_labels(half, labels, m, g, kind=kind).isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_logits_are_computed_in_float32(kind: Bound) -> None:
    logits, labels, m, g = (x.half().float() if x.is_floating_point() else x for x in problem(8, 6, 5))
    assert torch.equal(
        bound(logits.half(), labels, m, g, kind=kind, **PRIOR), bound(logits, labels, m, g, kind=kind, **PRIOR)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_more_certainty_than_half_precision_tells_counts_no_further(kind: Bound) -> None:
    labels, m = torch.ones(1, 1, 1, dtype=torch.uint8), torch.full((1, 1, 1), -5.0)
    sure, surer = (torch.tensor([[[0.0], [low]]]) for low in (-30.0, -torch.inf))
    assert torch.equal(*(data_term(x, labels, m, torch.ones_like(m), kind=kind) for x in (sure, surer)))


def test_a_network_sure_of_another_class_is_still_told() -> None:
    logits = torch.tensor([[[500.0], [0.0]]], requires_grad=True)
    m = torch.full((1, 1, 1), -5.0)
    data_term(logits, torch.ones(1, 1, 1, dtype=torch.uint8), m, torch.ones_like(m), kind="paper").backward()
    assert logits.grad[0, 0, 0] < -0.9


def test_a_sigmoid_is_served_as_two_classes() -> None:
    logit = torch.linspace(-5, 5, 11).view(1, 1, 11)
    assert torch.allclose(two_class_logits(logit).softmax(1)[:, 1:], logit.sigmoid())
    with pytest.raises(UsageError, match="two_class_logits"):
        data_term(logit, torch.zeros(1, 1, 11, dtype=torch.uint8), logit, logit.exp())
    with pytest.raises(UsageError, match="two_class_logits"):
        soft_labels(logit, torch.zeros(1, 1, 11, dtype=torch.uint8), logit, logit.exp(), kind="paper")


def test_wrong_use_is_refused() -> None:
    arrays = problem(0, 3, 4)
    with pytest.raises(UsageError, match="unknown bound 'loose'"):
        data_term(*arrays, kind="loose")
    with pytest.raises(UsageError, match="unknown bound 'loose'"):
        soft_labels(*arrays, kind="loose")
    with pytest.raises(UsageError, match="rho for 2 spatial axes"):
        bound(*arrays, **{**PRIOR, "rho": (0.75,)})


def disc(radius: int, shift: int = 0) -> np.ndarray:
    rows, columns = np.indices((48, 48))
    return np.hypot(rows - 23.5, columns - 23.5 - shift) <= radius


def error_map(observed: np.ndarray, *, rho: float, kind: Bound, seed: int = 0) -> tuple[float, float]:
    """AUC of the field's error map and accuracy of the corrected labels, for a disc and a network of 75 % accuracy."""
    truth = disc(13)
    noise = 1.5 * np.random.default_rng(seed).standard_normal(truth.shape)
    logits = two_class_logits(torch.from_numpy(2.0 * truth - 1 + noise).float()[None, None])
    labels = torch.from_numpy(observed.astype(np.uint8))[None, None]
    m = torch.full(labels.shape, -2.0).requires_grad_()
    raw = torch.ones_like(m).requires_grad_()
    optimiser = torch.optim.Adam([m, raw], lr=0.1)
    prior = {**PRIOR, "rho": (rho, rho), "rho_q": (rho, rho)}
    for _ in range(250):
        optimiser.zero_grad()
        (-bound(logits, labels, m, F.softplus(raw), kind=kind, **prior)).sum().backward()
        optimiser.step()
    m, g = m.detach(), F.softplus(raw).detach()
    error = expected_error(m, g) if kind == "paper" else error_probability(logits, labels, m, g)
    corrected = observed ^ (error[0, 0].numpy() > 0.5)
    area = auroc(error[0, 0].numpy(), observed != truth)
    assert area is not None
    return area, float((corrected == truth).mean())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("observed", [disc(13, shift=6), disc(9)], ids=["shifted", "eroded"])
def test_correlation_finds_the_wrong_patches_and_its_absence_does_not(kind: Bound, observed: np.ndarray) -> None:
    before = float((observed == disc(13)).mean())
    area, accuracy = error_map(observed, rho=0.75, kind=kind)
    area_alone, accuracy_alone = error_map(observed, rho=0.0, kind=kind)
    # where the network is asked as well, its noise costs a few ranks
    assert area > (0.95 if kind == "paper" else 0.93)
    assert area > area_alone + 0.1
    assert accuracy > max(accuracy_alone, before) + 0.03
    if kind == "paper":
        assert accuracy_alone == before
