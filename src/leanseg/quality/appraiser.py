"""Everything that a model can say about one of its own answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leanseg.bundle import CONFIG, Bundle
from leanseg.errors import InputError
from leanseg.images.preprocess import Prepared
from leanseg.quality.appearance import appearance, appearance_names
from leanseg.quality.expected_dice import ExpectedDice
from leanseg.quality.likeness import Likeness
from leanseg.quality.traits import Traits
from leanseg.types import Expected, Quality

UNKNOWN = "this model does not know how good its masks are: too few images, or made by an older leanseg"


class Appraiser:
    """Judges answers by what a bundle stores; it needs neither labels nor training images.

    Args:
        bundle: the model; one without such figures leaves everything open.

    Raises:
        InputError: the figures are broken, or belong to other channels.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._names = bundle.classes.names
        settings = bundle.preprocessing
        # Normalised, an image of 8 bits is the same in 16; as it is, it would only look brighter.
        self._bytes = settings.values == "bytes" and settings.normalise != "none" and settings.window is None
        where = bundle.folder / CONFIG if bundle.folder else bundle.name
        try:
            self._dice = {name: ExpectedDice.from_dict(fields) for name, fields in bundle.quality.items()}
            self._likeness = Likeness.from_dict(bundle.reference) if bundle.reference else None
        except (TypeError, KeyError, AttributeError) as error:
            raise InputError(where, f"its quality is not readable ({error}). Copy the model again.") from error
        if self._likeness is not None and self._likeness.names != appearance_names(bundle.preprocessing.channels):
            raise InputError(where, "its reference measures other things than its channels. Train the model again.")

    def __call__(self, prepared: Prepared, traits: Sequence[Traits]) -> Quality:
        """Judge one image.

        Args:
            prepared: the image.
            traits: of each class of the model, in its order.
        """
        dice = {name: self._expect(name, seen) for name, seen in zip(self._names, traits, strict=True)}
        if self._likeness is None:
            return Quality(dice=dice)
        looks = appearance(prepared)
        if self._bytes and _kind(prepared) != np.uint8:
            looks = self._likeness.in_our_unit(looks)
        unlike, reasons = self._likeness(looks)
        return Quality(dice=dice, unlike=unlike, reasons=reasons)

    def _expect(self, name: str, traits: Traits) -> Expected:
        model = self._dice.get(name)
        return Expected(note=UNKNOWN) if model is None else model(traits)


def _kind(prepared: Prepared) -> np.dtype[Any]:
    source = prepared.source
    return source.read([slice(0, 1)] * source.dims).dtype
