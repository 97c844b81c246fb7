"""Few labelled patients and many unlabelled ones: copy-paste between them, with or without wavelet branches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from torch import nn

from leanseg.errors import UsageError
from leanseg.loading.loaders import crop_loader, sample_loader
from leanseg.loading.samples import Sample
from leanseg.loading.together import Together
from leanseg.methods.copy_paste import CopyPaste, LabelledPaste
from leanseg.methods.schedule import Schedule
from leanseg.methods.segmenter import Segmenter
from leanseg.methods.stage import Method, Stage
from leanseg.methods.supervised import settled


class WtBcp(Method):
    """Learns from labelled images pasted into each other, then from labelled and unlabelled ones pasted both ways.

    Any network will do. With ``net="xnet-plus"`` the image goes through wavelet branches as well, whose answers are
    kept consistent: that is WT-BCP; with a plain network it is BCP.

    Args:
        net: the network.
        loss: takes logits, target and valid.
        schedule: crops, steps and optimiser; ``average`` is the teacher's memory.
        pretrain: share of the epochs for stage 1; a teacher that is no good yet makes matters worse.
        mix_rate: peak of the learning rate in stage 2, as a share of that in stage 1; a lower one moves the network,
            and so its teacher, more slowly.
        box: side of the pasted box as a share of each axis.
        pseudo_weight: of the loss where the teacher gave the labels.
        consistency: final weight of the consistency between the answers of a network that gives several.
        largest_component: the teacher's labels keep the largest piece of each class alone; None where the data set
            says ``single_object``.
        confidence: least probability of a teacher's label that counts.
        mix: paste; without, this is the mean teacher.

    Raises:
        UsageError: fewer than two epochs or two crops in a step, a share out of range; no unlabelled images.

    Source:
        Zhang et al., WT-BCP, arXiv 2504.14445; Bai et al., Bidirectional copy-paste, CVPR 2023.
    """

    needs_unlabelled: ClassVar[bool] = True
    stage_names: ClassVar[tuple[str, ...]] = ("pretrain", "mix")

    def __init__(
        self,
        *,
        net: nn.Module,
        loss: nn.Module,
        schedule: Schedule,
        pretrain: float = 0.5,
        mix_rate: float = 1.0,
        box: float = 2 / 3,
        pseudo_weight: float = 0.5,
        consistency: float = 0.5,
        largest_component: bool | None = None,
        confidence: float = 0.0,
        mix: bool = True,
    ) -> None:
        if schedule.epochs < 2 or schedule.batch < 2:
            msg = "wt-bcp has two stages and pastes one crop into another"
            raise UsageError(f"{msg}: give at least --epochs 2 and --batch 2")
        if not (0 < pretrain < 1 and 0 < box < 1):
            raise UsageError(f"pretrain and box are shares between 0 and 1, found {pretrain} and {box}")
        self.net, self.loss, self.schedule, self.mix = net, loss, schedule, mix
        self.box, self.pseudo_weight, self.consistency = box, pseudo_weight, consistency
        self.confidence, self.mix_rate = confidence, mix_rate
        single = schedule.classes.single_object
        self.largest_component = single if largest_component is None else largest_component
        self.pretrain_epochs = min(schedule.epochs - 1, max(1, round(pretrain * schedule.epochs)))
        self._samples: Sequence[Sample] = ()
        self._val: Sequence[Sample] = ()
        self._last: Segmenter | None = None

    def stages(self, train: Sequence[Sample], val: Sequence[Sample]) -> Iterator[Stage]:
        """Stage 1 on the labelled samples; stage 2 starts from its weights."""
        labelled = [sample for sample in train if sample.case.masks]
        unlabelled = [sample for sample in train if not sample.case.masks]
        if not labelled or not unlabelled:
            msg = f"wt-bcp learns from labelled and unlabelled images, found {len(labelled)} and {len(unlabelled)}"
            raise UsageError(f"{msg}. Put images into unlabelled/, or keep the labels of N patients by --labelled N.")
        schedule, (first, second) = self.schedule, self.stage_names
        boxes: dict[str, Any] = {"loss": self.loss, "box": self.box}
        crops = schedule.crops(labelled, self.net, one_image=False)
        epochs = self.pretrain_epochs
        start: Segmenter
        if self.mix:
            start = LabelledPaste(net=self.net, **boxes, **schedule.fitting(epochs=epochs))
        else:
            start = Segmenter(net=self.net, loss=self.loss, **schedule.fitting(epochs=epochs))
        loader = crop_loader(crops, steps=schedule.epoch_steps, workers=schedule.workers)
        yield Stage(name=first, module=start, train=loader, val=sample_loader(val), epochs=epochs)

        epochs = schedule.epochs - epochs
        self._samples, self._val = train, val
        self._last = CopyPaste(
            net=settled(start.averaged, labelled, val, schedule).requires_grad_(True),
            pseudo_weight=self.pseudo_weight,
            consistency=self.consistency,
            largest_component=self.largest_component,
            confidence=self.confidence,
            mix=self.mix,
            **boxes,
            **schedule.fitting(epochs=epochs, rate=self.mix_rate),
        )
        others = schedule.crops(unlabelled, self.net, one_image=False, seed=schedule.seed + 2, foreground=0.0)
        both = crop_loader(Together(crops, others), steps=schedule.epoch_steps, workers=schedule.workers)
        yield Stage(name=second, module=self._last, train=both, val=sample_loader(val), epochs=epochs)

    @property
    def network(self) -> nn.Module:
        """The network as it was given."""
        return self.net

    def result(self) -> nn.Module:
        """The teacher, with normalisation statistics from labelled and unlabelled images."""
        assert self._last is not None
        return settled(self._last.averaged, self._samples, self._val, self.schedule)
