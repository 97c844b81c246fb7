"""One network for each kind of lesion, which learns from tiles half of which are centred on that lesion."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from torch import nn

from leanseg.errors import UsageError
from leanseg.loading.samples import Sample
from leanseg.losses.tversky import Tversky
from leanseg.methods.schedule import Schedule
from leanseg.methods.stage import Method, Stage
from leanseg.methods.supervised import Supervised
from leanseg.methods.validation_score import BestThreshold, judges
from leanseg.nets.one_per_class import OnePerClass
from leanseg.types import Classes


class DrLesions(Method):
    """Trains a binary network for each of several overlapping classes, one after the other.

    Nothing of it is special to retinas but what it suggests: equalised lightness and large tiles at full resolution.

    Args:
        net: one network for each class.
        loss: takes logits, target and valid of one class.
        schedule: crops, steps and optimiser; ``epochs`` are those of all classes together.
        tiny: classes so small that misses must weigh more: they learn from the Tversky loss instead of ``loss``.

    Raises:
        UsageError: the net is not one for each class, or there are fewer epochs than classes.

    Source:
        Boulaabi et al., arXiv 2504.17306, whose recipe is not printed; this reading is ours.
    """

    needs_unlabelled: ClassVar[bool] = False
    stage_names: ClassVar[tuple[str, ...]] = Supervised.stage_names
    per_class: ClassVar[bool] = True
    defaults: ClassVar[Mapping[str, Any]] = {
        "net": "deeplab-v3-plus",
        "net_keywords": '{"separable": true, "width": 64, "low_width": 24}',
        "crop": 512,
        "batch": 4,
        "foreground": 0.5,
    }

    clahe: ClassVar[float | None] = 2.0

    def __init__(
        self,
        *,
        net: nn.Module,
        loss: nn.Module,
        schedule: Schedule,
        tiny: Sequence[str] = ("microaneurysm", "MA"),
    ) -> None:
        names = schedule.classes.names
        if not isinstance(net, OnePerClass) or not schedule.classes.sigmoid:
            raise UsageError("dr-lesions trains one network for each of several overlapping classes, or for one class")
        if schedule.epochs < len(names):
            msg = f"dr-lesions trains {len(names)} networks one after the other: give at least --epochs {len(names)}"
            raise UsageError(f"{msg}, found {schedule.epochs}")
        self.net, self.schedule = net, schedule
        self._fits: list[Supervised] = []
        done = 0
        for number, (name, one) in enumerate(zip(names, net.nets, strict=True)):
            # Epochs that do not divide go to the first classes.
            epochs = -(-(schedule.epochs - done) // (len(names) - number))
            done += epochs
            part = replace(schedule, classes=Classes(names=(name,)), epochs=epochs, judge=BestThreshold)
            self._fits.append(Supervised(net=one, loss=Tversky() if name in tiny else loss, schedule=part))

    @classmethod
    def stages_for(cls, classes: Classes) -> tuple[str, ...]:
        """One fit for each class."""
        (fit,) = cls.stage_names
        return tuple(f"{fit}-{number}" for number in range(len(classes.names)))

    def stages(self, train: Sequence[Sample], val: Sequence[Sample]) -> Iterator[Stage]:
        """One fit for each class."""
        for number, (name, one) in enumerate(zip(self.stages_for(self.schedule.classes), self._fits, strict=True)):
            for stage in one.stages(of_class(train, number), judges(of_class(val, number))):
                yield replace(stage, name=name)

    @property
    def network(self) -> nn.Module:
        """The network as it was given."""
        return self.net

    def result(self) -> nn.Module:
        """The networks of all classes, each with the weights that were best for its class."""
        net = copy.deepcopy(self.net)
        net.nets = nn.ModuleList(one.result() for one in self._fits)
        return net.eval()


def of_class(samples: Sequence[Sample], number: int) -> list[Sample]:
    """The same images with the target of one class; the pixels are shared."""
    return [replace(sample, target=sample.target[number : number + 1]) for sample in samples]
