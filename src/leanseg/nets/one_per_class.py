"""Several networks side by side, each of which answers for one class."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from leanseg import nets


class OnePerClass(nn.Module):
    """Networks of one kind that share nothing but the image; the k-th gives the k-th channel.

    Args:
        in_channels: channels of the image, C.
        classes: number of networks, K.
        net: registered name of each of them.
        net_keywords: their keywords, without ``in_channels`` and ``classes``.

    Shape:
        (N, C, *spatial) -> logits (N, K, *spatial).

    Example:
        >>> both = OnePerClass(in_channels=1, classes=2, net="mini-net", net_keywords={"widths": (4, 8)})
        >>> both(torch.zeros(1, 1, 8, 8)).shape, both.halo == both.nets[0].halo
        (torch.Size([1, 2, 8, 8]), True)
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        classes: int = 1,
        net: str = "deeplab-v3-plus",
        net_keywords: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        keywords = {**(net_keywords or {}), "in_channels": in_channels, "classes": 1}
        self.nets = nn.ModuleList(nets.create(net, **keywords) for _ in range(classes))
        first: Any = self.nets[0]
        self.dims: int = getattr(first, "dims", 2)
        self.divisor: int = getattr(first, "divisor", 1)
        self.halo: int | None = getattr(first, "halo", None)
        # One runs after the other: only their answers add up.
        self.bytes_per_pixel: int = getattr(first, "bytes_per_pixel", 1024) + 4 * classes

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([net(x) for net in self.nets], 1)

    @property
    def folded(self) -> Callable[[], OnePerClass]:
        """Gives a copy for use only, with equal outputs; there is none where the networks have none."""
        fold: list[Any] = [net.folded for net in self.nets]

        def copied() -> OnePerClass:
            net = copy.deepcopy(self).eval()
            net.nets = nn.ModuleList(one() for one in fold)
            return net

        return copied
