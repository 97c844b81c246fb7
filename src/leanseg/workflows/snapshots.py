"""Copies of a network while it learns, from which label-free estimation learns what poor masks are like."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback
from safetensors.torch import load, save
from torch import Tensor, nn

from leanseg.images.atomic import replacing

FOLDER = "snapshots"
SMALL = 500_000
"""Parameters below which a bundle carries snapshots unless asked otherwise."""

USUAL = 12


def snapshot_steps(total: int, count: int) -> tuple[int, ...]:
    """After which steps to keep a copy: dense at first, when masks improve quickly, the last one at the end.

    Example:
        >>> snapshot_steps(1200, 4)
        (75, 300, 675, 1200)
    """
    return tuple(sorted({max(1, round(total * ((n + 1) / count) ** 2)) for n in range(count)}))


class Snapshots(Callback):
    """Keeps the averaged weights of a :class:`~leanseg.methods.segmenter.Segmenter` at some steps.

    Args:
        folder: where to; the files are numbered in the order of the steps.
        steps: of the optimiser, after which a copy is kept.
    """

    def __init__(self, folder: Path, steps: tuple[int, ...]) -> None:
        self.folder, self.steps = folder, steps

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        """Keep a copy where it is time; the first process does."""
        if trainer.is_global_zero and trainer.global_step in self.steps:
            file = self.folder / f"{self.steps.index(trainer.global_step):02d}.safetensors"
            with replacing(file) as part:
                part.write_bytes(save(halved(module.averaged.state_dict())))


def halved(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same numbers in half precision; whole numbers stay.

    Example:
        >>> import torch
        >>> {name: str(value.dtype) for name, value in halved({"a": torch.ones(1), "n": torch.tensor(3)}).items()}
        {'a': 'torch.float16', 'n': 'torch.int64'}
    """
    return {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu() for name, value in state.items()
    }


def snapshots_of(folder: Path, net: nn.Module) -> list[bytes]:
    """The snapshots in the folder of a stage, the earliest first, where they are of such a network."""
    names = set(net.state_dict())
    files = sorted((folder / FOLDER).glob("*.safetensors"))
    return [file.read_bytes() for file in files if set(load(file.read_bytes())) == names]
