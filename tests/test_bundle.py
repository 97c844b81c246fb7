"""A model's folder: what is written is read back, and what is broken is named."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from leanseg.bundle import Bundle, Part, model_card, read_bundle, write_bundle, zoo
from leanseg.errors import InputError, UsageError
from leanseg.images.preprocess import Preprocessing
from leanseg.types import Classes

FILES = {"model.safetensors": save({"w": np.zeros(3, np.float32)}), "model.onnx": b"graph", "estimate/0.bin": b"x"}


def bundle(**changes):
    part = Part(
        net="mini-net", keywords={"classes": 1, "widths": [8, 16]}, weights="model.safetensors", onnx="model.onnx",
        temperature=(1.5,), divisor=4, halo=48, bytes_per_pixel=400,
    )  # fmt: skip
    fields = {
        "name": "vessels",
        "parts": (part,),
        "threshold": (0.45,),
        "classes": Classes(names=("vessel",), values=(255,)),
        "preprocessing": Preprocessing(field_of_view="fundus", diameter=540.0),
        "reference": {"mean": np.float64(1.5)},
        "provenance": {"seed": 3},
        "data_licence": "cc-by-4.0",
        "card": model_card(text="# Vessels", licence="cc-by-4.0"),
    }
    return Bundle(**{**fields, **changes})


def change(folder, edit):
    config = folder / "config.json"
    fields = json.loads(config.read_text())
    edit(fields)
    config.write_text(json.dumps(fields))


def test_round_trip(tmp_path):
    written = write_bundle(bundle(), tmp_path / "model", files=FILES)
    again = read_bundle(tmp_path / "model")
    assert again == written
    assert replace(again, folder=None) == bundle(reference={"mean": 1.5})
    assert again.path("model.onnx").read_bytes() == b"graph"
    assert {p.name for p in (tmp_path / "model").iterdir()} == {
        "config.json", "README.md", "model.safetensors", "model.onnx", "estimate",
    }  # fmt: skip
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_model_is_replaced_and_other_folders_are_not(tmp_path):
    write_bundle(bundle(), tmp_path / "model", files=FILES)
    again = write_bundle(bundle(name="better"), tmp_path / "model", files=FILES)
    assert again.name == "better"
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").touch()
    with pytest.raises(InputError, match="other than a model"):
        write_bundle(bundle(), tmp_path / "photos", files=FILES)
    assert (tmp_path / "photos" / "a.png").exists()


@pytest.mark.parametrize("name", ["../evil.bin", "/etc/evil", "config.json", ".hidden", "a\\b", "c:x"])
def test_names_that_lead_elsewhere_are_refused(tmp_path, name):
    with pytest.raises(UsageError, match="not allowed"):
        write_bundle(bundle(), tmp_path / "model", files={**FILES, name: b""})
    assert not (tmp_path / "model").exists()


def test_missing_files_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"files missing: \['model\.onnx'\]"):
        write_bundle(bundle(), tmp_path / "model", files={"model.safetensors": FILES["model.safetensors"]})


def test_a_failed_write_leaves_the_old_model(tmp_path):
    write_bundle(bundle(), tmp_path / "model", files=FILES)
    with pytest.raises(ValueError, match="JSON"):
        write_bundle(bundle(reference={"spread": float("nan")}), tmp_path / "model", files=FILES)
    assert read_bundle(tmp_path / "model").name == "vessels"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda f: f.update(format_version=2), "Upgrade with: pip install"),
        (lambda f: f.pop("format_version"), "format_version"),
        (lambda f: f.update(format_version="1"), "format_version"),
        (lambda f: f.pop("classes"), "'classes' is missing"),
        (lambda f: f.pop("parts"), "'parts' is missing"),
        (lambda f: f.update(parts=[]), "at least one part"),
        (lambda f: f.update(parts=3), "not iterable"),
        (lambda f: f.update(colour="red"), "colour"),
        (lambda f: f.update(combine="vote"), "combine"),
        (lambda f: f.update(threshold=[0.5, 0.5]), "one for each class"),
        (lambda f: f.update(threshold=[2]), "one for each class"),
        (lambda f: f["parts"][0].update(temperature=0), "temperature"),
        (lambda f: f["parts"][0].update(temperature=[1.0, 2.0, 3.0]), "temperature"),
        (lambda f: f["parts"][0].update(window=30), "window"),
        (lambda f: f["parts"][0].update(temperature=float("nan")), "temperature"),
        (lambda f: f["parts"][0].update(dims=4), "dims"),
        (lambda f: f["parts"][0].update(divisor=0), "divisor"),
        (lambda f: f["parts"][0].update(halo=-1), "halo"),
        (lambda f: f["parts"][0].update(weights="../../secret.safetensors"), "a file in the folder"),
        (lambda f: f["parts"][0].update(weights="model.pt"), "safetensors"),
        (lambda f: f["parts"][0].update(onnx=None, weights=None), "weights, an ONNX graph or both"),
        (lambda f: f["parts"][0].update(onnx="other.onnx"), "missing or empty"),
        (lambda f: f["preprocessing"].update(normalise="magic"), "normalise"),
        (lambda f: f["classes"].update(names=["a", "a"]), "differ"),
    ],
)
def test_broken_configurations_are_named(tmp_path, edit, message):
    folder = write_bundle(bundle(), tmp_path / "model", files=FILES).folder
    change(folder, edit)
    with pytest.raises(InputError, match=message):
        read_bundle(folder)


def test_broken_files_are_named(tmp_path):
    folder = write_bundle(bundle(), tmp_path / "model", files=FILES).folder
    (folder / "model.safetensors").write_bytes(b"pickle")
    with pytest.raises(InputError, match="not a safetensors file"):
        read_bundle(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match="expected JSON"):
        read_bundle(folder)
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match="not a model"):
        read_bundle(folder)


def test_names_of_the_zoo(tmp_path, monkeypatch):
    folder = write_bundle(bundle(), tmp_path / "zoo" / "vessels", files=FILES).folder
    monkeypatch.setattr("leanseg.bundle.resources.files", lambda _: tmp_path)
    assert zoo() == {"vessels": folder}
    assert read_bundle("vessels").folder == folder
    with pytest.raises(UsageError, match=r"leanseg \(vessels\)"):
        read_bundle("nuclei")


def test_thresholds_default_to_one_half():
    assert bundle(classes=Classes(names=("a", "b")), threshold=()).threshold == (0.5, 0.5)


def test_a_bundle_without_folder_has_no_paths():
    with pytest.raises(UsageError, match="not in a folder"):
        bundle().path("model.onnx")


def test_card_cannot_be_broken_by_names():
    card = model_card(text="body", licence="mit", datasets=['a: "b"\n---'])
    head = card.split("---\n")[1]
    assert '"a: \\"b\\"\\n---"' in head
    assert card.endswith("---\n\nbody\n")


def test_a_folder_of_photographs_does_not_hide_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vessels").mkdir()
    assert read_bundle("vessels").name == "vessels"


def test_the_folder_of_a_training_names_its_model(tmp_path: Path, make_bundle: Callable[..., Bundle]) -> None:
    bundle = make_bundle()
    shutil.copytree(bundle.folder, tmp_path / "run" / "model")
    (tmp_path / "run" / "config.json").write_text('{"data": "x"}')
    with pytest.raises(InputError, match=re.escape(str(tmp_path / "run" / "model"))):
        read_bundle(tmp_path / "run")
