"""The Med Block: expansion, a large depthwise kernel, a gate by the mean of each channel, reduction."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from leanseg.errors import UsageError

Gate = Literal["mean", "none", "learned"]


class MedBlock(nn.Module):
    """An inverted bottleneck whose channels are weighed by what the whole image shows of them.

    Args:
        fan_in: channels in, c.
        fan_out: channels out, c'.
        stride: 1, or 2 to halve the resolution.
        expansion: hidden channels h for each channel in.
        kernel: side of the depthwise kernel, odd.
        gate: of :class:`ChannelGate`, or ``"none"``.
        stochastic_depth: share of the images for which a block that could pass on its input does so, in training.

    Raises:
        UsageError: an even kernel, an unknown gate, or a share outside [0, 1).

    Shape:
        (N, c, H, W) -> (N, c', ceil(H / stride), ceil(W / stride)).

    Source:
        Med-2D SegNet, arXiv 2504.14715, as reconstructed here: r + s with r = BN(conv(g d)), d = ReLU6(BN(DW(a))),
        a = ReLU6(BN(conv(x))), g the gate of d, and s = x, or BN(conv(x)) where the shape changes.
        Stochastic depth: Huang et al., arXiv 1603.09382.

    Example:
        >>> sum(p.numel() for p in MedBlock(fan_in=24, fan_out=24).parameters())
        14592
    """

    def __init__(
        self,
        *,
        fan_in: int,
        fan_out: int,
        stride: int = 1,
        expansion: int = 6,
        kernel: int = 7,
        gate: Gate = "mean",
        stochastic_depth: float = 0.0,
    ) -> None:
        super().__init__()
        if kernel % 2 == 0 or gate not in get_args(Gate) or not 0 <= stochastic_depth < 1:
            wanted = f"an odd kernel, a gate of {', '.join(get_args(Gate))} and a stochastic depth from 0 to below 1"
            raise UsageError(f"Med Block: expected {wanted}; found {kernel}, {gate!r} and {stochastic_depth}")
        hidden = expansion * fan_in
        depthwise = nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False)
        self.expand = nn.Sequential(*_pointwise(fan_in, hidden), nn.ReLU6(inplace=True))
        self.depthwise = nn.Sequential(depthwise, nn.BatchNorm2d(hidden), nn.ReLU6(inplace=True))
        self.gate = None if gate == "none" else ChannelGate(hidden, learned=gate == "learned")
        self.reduce = nn.Sequential(*_pointwise(hidden, fan_out))
        same = fan_in == fan_out and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(*_pointwise(fan_in, fan_out, stride))
        self.stochastic_depth = stochastic_depth if same else 0.0

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Features of the output's grid.

        Args:
            x: (N, c, H, W).
            valid: the pixels of the output's grid that the gate counts, as for :class:`ChannelGate`.
        """
        hidden = self.depthwise(self.expand(x))
        if self.gate is not None:
            hidden = self.gate(hidden, valid) * hidden
        reduced: Tensor = self.reduce(hidden)
        if self.training and self.stochastic_depth:
            kept = torch.rand(x.shape[0], 1, 1, 1, device=x.device) >= self.stochastic_depth
            reduced = reduced * kept / (1 - self.stochastic_depth)
        shortcut: Tensor = self.shortcut(x)
        return reduced + shortcut


class ChannelGate(nn.Module):
    """The logistic function of each channel's mean: of what is not negative, it can at most halve a channel.

    Args:
        channels: C.
        learned: whether each mean is first scaled and shifted by numbers that are learnt, 2 C of them.

    Shape:
        (N, C, H, W) -> (N, C, 1, 1).

    Example:
        >>> ChannelGate(1)(torch.tensor([[[[1.0, -1.0]]]])).item()
        0.5
    """

    def __init__(self, channels: int, *, learned: bool = False) -> None:
        super().__init__()
        self.affine = nn.Conv2d(channels, channels, 1, groups=channels) if learned else nn.Identity()
        if isinstance(self.affine, nn.Conv2d) and self.affine.bias is not None:
            nn.init.ones_(self.affine.weight)
            nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """One factor in (0, 1) for each channel of each image.

        Args:
            x: (N, C, H, W).
            valid: (N, 1, H, W) of 0/1, the pixels that count; None for all. An image without any has the mean 0.
        """
        if valid is None:
            mean = x.mean((2, 3), keepdim=True)
        else:
            shares = valid / valid.sum((2, 3), keepdim=True).clamp_min(1)
            mean = (x * shares).sum((2, 3), keepdim=True)
        return torch.sigmoid(self.affine(mean)).to(x.dtype)


def _pointwise(fan_in: int, fan_out: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(fan_in, fan_out, 1, stride, bias=False), nn.BatchNorm2d(fan_out)]
