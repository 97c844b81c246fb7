"""What a program has to know of an exported model: its classes, its licence and what goes in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from leanseg import __version__
from leanseg.bundle import Bundle, Part
from leanseg.images.preprocess import COLOURS

AXES = {2: ("height", "width"), 3: ("depth", "height", "width")}


def about_model(bundle: Bundle) -> dict[str, Any]:
    """Facts about a model as one graph.

    Example:
        >>> from leanseg.bundle import read_bundle
        >>> facts = about_model(read_bundle("vessels"))
        >>> facts["image"], facts["classes"]
        ('uint8 (1, height, width, 3 or more): red, green, blue first', ('vessel',))
    """
    settings = bundle.preprocessing
    windows = [part.window for part in bundle.parts if part.window is not None and part.halo is None]
    return {
        **_about(bundle),
        "image": _image(bundle),
        "channels": settings.channels,
        "window": settings.window,
        "normalise": settings.normalise,
        "field_of_view": settings.field_of_view,
        "diameter": settings.diameter,
        "longest": settings.longest,
        "largest": min(windows, default=None),
        "not_in_graph": _missing(bundle),
    }


def about_network(bundle: Bundle, part: Part) -> dict[str, Any]:
    """Facts about one network by itself, from normalised pixels to logits.

    Example:
        >>> from leanseg.bundle import read_bundle
        >>> bundle = read_bundle("vessels")
        >>> about_network(bundle, bundle.parts[0])["divisor"]
        4
    """
    inside = {"temperature": part.temperature, "divisor": part.divisor, "halo": part.halo, "window": part.window}
    return {**_about(bundle), **inside, "preprocessing": bundle.preprocessing.to_dict()}


def as_text(facts: Mapping[str, Any]) -> dict[str, str]:
    """Facts as formats keep them that know only text: words as they are, all else as JSON.

    Example:
        >>> as_text({"name": "vessels", "thresholds": (0.5,), "window": None})
        {'name': 'vessels', 'thresholds': '[0.5]', 'window': 'null'}
    """
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()}


def takes_bytes(bundle: Bundle) -> bool:
    """Whether the graph takes pictures of 8 bits; else float32 in the unit of the file."""
    settings = bundle.preprocessing
    return _named(bundle) and settings.window is None and settings.values == "bytes"


def takes_colours(bundle: Bundle) -> bool:
    """Whether the graph takes red, green and blue and chooses among them; else the channels of the model alone."""
    return takes_bytes(bundle) or (_named(bundle) and bundle.preprocessing.channels != ("grey",))


def _named(bundle: Bundle) -> bool:
    return bundle.parts[0].dims == 2 and set(bundle.preprocessing.channels) <= {*COLOURS, "grey"}


def _about(bundle: Bundle) -> dict[str, Any]:
    classes = bundle.classes
    return {
        "name": bundle.name,
        "leanseg": __version__,
        "data_licence": bundle.data_licence,
        "classes": classes.names,
        # Of classes that exclude each other the most probable one wins, the background being what they leave.
        "thresholds": bundle.threshold if classes.sigmoid else None,
        "values": classes.values,
        "overlapping": classes.overlapping,
        "single_object": classes.single_object,
    }


def _image(bundle: Bundle) -> str:
    batch = "N" if bundle.preprocessing.field_of_view == "none" else "1"
    lead = ", ".join((batch, *AXES[bundle.parts[0].dims]))
    if takes_colours(bundle):
        return f"{'uint8' if takes_bytes(bundle) else 'float32'} ({lead}, 3 or more): red, green, blue first"
    return f"float32 ({lead}, {len(bundle.preprocessing.channels)}), in the unit of the file"


def _missing(bundle: Bundle) -> list[str]:
    """What is left to the program around the graph."""
    steps = {
        "find the field of view and give it as valid": bundle.preprocessing.field_of_view == "fundus",
        "part images larger than memory into tiles": True,
        "keep only the largest connected piece of each class": bundle.classes.single_object,
    }
    return [step for step, needed in steps.items() if needed]
