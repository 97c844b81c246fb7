"""Contrast inside an image: feature cells of one superpixel belong together, in both views."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from leanseg.losses.supervised_contrastive import supervised_contrastive

PER_REGION = 8
"""Most cells of one region among balanced positions."""


def cell_regions(regions: Tensor, size: tuple[int, int], *, purity: float = 0.6) -> Tensor:
    """The region that most pixels of each feature cell belong to.

    Args:
        regions: (N, H, W) integers from 0, -1 where there is none.
        size: (h, w) of the feature map, at most (H, W).
        purity: smallest share of a cell's pixels that its region needs; 0 names a region for every cell that has one.

    Returns:
        (N, h, w) int64, -1 where no region has its share.

    Source:
        SuperCL, arXiv 2504.14737, takes the nearest pixel's region instead, whatever the rest of the cell is.

    Example:
        >>> cell_regions(torch.tensor([[[0, 0, 1, 2], [0, 1, 2, 1]]]), (1, 2)).tolist()
        [[[0, -1]]]
    """
    count, height, width = regions.shape
    rows = torch.arange(height, device=regions.device) * size[0] // height
    columns = torch.arange(width, device=regions.device) * size[1] // width
    cells, labels = size[0] * size[1], int(regions.max().clamp_min(0)) + 2
    cell = rows[:, None] * size[1] + columns + cells * torch.arange(count, device=regions.device)[:, None, None]
    pixels = torch.bincount((cell * labels + regions + 1).flatten(), minlength=count * cells * labels)
    pixels = pixels.view(count, *size, labels)
    most, label = pixels[..., 1:].max(-1)
    return label.where((most > 0) & (most / pixels.sum(-1) >= purity), -1)


def random_positions(cells: Tensor, *, count: int = 128, balanced: bool = False) -> Tensor:
    """Cells of one image drawn without replacement, among those that have a region.

    Args:
        cells: (h, w) region of each cell, -1 for none.
        count: how many, or all where there are fewer.
        balanced: at most eight of a region, so that large ones do not outvote small ones.

    Returns:
        (U,) int64, numbers of cells row by row.

    Example:
        >>> random_positions(torch.tensor([[0, -1], [-1, 0]])).sort().values.tolist()
        [0, 3]
    """
    usable = (cells.flatten() >= 0).nonzero()[:, 0]
    drawn = usable[torch.randperm(len(usable)).to(usable.device)]
    if balanced:
        labels, order = cells.flatten()[drawn].sort(stable=True)
        sizes = labels.bincount()
        rank = torch.arange(len(drawn), device=drawn.device) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
        drawn = drawn[order[rank < PER_REGION].sort().values]
    return drawn[:count]


def strided_positions(cells: Tensor, *, stride: int) -> Tensor:
    """Every stride-th cell of one image, row by row, where it has a region: the published choice, for comparison.

    A stride that divides the width touches only a few columns, the border of the image among them.

    Args:
        cells: (h, w) region of each cell, -1 for none.
        stride: distance in cells.

    Returns:
        (U,) int64, numbers of cells row by row.

    Source:
        SuperCL, arXiv 2504.14737, public configuration.

    Example:
        >>> (strided_positions(torch.zeros(32, 32), stride=16) % 32).unique().tolist()
        [0, 16]
    """
    flat = cells.flatten()[::stride]
    return (flat >= 0).nonzero()[:, 0] * stride


def superpixel_contrast(
    first: Tensor, second: Tensor, cells: Tensor, positions: Sequence[Tensor], *, temperature: float = 0.1
) -> Tensor:
    """Mean over images of the contrast between the chosen cells of both views; one region's cells are positives.

    Args:
        first: (N, C, h, w) features of a view with the geometry of the regions.
        second: the same of another view.
        cells: (N, h, w) region of each cell.
        positions: the cells to compare for each image, N of (U,); without any, an image counts 0.
        temperature: divides the similarities.

    Returns:
        A scalar.

    Source:
        SuperCL, arXiv 2504.14737, intra-image local contrastive pairs.

    Example:
        >>> view, cells = torch.ones(1, 3, 2, 2), torch.tensor([[[0, 1], [2, 3]]])
        >>> round(float(superpixel_contrast(view, view, cells, [torch.arange(4)])), 6)
        2.779872
    """
    losses = []
    for one, other, label, at in zip(first, second, cells, positions, strict=True):
        vectors = torch.cat([view.flatten(1)[:, at].T for view in (one, other)])
        region = label.flatten()[at].repeat(2)
        losses.append(supervised_contrastive(vectors, region[:, None] == region, temperature=temperature))
    return torch.stack(losses).mean()


def variance_inside_regions(features: Tensor, cells: Tensor) -> Tensor:
    """Share of the variance of an image's features that lies inside its regions, the mean over images.

    Near 0, features tell regions apart and nothing else; near 1, they know nothing of the regions.

    Args:
        features: (N, C, h, w).
        cells: (N, h, w) region of each cell from 0, -1 for none; such cells are left out.

    Returns:
        A scalar without gradient; an image whose features are all alike counts 1.

    Example:
        >>> features, cells = torch.tensor([[[[0.0, 2.0, 4.0, 6.0]]]]), torch.tensor([[[0, 0, 1, 1]]])
        >>> variance_inside_regions(features, cells).item()
        0.2...
    """
    vectors = features.detach().float().flatten(2)
    labels = (cells.flatten(1) + 1)[:, None].expand_as(vectors)
    inside = (labels > 0).float()
    empty = vectors.new_zeros(*vectors.shape[:2], int(labels.max()) + 1)
    sizes = empty.scatter_add(2, labels, inside).clamp_min(1)
    means = (empty.scatter_add(2, labels, vectors * inside) / sizes).gather(2, labels)
    whole = (vectors * inside).sum(2, keepdim=True) / inside.sum(2, keepdim=True).clamp_min(1)
    within, total = (((vectors - mean) ** 2 * inside).sum((1, 2)) for mean in (means, whole))
    return torch.where(total > 0, within / total, 1).mean()
