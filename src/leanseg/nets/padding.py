"""Any image size for nets that halve the resolution: pad by reflection at the bottom and right, crop the answer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from leanseg.nets._tracing import is_tracing


def pad_to_multiple(x: Tensor, divisor: int) -> Tensor:
    """Reflect the last rows and columns until every spatial size is a multiple of ``divisor``.

    Args:
        x: (N, C, *spatial).
        divisor: pixels.

    Returns:
        (N, C, *spatial) of the padded size; ``x`` itself where nothing is missing. An axis of one pixel is repeated.

    Example:
        >>> pad_to_multiple(torch.tensor([[[[0.0, 1.0, 2.0]]]]), 4)[0, 0, 0].tolist()
        [0.0, 1.0, 2.0, 1.0]
    """
    for axis in range(2, x.ndim):
        size = x.shape[axis]
        index = torch.arange(size + (-size) % divisor, device=x.device)
        # An exported graph must not depend on the size it was made with.
        if is_tracing() or len(index) != size:
            last = size - 1
            x = x.index_select(axis, (last - (last - index).abs()).abs().clamp(max=last))
    return x


def crop_to(x: Tensor, size: Sequence[int]) -> Tensor:
    """The first rows and columns, (N, C, *size), undoing :func:`pad_to_multiple`."""
    for axis, length in enumerate(size, start=2):
        x = x.narrow(axis, 0, length)
    return x
