"""Images unlike those of training: words, limits and the way through a bundle."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from leanseg.quality.appearance import appearance_names
from leanseg.quality.likeness import WORDS, Likeness

LIKE = Likeness(
    names=("level of grey", "noise", "size"),
    centre=(100.0, 0.0, 6.0),
    scale=(10.0, 0.2, 0.1),
    precision=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    distances=tuple(np.linspace(0.2, 1.5, 39).tolist()),
)


def test_every_measure_has_words_for_less_and_more() -> None:
    assert {name.partition(" of ")[0] for name in appearance_names(("red", "grey"))} == set(WORDS)


def test_reasons_name_the_most_striking_first() -> None:
    assert LIKE(np.array([130.0, 2.0, 6.0])) == (True, ("noisy", "brighter (grey)"))
    assert LIKE(np.array([100.0, 0.0, 5.0])) == (True, ("smaller",))
    assert LIKE(np.array([103.0, 0.1, 6.0])) == (False, ())


def test_a_combination_is_unlike_even_if_no_single_measure_is() -> None:
    tied = replace(LIKE, precision=((50.0, -49.0, 0.0), (-49.0, 50.0, 0.0), (0.0, 0.0, 1.0)))
    unlike, reasons = tied(np.array([115.0, -0.3, 6.0]))
    assert unlike and "combination" in reasons[0]


def test_the_limit_leaves_one_in_twenty_outside_or_none_of_few() -> None:
    assert LIKE.limit == LIKE.distances[37]
    assert replace(LIKE, distances=(0.5, 0.9, 1.2)).limit == 1.2


def test_it_survives_the_bundle() -> None:
    assert Likeness.from_dict(json.loads(json.dumps(LIKE.to_dict()))) == LIKE
