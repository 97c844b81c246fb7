"""An image as four sequences of tokens: by rows, by columns, and both from the end."""

from __future__ import annotations

import torch
from torch import Tensor


def cross_scan(*maps: Tensor) -> Tensor:
    """The sequences by rows, by columns, by rows from the end and by columns from the end.

    Args:
        maps: (N, H, W, C), one for all directions, or four in their order.

    Returns:
        (N, 4, H W, C).

    Source:
        VMamba, Liu et al., arXiv 2401.10166.

    Example:
        >>> cross_scan(torch.tensor([[[[1], [2]], [[3], [4]]]]))[0, :, :, 0].tolist()
        [[1, 2, 3, 4], [1, 3, 2, 4], [4, 3, 2, 1], [4, 2, 3, 1]]
    """
    rows, columns, rows_back, columns_back = maps if len(maps) > 1 else maps * 4
    ordered = (rows, columns.transpose(1, 2), rows_back.flip(1, 2), columns_back.transpose(1, 2).flip(1, 2))
    return torch.stack([x.flatten(1, 2) for x in ordered], 1)


def cross_merge(y: Tensor, height: int, width: int) -> Tensor:
    """The sum of four sequences that :func:`cross_scan` ordered, put back in the image's order.

    Args:
        y: (N, 4, H W, C).
        height: H.
        width: W.

    Returns:
        (N, H, W, C).

    Example:
        >>> x = torch.rand(1, 2, 3, 1)
        >>> bool(torch.allclose(cross_merge(cross_scan(x), 2, 3), 4 * x))
        True
    """
    ahead, back = y.chunk(2, 1)
    by_rows, by_columns = (ahead + back.flip(2)).unbind(1)
    count, channels = y.shape[0], y.shape[3]
    columns = by_columns.reshape(count, width, height, channels).transpose(1, 2)
    return by_rows.reshape(count, height, width, channels) + columns
