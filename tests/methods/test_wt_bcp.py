"""Few labels and many images without: both stages, the teacher, and the consistency through the real trainer."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from leanseg.errors import UsageError
from leanseg.methods.wt_bcp import WtBcp
from leanseg.nets.xnet_plus import XNetPlus
from leanseg.types import Classes
from testers.methods import MethodTester, fit, hidden, make, score
from testers.samples import discs

pytestmark = pytest.mark.filterwarnings("ignore")


class TestWtBcp(MethodTester):
    name = "wt-bcp"


class TestMeanTeacher(MethodTester):
    name = "wt-bcp"

    def short(self, **settings: Any) -> Any:
        return super().short(mix=False, **settings)


def trained(consistency: float) -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    net = XNetPlus(in_channels=1, classes=1, base=2, levels=3)
    method = make("wt-bcp", net=net, consistency=consistency, crop=16, batch=2, epochs=2, epoch_steps=2)
    fit(method, [*discs(2, 24, 24), *hidden(discs(2, 24, 24, seed=9))], discs(1, 24, 24))
    assert isinstance(method, WtBcp) and method._last is not None
    return dict(method._last.net.named_parameters())


def test_consistency_reaches_every_branch_through_the_trainer() -> None:
    """In the published code its gradient was thrown away before the step."""
    without, again, consistent = trained(0.0), trained(0.0), trained(0.5)
    assert all(torch.equal(without[name], again[name]) for name in without)
    moved = {name for name in without if float((without[name] - consistent[name]).abs().max()) > 1e-7}
    for branch in ("image", "low", "high"):
        for half in ("encoders", "decoders"):
            assert any(branch in name and half in name for name in moved), (branch, half, sorted(without)[:40])


def test_it_learns_what_one_labelled_and_one_unlabelled_image_show() -> None:
    labelled, others = discs(1, 32, 32), discs(1, 32, 32, seed=1)
    method = make("wt-bcp", epochs=8, epoch_steps=25, learning_rate=3e-2)
    fit(method, [*labelled, *hidden(others)], labelled)
    net = method.result()
    assert score(net, labelled) > 0.9 and score(net, others) > 0.9


def test_wrong_uses_are_told() -> None:
    with pytest.raises(UsageError, match="--labelled"):
        next(iter(make("wt-bcp").stages(discs(2, 24, 24), [])))
    with pytest.raises(UsageError, match="--epochs 2"):
        make("wt-bcp", epochs=1)
    with pytest.raises(UsageError, match="shares"):
        make("wt-bcp", box=1.5)


def test_the_data_set_says_whether_pieces_are_kept() -> None:
    single = Classes(names=("heart",), single_object=True)
    assert make("wt-bcp", single).largest_component  # type: ignore[attr-defined]
    assert not make("wt-bcp", single, largest_component=False).largest_component  # type: ignore[attr-defined]
    assert not make("wt-bcp").largest_component  # type: ignore[attr-defined]
