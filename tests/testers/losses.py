"""What every loss must keep: subclass :class:`LossTester` with a name and keywords."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from leanseg.losses import create


def half(height: int = 4, width: int = 4) -> Tensor:
    """(1, 1, H, W), the upper half foreground."""
    target = torch.zeros(1, 1, height, width)
    target[..., : height // 2, :] = 1
    return target


class LossTester:
    """The checks; a loss's own test file holds only its numbers."""

    name: ClassVar[str]
    keywords: ClassVar[dict[str, Any]] = {}

    def build(self, **changes: Any) -> nn.Module:
        return create(self.name, **{**self.keywords, **changes})

    def example(self, *, exclusive: bool, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (2, 3, 5, 6), a target that fits and where it is valid, in 64 bits."""
        random = np.random.default_rng(seed)
        logits = torch.from_numpy(random.standard_normal((2, 3, 5, 6)))
        target = random.integers(0, 3, (2, 1, 5, 6)) if exclusive else random.integers(0, 2, (2, 3, 5, 6))
        return logits, torch.from_numpy(target.astype(np.uint8)), torch.from_numpy(random.random((2, 1, 5, 6)) < 0.7)

    @pytest.mark.parametrize("exclusive", [False, True])
    def test_one_number_with_the_right_gradient(self, exclusive: bool) -> None:
        logits, target, valid = self.example(exclusive=exclusive)
        loss = self.build(exclusive=exclusive)
        assert loss(logits, target, valid).shape == ()
        assert torch.autograd.gradcheck(lambda z: loss(z, target, valid), logits.requires_grad_())

    @pytest.mark.parametrize("exclusive", [False, True])
    def test_certain_and_right_costs_nothing_and_wrong_costs_most(self, exclusive: bool) -> None:
        _, target, _ = self.example(exclusive=exclusive)
        truth = torch.cat([target == n for n in range(3)], 1) if exclusive else target > 0
        logits = torch.where(truth, 1e3, -1e3)
        loss = self.build(exclusive=exclusive)
        assert 0 <= float(loss(logits, target)) < 1e-6
        assert float(loss(-logits, target)) > float(loss(0 * logits, target)) > 0.1

    @pytest.mark.parametrize("exclusive", [False, True])
    def test_what_is_not_valid_counts_nowhere(self, exclusive: bool) -> None:
        logits, target, valid = self.example(exclusive=exclusive)
        loss = self.build(exclusive=exclusive)
        broken = torch.where(valid, target.double(), torch.nan)
        other = torch.where(valid, logits, 50.0)
        found = []
        for z, t in ((logits, target), (logits, broken), (other, target)):
            z = z.clone().requires_grad_()
            value = loss(z, t, valid)
            value.backward()
            assert z.grad is not None
            found.append((value.detach(), z.grad))
        for value, gradient in found:
            assert torch.isfinite(gradient).all() and not gradient[~valid.expand_as(gradient)].any()
            torch.testing.assert_close((value, gradient), found[0])
        assert found[0][1].any()

    def test_an_image_without_valid_pixels_costs_nothing(self) -> None:
        logits, target, valid = self.example(exclusive=False)
        logits.requires_grad_()
        value = self.build()(logits, target * torch.nan, torch.zeros_like(valid))
        value.backward()
        assert float(value.detach()) == 0
        assert logits.grad is not None and not logits.grad.any()

    @pytest.mark.parametrize("exclusive", [False, True])
    def test_mean_over_images(self, exclusive: bool) -> None:
        logits, target, valid = self.example(exclusive=exclusive)
        loss = self.build(exclusive=exclusive)
        alone = [loss(logits[i : i + 1], target[i : i + 1], valid[i : i + 1]) for i in range(2)]
        torch.testing.assert_close(loss(logits, target, valid), (alone[0] + alone[1]) / 2)

    def test_overlapping_classes_are_averaged(self) -> None:
        logits, target, valid = self.example(exclusive=False)
        alone = [self.build()(logits[:, k : k + 1], target[:, k : k + 1], valid) for k in range(3)]
        torch.testing.assert_close(self.build()(logits, target, valid), torch.stack(alone).mean())

    def test_a_volume_is_its_voxels(self) -> None:
        logits, target, valid = self.example(exclusive=True)
        deep = [t.unflatten(2, (5, 1)) for t in (logits, target, valid)]
        loss = self.build(exclusive=True)
        torch.testing.assert_close(loss(*deep), loss(logits, target, valid))

    def test_everything_is_valid_unless_said(self) -> None:
        logits, target, valid = self.example(exclusive=False)
        assert self.build()(logits, target) == self.build()(logits, target, torch.ones_like(valid))

    def test_16_bit_logits_are_summed_in_32_bits(self) -> None:
        logits = torch.linspace(-3, 3, 100 * 100).view(1, 1, 100, 100).bfloat16()
        wanted = self.build()(logits.float(), half(100, 100))
        torch.testing.assert_close(self.build()(logits, half(100, 100)), wanted)
