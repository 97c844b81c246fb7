"""Sites that differ are told apart, sites that do not are not."""

from __future__ import annotations

import numpy as np
import pytest

from leanseg.estimate.site_shift import site_shifts

NAMES = ("level of grey", "contrast of grey", "noise")


def shifts(move: tuple[float, float, float], counts: tuple[int, ...] = (60, 60, 60)) -> dict[str, object]:
    """Three sites, of which the last one is moved."""
    random = np.random.default_rng(1)
    looks = random.normal(size=(sum(counts), 3))
    looks[-counts[-1] :] += move
    sites = [name for name, count in zip("abc", counts, strict=True) for _ in range(count)]
    people = [str(n) for n in range(len(sites))]
    return {one.site: one for one in site_shifts(looks, names=NAMES, sites=sites, patients=people)}


def test_alike_sites_raise_no_alarm() -> None:
    for one in shifts((0, 0, 0)).values():
        assert one.unlike == pytest.approx(0.05, abs=0.05) and one.respects == ()


def test_a_moved_site_is_named_with_its_respects() -> None:
    found = shifts((0, -4, 8))
    assert found["c"].unlike == 1.0
    assert found["c"].respects == ("noisy", "of lower contrast (grey)")
    # The moved site is half of what the others are compared with: they lie at one end of it, not outside.
    assert found["a"].unlike < 0.1


def test_too_few_others_say_nothing() -> None:
    found = shifts((0, 0, 9), counts=(2, 2, 40))
    assert found["c"].unlike is None and found["c"].distances == ()
    assert found["a"].unlike is not None
