"""The state-space scan with one decay per head (SSD): matrix products inside chunks, one state from chunk to chunk."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from leanseg.nets._tracing import is_tracing

IN_CACHE = 1 << 18
"""Pairs of tokens, of all heads and images, that stay in a processor's own cache."""
SHORTEST, LONGEST = 16, 64
"""Tokens of a chunk."""


def ssd_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,  # noqa: N803
    B: Tensor,  # noqa: N803
    C: Tensor,  # noqa: N803
    D: Tensor,  # noqa: N803
    *,
    chunk: int | None = None,
) -> Tensor:
    """Run h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_t^T and y_t = h_t C_t + D x_t in every head.

    Another model than :func:`leanseg.nets.selective_scan.selective_scan`: all channels of a head and all their states
    decay alike. Computed in float32 at least, also under autocast; no exponent is ever positive.

    Args:
        x: (..., L, H, P) tokens of P channels in each of H heads.
        dt: (..., L, H) step sizes, not negative.
        A: (..., H) rates of decay, negative; leading axes are broadcast.
        B: (..., L, N) how tokens enter the N states, the same for all heads.
        C: (..., L, N) how states are read.
        D: (..., H) share of the token itself; leading axes are broadcast.
        chunk: tokens whose pairs are looked at together, by default as many as a cache holds; the answer is the same.

    Returns:
        (..., L, H, P).

    Source:
        Mamba-2, Dao and Gu, arXiv 2405.21060, section 6. The backward is our own, from the equations.

    Example:
        >>> one = torch.ones(3, 1)
        >>> ssd_scan(one[..., None], one, -torch.ones(1), one, one, torch.zeros(1)).flatten()
        tensor([1.0000, 1.3679, 1.5032])
    """
    with torch.autocast(x.device.type, enabled=False):
        values = (x, dt, A, B, C, D)
        x, dt, A, B, C, D = (v.float() if v.dtype in (torch.bfloat16, torch.float16) else v for v in values)  # noqa: N806
        # A recorded graph must not count chunks; on a GPU, many small kernels cost more than large matrices.
        if is_tracing() or x.is_cuda:
            entering, rates = _flat(x * dt.unsqueeze(-1), 3), _flat(dt * A.unsqueeze(-2), 2)
            y = _all_at_once(entering, rates, _flat(B, 2), _flat(C, 2), chunk or LONGEST)
            return y.reshape(x.shape) + D[..., None, :, None] * x
        rates, shares = (_flat(v.expand(*x.shape[:-3], -1), 1) for v in (A, D))
        y = _Walk.apply(  # type: ignore[no-untyped-call]
            _flat(x, 3), _flat(dt, 2), rates, _flat(B, 2), _flat(C, 2), shares, chunk or _chunk_length(dt)
        )
        answer: Tensor = y.view(x.shape)
        return answer


def _flat(values: Tensor, kept: int) -> Tensor:
    """All axes before the last ``kept`` as one."""
    return values.reshape(-1, *values.shape[values.ndim - kept :])


class _Walk(torch.autograd.Function):
    """One chunk after the other, so that what is as large as pairs of tokens stays in the cache; one leading axis, F.

    Inside a chunk of T tokens these are the last axis, along which the processor's vectors lie.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, chunk: int) -> Tensor:  # noqa: N803
        batch, length, heads, width = x.shape
        parts = _parts(length, chunk)
        states = x.new_zeros(len(parts) + 1, batch, heads, width, B.shape[-1])
        room, y = x.new_empty(batch * heads * chunk**2), torch.empty_like(x)
        for j, at in enumerate(parts):
            x_, dt_, b, c = _tokens_last(x[:, at]), _tokens_last(dt[:, at]), B[:, at], C[:, at]
            kept = _Decay(dt_, A, room)
            entering = x_ * dt_.unsqueeze(-2)
            near = entering @ kept.pairs.mul_((c @ b.mT).unsqueeze(1)).mT
            far = (states[j].flatten(1, 2) @ c.mT).view_as(near)
            y[:, at] = near.addcmul_(far, kept.before).addcmul_(x_, D[..., None, None]).permute(0, 3, 1, 2)
            added = (entering.mul_(kept.after).flatten(1, 2) @ b).view_as(states[j])
            torch.addcmul(added, states[j], kept.all, out=states[j + 1])
        ctx.save_for_backward(x, dt, A, B, C, D, states, y)
        ctx.chunk = chunk
        return y

    @staticmethod
    @once_differentiable
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, dt, A, B, C, D, states, y = ctx.saved_tensors  # noqa: N806
        to_x, to_dt, to_B, to_C = (torch.empty_like(v) for v in (x, dt, B, C))  # noqa: N806
        to_A, to_D, to_state = (torch.zeros_like(v) for v in (A, D, states[0]))  # noqa: N806
        room = x.new_empty(2, x.shape[0] * x.shape[2] * ctx.chunk**2)
        for j, at in reversed(list(enumerate(_parts(x.shape[1], ctx.chunk)))):
            x_, dt_, g = (_tokens_last(v[:, at]) for v in (x, dt, grad))
            b, c, start, later = B[:, at], C[:, at], states[j].flatten(1, 2), to_state.flatten(1, 2)
            kept = _Decay(dt_, A, room[0])
            entering = x_ * dt_.unsqueeze(-2)
            to_pairs = torch.matmul(g.mT, entering, out=room[1, : kept.pairs.numel()].view_as(kept.pairs))
            to_product = to_pairs.mul_(kept.pairs).sum(1)
            weight = kept.pairs.mul_((c @ b.mT).unsqueeze(1))
            read, stored = (g * kept.before).flatten(1, 2), entering.mul_(kept.after).flatten(1, 2)
            torch.add(to_product @ b, read.mT @ start, out=to_C[:, at])
            torch.add(to_product.mT @ c, stored.mT @ later, out=to_B[:, at])
            to_entering = (g @ weight).addcmul_((later @ b.mT).view_as(g), kept.after)
            own, entered = (g * x_).sum(-2), x_.mul_(to_entering).sum(-2)
            # A decay weighs all that passes it: the sum, from it on, of what is read less what enters.
            passing = (grad[:, at] * y[:, at]).sum(-1).mT - D.unsqueeze(-1) * own - entered * dt_
            passing[..., -1] += (to_state * states[j + 1]).sum((-2, -1))
            to_rate = passing.flip(-1).cumsum(-1).flip(-1)
            to_dt[:, at] = torch.addcmul(entered, to_rate, A.unsqueeze(-1)).mT
            to_x[:, at] = to_entering.mul_(dt_.unsqueeze(-2)).addcmul_(g, D[..., None, None]).permute(0, 3, 1, 2)
            to_A.add_((to_rate * dt_).sum(-1))
            to_D.add_(own.sum(-1))
            to_state = torch.addcmul((read @ c).view_as(to_state), to_state, kept.all)
        return to_x, to_dt, to_A, to_B, to_C, to_D, None


class _Decay:
    """What is left of a state inside a chunk, from step sizes (F, H, T) and rates (F, H).

    ``pairs`` (F, H, T, T), in ``room``: from token s to token t, 0 where s is later. ``before`` and ``after``
    (F, H, 1, T): from before the chunk to each token, and from each token to the end. ``all`` (F, H, 1, 1): through it.
    """

    def __init__(self, dt: Tensor, rates: Tensor, room: Tensor) -> None:
        size = dt.shape[-1]
        log = (dt * rates.unsqueeze(-1)).cumsum(-1)
        pairs = room[: log.numel() * size].view(*log.shape, size)
        # Masked before the exponential: after it, infinity times 0 would spoil the answer.
        future = dt.new_full((size, size), -torch.inf).triu_(1)
        self.pairs = torch.sub(log.unsqueeze(-1), log.unsqueeze(-2), out=pairs).add_(future).exp_()
        self.before = log.exp().unsqueeze(-2)
        self.after = (log[..., -1:] - log).exp_().unsqueeze(-2)
        self.all = self.before[..., -1:]


def _chunk_length(dt: Tensor) -> int:
    length, rows = LONGEST, dt.numel() // dt.shape[-2]
    while length > SHORTEST and rows * length**2 > IN_CACHE:
        length //= 2
    return length


def _parts(length: int, chunk: int) -> list[slice]:
    return [slice(start, min(start + chunk, length)) for start in range(0, length, chunk)]


def _tokens_last(values: Tensor) -> Tensor:
    """A copy, (F, T, ...) to (F, ..., T); always one, since it is overwritten."""
    return values.movedim(1, -1).clone(memory_format=torch.contiguous_format)


def _all_at_once(x: Tensor, rates: Tensor, B: Tensor, C: Tensor, chunk: int) -> Tensor:  # noqa: N803
    """The scan of what enters (F, L, H, P), decaying by ``rates`` (F, L, H), in as many operations for any length."""
    length = x.shape[1]

    def in_chunks(values: Tensor) -> Tensor:
        # Tokens of step size 0 at the end change nothing.
        filled = F.pad(values, (*[0] * 2 * (values.ndim - 2), 0, -length % chunk))
        return filled.reshape(values.shape[0], -1, chunk, *values.shape[2:])

    B, C = in_chunks(B).unsqueeze(2), in_chunks(C).unsqueeze(2)  # noqa: N806
    x = in_chunks(x).transpose(2, 3)  # (F, chunks, H, T, P)
    log = in_chunks(rates).transpose(2, 3).cumsum(3)  # (F, chunks, H, T)
    last = log[..., -1:]
    pairs = (log.unsqueeze(4) - log.unsqueeze(3)).masked_fill(_later(log), -torch.inf).exp()
    near = (C @ B.transpose(3, 4) * pairs) @ x
    added = (B * (last - log).exp().unsqueeze(4)).transpose(3, 4) @ x  # (F, chunks, H, N, P)
    states = _carry(last.squeeze(3).transpose(1, 2), added.transpose(1, 2).flatten(3))
    states = states.transpose(1, 2).reshape(added.shape)
    y = near + log.exp().unsqueeze(4) * (C @ states)
    return y.transpose(2, 3).flatten(1, 2).narrow(1, 0, length)


def _carry(log: Tensor, added: Tensor) -> Tensor:
    """States before each chunk (F, H, chunks, M), from what each adds and its logarithmic decay (F, H, chunks)."""
    future = _later(log)
    # Sums of what lies between two chunks; differences of sums from the start would lose their digits.
    between = torch.where(future.transpose(0, 1), log.unsqueeze(3), 0.0).cumsum(2)
    behind = between.masked_fill(future, -torch.inf).exp() @ added
    return torch.cat([torch.zeros_like(behind[:, :, :1]), behind[:, :, :-1]], 2)


def _later(log: Tensor) -> Tensor:
    """Where the column's place comes after the row's, from (..., T)."""
    place = torch.arange(log.shape[-1], device=log.device)
    return place > place.unsqueeze(1)
