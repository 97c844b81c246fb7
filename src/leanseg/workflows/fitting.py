"""Fit a method with Lightning: checkpoints, exact resume, early stopping, logs and a live progress bar."""

from __future__ import annotations

import csv
import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leanseg.images.atomic import replacing
from leanseg.workflows.heap import keep_freed_memory
from leanseg.workflows.open_files import open_many_files

if TYPE_CHECKING:
    from lightning.pytorch import Trainer
    from torch import nn

    from leanseg.loading.samples import Sample
    from leanseg.methods.stage import Method, Stage

LAST, BEST, WEIGHTS, FINDINGS = "last.ckpt", "best.ckpt", "weights.safetensors", "findings.safetensors"
METRICS = "metrics.csv"
PRETRAINED = "pretrained.safetensors"
"""In the folder of a stage: what ``--init`` takes."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """How a fit uses the machine.

    Args:
        device: "cpu", "cuda" or "mps".
        processes: number of processes (or GPUs) that share each batch.
        threads: processor threads of each process; None for all of them together.
        precision: of Lightning, for instance "32-true".
        deterministic: refuse operations whose result may differ between runs.
        logger: "csv" or "tensorboard".
        patience: epochs without a better validation Dice after which a fit stops; 0 for never.
        snapshots: copies of the network that each stage keeps while it learns.
    """

    device: str = "cpu"
    processes: int = 1
    threads: int | None = None
    precision: str = "32-true"
    deterministic: bool = False
    logger: str = "csv"
    patience: int = 0
    snapshots: int = 0


def fit(
    method: Method,
    train: Sequence[Sample],
    val: Sequence[Sample],
    *,
    folder: Path,
    machine: Machine,
    resume: bool,
    each_epoch: Callable[[], None],
) -> nn.Module:
    """Run all stages of a method and return its network; a finished fit is read instead of run again.

    Args:
        method: what to fit.
        train: samples to learn from.
        val: samples by which the best weights are chosen; without any that show a class, the last ones are.
        folder: for checkpoints, logs and the final weights.
        machine: how to use the machine.
        resume: go on from the last checkpoint in the folder, where there is one.
        each_epoch: called in the first process at the end of every epoch.
    """
    import torch
    from safetensors.torch import load_file, save_file

    from leanseg.methods.validation_score import judges

    keep_freed_memory()
    open_many_files()
    if machine.threads is not None:
        torch.set_num_threads(machine.threads)
    done = folder / WEIGHTS
    if resume and done.is_file():
        method.network.load_state_dict(load_file(done))
        return method.network.eval()
    for stage in method.stages(train, judges(val)):
        _fit_stage(stage, folder / stage.name, machine, resume, each_epoch)
        _load_best(stage, folder / stage.name)
        if stage.pretrained is not None:
            with replacing(folder / stage.name / PRETRAINED) as part:
                save_file(stage.pretrained().state_dict(), part, metadata=dict(stage.note))
    net = method.result()
    if found := method.findings(net):
        with replacing(folder / FINDINGS) as part:
            save_file(found, part)
    with replacing(done) as part:
        save_file(net.state_dict(), part)
    return net


def _fit_stage(stage: Stage, folder: Path, machine: Machine, resume: bool, each_epoch: Callable[[], None]) -> None:
    from lightning.pytorch import Trainer

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    trainer = Trainer(
        accelerator={"cuda": "gpu"}.get(machine.device, machine.device),
        devices=machine.processes,
        strategy=_strategy(machine),
        precision=machine.precision,  # type: ignore[arg-type]
        deterministic=machine.deterministic,
        max_epochs=stage.epochs,
        gradient_clip_val=1.0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        callbacks=_callbacks(stage, folder, machine, each_epoch),
        logger=_loggers(machine.logger, folder),
        default_root_dir=folder,
    )
    with warnings.catch_warnings():
        # Hints about workers, loggers and devices that the plan has decided already.
        warnings.filterwarnings("ignore", module="lightning.*")
        warnings.filterwarnings("ignore", message=".*share_memory.*|.*lr_scheduler.*")
        try:
            trainer.fit(
                stage.module, stage.train, stage.val if len(stage.val) else None,
                ckpt_path=_begun(stage, folder, trainer) if resume else None, weights_only=True,
            )  # fmt: skip
        except SystemExit:
            # Lightning's answer to Ctrl-C.
            if trainer.interrupted:
                raise KeyboardInterrupt("The run goes on from its last epoch with --resume.") from None
            raise


def _callbacks(stage: Stage, folder: Path, machine: Machine, each_epoch: Callable[[], None]) -> list[Any]:
    from lightning.pytorch.callbacks import EarlyStopping, LambdaCallback, ModelCheckpoint, RichProgressBar

    judged = len(stage.val) > 0
    keeping: Any = {"dirpath": folder, "save_on_train_epoch_end": True, "enable_version_counter": False}
    # The best comes first, for the last tells a resumed training what the best was.
    best = ModelCheckpoint(filename=Path(BEST).stem, monitor="val_dice", mode="max", **keeping)
    last = ModelCheckpoint(filename=Path(LAST).stem, **keeping)
    ended = LambdaCallback(on_train_epoch_end=partial(_in_first_process, each_epoch))
    callbacks: list[Any] = [*([best] if judged else []), last, ended, RichProgressBar(leave=False)]
    if machine.snapshots:
        from leanseg.workflows.snapshots import FOLDER, Snapshots, snapshot_steps

        steps = snapshot_steps(stage.epochs * len(stage.train), machine.snapshots)
        callbacks.append(Snapshots(folder / FOLDER, steps))
    if machine.patience and judged:
        callbacks.append(EarlyStopping("val_dice", mode="max", patience=machine.patience))
    return callbacks


def _in_first_process(call: Callable[[], None], trainer: Trainer, _module: object) -> None:
    if trainer.is_global_zero:
        call()


def _strategy(machine: Machine) -> Any:
    if machine.processes == 1:
        return "auto"
    from lightning.pytorch.strategies import DDPStrategy

    backend = "nccl" if machine.device == "cuda" else "gloo"
    return DDPStrategy(start_method="spawn", process_group_backend=backend)


def _loggers(kind: str, folder: Path) -> list[Any]:
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

    loggers = [CSVLogger(folder, name="", version="")]
    return [*loggers, TensorBoardLogger(folder, name="", version="")] if kind == "tensorboard" else loggers


def _begun(stage: Stage, folder: Path, trainer: Trainer) -> Path | None:
    """The last checkpoint, where there is one, with the order of samples and the table of scores as they were then."""
    import torch

    last, log = folder / LAST, folder / METRICS
    if not last.is_file():
        return None
    state = torch.load(last, map_location="cpu", weights_only=True)
    # Lightning tells the sampler of every epoch but the first one after a restart.
    sampler: Any = stage.train.sampler
    sampler.set_epoch(state["global_step"] // len(sampler))
    if log.is_file():
        with log.open(newline="", encoding="utf-8") as file:
            rows: Any = [row for row in csv.DictReader(file) if int(row["epoch"]) <= state["epoch"]]
        # A new table deletes the one that it finds.
        trainer.logger.experiment.metrics = rows  # type: ignore[union-attr]
        trainer.logger.save()  # type: ignore[union-attr]
    return last


def _load_best(stage: Stage, folder: Path) -> None:
    import torch

    best = folder / BEST
    if len(stage.val) and best.is_file():
        state = torch.load(best, map_location="cpu", weights_only=True)
        stage.module.load_state_dict(state["state_dict"])
