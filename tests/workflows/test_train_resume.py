"""A training that was killed, interrupted or stopped goes on as it began."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from leanseg.cli import main
from testers.training import FAST, discs


def test_killed_and_resumed_equals_uninterrupted(data: Path, tmp_path: Path) -> None:
    options = ["--epochs", "6", "--epoch-steps", "8", "--crop", "32", "--batch", "2", "--threads", "1"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert main(["train", str(data), "--out", str(whole), *options]) == 0
    words = [sys.executable, "-m", "leanseg.cli", "train", str(data), "--out", str(cut), *options]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = cut / "fold-0" / "fit" / "metrics.csv"
    while process.poll() is None and not (log.is_file() and log.read_text().count("\n") > 3):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (cut / "model").exists(), "the training was over before it was killed"
    killed_after = json.loads((cut / "facts.json").read_text())["seconds"]
    assert main(["train", str(data), "--out", str(cut), "--resume"]) == 0
    expected, found = (load_file(out / "model" / "model.safetensors") for out in (whole, cut))
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert json.loads((cut / "facts.json").read_text())["seconds"] > killed_after
    tables = [list(csv.DictReader((out / "fold-0" / "fit" / "metrics.csv").open())) for out in (whole, cut)]
    assert tables[0] == tables[1]


def test_a_run_that_is_stopped_between_two_stages_goes_on_and_keeps_both_curves(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main(["train", str(data), "--out", str(out), "--method", "wt-bcp", "--labelled", "2", *FAST]) == 0
    fold = out / "fold-0"
    before = {stage: (fold / stage / "metrics.csv").read_bytes() for stage in ("pretrain", "mix")}
    (fold / "weights.safetensors").unlink()
    shutil.rmtree(fold / "mix")
    assert main(["train", str(data), "--out", str(out), "--resume"]) == 0
    assert {stage: (fold / stage / "metrics.csv").read_bytes() for stage in before} == before


def test_an_interrupted_training_says_how_to_go_on(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [sys.executable, "-m", "leanseg.cli", "train", str(data), "--out", str(out), *FAST[2:], "--epochs", "500"]
    # What runs in the background, as tests may, ignores Ctrl-C and so would what it starts.
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    log = out / "fold-0" / "fit" / "metrics.csv"
    while process.poll() is None and not (log.is_file() and log.read_text().count("\n") > 3):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert "Interrupted." in said and "--resume" in said


def test_a_run_goes_on_with_its_own_options_but_for_the_machine(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    shutil.copytree(run, out)
    for words, told in ((["--epochs", "9"], "began with epochs 2, found 9"), (["--seed", "4"], "began with seed 0")):
        assert main(["train", str(data), "--out", str(out), "--resume", *words]) == 2
        assert told in capsys.readouterr().err
    assert main(["train", str(data), "--out", str(out), "--resume", "--threads", "2", "--epochs", "2"]) == 0


def test_a_run_does_not_go_on_with_other_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = discs(tmp_path / "data"), tmp_path / "run"
    assert main(["train", str(data), "--out", str(out), *FAST]) == 0
    before = (out / "splits.csv").read_bytes()
    for part in ("images", "masks"):
        shutil.copy(data / part / "0.png", data / part / "more.png")
    assert main(["train", str(data), "--out", str(out), "--resume"]) == 2
    assert "not those that the run began with" in capsys.readouterr().err
    assert (out / "splits.csv").read_bytes() == before
