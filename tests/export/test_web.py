"""The folder of the page: what is in it, and what is refused."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from export.web.node import PAGE
from leanseg.bundle import Bundle, Part
from leanseg.errors import InputError, UsageError
from leanseg.export import web
from leanseg.export.web import export_web
from leanseg.images.preprocess import Preprocessing
from leanseg.types import Classes

RUNTIME = {"ort.wasm.bundle.min.mjs": b"script", "ort-wasm-simd-threaded.wasm": b"wasm"}


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An unpacked package that passes for the real one."""
    folder = tmp_path / "unpacked" / "package" / "dist"
    folder.mkdir(parents=True)
    for name, content in RUNTIME.items():
        (folder / name).write_bytes(content)
    digests = [(name, target, hashlib.sha256(RUNTIME[name]).hexdigest()) for name, target, _ in web._FILES]
    monkeypatch.setattr(web, "_FILES", tuple(digests))
    return folder.parents[1]


def test_what_is_written(make_bundle: Callable[..., Bundle], runtime: Path, tmp_path: Path) -> None:
    card = "---\nlicense: x\n---\n\n# Card\n"
    bundle = make_bundle("bright", "strided", card=card, provenance={"data": "/home/somebody"}, data_licence="CC0")
    page = tmp_path / "page"
    export_web(bundle, page, runtime=runtime)
    config = json.loads((page / "model/config.json").read_text())
    assert [part["halo"] for part in config["parts"]] == [0, 12]
    assert (page / "model/card.txt").read_text() == "# Card"
    assert (page / "model/part1.onnx").read_bytes() == bundle.path("part1.onnx").read_bytes()
    assert (page / "runtime/onnxruntime-web.wasm").read_bytes() == b"wasm"
    assert not any(b"somebody" in file.read_bytes() for file in page.rglob("*") if file.is_file())
    assert {file.name for file in page.iterdir()} >= {"index.html", "style.css", "icon.svg", "page", "images"}
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("inner", ["", "package", "package/dist"])
def test_where_the_runtime_may_lie(
    inner: str, make_bundle: Callable[..., Bundle], runtime: Path, tmp_path: Path
) -> None:
    export_web(make_bundle(), tmp_path / "page", runtime=runtime / inner)


@pytest.mark.parametrize("named", [True, False])
def test_the_runtime_as_an_archive(
    named: bool, make_bundle: Callable[..., Bundle], runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tarfile.open(tmp_path / "onnxruntime-web-1.30.0.tgz", "w:gz") as tar:
        tar.add(runtime / "package", "package")
    monkeypatch.chdir(tmp_path)
    export_web(make_bundle(), tmp_path / "page", runtime=tmp_path / web.ARCHIVE if named else None)
    assert (tmp_path / "page/runtime/onnxruntime-web.js").read_bytes() == b"script"


def test_a_page_is_replaced_and_other_folders_stay(
    make_bundle: Callable[..., Bundle], runtime: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page"
    export_web(make_bundle(name="one"), page, runtime=runtime)
    export_web(make_bundle(name="two"), page, runtime=runtime)
    assert json.loads((page / "model/config.json").read_text())["name"] == "two"
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("keep")
    with pytest.raises(InputError, match="something other than such a page"):
        export_web(make_bundle(), mine, runtime=runtime)
    assert [file.name for file in mine.iterdir()] == ["notes.txt"]


def test_without_a_runtime_the_error_says_how_to_get_it(
    make_bundle: Callable[..., Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"npm pack onnxruntime-web@1\.30\.0\n(.*\n)+.*--runtime"):
        export_web(make_bundle(), tmp_path / "page")


def test_another_runtime_is_refused(make_bundle: Callable[..., Bundle], runtime: Path, tmp_path: Path) -> None:
    script = runtime / "package/dist/ort.wasm.bundle.min.mjs"
    script.write_bytes(b"another")
    with pytest.raises(InputError, match="another version"):
        export_web(make_bundle(), tmp_path / "page", runtime=runtime)
    script.unlink()
    with pytest.raises(InputError, match="does not hold"):
        export_web(make_bundle(), tmp_path / "page", runtime=runtime)
    assert not (tmp_path / "page").exists()


def test_an_archive_that_cannot_be_read(make_bundle: Callable[..., Bundle], runtime: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(300_000)
    (runtime / "package/dist/ort-wasm-simd-threaded.wasm").write_bytes(noise)
    with tarfile.open(tmp_path / "whole.tgz", "w:gz") as tar:
        tar.add(runtime / "package", "package")
    whole = (tmp_path / "whole.tgz").read_bytes()
    (tmp_path / "cut.tgz").write_bytes(whole[:200_000])
    (tmp_path / "spoilt.tgz").write_bytes(whole[:9_000] + bytes(500) + whole[9_500:])
    (tmp_path / "other.tgz").write_bytes(b"no archive")
    for name in ("cut", "spoilt", "other", "missing"):
        with pytest.raises(InputError, match="npm pack"):
            export_web(make_bundle(), tmp_path / "page", runtime=tmp_path / f"{name}.tgz")
    assert not (tmp_path / "page").exists()


@pytest.mark.parametrize(
    ("part", "channels", "wanted"),
    [
        (Part(net="unet", onnx="a.onnx", dims=3), 1, "pictures only"),
        (Part(net="unet", onnx="a.onnx"), 4, "4 channels"),
        (Part(net="unet", weights="a.safetensors"), 3, "no ONNX graph"),
    ],
)
def test_models_that_do_not_run_in_a_browser(part: Part, channels: int, wanted: str, tmp_path: Path) -> None:
    preprocessing = Preprocessing(channels=tuple("abcd"[:channels]))
    bundle = Bundle(name="x", parts=(part,), classes=Classes(names=("a",)), preprocessing=preprocessing)
    with pytest.raises(UsageError, match=wanted):
        export_web(bundle, tmp_path / "page")


def test_the_page_names_only_its_own_files() -> None:
    files = [file for file in PAGE.rglob("*") if file.is_file()]
    for file in files:
        text = file.read_text(encoding="utf-8")
        named = re.findall(r'(?:from |import\(|src=|href=)"([^"]+)"', text)
        for name in named:
            target = (file.parent / name).resolve()
            assert target.is_file() or target.parent.name == "runtime", f"{file.name} names {name}"
        elsewhere = set(re.findall(r"https?://[^\s\"'<)]+", text))
        assert elsewhere <= {"http://localhost:8000", "http://www.w3.org/2000/svg"}, file.name
