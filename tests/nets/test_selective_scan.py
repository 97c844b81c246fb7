"""Both scans against a loop in float64, their gradients, and where other formulas fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from leanseg.nets import selective_scan as exact
from leanseg.nets import state_space_dual as dual
from leanseg.nets.selective_scan import selective_scan
from leanseg.nets.state_space_dual import ssd_scan
from testers.nets import noise

LENGTHS = (1, 7, 31, 32, 33, 64, 65)
Inputs = list[Tensor]


def s6_inputs(length: int, *, steps: float = 0.1, dtype: torch.dtype = torch.float32) -> Inputs:
    """Of two images in three directions, four channels and five states; A is the directions' own."""
    u, dt = noise(2, 3, length, 4), noise(2, 3, length, 4, seed=2).abs() * steps
    rates = -noise(3, 4, 5, seed=3).abs() - 0.1
    b, c, share = noise(2, 3, length, 5, seed=4), noise(2, 3, length, 5, seed=5), noise(3, 4, seed=6)
    return [v.to(dtype) for v in (u, dt, rates, b, c, share)]


def ssd_inputs(length: int, *, steps: float = 0.1, dtype: torch.dtype = torch.float32) -> Inputs:
    """Of two images in three directions, two heads of four channels and five states."""
    x, dt = noise(2, 3, length, 2, 4), noise(2, 3, length, 2, seed=2).abs() * steps
    rates = -noise(3, 2, seed=3).abs() - 0.1
    b, c, share = noise(2, 3, length, 5, seed=4), noise(2, 3, length, 5, seed=5), noise(3, 2, seed=6)
    return [v.to(dtype) for v in (x, dt, rates, b, c, share)]


def s6_loop(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:  # noqa: N803
    """The definition."""
    h, ys = torch.zeros(()).to(u), []
    for t in range(u.shape[-2]):
        now, step = u[..., t, :], dt[..., t, :]
        h = torch.exp(step[..., None] * A) * h + (step * now)[..., None] * B[..., t, None, :]
        ys.append((h * C[..., t, None, :]).sum(-1) + D * now)
    return torch.stack(ys, -2)


def ssd_loop(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:  # noqa: N803
    """The definition."""
    h, ys = torch.zeros(()).to(x), []
    for t in range(x.shape[-3]):
        now, step = x[..., t, :, :], dt[..., t, :]
        entering = (step[..., None] * now)[..., None] * B[..., t, None, None, :]
        h = torch.exp(step * A)[..., None, None] * h + entering
        ys.append((h * C[..., t, None, None, :]).sum(-1) + D[..., None] * now)
    return torch.stack(ys, -3)


def at_once(*inputs: Tensor, chunk: int | None = None) -> Tensor:
    """The scan as a graph records it and a GPU runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dual, "is_tracing", lambda: True)
        return ssd_scan(*inputs, chunk=chunk)


def recorded(*inputs: Tensor, chunk: int | None = None) -> Tensor:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "is_tracing", lambda: True)
        return selective_scan(*inputs, chunk=chunk)


CASES: dict[str, tuple[Callable[..., Tensor], Callable[..., Inputs], Callable[..., Tensor]]] = {
    "s6": (selective_scan, s6_inputs, s6_loop),
    "s6 recorded": (recorded, s6_inputs, s6_loop),
    "ssd": (ssd_scan, ssd_inputs, ssd_loop),
    "ssd at once": (at_once, ssd_inputs, ssd_loop),
}
every_scan = pytest.mark.parametrize("case", CASES)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit, which exporting needs


def gradients(scan: Callable[..., Tensor], inputs: Inputs, **keywords: Any) -> tuple[Tensor, ...]:
    inputs = [v.clone().requires_grad_() for v in inputs]
    y = scan(*inputs, **keywords)
    return torch.autograd.grad((y * noise(*y.shape, seed=9).to(y)).sum(), inputs, materialize_grads=True)


def agree(found: Tensor, wanted: Tensor, share: float = 1e-5) -> None:
    assert found.shape == wanted.shape
    assert float((found.double() - wanted).abs().max()) <= share * float(wanted.abs().max().clamp_min(0.1))


@every_scan
def test_three_tokens_by_hand(case: str) -> None:
    scan, _, _ = CASES[case]
    one = torch.ones(3, 1)
    x, rate = (one[..., None], -torch.ones(1)) if "ssd" in case else (one, -torch.ones(1, 1))
    wanted = torch.tensor([1.0, 1.3678794, 1.5032147])
    for share in (0.0, 1.0):
        y = scan(x, one, rate, one, one, torch.full((1,), share))
        torch.testing.assert_close(y.flatten(), wanted + share, rtol=0, atol=1e-6)


@every_scan
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("steps", [0.1, 2.0])
def test_a_loop_in_float64_agrees(case: str, length: int, steps: float) -> None:
    scan, inputs, loop = CASES[case]
    given = inputs(length, steps=steps)
    wide = [v.double() for v in given]
    for chunk in (None, 32):
        agree(scan(*given, chunk=chunk), loop(*wide))
    for found, wanted in zip(gradients(scan, given, chunk=32), gradients(loop, wide), strict=True):
        agree(found, wanted, 2e-5)


@pytest.mark.parametrize("case", ["s6", "ssd", "ssd at once"])
def test_gradients_by_differences(case: str) -> None:
    scan, inputs, _ = CASES[case]
    given = [v.clone().requires_grad_() for v in inputs(8, dtype=torch.float64)]
    assert torch.autograd.gradcheck(lambda *v: scan(*v, chunk=4), given, fast_mode=True)


@every_scan
@given(length=st.integers(1, 20), chunk=st.integers(1, 9))
def test_chunks_do_not_matter(case: str, length: int, chunk: int) -> None:
    scan, inputs, loop = CASES[case]
    given = inputs(length, dtype=torch.float64)
    agree(scan(*given, chunk=chunk), loop(*given), 1e-12)


@every_scan
def test_strong_decay_stays_finite(case: str) -> None:
    scan, inputs, loop = CASES[case]
    given = inputs(70)
    given[1] = torch.full_like(given[1], 20.0)
    given[2] = torch.full_like(given[2], -1.0)
    agree(scan(*given), loop(*(v.double() for v in given)))
    assert all(bool(gradient.isfinite().all()) for gradient in gradients(scan, given, chunk=32))


@every_scan
def test_what_the_clamped_sum_gets_wrong(case: str) -> None:
    """h = exp(-3) h + 1 settles at once; exp(S) cumsum(exp(-S)) overflows, or vanishes when it is clamped."""
    scan, _, _ = CASES[case]
    length = 64
    one, steps = torch.ones(length, 1), torch.full((length, 1), 3.0)
    x, rate = (one[..., None], -torch.ones(1)) if "ssd" in case else (one, -torch.ones(1, 1))
    h = scan(x / 3, steps, rate, one, one, torch.zeros(1)).flatten()
    torch.testing.assert_close(h[-50:], torch.full((50,), 1.0523957), rtol=1e-6, atol=0)


@every_scan
def test_the_past_does_not_see_the_future(case: str) -> None:
    scan, inputs, _ = CASES[case]
    given = inputs(40)
    before = scan(*given, chunk=16)
    for changed in (0, 1, 3, 4):
        for t in (0, 15, 16, 30):
            other = [v.clone() for v in given]
            other[changed][:, :, t] += 1
            after = scan(*other, chunk=16)
            # One token more or less in a product may round otherwise where a library adds in blocks.
            torch.testing.assert_close(after[:, :, :t], before[:, :, :t], rtol=0, atol=0 if "at" not in case else 1e-6)
            assert not torch.equal(after[:, :, t], before[:, :, t])


def test_heads_of_one_channel_are_s6_with_equal_rates() -> None:
    u, dt, rates, b, c, share = s6_inputs(37, dtype=torch.float64)
    equal = rates[..., :1].expand_as(rates)
    wanted = selective_scan(u, dt, equal, b, c, share)
    agree(ssd_scan(u[..., None], dt, equal[..., 0], b, c, share)[..., 0], wanted, 1e-12)


def test_the_mask_leaves_gradients_finite() -> None:
    """Masking behind the exponential of (0, -60, -120) would multiply infinity by 0."""
    for scan in (ssd_scan, at_once):
        one = torch.ones(3, 1, requires_grad=True)
        steps = torch.full((3, 1), 60.0, requires_grad=True)
        y = scan(one[..., None], steps, -torch.ones(1), one, one, torch.zeros(1))
        assert all(bool(g.isfinite().all()) for g in torch.autograd.grad(y.sum(), (one, steps)))
        log = torch.tensor([0.0, -60.0, -120.0], requires_grad=True)
        late = ((log[:, None] - log) * 2).exp().where(torch.ones(3, 3).tril() > 0, 0.0)
        assert not bool(torch.autograd.grad(late.sum(), log)[0].isfinite().all())


@every_scan
def test_many_tokens_lose_no_digits(case: str) -> None:
    """Strong decay in one half must not blur weak decay in the other."""
    scan, inputs, loop = CASES[case]
    given = inputs(512, steps=0.01)
    given[1][:, :, :256] = 20.0
    agree(scan(*given), loop(*(v.double() for v in given)), 2e-5)


@every_scan
def test_short_numbers_are_widened(case: str) -> None:
    scan, inputs, _ = CASES[case]
    short = [v.bfloat16() for v in inputs(40)]
    with torch.autocast("cpu", torch.bfloat16):
        y = scan(*short)
    assert y.dtype == torch.float32
    assert torch.equal(y, scan(*(v.float() for v in short)))


@pytest.mark.parametrize("case", ["s6", "ssd"])
def test_the_backward_is_in_float32_under_autocast(case: str) -> None:
    scan, inputs, _ = CASES[case]
    with torch.autocast("cpu", torch.bfloat16):
        short = gradients(scan, inputs(40))
    assert all(map(torch.equal, short, gradients(scan, inputs(40))))


def test_inputs_stay_as_they_are() -> None:
    for scan, inputs, _ in CASES.values():
        for length in (1, 5):
            given = inputs(length)
            before = [v.clone() for v in given]
            gradients(scan, given)
            assert all(map(torch.equal, given, before))


def test_only_states_between_chunks_are_kept() -> None:
    kept: list[int] = []
    tokens, read = noise(640, 32).requires_grad_(), noise(640, 8)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        selective_scan(tokens, noise(640, 32).abs(), -noise(32, 8).abs(), read, read, noise(32), chunk=32)
    all_states = 640 * 32 * 8
    assert (640 // 32 + 1) * 32 * 8 in kept
    assert max(kept) <= all_states / 8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("case", ["s6", "ssd"])
def test_a_gpu_agrees(case: str) -> None:
    scan, inputs, _ = CASES[case]
    given = inputs(100)
    for found, wanted in zip(gradients(scan, [v.cuda() for v in given]), gradients(scan, given), strict=True):
        agree(found.cpu(), wanted.double(), 1e-4)
