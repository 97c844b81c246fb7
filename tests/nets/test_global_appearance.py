"""The learnt change: dark images alone, within [1e-4, 1], one image at a time."""

from __future__ import annotations

import pytest
import torch

from leanseg.errors import UsageError
from leanseg.nets.global_appearance import GlobalAppearance


def make(**keywords: float) -> GlobalAppearance:
    torch.manual_seed(0)
    return GlobalAppearance(channels=3, **{"p": 1.0, **keywords})


def test_bright_images_stay_and_dark_ones_change() -> None:
    image = torch.stack([torch.full((3, 8, 8), 0.8), torch.rand(3, 8, 8) * 0.5])
    change = make()
    changed = change(image)
    assert torch.equal(changed[0], image[0])
    assert not torch.allclose(changed[1], image[1])
    assert float(changed[1].detach().min()) == pytest.approx(1e-4) and float(changed[1].detach().max()) == 1
    assert change.change is not None and float(change.change) > 0


def test_an_image_changes_alike_whatever_stands_beside_it() -> None:
    change, dark = make(), torch.rand(2, 3, 8, 8) * 0.3
    assert torch.allclose(change(dark)[:1], change(dark[:1]), atol=1e-6)


def test_constant_images_stay_finite_and_gradients_reach_the_weights() -> None:
    change = make()
    constant = change(torch.zeros(1, 3, 8, 8))
    assert bool(torch.isfinite(constant).all())
    change(torch.rand(1, 3, 8, 8) * 0.3).square().sum().backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in change.parameters())


def test_the_coin() -> None:
    dark = torch.rand(4, 3, 8, 8) * 0.3
    assert torch.equal(make(p=0.0)(dark), dark)
    with pytest.raises(UsageError, match="p from 0 to 1"):
        make(p=1.5)
