"""A whole model as one ONNX graph: from the pixels of a file to calibrated probabilities."""

from __future__ import annotations

import math

import numpy as np

from leanseg.bundle import Bundle, Part
from leanseg.errors import UsageError
from leanseg.export.graph import Graph
from leanseg.export.metadata import AXES, about_model, as_text, takes_bytes, takes_colours
from leanseg.export.resampling import resample, scale_to_diameter, scale_to_longest, scaled
from leanseg.export.statistics import affine, sizes
from leanseg.images.preprocess import COLOURS, LUMA, Preprocessing


def end_to_end(bundle: Bundle) -> bytes:
    """Write a model with its preprocessing as one graph.

    Input ``image``: (N, H, W, C), as pictures lie in memory; (N, D, H, W, C) for volumes. Models of colours take whole
    numbers of 8 bits, red, green, blue and whatever follows (an alpha channel counts nothing); a grey picture is given
    as three equal channels. Others take float32 in the unit of the file. Models with a round field of view take one
    image at a time and a second input ``valid``: (1, H, W), 8 bits, 1 where pixels count. Output ``probabilities``:
    (N, K, H, W), of the size of the image, 0 where pixels do not count.

    The metadata of the graph (:func:`about_model`) names what it leaves out.

    Args:
        bundle: in a folder, every part with its ONNX graph.

    Returns:
        The file's contents.

    Raises:
        MissingExtra: onnx is not installed.
        UsageError: the model's preprocessing cannot be a graph.
    """
    if bundle.preprocessing.clahe is not None:
        msg = f"the model {bundle.name} equalises lightness (CLAHE), which an ONNX graph cannot do"
        raise UsageError(f"{msg}. Run it with leanseg, or train one without --clahe")
    dims, settings = bundle.parts[0].dims, bundle.preprocessing
    axes: list[str | int] = [*AXES[dims]]
    graph = Graph()
    batch = "batch" if settings.field_of_view == "none" else 1
    pixels = _select(graph, bundle, [batch, *axes])
    valid = None
    if settings.field_of_view == "fundus":
        given = graph.cast(graph.input("valid", np.uint8, [batch, *axes]), np.bool_)
        valid = graph.add("Unsqueeze", graph.cast(given, np.float32), graph.whole(1))
    before = sizes(graph, pixels, dims)
    after = _grid(graph, settings, valid, before)
    pixels = _normalise(graph, settings.normalise, pixels, valid, (before, after))
    pixels = _pad(graph, pixels, after, math.lcm(*(part.divisor for part in bundle.parts)))
    mean = _mean(graph, bundle, pixels)
    within = graph.add("Concat", *after, axis=0)
    mean = graph.add("Slice", mean, graph.whole(*[0] * dims), within, graph.whole(*range(2, 2 + dims)))
    mean = mean if after is before else resample(graph, mean, after, before)
    mean = mean if valid is None else graph.add("Mul", mean, valid)
    graph.output("probabilities", mean, [batch, len(bundle.classes.names), *axes])
    return graph.serialised(as_text(about_model(bundle)))


def _select(graph: Graph, bundle: Bundle, lead: list[str | int]) -> str:
    """The channels of the network, clipped to the window: (N, C, *spatial) float32."""
    names, axis = bundle.preprocessing.channels, len(lead)
    last: str | int = "channels" if takes_colours(bundle) else len(names)
    value = graph.input("image", np.uint8 if takes_bytes(bundle) else np.float32, [*lead, last])
    if takes_bytes(bundle):
        value = graph.cast(value, np.float32)
    if takes_colours(bundle):
        value = graph.add("Slice", value, graph.whole(0), graph.whole(3), graph.whole(axis))
        columns = [LUMA if name == "grey" else np.eye(3)[COLOURS.index(name)] for name in names]
        value = graph.add("MatMul", value, graph.constant(np.stack(columns, axis=1)))
    value = graph.add("Transpose", value, perm=[0, axis, *range(1, axis)])
    window = bundle.preprocessing.window
    return value if window is None else graph.add("Clip", value, graph.constant(window[0]), graph.constant(window[1]))


def _grid(graph: Graph, settings: Preprocessing, valid: str | None, before: list[str]) -> list[str]:
    """The sizes at which the network sees the image; ``before`` itself where nothing is resized."""
    if settings.diameter is not None and valid is not None:
        scale = scale_to_diameter(graph, valid, before, settings.diameter)
    elif settings.longest is not None and len(before) == 2:
        scale = scale_to_longest(graph, before, settings.longest)
    else:
        return before
    return [scaled(graph, size, scale) for size in before]


def _normalise(graph: Graph, kind: str, pixels: str, valid: str | None, grids: tuple[list[str], list[str]]) -> str:
    """Normalised pixels on the network's grid, 0 where they are not valid."""
    before, after = grids
    affine_of = None if kind == "none" else affine(graph, kind, pixels, valid, dims=len(before))
    if after is not before:
        pixels = resample(graph, pixels, before, after)
    if affine_of is not None:
        pixels = graph.add("Div", graph.add("Sub", pixels, affine_of[0]), affine_of[1])
    if valid is None:
        return pixels
    if after is not before:
        cover = graph.add("GreaterOrEqual", resample(graph, valid, before, after), graph.constant(0.5))
        valid = graph.cast(cover, np.float32)
    return graph.add("Mul", pixels, valid)


def _mean(graph: Graph, bundle: Bundle, pixels: str) -> str:
    """The calibrated probabilities of all networks, averaged."""
    answers = []
    for number, part in enumerate(bundle.parts):
        assert part.onnx is not None
        logits = graph.insert(bundle.path(part.onnx).read_bytes(), pixels, prefix=f"part{number}/")
        answers.append(_probabilities(graph, logits, part, bundle))
    return graph.add("Mean", *answers)


def _pad(graph: Graph, pixels: str, spatial: list[str], divisor: int) -> str:
    """Mirror the last rows and columns until the sizes are multiples of the divisor."""
    if divisor == 1:
        return pixels
    unit, zero, step = graph.whole(divisor), graph.constant(0, np.int64), graph.constant(1, np.int64)
    for axis, size in enumerate(spatial, start=2):
        missing = graph.add("Mod", graph.add("Sub", unit, graph.add("Mod", size, unit)), unit)
        places = graph.add("Range", zero, graph.add("Squeeze", graph.add("Add", size, missing)), step)
        # There and back again: unlike the operator Pad this also serves pictures smaller than the padding.
        turn = graph.add("Mul", graph.add("Sub", size, graph.whole(1)), graph.whole(2))
        turn = graph.add("Max", turn, graph.whole(1))
        along = graph.add("Mod", places, turn)
        pixels = graph.add("Gather", pixels, graph.add("Min", along, graph.add("Sub", turn, along)), axis=axis)
    return pixels


def _probabilities(graph: Graph, logits: str, part: Part, bundle: Bundle) -> str:
    temperature = np.reshape(part.temperature, (1, -1, *[1] * part.dims))
    calibrated = graph.add("Div", logits, graph.constant(temperature))
    if bundle.classes.sigmoid:
        return graph.add("Sigmoid", calibrated)
    # The background, which comes first, is what the others leave.
    return graph.add(
        "Slice", graph.add("Softmax", calibrated, axis=1), graph.whole(1), graph.whole(255), graph.whole(1)
    )
