"""From the options of ``train`` to a method ready to fit: network, loss, plan and samples."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from leanseg import losses, methods, nets
from leanseg.data.dataset import Case, Dataset
from leanseg.errors import UsageError
from leanseg.images.atomic import replacing
from leanseg.loading.augment import Augmentation
from leanseg.loading.samples import Sample, load_samples
from leanseg.methods.schedule import Schedule
from leanseg.methods.stage import Method, Stage
from leanseg.methods.validation_score import BestThreshold, EvenOdds
from leanseg.report.contents import Decision
from leanseg.workflows.first_weights import PER_CLASS, FirstWeights
from leanseg.workflows.plan import Plan, Wishes, make_plan, survey

if TYPE_CHECKING:
    from torch import nn

    from leanseg.workflows.train import Train

USUAL = "mini-net"
"""The network unless another is asked for."""

TRIAL_SECONDS = 5.0
TRIAL_STEPS = 100
WARMING_STEPS = 3
"""The first steps of a process are slow; the rest of a trial tells how long a step takes."""

LEAST_EPOCHS = 5
"""Epochs of a training by ``--minutes``, however slow the machine: validation has to choose among some."""

FITTING_SHARE = 0.8
"""Share of ``--minutes`` left for steps, beside reading, validation and scoring."""


class Recipe:
    """What a training is made of.

    Args:
        options: of the command.
        dataset: with splits.
        train: training cases, a few of which are looked at.

    Raises:
        UsageError: an unknown method, network, loss or augmentation.
    """

    def __init__(self, options: Train, dataset: Dataset, train: Sequence[Case]) -> None:
        self.options, self.dataset = options, dataset
        self.first = FirstWeights(options.init) if options.init else None
        self.start = self.first.bundle if self.first else None
        seen = survey(dataset, train)
        given = _json(options.net_keywords or "{}", "--net-keywords")
        part = self.start.parts[0] if self.start else None
        channels = len(dataset.channels) or seen.channels
        shape = {"in_channels": channels, "classes": dataset.classes.outputs}
        self.net, kept = (part.net, part.keywords) if part else (options.net or USUAL, {})
        if methods.method_class(options.method).per_class and not part:
            self.net, given = PER_CLASS, {"net": self.net, "net_keywords": given}
        self.keywords = {**kept, **given, **shape}
        net = self.network(0)
        # A network that folds while training has its quick path in float32.
        bf16 = options.device == "cuda" or (options.device == "cpu" and not hasattr(net, "folded") and _cpu_has_bf16())
        wishes = Wishes(**{field.name: getattr(options, field.name) for field in fields(Wishes)})
        if self.start:
            # The weights are used to what their preprocessing gives them.
            known = self.start.preprocessing
            wishes = replace(wishes, field_of_view=known.field_of_view, diameter=known.diameter, longest=known.longest)
        grid: dict[str, Any] = {"halo": getattr(net, "halo", None)}
        grid |= {"dims": int(getattr(net, "dims", 2)), "divisor": int(getattr(net, "divisor", 1))}
        plan = make_plan(dataset, seen, wishes, **grid, bf16=bf16, clahe=methods.method_class(options.method).clahe)
        if options.balance_sites is not None:
            plan = replace(plan, decisions=(*plan.decisions, _about_sites(options, train)))
        preprocessing = self.start.preprocessing if self.start else plan.preprocessing
        self._plan = replace(plan, preprocessing=preprocessing, net=self.net, keywords=self.keywords)
        self._chosen(self._plan)  # a wrong loss or augmentation ends here, before anything is read or written

    def network(self, fold: int) -> nn.Module:
        """A fresh network, started from ``--init`` where that is given."""
        torch.manual_seed(self.options.seed + 1000 * fold)
        net = nets.create(self.net, trust=self.options.trust, **self.keywords)
        if self.first:
            self.first.give(net, self.dataset.classes.names)
        return net

    @property
    def known(self) -> frozenset[str]:
        """Digests of the images that the weights of ``--init`` have learnt from, as far as these say."""
        return self.first.trained_on if self.first else frozenset()

    def samples(self, cases: Sequence[Case]) -> dict[str, Sample]:
        """All cases in memory, by stem."""
        loaded = load_samples(self.dataset, cases, self._plan.preprocessing)
        return {sample.case.stem: sample for sample in loaded}

    def plan(self, samples: dict[str, Sample], file: Path) -> Plan:
        """The plan; with ``--minutes`` its length follows from a few timed steps, once, and is kept in ``file``."""
        if file.is_file():
            kept = json.loads(file.read_text(encoding="utf-8"))
            return self._lasting(int(kept["epochs"]), int(kept["steps in an epoch"]), "as the run began")
        plan = self._plan
        if self.options.minutes is not None:
            seconds = self._seconds_a_step(plan, list(samples.values()))
            steps = FITTING_SHARE * 60 * self.options.minutes / self.options.trainings / seconds
            length = max(1, min(plan.epoch_steps, round(steps / LEAST_EPOCHS)))
            plan = self._lasting(max(1, round(steps / length)), length, f"{seconds:.2f} s a step fit into the minutes")
        with replacing(file) as part:
            entries = {decision.name: decision.value for decision in plan.decisions}
            part.write_text(json.dumps(entries, indent=2), encoding="utf-8")
        return plan

    def _lasting(self, epochs: int, epoch_steps: int, why: str) -> Plan:
        """The plan with another length."""
        values = {"epochs": epochs, "steps in an epoch": epoch_steps}
        decisions = tuple(
            Decision(name=d.name, value=values[d.name], why=why) if d.name in values else d
            for d in self._plan.decisions
        )
        return replace(self._plan, epochs=epochs, epoch_steps=epoch_steps, decisions=decisions)

    def method(self, plan: Plan, fold: int, *, name: str, keywords: str) -> Method:
        """A method by its name and its own keywords (JSON), with everything it needs."""
        options = self.options
        exclusive = not self.dataset.classes.sigmoid
        weights = {"alpha": options.alpha} if options.loss == "dice-jaccard-bce" else {}
        weights |= _json(options.loss_keywords, "--loss-keywords")
        return methods.create(
            name,
            net=self.network(fold),
            loss=losses.create(options.loss, exclusive=exclusive, **weights),
            schedule=self._schedule(plan, fold),
            **_json(keywords, "--method-keywords"),
        )

    def _chosen(self, plan: Plan) -> Method:
        return self.method(plan, 0, name=self.options.method, keywords=self.options.method_keywords)

    def _schedule(self, plan: Plan, fold: int) -> Schedule:
        options = self.options
        try:
            augmentation = Augmentation(**{**plan.appearance, **_json(options.augment, "--augment")})
        except TypeError as error:
            raise UsageError(f"--augment: {error}") from error
        return Schedule(
            classes=self.dataset.classes,
            crop=plan.crop,
            window=plan.window,
            batch=plan.batch,
            epochs=plan.epochs,
            epoch_steps=plan.epoch_steps,
            augmentation=augmentation,
            # A threshold of each class follows anyway, and rare classes seldom reach even odds.
            judge=BestThreshold if self.dataset.classes.overlapping else EvenOdds,
            optimiser=plan.optimiser,
            learning_rate=plan.learning_rate,
            foreground=plan.foreground,
            one_image=plan.one_image,
            by_site=bool(options.balance_sites),
            seed=options.seed + 1000 * fold,
            workers=options.workers,
        )

    def _seconds_a_step(self, plan: Plan, samples: Sequence[Sample]) -> float:
        """The mean over all stages; nothing needs to be fitted for the steps of a later one to be timed."""
        timed = [(stage.epochs, _seconds(stage)) for stage in self._chosen(plan).stages(samples, samples[:1])]
        return sum(epochs * seconds for epochs, seconds in timed) / sum(epochs for epochs, _ in timed)


def _about_sites(options: Train, train: Sequence[Case]) -> Decision:
    sites = sorted({case.site for case in train})
    why = f"{len(sites)} sites in training: {', '.join(sites)}"
    if len(sites) < 2:
        why = f"all training images are of {sites[0] or 'no named site'}: there is nothing to balance, and no style of"
        why += " another site to learn from"
    return Decision(name="sites count the same", value=options.balance_sites, why=why)


def _seconds(stage: Stage) -> float:
    module: Any = stage.module
    optimiser = module.configure_optimizers()["optimizer"]
    durations: list[float] = []
    for batch in islice(stage.train, TRIAL_STEPS):
        if len(durations) > 2 * WARMING_STEPS and sum(durations) > TRIAL_SECONDS:
            break
        started = time.perf_counter()
        optimiser.zero_grad()
        module.training_loss(batch).backward()
        optimiser.step()
        durations.append(time.perf_counter() - started)
    return statistics.median(durations[WARMING_STEPS:] or durations)


def _json(text: str, option: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f'{option} expects JSON such as \'{{"variant": "b"}}\', found {text!r}: {error}') from error
    if not isinstance(value, dict):
        raise UsageError(f"{option} expects names and values, found {text!r}")
    return {key: tuple(v) if isinstance(v, list) else v for key, v in value.items()}


def _cpu_has_bf16() -> bool:
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported())
