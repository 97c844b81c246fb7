"""The selective state-space scan (S6), exactly: one decay per channel and state, in little memory."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from leanseg.nets._tracing import is_tracing

IN_CACHE = 1 << 18
"""Numbers in one of the three arrays of a chunk, so that they stay in a processor's own cache."""


def selective_scan(
    u: Tensor,
    dt: Tensor,
    A: Tensor,  # noqa: N803
    B: Tensor,  # noqa: N803
    C: Tensor,  # noqa: N803
    D: Tensor,  # noqa: N803
    *,
    chunk: int | None = None,
) -> Tensor:
    """Run h_t = exp(dt_t A) h_{t-1} + dt_t B_t u_t and y_t = C_t h_t + D u_t in every channel.

    Computed in float32 at least, also under autocast, by products of numbers in (0, 1) alone. Time grows linearly with
    the length; of the states, only those between chunks are kept for the backward.

    Args:
        u: (..., L, E) tokens of E channels.
        dt: (..., L, E) step sizes, not negative.
        A: (..., E, N) rates of decay of the N states, negative; leading axes are broadcast.
        B: (..., L, N) how tokens enter the states, the same for all channels.
        C: (..., L, N) how states are read.
        D: (..., E) share of the token itself; leading axes are broadcast.
        chunk: tokens that are recomputed together, by default as many as a cache holds; the answer is the same.

    Returns:
        (..., L, E).

    Source:
        Mamba, Gu and Dao, arXiv 2312.00752, section 3.2. The backward is our own, from the equations.

    Example:
        >>> one = torch.ones(3, 1)
        >>> selective_scan(one, one, -torch.ones(1, 1), one, one, torch.zeros(1)).flatten()
        tensor([1.0000, 1.3679, 1.5032])
    """
    with torch.autocast(u.device.type, enabled=False):
        values = (u, dt, A, B, C, D)
        u, dt, A, B, C, D = (v.float() if v.dtype in (torch.bfloat16, torch.float16) else v for v in values)  # noqa: N806
        skip = u * D.unsqueeze(-2)
        u, dt, B, C = (v.movedim(v.ndim - 2, 0).contiguous() for v in (u, dt, B, C))  # noqa: N806
        rates = A.transpose(-2, -1)
        y = _for_export(u, dt, B, C, rates) if is_tracing() else _Walk.apply(u, dt, B, C, rates, chunk)  # type: ignore[no-untyped-call]
        return y.movedim(0, u.ndim - 2) + skip


class _Walk(torch.autograd.Function):
    """Chunk after chunk in buffers that are used again: (L, ..., E), (L, ..., E), 2 x (L, ..., N) and (..., N, E)."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, dt: Tensor, B: Tensor, C: Tensor, A: Tensor, chunk: int | None) -> Tensor:  # noqa: N803
        A, shape = A.contiguous(), (*u.shape[1:-1], *A.shape[-2:])  # noqa: N806
        ctx.chunk = chunk or max(8, min(64, IN_CACHE // math.prod(shape)))
        parts = _parts(len(u), ctx.chunk)
        starts = u.new_zeros(len(parts) + 1, *shape)
        room = u.new_empty(2, ctx.chunk, *shape)
        y, entering = torch.empty_like(u), u * dt
        for j, at in enumerate(parts):
            _, h = _states(dt[at], A, entering[at], B[at], starts[j], room)
            torch.matmul(C[at].unsqueeze(-2), h, out=y[at].unsqueeze(-2))
            starts[j + 1] = h[-1]
        ctx.save_for_backward(u, dt, B, C, A, starts)
        return y

    @staticmethod
    @once_differentiable
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator]
    @torch.autocast("cuda", enabled=False)  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        u, dt, B, C, A, starts = ctx.saved_tensors  # noqa: N806
        grad, entering = grad.contiguous(), u * dt
        to_u, to_dt, to_B, to_C = (torch.empty_like(v) for v in (u, dt, B, C))  # noqa: N806
        to_A, to_state = torch.zeros_like(starts[0]), torch.zeros_like(starts[0])  # noqa: N806
        room = u.new_empty(3, ctx.chunk, *starts.shape[1:])
        for j, at in reversed(list(enumerate(_parts(len(u), ctx.chunk)))):
            a, h = _states(dt[at], A, entering[at], B[at], starts[j], room)
            g = _state_gradients(a, C[at], grad[at], to_state, room[2])
            torch.mul(a[0], g[0], out=to_state)
            to_C[at] = (grad[at].unsqueeze(-2) @ h.mT).squeeze(-2)
            to_B[at] = (entering[at].unsqueeze(-2) @ g.mT).squeeze(-2)
            to_entering = (B[at].unsqueeze(-2) @ g).squeeze(-2)
            a[1:].mul_(h[:-1])
            a[0].mul_(starts[j])
            to_log = a.mul_(g)  # of the decay
            torch.mul(to_entering, dt[at], out=to_u[at])
            torch.addcmul(torch.mul(to_log, A, out=h).sum(-2), u[at], to_entering, out=to_dt[at])
            to_A += to_log.mul_(dt[at].unsqueeze(-2)).sum(0)  # noqa: N806
        return to_u, to_dt, to_B, to_C, to_A.sum_to_size(A.shape), None


def _parts(length: int, chunk: int) -> list[slice]:
    return [slice(start, min(start + chunk, length)) for start in range(0, length, chunk)]


def _states(dt: Tensor, A: Tensor, entering: Tensor, B: Tensor, start: Tensor, room: Tensor) -> tuple[Tensor, Tensor]:  # noqa: N803
    """Decays and states of the T tokens of a chunk, (T, ..., N, E) each, written into ``room``."""
    decay, h = room[0, : len(dt)], room[1, : len(dt)]
    torch.mul(dt.unsqueeze(-2), A, out=decay).exp_()
    torch.mul(entering.unsqueeze(-2), B.unsqueeze(-1), out=h)
    for factor, state in zip(decay.unbind(), h.unbind(), strict=True):
        start = state.addcmul_(factor, start)
    return decay, h


def _state_gradients(decay: Tensor, C: Tensor, grad: Tensor, later: Tensor, room: Tensor) -> Tensor:  # noqa: N803
    """Gradients of a chunk's states: the same recurrence backwards, from what the next chunk hands back."""
    g = torch.mul(C.unsqueeze(-1), grad.unsqueeze(-2), out=room[: len(grad)])
    gradients, factors = g.unbind(), decay.unbind()
    gradients[-1].add_(later)
    for t in range(len(gradients) - 2, -1, -1):
        gradients[t].addcmul_(factors[t + 1], gradients[t + 1])
    return g


def _for_export(u: Tensor, dt: Tensor, B: Tensor, C: Tensor, A: Tensor) -> Tensor:  # noqa: N803
    """The same in a graph of any length; takes the memory of all states."""
    doubling = torch.jit.script(_doubling)
    h: Tensor = doubling((dt.unsqueeze(-2) * A).exp(), (u * dt).unsqueeze(-2) * B.unsqueeze(-1))
    return (C.unsqueeze(-2) @ h).squeeze(-2)


def _doubling(decay: Tensor, entering: Tensor) -> Tensor:
    """States (L, ...) of h_t = decay_t h_{t-1} + entering_t, reaching back twice as far in every round."""
    step = 1
    while step < decay.size(0):
        entering = torch.cat([entering[:step], entering[step:] + decay[step:] * entering[:-step]])
        decay = torch.cat([decay[:step], decay[step:] * decay[:-step]])
        step = 2 * step
    return entering
