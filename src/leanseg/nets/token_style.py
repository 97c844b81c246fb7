"""Noise in the style of token sequences: means and spreads of a random stretch of tokens are drawn anew in training."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from leanseg.errors import UsageError


class TokenStyle(nn.Module):
    """Gives a window of tokens another mean and another spread in each channel, as images of a batch differ in them.

    Tokens outside the window stay as they are, bit for bit. In eval mode, for a batch of one, and whenever the coin
    falls the other way, the input itself is the answer.

    Args:
        p: chance of being disturbed, for each call; sequences of several directions have a coin each.
        window: share of the tokens that is disturbed, 1 for all (plain DSU).
        eps: added to variances.
        detach_scale: no gradient through how much the images of the batch differ.
        gain_floor: least factor by which deviations from the mean are multiplied; None lets the noise mirror them.

    Attributes:
        gains: factors drawn last, (B, ..., C, 1), before the floor; None until then. ``(gains < 0).float().mean()`` is
            the share of channels that were mirrored.

    Raises:
        UsageError: p or window is outside its range.

    Shape:
        (B, ..., C, L) -> the same: one window for each image and, where there are axes between, for each of these.

    Source:
        Mamba-Sea, arXiv 2504.17515, on DSU, Li et al., arXiv 2202.03958: y' = gamma (y - mu) / s + beta inside the
        window, beta = mu + e1 std_b(mu), gamma = s + e2 std_b(s), with e1, e2 normal for each image and channel.

    Example:
        >>> style = TokenStyle(p=1, window=0.5)
        >>> y = torch.arange(24.0).view(2, 1, 12)
        >>> int((style(y) != y)[0].sum()), style.eval()(y) is y
        (6, True)
    """

    def __init__(
        self,
        *,
        p: float = 0.5,
        window: float = 0.5,
        eps: float = 1e-6,
        detach_scale: bool = True,
        gain_floor: float | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= p <= 1 or not 0 < window <= 1:
            msg = f"token style: expected p from 0 to 1 and a window above 0 and up to 1, found {p} and {window}"
            raise UsageError(msg)
        self.p, self.window, self.eps = p, window, eps
        self.detach_scale, self.gain_floor = detach_scale, gain_floor
        self.gains: Tensor | None = None

    def forward(self, y: Tensor) -> Tensor:
        # The formula alone would leave sqrt(eps) of noise in a batch of one.
        if not self.training or y.shape[0] == 1:
            return y
        coins = torch.rand(y.shape[1:-2]) < self.p
        if not bool(coins.any()):
            return y
        gain, offset = self._affine(y)
        disturbed = (y * gain + offset).to(y.dtype)
        return torch.where(self._window(y) & coins[..., None, None].to(y.device), disturbed, y)

    def _affine(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Gain and offset (B, ..., C, 1) of the whole sequence, in float32 at least."""
        wide = y.float() if y.dtype in (torch.bfloat16, torch.float16) else y
        variance, mean = torch.var_mean(wide, -1, correction=0, keepdim=True)
        spread = (variance + self.eps).sqrt()
        scales = [(v.var(0, correction=0, keepdim=True) + self.eps).sqrt() for v in (mean, spread)]
        of_mean, of_spread = (s.detach() if self.detach_scale else s for s in scales)
        first, second = (torch.randn(mean.shape).to(mean) for _ in range(2))
        gain = (spread + second * of_spread) / spread
        self.gains = gain.detach()
        if self.gain_floor is not None:
            gain = gain.clamp(min=self.gain_floor)
        return gain, mean + first * of_mean - gain * mean

    def _window(self, y: Tensor) -> Tensor:
        """Which tokens are disturbed, (B, ..., 1, L)."""
        length = y.shape[-1]
        size = max(1, int(self.window * length))
        shape = (*y.shape[:-2], 1, 1)
        start = torch.randint(length - size + 1, shape).to(y.device)
        place = torch.arange(length, device=y.device)
        return (place >= start) & (place < start + size)


class TokenSequences(nn.Identity):
    """Lets sequences (B, ..., C, L) pass as a network scans them: a place for :class:`TokenStyle`."""


def attach_token_style(net: nn.Module, **keywords: Any) -> list[TokenStyle]:
    """Put a :class:`TokenStyle` behind every :class:`TokenSequences` of a network, else behind its encoder stages.

    Stages are the entries of a list called ``encoders`` or ``stages``; their maps become sequences row by row. The
    network's weights, their names and its answers in eval mode stay the same; copies of it carry copies of the noise.

    Args:
        net: the network, changed in place.
        keywords: of :class:`TokenStyle`.

    Returns:
        One for each place, so that gains can be logged.

    Raises:
        UsageError: the network has neither.

    Example:
        >>> from leanseg.nets.unet import UNet
        >>> len(attach_token_style(UNet(widths=(4, 8, 16)), p=0.5))
        3
    """
    places: list[nn.Module] = [module for module in net.modules() if isinstance(module, TokenSequences)]
    places = places or _encoder_stages(net)
    if not places:
        wanted = "token sequences or a list of encoder stages called 'encoders' or 'stages'"
        found = f"expected {wanted}, found none in {type(net).__name__}"
        advice = """choose another net, or leave it out with --method-keywords '{"token_style": false}'"""
        raise UsageError(f"token style: {found}; {advice}")
    styles = [TokenStyle(**keywords) for _ in places]
    # As a part of the network it follows train() and eval(), and a copied hook belongs to the copied part.
    net.add_module("token_styles", nn.ModuleList(styles))
    for place, style in zip(places, styles, strict=True):
        place.register_forward_hook(_Hook(style))
    return styles


def without_token_style(net: nn.Module) -> nn.Module:
    """A copy of a network from which every :class:`TokenStyle` that was attached, if any, is taken off again.

    Example:
        >>> from leanseg.nets.unet import UNet
        >>> net = UNet(widths=(4, 8))
        >>> styles = attach_token_style(net)
        >>> any(isinstance(part, TokenStyle) for part in without_token_style(net).modules())
        False
    """
    net = copy.deepcopy(net)
    for module in net.modules():
        for key in [key for key, hook in module._forward_hooks.items() if isinstance(hook, _Hook)]:
            del module._forward_hooks[key]
    if hasattr(net, "token_styles"):
        del net.token_styles
    return net


class _Hook:
    """What a stage gives, disturbed."""

    def __init__(self, style: TokenStyle) -> None:
        self.style = style

    def __call__(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:  # noqa: ARG002
        if not self.style.training:
            return output
        tokens = output if isinstance(module, TokenSequences) else output.flatten(2)
        disturbed: Tensor = self.style(tokens)
        return disturbed.view_as(output)


def _encoder_stages(net: nn.Module) -> list[nn.Module]:
    lists = [part for name, part in net.named_modules() if name.split(".")[-1] in ("encoders", "stages")]
    stages = [stage for part in lists if isinstance(part, nn.ModuleList) for stage in part]
    return [stage[-1] if isinstance(stage, nn.ModuleList) else stage for stage in stages]
