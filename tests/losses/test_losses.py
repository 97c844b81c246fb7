"""Losses by name, and the numbers that follow from their definitions."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from leanseg.errors import UsageError
from leanseg.losses import LOSSES, create
from leanseg.losses.dice_jaccard_bce import DiceJaccardBCE
from testers.losses import LossTester, half


class TestDiceJaccardBCE(LossTester):
    name = "dice-jaccard-bce"


class TestDice(LossTester):
    name = "dice"


class TestJaccard(LossTester):
    name = "jaccard"


class TestTversky(LossTester):
    name = "tversky"


class TestCrossEntropy(LossTester):
    name = "cross-entropy"


def test_every_registered_loss_is_tested_here() -> None:
    assert {tester.name for tester in LossTester.__subclasses__()} == set(LOSSES)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'focal'; registered are cross-entropy, dice"):
        create("focal")


def value(name: str, logits: Tensor, target: Tensor, **keywords: Any) -> float:
    return float(create(name, **keywords)(logits, target))


ZERO = torch.zeros(1, 1, 4, 4)


@pytest.mark.parametrize(("name", "wanted"), [("dice", 8 / 17), ("jaccard", 8 / 13), ("cross-entropy", math.log(2))])
def test_undecided_on_half_an_image(name: str, wanted: float) -> None:
    assert value(name, ZERO, half()) == pytest.approx(wanted, abs=1e-6)
    assert float(DiceJaccardBCE().parts(ZERO, half())[name.replace("-", "_")]) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    ("alpha", "wanted"), [(0.0, 0.693147), (0.25, 0.655607), (0.5, 0.618067), (0.75, 0.580527), (1.0, 0.542986)]
)
def test_alpha_weighs(alpha: float, wanted: float) -> None:
    assert value("dice-jaccard-bce", ZERO, half(), alpha=alpha) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("alpha", [-0.1, 1.1])
def test_alpha_is_a_share(alpha: float) -> None:
    with pytest.raises(UsageError, match="alpha"):
        DiceJaccardBCE(alpha=alpha)


@pytest.mark.parametrize("name", ["dice", "jaccard"])
def test_empty_image(name: str) -> None:
    assert value(name, ZERO, ZERO) == pytest.approx(8 / 9, abs=1e-6)
    assert value(name, ZERO - 1e4, ZERO) == 0


def test_empty_image_and_certainty_cost_nothing() -> None:
    assert value("dice-jaccard-bce", ZERO - 1e4, ZERO) == 0
    assert value("dice-jaccard-bce", ZERO - 1e4, ZERO, exclusive=False, alpha=0.0) == 0


@given(st.integers(0, 10_000))
def test_dice_and_jaccard_are_one_another_without_smoothing(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, 1, 6, 7, generator=generator, dtype=torch.float64)
    target = (torch.rand(1, 1, 6, 7, generator=generator) < 0.4).double()
    target[..., 0, 0] = 1
    dice = 1 - value("dice", logits, target, smooth=0.0)
    assert value("jaccard", logits, target, smooth=0.0) == pytest.approx(1 - dice / (2 - dice), abs=1e-12)


def test_exclusive_classes_by_hand() -> None:
    """Two pixels, background and two classes, p = (1/4, 1/2, 1/4) on both; the truth is class 1, then background."""
    logits = torch.log(torch.tensor([1.0, 2.0, 1.0])).view(1, 3, 1, 1).expand(1, 3, 1, 2)
    target = torch.tensor([[[[1, 0]]]], dtype=torch.uint8)
    first = (2 * 0.5 + 1) / (1.0 + 1 + 1), (0.5 + 1) / (1.0 + 1 - 0.5 + 1)
    second = (0 + 1) / (0.5 + 0 + 1), (0 + 1) / (0.5 + 0 - 0 + 1)
    dice, jaccard = (1 - (a + b) / 2 for a, b in zip(first, second, strict=True))
    entropy = -(math.log(0.5) + math.log(0.25)) / 2
    assert value("dice", logits, target, exclusive=True) == pytest.approx(dice, abs=1e-6)
    assert value("jaccard", logits, target, exclusive=True) == pytest.approx(jaccard, abs=1e-6)
    assert value("cross-entropy", logits, target, exclusive=True) == pytest.approx(entropy, abs=1e-6)
    mixed = 0.5 * (dice + jaccard) / 2 + 0.5 * entropy
    assert value("dice-jaccard-bce", logits, target, exclusive=True) == pytest.approx(mixed, abs=1e-6)


@pytest.mark.parametrize("exclusive", [False, True])
def test_smoothing_gives_a_share_of_each_label_to_all_classes(exclusive: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 3, 4, 4, generator=generator, dtype=torch.float64)
    shape = (1, 1, 4, 4) if exclusive else logits.shape
    target = torch.randint(0, 3 if exclusive else 2, shape, generator=generator)
    count = 3 if exclusive else 2
    others = [torch.full_like(target, number) for number in range(count)]
    even = sum(value("cross-entropy", logits, other, exclusive=exclusive) for other in others) / count
    wanted = 0.9 * value("cross-entropy", logits, target, exclusive=exclusive) + 0.1 * even
    found = value("cross-entropy", logits, target, exclusive=exclusive, smoothing=0.1)
    assert found == pytest.approx(wanted, abs=1e-12)


def test_pooled_overlap_is_that_of_one_large_image() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 5, 6, generator=generator, dtype=torch.float64)
    target = torch.randint(0, 4, (3, 1, 5, 6), generator=generator)
    side_by_side = (torch.cat(list(part), -1)[None] for part in (logits, target))
    settings = {"alpha": 1.0, "exclusive": True}
    pooled = value("dice-jaccard-bce", logits, target, pooled=True, **settings)
    assert pooled == pytest.approx(value("dice-jaccard-bce", *side_by_side, **settings), abs=1e-12)
    assert pooled != pytest.approx(value("dice-jaccard-bce", logits, target, **settings), abs=1e-3)


def test_wrong_keywords_are_told() -> None:
    with pytest.raises(UsageError, match="smoothing"):
        create("cross-entropy", smoothing=1.0)
    with pytest.raises(UsageError, match="cannot build loss 'dice'"):
        create("dice", weight=2)


@pytest.mark.parametrize(("weight", "same"), [(0.5, "dice"), (1.0, "jaccard")])
def test_tversky_holds_dice_and_jaccard(weight: float, same: str) -> None:
    random = torch.Generator().manual_seed(0)
    logits, target = torch.randn(3, 2, 7, 5, generator=random), (torch.rand(3, 2, 7, 5, generator=random) < 0.3).float()
    found = value("tversky", logits, target, false_alarms=weight, misses=weight, smooth=0.0)
    assert found == pytest.approx(value(same, logits, target, smooth=0.0), abs=1e-7)


def test_tversky_by_hand_and_misses_weigh_more() -> None:
    target = half()
    said = torch.where(target > 0, math.log(3), -math.log(3))  # 0.75 inside, 0.25 outside
    wanted = 1 - 6 / (6 + 0.3 * 2 + 0.7 * 2)
    assert value("tversky", said, target, smooth=0.0) == pytest.approx(wanted, abs=1e-6)
    shy, bold = said - 1, said + 1
    assert value("tversky", shy, target) > value("tversky", bold, target)


def test_negative_weights_are_refused() -> None:
    with pytest.raises(UsageError, match="from 0"):
        create("tversky", misses=-1)
