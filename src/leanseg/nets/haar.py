"""Low and high frequencies of images as further inputs of a network: one level of Haar wavelets."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from leanseg.nets.padding import crop_to


def haar(x: Tensor) -> tuple[Tensor, ...]:
    """The orthonormal Haar bands of an image or volume, each of half its size.

    Args:
        x: (N, C, H, W) or (N, C, D, H, W); odd sizes repeat their last row.

    Returns:
        LL, LH, HL, HH, or LLL, LLH, ... HHH: 2 ** dims bands (N, C, *ceil(spatial / 2)). The letters stand for the last
        axis first, so that LH is the difference of rows.

    Source:
        Haar, 1910. Cells [[a, b], [c, d]]: LL = (a+b+c+d)/2, LH = (a+b-c-d)/2, HL = (a-b+c-d)/2, HH = (a-b-c+d)/2.

    Example:
        >>> [band.item() for band in haar(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))]
        [5.0, -2.0, -1.0, 0.0]
    """
    dims = x.ndim - 2
    missing = [x.shape[axis] % 2 for axis in range(x.ndim - 1, 1, -1)]
    if any(missing):
        x = F.pad(x, [pad for size in missing for pad in (0, size)], mode="replicate")
    # Scaled once: in 2-D by exactly one half.
    bands = [x * 2 ** (-dims / 2)]
    for axis in range(x.ndim - 1, 1, -1):
        cells = [(_every_second(band, axis, 0), _every_second(band, axis, 1)) for band in bands]
        bands = [part for first, second in cells for part in (first + second, first - second)]
    return tuple(bands)


def min_max(x: Tensor) -> Tensor:
    """Each image of a batch stretched to [0, 1], all its channels alike; a constant one gives 0.

    Args:
        x: (N, C, *spatial).

    Source:
        XNet v2: N(x) = (x - min) / (max - min + 1e-6).

    Example:
        >>> min_max(torch.tensor([[[2.0, 4.0]], [[3.0, 3.0]]])).round(decimals=3).tolist()
        [[[0.0, 1.0]], [[0.0, 0.0]]]
    """
    axes = tuple(range(1, x.ndim))
    least, most = x.amin(axes, keepdim=True), x.amax(axes, keepdim=True)
    return (x - least) / (most - least + 1e-6)


def low_and_high(x: Tensor, *, alpha: float, beta: float) -> tuple[Tensor, Tensor]:
    """An image's low frequencies with some of the high ones, and the reverse.

    Args:
        x: (N, C, *spatial).
        alpha: share of the high frequencies in the low ones.
        beta: share of the low frequencies in the high ones.

    Returns:
        Two images (N, C, *spatial). What they show does not depend on the brightness and contrast of ``x``, but on its
        frame: minimum and maximum are those of the whole image.

    Source:
        XNet v2: low = N(LL), high = N(sum of N(detail)), up(N(low + alpha high)) and up(N(high + beta low)).

    Example:
        >>> low, high = low_and_high(torch.eye(4)[None, None], alpha=0.2, beta=0.65)
        >>> low.shape == high.shape == (1, 1, 4, 4)
        True
    """
    smooth, *details = haar(x)
    low, high = min_max(smooth), min_max(torch.stack([min_max(band) for band in details]).sum(0))
    mode = "bilinear" if x.ndim == 4 else "trilinear"

    def full(band: Tensor) -> Tensor:
        # Twice the size and cropped, not resized to an odd size: pixels stay where their cells are.
        twice = F.interpolate(min_max(band), scale_factor=2, mode=mode, align_corners=False)
        return crop_to(twice, x.shape[2:])

    return full(low + alpha * high), full(high + beta * low)


def _every_second(x: Tensor, axis: int, start: int) -> Tensor:
    index = [slice(None)] * x.ndim
    index[axis] = slice(start, None, 2)
    return x[tuple(index)]
