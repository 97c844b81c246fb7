"""Contrast with any number of positives, against loops and known losses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from leanseg.errors import UsageError
from leanseg.losses.supervised_contrastive import supervised_contrastive


def example(seed: int, count: int = 12, share: float = 0.3) -> tuple[Tensor, Tensor]:
    """Random vectors (count, 5) float64 and random positives, not symmetric."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(count, 5, generator=generator, dtype=torch.float64)
    return vectors, torch.rand(count, count, generator=generator) < share


def looped(vectors: Tensor, positive: Tensor, temperature: float) -> float:
    """The formula, term by term."""
    count, found = len(vectors), []

    def similar(a: int, b: int) -> float:
        return float(vectors[a] @ vectors[b] / (vectors[a].norm() * vectors[b].norm()))

    for a in range(count):
        mates = [p for p in range(count) if p != a and positive[a, p]]
        total = sum(math.exp(similar(a, b) / temperature) for b in range(count) if b != a)
        if mates:
            found.append(sum(math.log(math.exp(similar(a, p) / temperature) / total) for p in mates) / len(mates))
    return -temperature / 0.07 * sum(found) / len(found) if found else 0.0


@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.1, 0.5]), st.sampled_from([0.05, 0.3, 1.0]))
def test_the_formula_term_by_term(seed: int, temperature: float, share: float) -> None:
    vectors, positive = example(seed, share=share)
    found = supervised_contrastive(vectors, positive, temperature=temperature)
    assert float(found) == pytest.approx(looped(vectors, positive, temperature), abs=1e-9)
    narrow = supervised_contrastive(vectors.float(), positive, temperature=temperature)
    assert narrow.dtype == torch.float32
    assert float(narrow) == pytest.approx(float(found), rel=1e-5, abs=1e-5)


@given(st.integers(0, 10_000))
def test_with_one_positive_each_it_is_nt_xent(seed: int) -> None:
    vectors, _ = example(seed)
    partner = torch.arange(12).roll(6)
    unit = F.normalize(vectors, dim=1)
    similarity = (unit @ unit.T / 0.1).masked_fill(torch.eye(12, dtype=torch.bool), -torch.inf)
    found = supervised_contrastive(vectors, F.one_hot(partner).bool())
    assert float(found) == pytest.approx(1.4285714 * float(F.cross_entropy(similarity, partner)), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_equal_vectors_are_guessed(dtype: torch.dtype) -> None:
    partner = torch.eye(8, dtype=torch.bool).roll(4, 1)
    found = supervised_contrastive(torch.full((8, 3), 2.0, dtype=dtype), partner)
    assert float(found) == pytest.approx(math.log(7) / 0.7, abs=1e-5)
    assert float(found) == pytest.approx(2.779872, abs=1e-5)


def test_gradient() -> None:
    vectors, positive = example(3)
    positive[4] = False
    vectors.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: supervised_contrastive(z, positive), vectors)


@given(st.integers(0, 10_000), st.lists(st.floats(1e-3, 1e3), min_size=12, max_size=12))
def test_neither_lengths_nor_order_matter(seed: int, lengths: list[float]) -> None:
    vectors, positive = example(seed)
    wanted = float(supervised_contrastive(vectors, positive))
    scaled = vectors * torch.tensor(lengths, dtype=torch.float64)[:, None]
    assert float(supervised_contrastive(scaled, positive)) == pytest.approx(wanted, abs=1e-9)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    shuffled = supervised_contrastive(vectors[order], positive[order][:, order])
    assert float(shuffled) == pytest.approx(wanted, abs=1e-9)
    assert float(supervised_contrastive(vectors, positive | torch.eye(12, dtype=torch.bool))) == wanted


def test_vectors_without_positives_are_only_told_apart() -> None:
    vectors, positive = example(1)
    positive[[0, 5]] = False
    kept = [a for a in range(12) if a not in (0, 5)]
    alone = [float(supervised_contrastive(vectors, positive & (torch.arange(12) == a)[:, None])) for a in kept]
    found = float(supervised_contrastive(vectors, positive))
    assert found == pytest.approx(sum(alone) / len(kept), abs=1e-9)
    fewer = supervised_contrastive(vectors[kept], positive[kept][:, kept])
    assert abs(float(fewer) - found) > 1e-3


@pytest.mark.parametrize("count", [0, 1, 2, 12])
def test_without_any_positive_nothing_is_learnt(count: int) -> None:
    vectors = torch.randn(count, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = supervised_contrastive(vectors, torch.eye(count, dtype=torch.bool))
    found.backward()
    assert float(found.detach()) == 0
    assert vectors.grad is not None and torch.equal(vectors.grad, torch.zeros(count, 5))


def test_16_bits_are_summed_in_32() -> None:
    """Similarities of 16 bits divided by the temperature would be off by a hundredth."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(300, 64, generator=generator).half()
    label = torch.arange(300) % 7
    positive = label[:, None] == label
    wanted = float(supervised_contrastive(vectors.double(), positive))
    assert float(supervised_contrastive(vectors, positive)) == pytest.approx(wanted, abs=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert float(supervised_contrastive(vectors, positive)) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_large_16_bit_values_stay_finite(dtype: torch.dtype) -> None:
    vectors = torch.randn(64, 32, generator=torch.Generator().manual_seed(0)).mul(6e3).to(dtype).requires_grad_()
    found = supervised_contrastive(vectors, torch.ones(64, 64, dtype=torch.bool), temperature=0.01)
    found.backward()
    assert math.isfinite(float(found.detach()))
    assert vectors.grad is not None and vectors.grad.isfinite().all()


def test_a_vector_of_zeros_has_no_direction_and_no_gradient() -> None:
    vectors = torch.tensor([[0.0, 0], [1, 0], [0, 1], [1, 1]], requires_grad=True)
    found = supervised_contrastive(vectors, torch.ones(4, 4, dtype=torch.bool))
    found.backward()
    assert vectors.grad is not None and vectors.grad.isfinite().all()
    assert not vectors.grad[0].any() and vectors.grad[1:].any()


@pytest.mark.parametrize(("shape", "temperature", "match"), [((3, 4), 0.1, r"\(4, 4\)"), ((4, 4), 0.0, "temperature")])
def test_what_cannot_be_compared(shape: tuple[int, int], temperature: float, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        supervised_contrastive(torch.ones(4, 2), torch.ones(shape, dtype=torch.bool), temperature=temperature)
