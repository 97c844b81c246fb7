"""``leanseg train``: from a folder of images and masks to a model, its scores and a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from leanseg.data.dataset import Case, Dataset
from leanseg.data.folder import open_dataset
from leanseg.data.splits import FILE as TABLE
from leanseg.data.splits import (
    check_unlabelled,
    complete_splits,
    folds,
    keep_labelled,
    leave_out,
    splits_table,
    write_splits,
)
from leanseg.errors import UsageError, require
from leanseg.workflows.config import fields_for, read_config, write_config
from leanseg.workflows.evaluation import Evaluation
from leanseg.workflows.plan import Plan
from leanseg.workflows.score_files import remarks
from leanseg.workflows.score_tables import sentence, terminal_sites, terminal_table
from leanseg.workflows.summary import by_site
from leanseg.workflows.train_checks import check_options, is_model
from leanseg.workflows.train_scores import score_test, score_unseen

if TYPE_CHECKING:
    from torch import nn

    from leanseg.loading.samples import Sample
    from leanseg.workflows.clock import Clock
    from leanseg.workflows.recipe import Recipe

Fold = tuple[tuple[Case, ...], tuple[Case, ...]]
"""Training and validation cases."""

MACHINE = frozenset({"device", "processes", "threads", "workers"})
"""Options that change with the machine and not with the run."""


@dataclass(kw_only=True)
class Train:
    """Train a model: prints its plan, fits, calibrates, writes OUT/model, scores the test split and reports.

    Args:
        data: a folder of images and masks.
        out: the folder of the run; it ends up with model/, report.html, scores.csv, scores.json and splits.csv.
        method: how to train; "supervised" needs a mask for every training image, "wt-bcp" learns from a few masks
            and from images without, "supercl" pre-trains on both, "spatial-label-noise" doubts labels, "dr-lesions"
            trains a network for each of several kinds of lesion, "mamba-sea" prepares for sites that it never saw.
        method_keywords: constructor keywords of the method as JSON, for instance '{"mix": false}'.
        labelled: keep the masks of so many training patients; the others count as unlabelled.
        leave_out: a site (see the column "site" of splits.csv) whose images are for the test alone: a new hospital.
        leave_one_site_out: train once for each site, which is left out, into OUT/without-SITE, and put the scores
            together.
        baseline: with a method other than supervised, also train "supervised" on the same labels, as long, into
            OUT/baseline, and compare both; "dr-lesions" has none.
        net: a registered network, or package.module:Class with --trust; mini-net unless the method suggests another.
        net_keywords: constructor keywords of the network as JSON, for instance '{"variant": "b"}'.
        loss: dice-jaccard-bce, dice, jaccard, tversky or cross-entropy.
        alpha: weight of the overlap terms of dice-jaccard-bce.
        loss_keywords: other constructor keywords of the loss as JSON, for instance '{"smoothing": 0.1}'.
        init: a model to start from, whose classes may be others; weights such as
            OUT/fold-0/pretrain/pretrained.safetensors of a run with "supercl"; or "imagenet", for the encoder
            efficientnet-lite0 of deeplab-v3-plus.
        epochs: length of the training in epochs of --epoch-steps steps.
        epoch_steps: steps between two validations.
        minutes: fit the training into about this time instead.
        patience: stop after this many epochs without a better validation Dice; 0 for never.
        folds: cross-validation folds; the model averages their networks.
        refit: at the end train one network again on training and validation images together, with the threshold and
            temperature found before; it becomes the model.
        crop: side of the training crops in pixels.
        batch: crops in a step.
        one_image: cut all crops of a step from one image.
        optimiser: muon or adamw.
        learning_rate: peak of the learning rate.
        foreground: share of crops centred on the foreground.
        balance_sites: every site of the data set gives as many crops as the others; mamba-sea does so by itself.
        augment: changes of the augmentation as JSON, for instance '{"rotation": 15}'.
        field_of_view: none or fundus.
        diameter: pixels to which the field of view of a fundus photograph is brought.
        longest: pixels to which the longer side of larger pictures is brought.
        clahe: equalise the lightness of colour photographs in tiles (CLAHE), with this clip limit, for instance 2; 0
            leaves it.
        precision: 32-true, bf16-mixed, ...
        device: cpu, cuda or mps.
        processes: processes or GPUs that share each batch.
        threads: processor threads of each process.
        workers: processes that make crops.
        deterministic: refuse operations whose result may differ between runs.
        logger: csv, or tensorboard as well.
        flips: average over mirrored copies when calibrating and scoring.
        seed: of weights, crops and splits.
        licence: of the weights, as the Hugging Face Hub spells it.
        snapshots: copies of the network that the model keeps from its training, by which "estimate" learns what poor
            masks are like; 12 by default below half a million parameters, otherwise 0.
        resume: go on with the run in OUT, by the options in its config.json; only those of the machine may be others.
        trust: allow a network that is not registered, whose code will run.
    """

    data: tyro.conf.Positional[Path]
    out: Path
    method: str = "supervised"
    method_keywords: str = "{}"
    labelled: int | None = None
    leave_out: str | None = None
    leave_one_site_out: bool = False
    baseline: bool = True
    net: str | None = None
    net_keywords: str | None = None
    loss: str = "dice-jaccard-bce"
    alpha: float = 0.5
    loss_keywords: str = "{}"
    init: str | None = None
    epochs: int | None = None
    epoch_steps: int | None = None
    minutes: float | None = None
    patience: int = 0
    folds: int = 1
    refit: bool = False
    crop: int | None = None
    batch: int | None = None
    one_image: bool | None = None
    optimiser: Literal["muon", "adamw"] | None = None
    learning_rate: float | None = None
    foreground: float | None = None
    balance_sites: bool | None = None
    augment: str = "{}"
    field_of_view: Literal["none", "fundus"] | None = None
    diameter: float | None = None
    longest: int | None = None
    clahe: float | None = None
    precision: str | None = None
    device: str = "cpu"
    processes: int = 1
    threads: int | None = None
    workers: int = 0
    deterministic: bool = False
    logger: Literal["csv", "tensorboard"] = "csv"
    flips: bool = False
    seed: int = 0
    licence: str = "other"
    snapshots: int | None = None
    resume: bool = False
    trust: bool = False

    def run(self) -> Evaluation:
        """Train, and write everything into ``out``.

        Raises:
            UsageError: options that do not fit together, or a run that is there already.
            InputError: the data set cannot be used.
        """
        require("torch", extra="train")
        require("lightning", extra="train")
        check_options(self)
        if not self.resume and self.out.exists() and any(self.out.iterdir()):
            raise UsageError(f"{self.out} is not empty; go on with its run by --resume, or choose another --out")
        options = self._resumed() if self.resume else self
        if options.leave_one_site_out:
            from leanseg.workflows.leave_sites_out import leave_sites_out

            return leave_sites_out(options)
        return options._completed()._train()

    def _completed(self) -> Train:
        """With what suits the method where the user left it open."""
        from leanseg.methods import method_class

        suits = dict(method_class(self.method).defaults)
        if self.net is not None or (self.init is not None and is_model(self.init)):
            # A network by name has keywords of its own, and so has that of a model.
            suits.pop("net_keywords", None)
        return replace(self, **{name: value for name, value in suits.items() if getattr(self, name) is None})

    def _resumed(self) -> Train:
        config = self.out / "config.json"
        if not config.is_file():
            raise UsageError(f"{self.out} holds no run to resume: it has no config.json")
        began = fields_for(Train, read_config(config), where=str(config))
        begun = Train(**{**began, "data": self.data, "out": self.out, "resume": True})
        usual = vars(Train(data=self.data, out=self.out))
        given = {name: value for name, value in vars(self).items() if value != usual[name]}
        for name in sorted(given.keys() - MACHINE):
            if given[name] != getattr(begun, name):
                msg = f"{self.out} began with {name} {getattr(begun, name)!r}, found {given[name]!r}"
                raise UsageError(f"{msg}. A run goes on as it began: leave the option out, or begin another run.")
        return replace(begun, **{name: given[name] for name in given.keys() & MACHINE})

    def _train(self) -> Evaluation:
        from leanseg.methods import method_class
        from leanseg.methods.whole_image import true_masks
        from leanseg.workflows.bundling import bundled, refitted
        from leanseg.workflows.calibrate import about_never_shown
        from leanseg.workflows.clock import Clock
        from leanseg.workflows.fitting import FINDINGS
        from leanseg.workflows.label_errors import write_label_errors
        from leanseg.workflows.recipe import Recipe
        from leanseg.workflows.train_report import FACTS, write_train_report

        clock = Clock(self.out / FACTS)
        dataset = self._dataset()
        parts = self._folds(dataset)
        recipe = Recipe(self, dataset, parts[0][0])
        extra = dataset.unlabelled if method_class(self.method).needs_unlabelled else ()
        # Read before anything is written: a broken file leaves no folder behind that is in the way of the next try.
        samples = recipe.samples([*parts[0][0], *parts[0][1], *extra])
        learnt = [case for train, val in parts for case in (*train, *(val if self.refit else ()), *extra)]
        digests = recipe.known.union(samples[case.stem].digest for case in learnt)
        self.out.mkdir(parents=True, exist_ok=True)
        if not self.resume:
            write_config(self, self.out)
        self._keep_splits((*dataset.cases, *dataset.unlabelled))
        shown = (true_masks(samples[case.stem].target, dataset.classes) for _, val in parts for case in val)
        dataset = replace(dataset, notes=(*dataset.notes, *about_never_shown(dataset.classes, shown)))
        plan = recipe.plan(samples, self.out / "plan.json")
        _print_plan(dataset, plan)
        bundles = []
        for options in self._runs():
            fit = partial(options._fit, recipe, plan, samples, clock)
            nets = [fit(number, part) for number, part in enumerate(parts)]
            bundles.append(bundled(options, dataset, plan, nets, [val for _, val in parts], digests))
        tested = bool(dataset.subset("test"))
        if not tested:
            result = score_unseen(self, bundles, dataset, [val for _, val in parts])
        if self.refit:
            everything = tuple(case for part in parts[0] for case in part)
            net = self._fit(recipe, plan, samples, clock, len(parts), (everything, ()))
            bundles[0] = refitted(bundles[0], net)
        if tested:
            result = score_test(self, bundles, dataset)
        labelled = (*dataset.subset("train"), *dataset.subset("val"))
        doubted = write_label_errors(
            dataset, labelled, [self.out / f"fold-{n}" / FINDINGS for n in range(len(parts))], self.out
        )
        write_train_report(self, dataset, plan, bundles[0], result, clock)
        _say(result, self.out, doubted)
        return result

    @property
    def trainings(self) -> int:
        """Number of fits of the plan's length."""
        return self.folds * len(self._runs()) + self.refit

    def _runs(self) -> list[Train]:
        """These options, and those of the baseline where there is one."""
        from leanseg.methods import method_class

        if self.method == "supervised" or method_class(self.method).per_class or not self.baseline:
            return [self]
        return [self, replace(self, method="supervised", method_keywords="{}", out=self.out / "baseline")]

    def _dataset(self) -> Dataset:
        from leanseg.methods import method_class

        dataset = open_dataset(self.data)
        if self.leave_out is None:
            dataset = replace(dataset, cases=complete_splits(dataset.cases, seed=self.seed))
        else:
            known = tuple(case for case in dataset.unlabelled if case.site != self.leave_out)
            cases = leave_out(dataset.cases, site=self.leave_out, seed=self.seed)
            dataset = replace(dataset, cases=cases, unlabelled=known)
        if self.labelled is not None:
            cases, lost = keep_labelled(dataset.cases, patients=self.labelled, seed=self.seed)
            dataset = replace(dataset, cases=cases, unlabelled=(*dataset.unlabelled, *lost))
        if method_class(self.method).needs_unlabelled:
            check_unlabelled(dataset.cases, dataset.unlabelled)
        return dataset

    def _keep_splits(self, cases: Sequence[Case]) -> None:
        """Write OUT/splits.csv; a run that goes on must have the images and splits that it began with."""
        file = self.out / TABLE
        if file.is_file() and file.read_text(encoding="utf-8") != splits_table(cases):
            msg = f"the images or splits of {self.data} are not those that the run began with, see {file}"
            raise UsageError(f"{msg}. Bring them back, or begin another run.")
        write_splits(cases, file)

    def _folds(self, dataset: Dataset) -> list[Fold]:
        train, val = dataset.subset("train"), dataset.subset("val")
        if self.folds > 1:
            return folds((*train, *val), count=self.folds, seed=self.seed)
        if not train or not val:
            msg = f"{self.data}: found {len(train)} training and {len(val)} validation images; both are needed"
            raise UsageError(f"{msg}. Give splits.csv other splits, or more labelled images.")
        return [(train, val)]

    def _snapshots(self, net: nn.Module) -> int:
        """How many copies of a network to keep while it learns."""
        from leanseg.methods import method_class
        from leanseg.workflows.snapshots import SMALL, USUAL

        if method_class(self.method).per_class:
            return 0  # no moment shows all of its networks half trained
        if self.snapshots is not None:
            return self.snapshots
        return USUAL if sum(p.numel() for p in net.parameters()) < SMALL else 0

    def _fit(
        self, recipe: Recipe, plan: Plan, samples: Mapping[str, Sample], clock: Clock, number: int, part: Fold
    ) -> nn.Module:
        """Fit the network of one fold."""
        from leanseg.workflows.fitting import Machine, fit

        method = recipe.method(plan, number, name=self.method, keywords=self.method_keywords)
        machine = Machine(
            device=self.device,
            processes=self.processes,
            threads=self.threads,
            precision=plan.precision,
            deterministic=self.deterministic,
            logger=self.logger,
            patience=self.patience,
            snapshots=self._snapshots(method.network) if number == 0 else 0,
        )
        train, val = ([samples[case.stem] for case in cases] for cases in part)
        if method.needs_unlabelled:
            # With folds a patient of this one's validation may have images without masks as well.
            judged = {case.patient for case in part[1]}
            others = [sample for sample in samples.values() if not sample.case.masks]
            train += [sample for sample in others if sample.case.patient not in judged]
        folder = self.out / f"fold-{number}"
        return fit(method, train, val, folder=folder, machine=machine, resume=self.resume, each_epoch=clock.keep)


def _say(result: Evaluation, out: Path, doubted: Path | None) -> None:
    console = Console()
    console.print(terminal_table(result.summaries))
    if sites := by_site(result.rows):
        console.print(terminal_sites(sites))
    for note in remarks(result):
        console.print(f"note: {escape(note)}", highlight=False, soft_wrap=True)
    for comparison in result.comparisons:
        if comparison.score == "dice":
            console.print(escape(sentence(comparison)), highlight=False, soft_wrap=True)
    console.print(f"{escape(str(out))}: model/, report.html, scores.csv, scores.json", highlight=False)
    if doubted:
        console.print(f"{escape(str(doubted))}: labels that may be wrong, worst first", highlight=False)


def _print_plan(dataset: Dataset, plan: Plan) -> None:
    console = Console()
    for note in dataset.notes:
        console.print(f"note: {escape(note)}", highlight=False, soft_wrap=True)
    counts = ", ".join(f"{len(dataset.subset(split))} {split}" for split in ("train", "val", "test"))
    table = Table(title=f"Plan for {escape(dataset.name or dataset.root.name)}: {counts}", title_justify="left")
    for column in ("what", "value", "why"):
        table.add_column(column)
    for decision in plan.decisions:
        table.add_row(decision.name, escape(str(decision.value)), escape(decision.why))
    console.print(table)
