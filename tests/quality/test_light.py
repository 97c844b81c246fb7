"""The traffic light: every rule, and the order of what needs a person."""

from __future__ import annotations

import pytest

from leanseg.quality.light import ORDER, light
from leanseg.types import Expected, Quality

GOOD = Expected(value=0.9, low=0.85, high=0.95, usual=0.8)
KNOWN, OTHER = Quality(dice={}, unlike=False), Quality(dice={}, unlike=True, reasons=("darker (grey)", "noisy"))


@pytest.mark.parametrize(
    ("expected", "quality", "below", "wanted"),
    [
        (GOOD, KNOWN, None, "fine"),
        (GOOD, KNOWN, 0.88, "look"),
        (GOOD, KNOWN, 0.92, "look first"),
        (GOOD, OTHER, None, "look first"),
        (Expected(value=0.9, low=0.7, high=1.0, usual=0.8), KNOWN, None, "look"),
        (Expected(value=0.9, low=0.7, high=1.0, usual=0.8), KNOWN, 0.6, "fine"),
        (Expected(value=0.7, low=0.6, high=0.8, usual=0.8), KNOWN, None, "look first"),
        (Expected(value=0.7, low=0.4, high=0.9, usual=0.0), KNOWN, None, "look"),
        (Expected(value=0.4, low=0.1, high=0.6, usual=0.0), KNOWN, None, "look first"),
        (Expected(value=0.9, usual=0.8, note="interval unavailable"), KNOWN, None, "look"),
        (Expected(usual=0.8, note="nothing was found"), KNOWN, None, "look first"),
        (Expected(note="this model does not know"), Quality(dice={}), None, "unknown"),
    ],
)
def test_rules(expected: Expected, quality: Quality, below: float | None, wanted: str) -> None:
    found, why = light(expected, quality, below=below)
    assert found == wanted
    assert bool(why) == (wanted != "fine")


def test_an_unlike_image_is_named_with_its_reasons() -> None:
    assert light(GOOD, OTHER)[1] == "unlike the training images: darker (grey), noisy"


def test_all_lights_have_a_place() -> None:
    assert set(ORDER) == {"look first", "look", "unknown", "fine"}
    assert ORDER[0] == "look first" and ORDER[-1] == "fine"
