"""Another scanner, drawn at random: brightness curve, brightness, contrast and colour of each image change."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class RandomAppearance(nn.Module):
    """Changes the look of each image of a batch; pixels stay in place.

    Between an image's own darkest and brightest value, as 0 and 1: a gamma curve, a factor for each channel, contrast
    around the mean, brightness, and a cut at 0 and 1.

    Args:
        gamma: largest factor by which the exponent of the curve is above or below 1.
        gain: largest change of a channel's factor from 1.
        contrast: likewise of the contrast.
        brightness: largest value added.

    Shape:
        (N, C, *spatial) -> the same, within the range of each image.

    Source:
        Ours: what a learnt change of appearance has to beat.

    Example:
        >>> image = torch.rand(2, 3, 8, 8)
        >>> changed = RandomAppearance()(image)
        >>> changed.shape == image.shape, bool(changed.amax() <= image.amax()), bool((changed != image).any())
        (True, True, True)
    """

    def __init__(
        self, *, gamma: float = 2.0, gain: float = 0.2, contrast: float = 0.4, brightness: float = 0.2
    ) -> None:
        super().__init__()
        self.gamma, self.gain, self.contrast, self.brightness = gamma, gain, contrast, brightness

    def forward(self, image: Tensor) -> Tensor:
        unit, low, span = unit_range(image)
        single = (len(image), *[1] * (image.ndim - 1))
        channels = (*image.shape[:2], *[1] * (image.ndim - 2))
        curve = (math.log(self.gamma) * self._draw(single)).exp().to(image)
        bent = unit**curve * (1 + self.gain * self._draw(channels).to(image))
        mean = bent.flatten(1).mean(1).view(single)
        contrast = 1 + self.contrast * self._draw(single).to(image)
        changed = mean + contrast * (bent - mean) + self.brightness * self._draw(single).to(image)
        return changed.clamp(0, 1) * span + low

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        """Even in [-1, 1]."""
        return 2 * torch.rand(shape) - 1


def unit_range(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each image of a batch brought to [0, 1], its least value, and the range it had; a constant image becomes 0.

    Args:
        image: (N, C, *spatial).

    Returns:
        (N, C, *spatial), and twice (N, 1, ...).

    Example:
        >>> unit, low, span = unit_range(torch.tensor([[[[2.0, 4.0]]]]))
        >>> unit.flatten().tolist(), low.item(), span.item()
        ([0.0, 1.0], 2.0, 2.0)
    """
    flat = image.flatten(1)
    single = (len(image), *[1] * (image.ndim - 1))
    low, high = flat.amin(1).view(single), flat.amax(1).view(single)
    span = high - low
    return (image - low) / span.clamp_min(torch.finfo(image.dtype).tiny), low, span
