"""Which masks a person should look at: a traffic light with its reason."""

from __future__ import annotations

from typing import Literal

from leanseg.types import Expected, Quality

Light = Literal["look first", "look", "fine", "unknown"]

ORDER: tuple[Light, ...] = ("look first", "look", "unknown", "fine")
"""From what needs a person most."""


LEAST = 0.5
"""However poor a model is: a mask of which half may be wrong is not fine."""


def light(expected: Expected, quality: Quality, *, below: float | None = None) -> tuple[Light, str]:
    """Whether a mask needs a person, and why.

    Args:
        expected: of one class.
        quality: of the image.
        below: the Dice that is good enough; by default what nine of ten validation images can be trusted to reach, and
            at least 0.5.

    Example:
        >>> light(Expected(value=0.9, low=0.85, high=0.95), Quality(dice={}), below=0.8)
        ('fine', '')
        >>> light(Expected(value=0.82, low=0.7, high=0.94), Quality(dice={}), below=0.8)
        ('look', 'Dice may be as low as 0.70')
    """
    wanted = below if below is not None else max(expected.usual or 0.0, LEAST)
    if quality.unlike:
        return "look first", f"unlike the training images: {', '.join(quality.reasons)}"
    if expected.value is None:
        return ("look first" if expected.usual is not None else "unknown"), expected.note
    if expected.value < wanted:
        return "look first", f"expected Dice {expected.value:.2f}"
    if expected.low is None:
        return "look", expected.note
    if expected.low < wanted:
        return "look", f"Dice may be as low as {expected.low:.2f}"
    return "fine", ""


def urgency(found: str, value: float | None) -> tuple[int, float]:
    """A key that sorts masks by how much they need a person.

    Args:
        found: the light.
        value: the low end of the expected Dice, or the Dice itself; None where neither is known.

    Example:
        >>> sorted([("fine", 0.9), ("look", 0.7), ("look first", None)], key=lambda pair: urgency(*pair))
        [('look first', None), ('look', 0.7), ('fine', 0.9)]
    """
    return [str(known) for known in ORDER].index(found), -1.0 if value is None else value
