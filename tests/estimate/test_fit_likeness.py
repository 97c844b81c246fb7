"""Learning what training images look like: false alarms as promised, others found."""

from __future__ import annotations

import numpy as np
import pytest

from leanseg.estimate.fit_likeness import fit_likeness, shrunken_correlation

NAMES = ("level of grey", "contrast of grey", "noise", "size")


def looks(count: int, seed: int = 0) -> np.ndarray:
    """Correlated measures of images of one kind."""
    random = np.random.default_rng(seed)
    mix = np.array([[10, 0, 0, 0], [3, 1, 0, 0], [0, 0.5, 0.2, 0], [0, 0, 0, 0.1]])
    return random.normal(size=(count, 4)) @ mix.T + np.array([100, 3, 0, 6])


def people(count: int) -> list[str]:
    return [str(n) for n in range(count)]


@pytest.mark.parametrize("count", [40, 200])
def test_false_alarms_are_about_as_rare_as_promised(count: int) -> None:
    alarms = []
    for seed in range(20):
        like = fit_likeness(looks(count, seed), names=NAMES, patients=people(count))
        assert like is not None
        alarms += [like(row)[0] for row in looks(100, 1000 + seed)]
    assert 0.02 < np.mean(alarms) < 0.08


def test_other_images_are_found() -> None:
    like = fit_likeness(looks(60), names=NAMES, patients=people(60))
    assert like is not None
    others = looks(100, 7) + np.array([0, 0, 0, 1.0])
    assert np.mean([like(row)[0] for row in others]) > 0.95
    assert like(others[0])[1][0] == "larger"


def test_patients_are_left_out_as_a_whole() -> None:
    """Copies of a patient's image would else find themselves and make all distances short."""
    single = looks(12)
    copies = np.repeat(single, 5, 0)
    alone = fit_likeness(copies, names=NAMES, patients=people(60))
    grouped = fit_likeness(copies, names=NAMES, patients=np.repeat(people(12), 5).tolist())
    assert alone is not None and grouped is not None
    assert grouped.limit > alone.limit


def test_few_patients_promise_nothing() -> None:
    assert fit_likeness(looks(30), names=NAMES, patients=["a", "b", "c", "d"] * 7 + ["a", "b"]) is None


def test_fewer_images_than_measures_and_constant_measures_have_an_inverse() -> None:
    few = np.random.default_rng(0).normal(size=(6, 20))
    few[:, 3] = 2
    names = tuple(f"level of {n}" for n in range(20))
    like = fit_likeness(few, names=names, patients=people(6))
    assert like is not None and np.isfinite(like.distance(few[0]))


def test_shrinkage_gives_way_to_data() -> None:
    def strength(count: int) -> float:
        standard = np.random.default_rng(0).normal(size=(count, 2)) @ np.array([[1, 0.8], [0, 0.6]])
        standard = (standard - standard.mean(0)) / standard.std(0, ddof=1)
        return float(shrunken_correlation(standard)[0, 1])

    assert strength(10_000) == pytest.approx(0.8, abs=0.02)
    assert abs(strength(5)) < 0.8


def test_sites_left_out_make_other_sites_less_strange() -> None:
    sites = np.repeat(["a", "b", "c"], 20)
    several = looks(60) + np.repeat([[0, 0, 0, -1.0], [0, 0, 0, 0], [0, 0, 0, 1.0]], 20, 0)
    plain = fit_likeness(several, names=NAMES, patients=people(60))
    wide = fit_likeness(several, names=NAMES, patients=people(60), sites=sites.tolist())
    assert plain is not None and wide is not None
    assert wide.limit > plain.limit and wide.centre == plain.centre
