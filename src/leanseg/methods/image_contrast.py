"""Which images of a batch belong together: the same image, slices at one height, or images built alike.

A mask is (2N, 2N): the first views of N images, then their second views. Its diagonal is true; the loss ignores it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from leanseg.errors import UsageError


class Components(NamedTuple):
    """Images that chains of neighbours join.

    Args:
        mask: (2N, 2N) bool, which views are positives of one another.
        sizes: (K,) number of images in each component, before any was split.
        split: whether a component held more than half of the batch and was split into its images; worth a log line.
    """

    mask: Tensor
    sizes: Tensor
    split: bool


def instance_mask(count: int, *, positions: Tensor | None = None, threshold: float = 0.1) -> Tensor:
    """The two views of an image, and slices less than a threshold apart.

    Args:
        count: number of images, N.
        positions: (N,) relative index of each slice in its volume, from 0 to 1; None where images are no slices.
        threshold: slices nearer than this are positives.

    Returns:
        (2N, 2N) bool, on the CPU.

    Raises:
        UsageError: there are not N positions.

    Source:
        SuperCL, arXiv 2504.14737, section 3.3; the threshold is that of positional contrast, arXiv 2106.09157.

    Example:
        >>> instance_mask(3, positions=torch.tensor([0, 0.05, 0.2]))[0, :3].tolist()
        [True, True, False]
    """
    image = torch.arange(count).repeat(2)
    mask = image[:, None] == image
    if positions is None:
        return mask
    if positions.shape != (count,):
        raise UsageError(f"expected a position for each of {count} images, found shape {tuple(positions.shape)}")
    place = positions.detach().cpu().repeat(2)
    # Rounding must not decide about slices exactly one threshold apart, as tenths of a volume are.
    return mask | ((place[:, None] - place).abs() < threshold - 1e-6)


def superpixel_maps(
    features: Tensor,
    cells: Tensor,
    *,
    norm: Literal["region", "all"] = "region",
    values: Literal["centred", "raw"] = "centred",
) -> Tensor:
    """What an image looks like in coarse strokes: the mean over channels, averaged over each superpixel.

    Args:
        features: (N, C, h, w).
        cells: (N, h, w) region of each cell from 0, -1 for none; such cells are 0.
        norm: ``"region"`` divides the sum over a region by its cells, ``"all"`` (published) by all cells, so that large
            regions weigh more.
        values: ``"centred"`` first takes away each image's mean, without which all maps look alike; ``"raw"`` does not.

    Returns:
        (N, h w) float64 on the CPU, without gradient.

    Source:
        SuperCL, arXiv 2504.14737, average superpixel feature map.

    Example:
        >>> cells = torch.tensor([[[0, 0, 0], [1, 1, 1], [1, 1, 1]]])
        >>> superpixel_maps(torch.ones(1, 4, 3, 3), cells, norm="all", values="raw")[0, 0].item()
        0.333...
    """
    mean = features.detach().float().mean(1).flatten(1).cpu().double()
    labels = cells.cpu().flatten(1) + 1
    inside = (labels > 0).double()
    shown = mean * inside
    if values == "centred":
        shown -= inside * shown.sum(1, keepdim=True) / inside.sum(1, keepdim=True).clamp_min(1)
    empty = shown.new_zeros(len(shown), int(labels.max()) + 1)
    sums, sizes = empty.scatter_add(1, labels, shown), empty.scatter_add(1, labels, inside)
    maps = (sums / (sizes.clamp_min(1) if norm == "region" else labels.shape[1])).gather(1, labels)
    # What rounding leaves of a flat map would be as good a direction as any once its length is divided out.
    return maps.masked_fill(maps.abs() <= 1e-9 * mean.abs().amax(1, keepdim=True), 0)


def neighbour_edges(nearest: Tensor, *, graph: Literal["nn", "mutual"]) -> Tensor:
    """The undirected graph of nearest neighbours.

    Args:
        nearest: (V,) number of each vertex's nearest neighbour, -1 for none.
        graph: ``"nn"`` (published) joins a vertex and its neighbour, ``"mutual"`` only where it is the neighbour's
            neighbour as well, which makes no chains.

    Returns:
        (V, V) bool, symmetric.

    Example:
        >>> neighbour_edges(torch.tensor([1, 2, 1, 2]), graph="mutual").nonzero().tolist()
        [[1, 2], [2, 1]]
    """
    edges = nearest[:, None] == torch.arange(len(nearest), device=nearest.device)
    return edges & edges.T if graph == "mutual" else edges | edges.T


def joined_components(maps: Tensor, *, graph: Literal["nn", "mutual"] = "mutual") -> Components:
    """Connected components of images whose maps are nearest neighbours by cosine similarity.

    The views of an image are always joined and never each other's nearest neighbour; a map of zeros has no neighbour.
    Components with more than half of the images would leave nothing to be told apart: they are split into images.

    Args:
        maps: (2N, P), those of the first views, then those of the second.
        graph: see :func:`neighbour_edges`.

    Raises:
        UsageError: the number of maps is odd.

    Source:
        SuperCL, arXiv 2504.14737, connected components labelling; the published search may end at the other view.

    Example:
        >>> maps = torch.tensor([[1.0, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]]).repeat(2, 1)
        >>> joined_components(maps).mask[0].int().tolist(), joined_components(maps).sizes.tolist()
        ([1, 1, 0, 0, 1, 1, 0, 0], [2, 2])
    """
    if len(maps) % 2:
        raise UsageError(f"expected maps of two views of each image, found an odd number: {len(maps)}")
    count = len(maps) // 2
    views = instance_mask(count)
    maps = maps.detach().cpu()
    length = maps.norm(dim=1, keepdim=True)
    unit = maps / length.where(length > 0, 1)
    seen = (length > 0) & (length > 0).T & ~views
    similarity, nearest = (unit @ unit.T).masked_fill(~seen, -torch.inf).max(1)
    edges = neighbour_edges(nearest.where(similarity > -torch.inf, -1), graph=graph) | views
    labels = torch.from_numpy(connected_components(edges.numpy(), directed=False)[1]).long()
    sizes = labels.bincount() // 2
    # The only component of a single image is no chain.
    large = sizes > max(count / 2, 1)
    same = (labels[:, None] == labels) & ~large[labels]
    return Components(mask=same | views, sizes=sizes, split=bool(large.any()))
