"""The block of VM-UNet (SS2D): a depthwise convolution and a gate around state-space scans in four directions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leanseg.errors import UsageError
from leanseg.nets.cross_scan import cross_merge, cross_scan
from leanseg.nets.selective_scan import selective_scan
from leanseg.nets.state_space_dual import ssd_scan
from leanseg.nets.token_style import TokenSequences

Mixer = Literal["ssd", "s6", "none"]

DIRECTIONS = 4
STEPS = (1e-3, 1e-1)
"""Range of the step sizes at the start, drawn evenly on a logarithmic scale."""


class SS2D(nn.Module):
    """Mixes the tokens of a map, whose channels come last.

    The outputs of the four directions pass through ``sequences`` as (N, 4, E, L), each in its own order of tokens,
    before they are put back; without scans it is the map itself, (N, 1, E, L), row by row.

    Args:
        channels: C; inside there are E = 2 C.
        mixer: ``"s6"``, the exact selective scan; ``"ssd"``, the faster one with a decay per head, another model;
            ``"none"``, the same block without scans.
        state: states N of each channel.
        head_channels: channels of a head of ``"ssd"``.

    Raises:
        UsageError: an unknown mixer, or heads that do not divide E.

    Shape:
        (N, H, W, C) -> (N, H, W, C).

    Source:
        VMamba, arXiv 2401.10166, and VM-UNet, arXiv 2402.02491: out = linear(LN(y) SiLU(z)), where (u, z) = linear(x)
        and y is the sum of the scans of SiLU(depthwise(u)).

    Example:
        >>> [sum(p.numel() for p in SS2D(channels=24, mixer=mixer).parameters()) for mixer in ("s6", "ssd", "none")]
        [14400, 10788, 4032]
    """

    def __init__(self, *, channels: int, mixer: Mixer = "ssd", state: int = 16, head_channels: int = 16) -> None:
        super().__init__()
        if mixer not in get_args(Mixer):
            raise UsageError(f"expected a mixer of {', '.join(get_args(Mixer))}, found {mixer!r}")
        inner = 2 * channels
        self.enter = nn.Linear(channels, 2 * inner, bias=False)
        self.local = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.scans: nn.Module | None = None
        if mixer == "s6":
            self.scans = SelectiveScans(channels=inner, rank=math.ceil(channels / 16), state=state)
        elif mixer == "ssd":
            self.scans = DualScans(channels=inner, state=state, head_channels=head_channels)
        self.sequences = TokenSequences()
        self.norm = nn.LayerNorm(inner)
        self.leave = nn.Linear(inner, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # Two products instead of one spare the copies of its halves.
        u, gate = (F.linear(x, weight) for weight in self.enter.weight.chunk(2))
        u = F.silu(self.local(u.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
        mixed: Tensor = self.leave(self.norm(self._mix(u)) * F.silu(gate))
        return mixed

    def _mix(self, u: Tensor) -> Tensor:
        _, height, width, _ = u.shape
        if self.scans is None:
            tokens: Tensor = self.sequences(u.flatten(1, 2).transpose(1, 2).unsqueeze(1))
            return tokens.squeeze(1).transpose(1, 2).reshape(u.shape)
        y: Tensor = self.sequences(self.scans(u).transpose(2, 3))
        return cross_merge(y.transpose(2, 3), height, width)


class SelectiveScans(nn.Module):
    """An exact selective scan (S6) of each direction with parameters of its own.

    Args:
        channels: E.
        rank: R, of the map from a token to its step sizes.
        state: N.

    Shape:
        (N, H, W, E) -> (N, 4, H W, E), in float32.
    """

    def __init__(self, *, channels: int, rank: int, state: int) -> None:
        super().__init__()
        self.channels, self.rank, self.state = channels, rank, state
        self.read = _directions(channels, rank + 2 * state, bias=False)
        self.step = _directions(rank, channels)
        _start_steps(self.step)
        # One axis, since these are no matrices: optimisers neither decay nor orthogonalise them.
        self.log_rate = nn.Parameter(torch.arange(1.0, state + 1).log().repeat(DIRECTIONS * channels))
        self.share = nn.Parameter(torch.ones(DIRECTIONS * channels))

    def forward(self, x: Tensor) -> Tensor:
        values = cross_scan(*F.linear(x, _joined(self.read, "weight")).chunk(DIRECTIONS, -1))
        low, b, c = torch.split(values, [self.rank, self.state, self.state], -1)
        weight, bias = (_joined(self.step, name).view(DIRECTIONS, self.channels, -1) for name in ("weight", "bias"))
        dt = F.softplus(low @ weight.transpose(1, 2) + bias.transpose(1, 2))
        rates = -self.log_rate.exp().view(DIRECTIONS, self.channels, self.state)
        return selective_scan(cross_scan(x), dt, rates, b, c, self.share.view(DIRECTIONS, self.channels))


class DualScans(nn.Module):
    """A scan with one decay per head (SSD) of each direction with parameters of its own.

    Args:
        channels: E.
        state: N.
        head_channels: P, a divisor of E.

    Shape:
        (N, H, W, E) -> (N, 4, H W, E), in float32.
    """

    def __init__(self, *, channels: int, state: int, head_channels: int) -> None:
        super().__init__()
        if channels % head_channels:
            raise UsageError(f"expected head_channels to divide {channels} channels, found {head_channels}")
        self.state, self.heads = state, channels // head_channels
        self.read = _directions(channels, 2 * state, bias=False)
        self.step = _directions(channels, self.heads)
        _start_steps(self.step)
        self.log_rate = nn.Parameter(torch.empty(DIRECTIONS * self.heads).uniform_(1, 16).log())
        self.share = nn.Parameter(torch.ones(DIRECTIONS * self.heads))

    def forward(self, x: Tensor) -> Tensor:
        values = cross_scan(*F.linear(x, _joined(self.read, "weight")).chunk(DIRECTIONS, -1))
        b, c = values.chunk(2, -1)
        steps = F.linear(x, _joined(self.step, "weight"), _joined(self.step, "bias"))
        dt = cross_scan(*F.softplus(steps).chunk(DIRECTIONS, -1))
        rates = -self.log_rate.exp().view(DIRECTIONS, self.heads)
        sequences = cross_scan(x)
        by_head = sequences.reshape(*sequences.shape[:3], self.heads, -1)
        return ssd_scan(by_head, dt, rates, b, c, self.share.view(DIRECTIONS, self.heads)).flatten(3)


def _directions(fan_in: int, fan_out: int, *, bias: bool = True) -> nn.ModuleList:
    return nn.ModuleList(nn.Linear(fan_in, fan_out, bias=bias) for _ in range(DIRECTIONS))


def _joined(layers: nn.ModuleList, name: str) -> Tensor:
    """Weights or biases of the four directions, one after the other."""
    return torch.cat([getattr(layer, name) for layer in layers])


@torch.no_grad()
def _start_steps(layers: nn.ModuleList) -> None:
    """Biases whose softplus is a step size in :data:`STEPS`."""
    low, high = (math.log(step) for step in STEPS)
    for layer in cast(Iterable[nn.Linear], layers):
        step = torch.empty_like(layer.bias).uniform_(low, high).exp()
        layer.bias.copy_(step + (-torch.expm1(-step)).log())
