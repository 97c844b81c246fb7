"""A network's answer for a whole image, read as masks and scored."""

import pytest
import torch
from torch import nn

from leanseg.methods.whole_image import SLICES, hard_masks, mean_dice, true_masks, whole_logits
from leanseg.nets.unet import UNet
from leanseg.types import Classes

ONE = Classes(names=("vessel",))
TWO = Classes(names=("disc", "cup"))
BOTH = Classes(names=("disc", "cup"), overlapping=True)


def test_a_flat_net_goes_through_a_volume_slice_by_slice() -> None:
    net = UNet(in_channels=1, widths=(2, 3), classes=2).eval()
    volume = torch.randn(1, 2 * SLICES + 3, 7, 9)
    logits = whole_logits(net, volume)
    assert logits.shape == (2, 2 * SLICES + 3, 7, 9)
    for depth in range(volume.shape[1]):
        torch.testing.assert_close(logits[:, depth], whole_logits(net, volume[:, depth]), rtol=1e-4, atol=1e-5)


def test_a_deep_net_sees_the_whole_volume() -> None:
    net = UNet(in_channels=1, widths=(2, 3), dims=3).eval()
    volume = torch.randn(1, 5, 6, 7)
    assert torch.equal(whole_logits(net, volume), net(volume[None])[0])


def test_16_bit_answers_are_widened() -> None:
    assert whole_logits(nn.Conv2d(1, 1, 1).bfloat16(), torch.zeros(1, 2, 2).bfloat16()).dtype == torch.float32


def test_even_odds_or_the_largest() -> None:
    logits = torch.tensor([[0.5, -1.0], [-0.2, 3.0], [0.1, 4.0]])[:, :, None]
    assert hard_masks(logits[:1], ONE)[..., 0].tolist() == [[True, False]]
    assert hard_masks(logits[:2], BOTH)[..., 0].tolist() == [[True, False], [False, True]]
    assert hard_masks(logits, TWO)[..., 0].tolist() == [[False, False], [False, True]]


def test_true_masks() -> None:
    assert true_masks(torch.tensor([[[0, 1]]]), ONE).tolist() == [[[False, True]]]
    assert true_masks(torch.tensor([[[1, 2]]]), TWO).tolist() == [[[True, False]], [[False, True]]]
    assert true_masks(torch.tensor([[[1, 0]], [[1, 1]]]), BOTH).tolist() == [[[True, False]], [[True, True]]]


def test_mean_dice_by_hand() -> None:
    prediction = torch.tensor([[[1, 1, 0, 1]], [[0, 1, 0, 0]]]) > 0
    truth = torch.tensor([[[1, 0, 1, 0]], [[0, 0, 0, 0]]]) > 0
    everywhere = torch.ones(1, 1, 4)
    assert mean_dice(prediction, truth, everywhere) == pytest.approx((2 / 5 + 0) / 2)
    first = torch.tensor([[[1, 0, 0, 0]]])
    assert mean_dice(prediction, truth, first) == 1.0, "the second class is neither there nor found"
    assert mean_dice(prediction, truth, 0 * everywhere) is None
