"""Another scanner, learnt: a small network that changes the look of dark images (GVA)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from leanseg.errors import UsageError


class GlobalAppearance(nn.Module):
    """Brightens or recolours what is dark, by a change that the segmentation loss teaches; nothing makes it diverse.

    The convolution in the middle is one and the same three times. Groups of one channel instead of batch
    normalisation: an image looks alike whatever stands beside it, in training and afterwards.

    Args:
        channels: of the image, C.
        threshold: images whose mean is below it are changed.
        p: share of these that are.

    Attributes:
        change: mean difference of the images that were changed last; near 0 the network has become the identity.

    Raises:
        UsageError: p is no share.

    Shape:
        (N, C, H, W) in [0, 1] -> the same.

    Source:
        Mamba-Sea, arXiv 2504.17515, which normalises by batches.

    Example:
        >>> bright = torch.full((1, 3, 8, 8), 0.9)
        >>> bool((GlobalAppearance(channels=3)(bright) == bright).all())
        True
    """

    def __init__(self, *, channels: int, threshold: float = 0.4, p: float = 0.8) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise UsageError(f"global appearance: expected p from 0 to 1, found {p}")
        self.threshold, self.p = threshold, p
        convolution: dict[str, Any] = {"kernel_size": 3, "padding": 1}
        self.enter = nn.Sequential(nn.Conv2d(channels, channels, **convolution), nn.ReLU())
        norm = nn.GroupNorm(channels, channels)
        self.middle = nn.Sequential(nn.Conv2d(channels, channels, **convolution), norm, nn.ReLU())
        self.leave = nn.Sequential(nn.Conv2d(channels, channels, **convolution), nn.Sigmoid())
        self.change: Tensor | None = None

    def forward(self, image: Tensor) -> Tensor:
        coins = torch.rand(len(image)).to(image.device) < self.p
        chosen = (image.flatten(1).mean(1) < self.threshold) & coins
        if not bool(chosen.any()):
            # Several processes wait for a gradient of every parameter from each of them.
            return image + 0 * torch.stack([p.sum() for p in self.parameters()]).sum()
        changed = self._changed(image[chosen])
        self.change = (changed.detach() - image[chosen]).abs().mean()
        return image.index_put((chosen.nonzero()[:, 0],), changed)

    def _changed(self, image: Tensor) -> Tensor:
        hidden = self.enter(image)
        for _ in range(3):
            hidden = hidden + self.middle(hidden)
        moved = image + self.leave(hidden)
        low, high = (moved.flatten(1).aminmax(dim=1)[end].view(-1, 1, 1, 1) for end in (0, 1))
        unit: Tensor = (moved - low) / (high - low).clamp_min(torch.finfo(moved.dtype).eps)
        return unit.clamp_min(1e-4)
