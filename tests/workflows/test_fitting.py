"""Fits in a folder: what is kept after every epoch, and going on from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from leanseg.nets.deeplab_v3_plus import DeepLabV3Plus
from leanseg.nets.med2d_segnet import Med2DSegNet
from leanseg.nets.mini_net import MiniNet
from leanseg.nets.vm_unet import VMUNet
from leanseg.nets.xnet_plus import XNetPlus
from leanseg.workflows.fitting import BEST, LAST, Machine, fit
from testers.methods import make
from testers.samples import discs

pytestmark = pytest.mark.filterwarnings("ignore")

# All but the first draw numbers while they learn.
NETS: dict[str, Callable[[], nn.Module]] = {
    "mini-net": lambda: MiniNet(in_channels=1, widths=(4, 8)),
    "xnet-plus": lambda: XNetPlus(in_channels=1, base=4, levels=3),
    "med2d-segnet": lambda: Med2DSegNet(in_channels=1, widths=(4, 8), repeats=(2, 2), stochastic_depth=0.5),
    "vm-unet": lambda: VMUNet(in_channels=1, widths=(8, 16), head_channels=4, drop_path=0.5),
    "deeplab-v3-plus": lambda: DeepLabV3Plus(in_channels=1, separable=True, width=8, low_width=4),
}


def trained(folder: Path, name: str, *, resume: bool = False, each_epoch: Callable[[], None] = int) -> nn.Module:
    torch.manual_seed(0)
    method = make("supervised", net=NETS[name](), epochs=4, epoch_steps=2, learning_rate=1e-3)
    return fit(
        method, discs(4, 36, 36), discs(2, 36, 36, seed=1), folder=folder, machine=Machine(), resume=resume,
        each_epoch=each_epoch,
    )  # fmt: skip


def test_the_last_epoch_is_kept_beside_the_best(tmp_path: Path) -> None:
    method = make("supervised", epochs=3, epoch_steps=1, learning_rate=0.0)
    samples = discs(2, 36, 36)
    fit(method, samples, samples, folder=tmp_path, machine=Machine(), resume=False, each_epoch=int)
    found = {
        name: torch.load(tmp_path / "fit" / name, map_location="cpu", weights_only=True)["epoch"]
        for name in (BEST, LAST)
    }
    assert found == {BEST: 0, LAST: 2}


@pytest.mark.parametrize("name", NETS)
def test_an_interrupted_fit_ends_with_the_same_weights(name: str, tmp_path: Path) -> None:
    begun: list[int] = []

    def interrupt() -> None:
        begun.append(1)
        if len(begun) == 2:
            raise RuntimeError("stopped")

    whole = trained(tmp_path / "whole", name)
    with pytest.raises(RuntimeError, match="stopped"):
        trained(tmp_path / "parts", name, each_epoch=interrupt)
    assert torch.load(tmp_path / "parts" / "fit" / LAST, weights_only=True)["epoch"] == 0
    torch.rand(7)
    parts = trained(tmp_path / "parts", name, resume=True)
    for (key, wanted), found in zip(whole.state_dict().items(), parts.state_dict().values(), strict=True):
        assert torch.equal(wanted, found), key
