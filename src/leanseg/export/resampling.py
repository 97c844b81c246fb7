"""Resizing as nodes of a graph: the triangle filter of ``leanseg.images.resample``, as matrices of weights."""

from __future__ import annotations

import numpy as np

from leanseg.export.graph import Graph
from leanseg.images.field_of_view import RIM
from leanseg.images.preprocess import TOLERANCE

COVER = (0.05, 0.97)
"""A field of view that covers less or more has no edge that could be found: the picture's diagonal is its diameter."""


def resample(graph: Graph, values: str, before: list[str], after: list[str]) -> str:
    """Bring pictures to another size.

    Args:
        graph: nodes are added to it.
        values: (N, C, H, W).
        before: H and W, whole numbers (1,).
        after: the wanted height and width.
    """
    rows, columns = (_weights(graph, *pair) for pair in zip(before, after, strict=True))
    return graph.add("MatMul", graph.add("MatMul", rows, values), graph.add("Transpose", columns, perm=[1, 0]))


def scaled(graph: Graph, size: str, scale: str) -> str:
    """A size, (1,), times a factor, at least one pixel."""
    grown = graph.cast(graph.add("Round", graph.add("Mul", graph.cast(size, np.float32), scale)), np.int64)
    return graph.add("Max", grown, graph.whole(1))


def scale_to_longest(graph: Graph, spatial: list[str], longest: int) -> str:
    """The factor, (1,), by which the longer side of larger pictures shrinks to ``longest`` pixels."""
    side = graph.cast(graph.add("Max", *spatial), np.float32)
    return graph.add("Min", graph.add("Div", graph.constant([longest]), side), graph.constant([1.0]))


def scale_to_diameter(graph: Graph, valid: str, spatial: list[str], diameter: float) -> str:
    """The factor, (1,), after which a round field of view has a diameter in pixels.

    Args:
        graph: nodes are added to it.
        valid: (1, 1, H, W) of 0 and 1, a disc that may be cut off on all sides but two opposite ones.
        spatial: H and W.
        diameter: what is wanted; a disc within 5 % of it stays as it is.
    """
    found = graph.add("Div", extent(graph, valid), graph.constant(1 - 2 * RIM))
    squares = [graph.add("Mul", side, side) for side in (graph.cast(size, np.float32) for size in spatial)]
    diagonal = graph.add("Sqrt", graph.add("Add", *squares))
    covered = graph.add("ReduceMean", valid, axes=[0, 1, 2, 3], keepdims=0)
    low, high = (graph.constant(bound) for bound in COVER)
    whole = graph.add("Or", graph.add("Less", covered, low), graph.add("Greater", covered, high))
    scale = graph.add("Div", graph.constant([diameter]), graph.add("Where", whole, diagonal, found))
    off = graph.add("Abs", graph.add("Sub", scale, graph.constant(1.0)))
    near = graph.add("LessOrEqual", off, graph.constant(TOLERANCE))
    return graph.add("Where", near, graph.constant(1.0), scale)


def extent(graph: Graph, valid: str) -> str:
    """Rows or columns, whichever are more, that (1, 1, H, W) of 0 and 1 reaches: (1,), at least 1."""
    lines = [
        graph.add("ReduceSum", graph.add("ReduceMax", valid, axes=[axis], keepdims=0), graph.whole(0, 1, 2), keepdims=0)
        for axis in (2, 3)
    ]
    return graph.add("Max", *lines, graph.constant([1.0]))


def _weights(graph: Graph, before: str, after: str) -> str:
    """(after, before): what each input pixel counts for each output pixel; rows sum to one."""
    half, one = graph.constant(0.5), graph.constant(1.0)
    ratio = graph.add("Div", graph.cast(before, np.float32), graph.cast(after, np.float32))
    places = graph.add("Sub", graph.add("Mul", graph.add("Add", indices(graph, after), half), ratio), half)
    last = graph.add("Sub", graph.cast(before, np.float32), one)
    places = graph.add("Max", graph.add("Min", places, last), graph.constant(0.0))
    off = graph.add("Abs", graph.add("Sub", graph.add("Unsqueeze", places, graph.whole(1)), indices(graph, before)))
    near = graph.add("Relu", graph.add("Sub", one, graph.add("Div", off, graph.add("Max", ratio, one))))
    return graph.add("Div", near, graph.add("ReduceSum", near, graph.whole(1)))


def indices(graph: Graph, number: str) -> str:
    """0, 1, ... below a whole number (1,), as float32."""
    end = graph.add("Squeeze", number)
    zero, step = graph.constant(0, np.int64), graph.constant(1, np.int64)
    return graph.cast(graph.add("Range", zero, end, step), np.float32)
