"""By what weights are chosen: even odds, or the threshold that suits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from leanseg.methods.validation_score import BestThreshold, EvenOdds, judges, validation_score
from leanseg.methods.whole_image import mean_dice
from leanseg.types import Classes
from testers.samples import discs

BOTH = Classes(names=("dim", "bright"), overlapping=True)
TRUTH = torch.tensor([[[1, 1, 0, 0]], [[0, 0, 0, 1]]], dtype=torch.uint8)
RARE = torch.tensor([[[-3.0, -2.0, -4.0, -5.0]], [[-6.0, -6.0, -6.0, -1.0]]])
"""Logits in the right order, all of them below even odds."""
EVERYWHERE = torch.ones(1, 1, 4)


def test_order_counts_where_each_class_has_a_threshold() -> None:
    even, best = EvenOdds(BOTH), BestThreshold(BOTH)
    for score in (even, best):
        score.add(RARE, TRUTH, EVERYWHERE)
    assert even.mean() == 0 and best.mean() == 1


@pytest.mark.parametrize("seed", range(5))
def test_the_best_threshold_is_that_of_all_images_together(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = [torch.randn(2, 6, 7, generator=generator) for _ in range(3)]
    truths = [(torch.rand(2, 6, 7, generator=generator) < 0.3).to(torch.uint8) for _ in range(3)]
    valid = torch.ones(1, 6, 7)
    valid[:, :2] = 0
    found = BestThreshold(BOTH)
    for logits, truth in zip(images, truths, strict=True):
        found.add(logits, truth, valid)

    def dice(number: int, place: int) -> float:
        limit = place / 1024
        masks = [
            ((one.sigmoid() >= limit)[[number]], truth[[number]] > 0) for one, truth in zip(images, truths, strict=True)
        ]
        scores = [score for mask, truth in masks if (score := mean_dice(mask, truth, valid)) is not None]
        return sum(scores) / len(scores)

    wanted = [max(dice(number, place) for place in range(1, 1024)) for number in (0, 1)]
    assert found.mean() == pytest.approx(sum(wanted) / 2)


def test_classes_that_no_image_shows_do_not_count() -> None:
    score = BestThreshold(BOTH)
    assert score.mean() == 0, "nothing yet"
    score.add(RARE, TRUTH * torch.tensor([1, 0], dtype=torch.uint8)[:, None, None], EVERYWHERE)
    assert score.mean() == 1


class Constant(nn.Module):
    """The same logits for every image."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.full_like(x[:, :1], 3.0)


def test_a_network_is_scored_on_all_samples() -> None:
    val = discs(2, 12, 12)
    shares = [float(sample.target.float().mean()) for sample in val]
    wanted = sum(2 * share / (1 + share) for share in shares) / 2
    assert validation_score(Constant(), val, score=EvenOdds(Classes(names=("disc",)))) == pytest.approx(wanted)


def test_images_without_any_class_judge_nothing() -> None:
    val = discs(2, 12, 12)
    empty = [replace(sample, target=torch.zeros_like(sample.target)) for sample in val]
    assert judges([*empty, val[0]]) == [*empty, val[0]]
    assert not judges(empty) and not judges([])
