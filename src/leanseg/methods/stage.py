"""What every method has in common: it trains in stages and ends with a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

from leanseg.loading.crops import Batch
from leanseg.loading.samples import Sample
from leanseg.types import Classes

TRAINED_ON = "trained_on"
"""In the note of a stage: digests of the pixels of all images that it learnt from."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One fit: a module, the batches it sees and how often.

    Args:
        name: what the progress bar and the log folder call it.
        module: holds the network, its loss and its optimiser; logs ``val_dice``.
        train: endless batches, one epoch of them at a time.
        val: validation batches, ready for the module.
        epochs: number of rounds through ``train``.
        pretrained: gives the network, once this stage is fitted, whose weights other trainings can start from.
        note: how they were made, kept with them.
    """

    name: str
    module: LightningModule
    train: DataLoader[Batch]
    val: DataLoader[Batch]
    epochs: int
    pretrained: Callable[[], nn.Module] | None = None
    note: Mapping[str, str] = field(default_factory=dict)


class Method(Protocol):
    """How a network is trained from a certain situation of labels."""

    needs_unlabelled: ClassVar[bool]
    """Whether the training samples include some without a mask."""

    stage_names: ClassVar[tuple[str, ...]]
    """Of all stages, in order."""

    per_class: ClassVar[bool] = False
    """Whether it trains a network for each class, instead of one for all."""

    defaults: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Options of ``train`` that suit it, for those that the user leaves open."""

    clahe: ClassVar[float | None] = None
    """Clip limit of equalised lightness that suits it, where images are colour photographs of 8 bits."""

    @classmethod
    def stages_for(cls, classes: Classes) -> tuple[str, ...]:  # noqa: ARG003
        """The names of all stages for certain classes; for most methods the same whatever they are."""
        return cls.stage_names

    def stages(self, train: Sequence[Sample], val: Sequence[Sample]) -> Iterator[Stage]:
        """The fits, one after the other; each is fitted before the next is asked for."""
        ...

    @property
    def network(self) -> nn.Module:
        """The network as it was given, into which finished weights can be read."""
        ...

    def result(self) -> nn.Module:
        """The trained network, ready for use."""
        ...

    def findings(self, net: nn.Module) -> dict[str, Tensor]:  # noqa: ARG002
        """What else was learnt, by name, to be kept beside the weights of the result; most methods find nothing."""
        return {}
