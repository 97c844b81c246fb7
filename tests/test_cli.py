"""Words in, exit codes out; nothing heavy is imported before it is needed."""

import json
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import tyro

import leanseg
from leanseg import cli
from leanseg.errors import InputError, UsageError
from leanseg.workflows.config import configuration, write_config

RUNS: list["Probe"] = []


@dataclass(kw_only=True)
class Probe:
    """Try things out.

    Args:
        data: the folder.
        count: how many.
        deep: look twice.
        limit: mm.
        end: how it ends.
    """

    data: tyro.conf.Positional[Path]
    count: int = 1
    deep: bool = False
    limit: float | None = None
    names: tuple[str, ...] = ()
    end: str = "well"

    def run(self) -> int:
        RUNS.append(self)
        ends = {
            "input": InputError("a.png", "broken"),
            "usage": UsageError("no such thing"),
            "stop": KeyboardInterrupt(),
        }
        if self.end in ends:
            raise ends[self.end]
        if self.end == "bug":
            raise ZeroDivisionError
        return 3 if self.end == "partly" else 0


@pytest.fixture(autouse=True)
def probe(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("probe_workflow")
    module.Probe = Probe
    monkeypatch.setitem(sys.modules, "probe_workflow", module)
    monkeypatch.setitem(cli.VERBS, ("probe",), ("probe_workflow:Probe", "Try things out."))
    RUNS.clear()


@pytest.mark.parametrize(
    ("end", "code", "message"),
    [
        ("well", 0, ""),
        ("partly", 3, ""),
        ("input", 1, "leanseg: a.png: broken\n"),
        ("usage", 2, "leanseg: no such thing\n"),
        ("stop", 130, "Interrupted"),
    ],
)
def test_exit_codes(end: str, code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["probe", "eyes", "--end", end]) == code
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err


def test_bugs_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        cli.main(["probe", "eyes", "--end", "bug"])


def test_a_folder_that_takes_no_results_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file stands where the folder is to be."""
    picture, out = tmp_path / "a.png", tmp_path / "out"
    cv2.imwrite(str(picture), np.zeros((8, 8), np.uint8))
    out.write_text("")
    assert cli.main(["segment", str(picture), "--model", "vessels", "--out", str(out)]) == 1
    assert str(out) in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["probe"], ["probe", "eyes", "--count", "many"], ["probe", "eyes", "--nonsense", "1"]]
)
def test_wrong_options_are_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    assert not RUNS


def test_unknown_commands_are_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evalute", "eyes"]) == 2
    assert "did you mean 'evaluate'" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"leanseg {leanseg.__version__}\n"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    for verb in ("segment", "train", "evaluate", "data check", "data repair", "info"):
        assert verb in out
    assert cli.main(["data", "--help"]) == 0
    out = capsys.readouterr().out
    assert "data split" in out and "evaluate" not in out


def test_a_missing_command_is_explained_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2 and cli.main(["data"]) == 2
    out, err = capsys.readouterr()
    assert not out and "data split" in err


def test_help_of_a_command_lists_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["probe", "--help"]) == 0
    out = capsys.readouterr().out
    assert "--count" in out and "look twice" in out


@pytest.mark.parametrize("ending", [".json", ".toml", ".yaml"])
def test_config_gives_defaults_and_the_hand_wins(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"probe{ending}"
    texts = {
        ".json": '{"data": "eyes", "count": 5, "deep": true, "limit": 2, "names": ["a", "b"]}',
        ".toml": 'data = "eyes"\ncount = 5\ndeep = true\nlimit = 2\nnames = ["a", "b"]',
        ".yaml": "data: eyes\ncount: 5\ndeep: true\nlimit: 2\nnames: [a, b]",
    }
    if ending == ".yaml":
        pytest.importorskip("yaml")
    file.write_text(texts[ending])
    assert cli.main(["probe", "--config", str(file)]) == 0
    assert RUNS[-1] == Probe(data=Path("eyes"), count=5, deep=True, limit=2.0, names=("a", "b"))
    assert cli.main(["probe", "skin", f"--config={file}", "--count", "7", "--no-deep"]) == 0
    assert RUNS[-1] == Probe(data=Path("skin"), count=7, limit=2.0, names=("a", "b"))


def test_config_may_leave_out_what_is_typed(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"count": 5}')
    assert cli.main(["probe", "--config", str(tmp_path / "c.json"), "eyes"]) == 0
    assert RUNS[-1] == Probe(data=Path("eyes"), count=5)
    assert cli.main(["probe", "--config", str(tmp_path / "c.json")]) == 2


@pytest.mark.parametrize(
    ("name", "text", "code", "message"),
    [
        ("c.json", '{"cuont": 5}', 2, "no option cuont; it has count, data"),
        ("c.json", '{"count": "many"}', 2, "count must be int, found 'many'"),
        ("c.json", '{"count": true}', 2, "count must be int"),
        ("c.json", '{"deep": 1}', 2, "deep must be bool"),
        ("c.json", '{"verb": "train"}', 2, "written by 'leanseg train'"),
        ("c.json", "{", 1, "not valid JSON"),
        ("c.json", "[1]", 1, "expected keys and values, found list"),
        ("c.ini", "a=1", 1, "found .ini"),
    ],
)
def test_wrong_configurations_are_explained(
    name: str, text: str, code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(text)
    assert cli.main(["probe", "eyes", "--config", str(tmp_path / name)]) == code
    assert message in capsys.readouterr().err
    assert not RUNS


def test_a_missing_configuration_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["probe", "--config", str(tmp_path / "gone.json")]) == 1
    assert "gone.json: cannot be read" in capsys.readouterr().err
    assert cli.main(["probe", "--config"]) == 2


def test_a_run_repeats_from_its_own_record(tmp_path: Path) -> None:
    run = Probe(data=Path("eyes"), count=9, names=("a",))
    file = write_config(run, tmp_path / "out")
    assert json.loads(file.read_text()) == {**configuration(run), "verb": "probe", "version": leanseg.__version__}
    assert cli.main(["probe", "--config", str(file)]) == 0
    assert RUNS[-1] == run


def _modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; sys.stderr.write(' '.join(sys.modules))"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return set(done.stderr.split())


def test_import_and_help_load_nothing_heavy() -> None:
    heavy = {"torch", "lightning", "cv2", "onnxruntime", "scipy", "numpy", "tyro", "jinja2", "pydicom", "nibabel"}
    assert not heavy & _modules_after("import leanseg")
    assert not heavy & _modules_after("from leanseg.cli import main; main(['--help']); main(['--version'])")


def test_reading_an_image_needs_no_torch() -> None:
    loaded = _modules_after("import leanseg; leanseg.read_image; leanseg.open_dataset; leanseg.Classes")
    assert not {"torch", "lightning", "onnxruntime"} & loaded


def test_python_calls_take_the_words_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("leanseg.workflows.train")
    module.Train = type("Train", (Probe,), {})
    monkeypatch.setitem(sys.modules, "leanseg.workflows.train", module)
    assert leanseg.train(data="eyes", names="a", limit=3) == 0
    assert (RUNS[-1].data, RUNS[-1].names, RUNS[-1].limit) == (Path("eyes"), ("a",), 3.0)
    with pytest.raises(UsageError, match="needs data"):
        leanseg.train(count=2)
    with pytest.raises(UsageError, match="no option cuont"):
        leanseg.train(data="eyes", cuont=2)


def test_public_names_exist() -> None:
    assert leanseg.Image.__module__ == "leanseg.images.image" and "read_image" in dir(leanseg)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        leanseg.nothing  # noqa: B018
