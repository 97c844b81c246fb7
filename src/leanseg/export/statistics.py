"""The statistics of an image as nodes of a graph: the same low-resolution pass as ``leanseg.images.statistics``."""

from __future__ import annotations

import numpy as np

from leanseg.export.graph import Graph
from leanseg.export.resampling import extent, indices
from leanseg.images.statistics import LONG_SIDE

HUGE = 3e38
"""Above every pixel: what does not count is sorted to the end."""


def affine(graph: Graph, kind: str, pixels: str, valid: str | None, *, dims: int) -> tuple[str, str]:
    """What to subtract from each channel and what to divide it by.

    Args:
        graph: nodes are added to it.
        kind: "z-score" or "percentile".
        pixels: (N, C, *spatial).
        valid: (1, 1, H, W) of 0 and 1, whose rim does not count; None where every pixel does.
        dims: number of spatial axes.

    Returns:
        shift and divisor, (N, C, *1).
    """
    area, block = _areas(graph, pixels, dims)
    small = graph.add("Div", _block_sums(graph, pixels, block, dims), area)
    if valid is None:
        inside = graph.add("Div", area, area)
    else:
        cover = graph.add("Div", _block_sums(graph, valid, block, dims), area)
        inside = _eroded(graph, graph.cast(graph.add("GreaterOrEqual", cover, graph.constant(0.5)), np.float32))
    # An image without a valid pixel must give numbers all the same.
    total = graph.add("Max", _sum(graph, inside, dims), graph.constant(1.0))
    if kind == "z-score":
        shift, spread = _moments(graph, small, inside, total, dims)
    else:
        shift, spread = _percentiles(graph, small, inside, total, dims)
    least = graph.add("Mul", graph.add("Max", graph.add("Abs", shift), graph.constant(1.0)), graph.constant(1e-6))
    flat = graph.add("LessOrEqual", spread, least)
    return shift, graph.add("Where", flat, graph.constant(1.0), spread)


def sizes(graph: Graph, value: str, dims: int) -> list[str]:
    """Each spatial size as whole numbers, (1,)."""
    shape = graph.add("Shape", value)
    return [graph.add("Gather", shape, graph.whole(axis)) for axis in range(2, 2 + dims)]


def _areas(graph: Graph, pixels: str, dims: int) -> tuple[str, str]:
    """How many pixels each block has, (1, 1, *small), and the side of a block, (1,)."""
    spatial = sizes(graph, pixels, dims)
    longest = graph.add("Max", *spatial)
    block = graph.add("Max", graph.add("Div", longest, graph.whole(LONG_SIDE[dims])), graph.whole(1))
    ones = graph.add("Expand", graph.constant(1.0), graph.add("Concat", graph.whole(1, 1), *spatial, axis=0))
    return _block_sums(graph, ones, block, dims), block


def _block_sums(graph: Graph, value: str, block: str, dims: int) -> str:
    """Sums over square blocks, the last ones partial: (N, C, *small)."""
    spatial = sizes(graph, value, dims)
    missing = [graph.add("Mod", graph.add("Sub", block, graph.add("Mod", size, block)), block) for size in spatial]
    nothing = graph.whole(*[0] * (2 + dims + 2))
    padded = graph.add("Pad", value, graph.add("Concat", nothing, *missing, axis=0))
    parted = graph.whole(0, 0)
    for size in sizes(graph, padded, dims):
        parted = graph.add("Concat", parted, graph.add("Div", size, block), block, axis=0)
    split = graph.add("Reshape", padded, parted)
    return graph.add("ReduceSum", split, graph.whole(*range(3, 3 + 2 * dims, 2)), keepdims=0)


def _eroded(graph: Graph, valid: str) -> str:
    """(1, 1, H, W) without what lies within a hundredth of its extent from its edge, by a square."""
    reach = graph.add("Round", graph.add("Mul", extent(graph, valid), graph.constant(0.01)))
    reach = graph.add("Max", reach, graph.constant(1.0))
    outside = graph.add("Sub", graph.constant(1.0), valid)
    rows, columns = (_band(graph, size, reach) for size in sizes(graph, valid, 2))
    near = graph.add("MatMul", graph.add("MatMul", rows, outside), columns)
    inner = graph.cast(graph.add("Less", near, graph.constant(0.5)), np.float32)
    # A field that is all rim keeps it.
    some = graph.add("Greater", _sum(graph, inner, 2), graph.constant(0.5))
    return graph.add("Where", some, inner, valid)


def _band(graph: Graph, size: str, reach: str) -> str:
    """(size, size): 1 where row and column differ by no more than the reach."""
    places = indices(graph, size)
    off = graph.add("Abs", graph.add("Sub", graph.add("Unsqueeze", places, graph.whole(1)), places))
    return graph.cast(graph.add("LessOrEqual", off, reach), np.float32)


def _sum(graph: Graph, value: str, dims: int) -> str:
    """Over all spatial axes, one after the other, which keeps more digits than all at once."""
    for axis in range(1 + dims, 1, -1):
        value = graph.add("ReduceSum", value, graph.whole(axis))
    return value


def _moments(graph: Graph, small: str, inside: str, total: str, dims: int) -> tuple[str, str]:
    mean = graph.add("Div", _sum(graph, graph.add("Mul", small, inside), dims), total)
    off = graph.add("Mul", graph.add("Sub", small, mean), inside)
    variance = graph.add("Div", _sum(graph, graph.add("Mul", off, off), dims), total)
    return mean, graph.add("Sqrt", variance)


def _percentiles(graph: Graph, small: str, inside: str, total: str, dims: int) -> tuple[str, str]:
    """The 1st, and how far the 99th lies above it; between two pixels interpolated, as numpy does."""
    counted = graph.add("Where", graph.cast(inside, np.bool_), small, graph.constant(HUGE))
    flat = graph.add("Reshape", counted, graph.whole(0, 0, -1))
    length = graph.add("Gather", graph.add("Shape", flat), graph.whole(2))
    ordered = graph.sorted(flat, length)
    last = graph.add("Sub", graph.add("Reshape", total, graph.whole(0, 0, 1)), graph.constant(1.0))
    lead = graph.add("Slice", graph.add("Shape", flat), graph.whole(0), graph.whole(2))
    single = graph.add("Concat", lead, graph.whole(1), axis=0)
    ends = []
    for share in (0.01, 0.99):
        place = graph.add("Mul", last, graph.constant(share))
        below = graph.add("Floor", place)
        above = graph.add("Min", graph.add("Add", below, graph.constant(1.0)), last)
        low, high = (_pick(graph, ordered, where, single) for where in (below, above))
        step = graph.add("Mul", graph.add("Sub", high, low), graph.add("Sub", place, below))
        ends.append(graph.add("Reshape", graph.add("Add", low, step), graph.whole(0, 0, *[1] * dims)))
    return ends[0], graph.add("Sub", ends[1], ends[0])


def _pick(graph: Graph, ordered: str, place: str, shape: str) -> str:
    """The pixel at a place, (N, 1, 1), in each channel of (N, C, pixels): (N, C, 1)."""
    index = graph.add("Expand", graph.cast(place, np.int64), shape)
    return graph.add("GatherElements", ordered, index, axis=2)
