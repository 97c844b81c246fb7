"""Learning what Dice to expect: better than soft Dice, and intervals that keep their promise."""

from __future__ import annotations

import numpy as np
import pytest

from leanseg.estimate.fit_expected_dice import Seen, fit_expected_dice
from leanseg.quality.traits import Traits


def drawn(count: int, seed: int, *, per_patient: int = 1) -> list[Seen]:
    """Images whose Dice is lower than soft Dice says, and the more so the more pieces there are."""
    random = np.random.default_rng(seed)
    seen = []
    for number in range(count):
        doubt, pieces = random.uniform(0.05, 0.3), int(random.integers(1, 20))
        area = int(random.integers(200, 2000))
        inside = (1 - doubt) * area
        traits = Traits(
            area=area, field=20_000, inside=inside, total=1.05 * inside, entropy=2 * doubt * area,
            border=int(9 * np.sqrt(area)), components=pieces,
        )  # fmt: skip
        soft = traits.soft_dice
        assert soft is not None
        dice = float(np.clip(soft - 0.05 - 0.06 * np.log(pieces) + random.normal(0, 0.03), 0, 1))
        seen.append(Seen(traits=traits, dice=dice, patient=str(number // per_patient)))
    return seen


def test_it_learns_what_soft_dice_does_not_know() -> None:
    model = fit_expected_dice(drawn(40, 0))
    assert model is not None
    fresh = drawn(200, 1)
    ours = np.mean([abs(model(s.traits).value - s.dice) for s in fresh])
    soft = np.mean([abs(s.traits.soft_dice - s.dice) for s in fresh])
    assert ours < 0.04 < soft


@pytest.mark.parametrize(("count", "per_patient"), [(12, 1), (40, 1), (60, 3)])
def test_intervals_hold_the_promised_share(count: int, per_patient: int) -> None:
    held = []
    for seed in range(30):
        model = fit_expected_dice(drawn(count, seed, per_patient=per_patient))
        assert model is not None and model.margin is not None
        for s in drawn(40, 500 + seed):
            found = model(s.traits)
            held.append(found.low <= s.dice <= found.high)
    assert 0.87 < np.mean(held) < 0.99


def test_more_confidence_is_bought_by_width() -> None:
    margins = [fit_expected_dice(drawn(60, 0), confidence=c).margin for c in (0.5, 0.8, 0.9, 0.95)]
    assert margins == sorted(margins) and margins[0] < margins[-1]


def test_few_patients_get_no_interval_and_fewer_nothing() -> None:
    model = fit_expected_dice(drawn(40, 0, per_patient=5))
    assert model is not None and model.margin is None and model.patients == 8
    assert fit_expected_dice(drawn(8, 0, per_patient=4)) is None
    assert fit_expected_dice([]) is None


def test_spoilt_images_teach_but_do_not_judge() -> None:
    clean = drawn(30, 0)
    noise = [Seen(traits=s.traits, dice=0.0, patient=s.patient, spoilt=True) for s in clean[:3]]
    plain, taught = fit_expected_dice(clean), fit_expected_dice([*clean, *noise])
    assert plain is not None and taught is not None
    assert taught.intercept < plain.intercept
    assert taught.patients == 30
    alone = [Seen(traits=s.traits, dice=s.dice, patient=s.patient, spoilt=True) for s in clean]
    assert fit_expected_dice(alone) is None


def test_spoilt_copies_hardly_bend_what_holds_for_clean_images() -> None:
    clean = drawn(30, 0)
    worse = [Seen(traits=s.traits, dice=s.dice - 0.4, patient=s.patient, spoilt=True) for s in clean for _ in range(2)]
    plain, taught = fit_expected_dice(clean), fit_expected_dice([*clean, *worse])
    assert plain is not None and taught is not None
    moved = [plain(s.traits).value - taught(s.traits).value for s in drawn(50, 1)]
    # Two copies of a tenth each, beside one image: a sixth of 0.4.
    assert np.mean(moved) == pytest.approx(0.4 / 6, abs=0.01)


def test_images_without_the_class_teach_nothing() -> None:
    clean = drawn(30, 0)
    nothing = Traits(area=0, field=100, inside=0.0, total=1.0, entropy=2.0, border=0, components=0)
    absent = [Seen(traits=nothing, dice=0.0, patient="x"), Seen(traits=clean[0].traits, dice=None, patient="y")]
    assert fit_expected_dice([*clean, *absent]) == fit_expected_dice(clean)
