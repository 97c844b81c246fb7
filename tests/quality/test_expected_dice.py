"""Applying a fitted expectation: intervals inside [0, 1], and notes instead of guesses."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from leanseg.quality.expected_dice import NOTHING, ExpectedDice
from leanseg.quality.traits import Traits


def model(**changes: object) -> ExpectedDice:
    fields: dict[str, object] = {
        "centre": (0.5, -2.0, 2.0, 1.0, 0.8), "scale": (0.1, 1.0, 0.5, 0.5, 0.1),
        "weights": (-0.1, 0.02, -0.05, -0.1, 0.1), "intercept": -0.05, "margin": 0.4, "confidence": 0.9,
        "patients": 30, "best": 1.0, "usual": 0.6,
    }  # fmt: skip
    return ExpectedDice.from_dict(fields | changes)


def traits(area: int = 50, entropy: float = 20.0, components: int = 1) -> Traits:
    inside = 0.9 * area
    return Traits(
        area=area, field=1000, inside=inside, total=1.1 * inside, entropy=entropy, border=40, components=components
    )


@given(st.integers(1, 1000), st.floats(0, 500), st.integers(1, 400), st.floats(0, 30))
def test_the_interval_holds_its_value_and_stays_in_range(area: int, entropy: float, pieces: int, margin: float) -> None:
    found = model(margin=margin)(traits(area, entropy, pieces))
    assert found.value is not None and found.low is not None and found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_nothing_better_is_expected_than_was_ever_seen() -> None:
    assert model(best=0.7, intercept=0.3)(traits()).value == 0.7


def test_poor_masks_have_wider_intervals_than_good_ones() -> None:
    good, poor = model()(traits()), model()(traits(entropy=60, components=4))
    assert good.value > poor.value
    assert good.high - good.low < poor.high - poor.low


def test_what_cannot_be_said_is_not_guessed() -> None:
    few = model(margin=None, patients=4)(traits())
    assert few.value is not None and few.low is None and few.high is None
    assert "interval unavailable" in few.note and "4 patients" in few.note
    empty = model()(Traits(area=0, field=1000, inside=0.0, total=3.0, entropy=9.0, border=0, components=0))
    assert (empty.value, empty.low, empty.note) == (None, None, NOTHING)


def test_it_survives_the_bundle() -> None:
    assert ExpectedDice.from_dict(json.loads(json.dumps(model().to_dict()))) == model()
