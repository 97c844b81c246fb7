"""Scores that were worked out by hand, from masks in files to the tables."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import leanseg
from leanseg.bundle import Bundle, Part, write_bundle
from leanseg.cli import main
from leanseg.data.folder import open_dataset
from leanseg.errors import UsageError
from leanseg.images.image import Image
from leanseg.images.preprocess import Preprocessing
from leanseg.types import Classes, Expected
from leanseg.workflows.contestants import Answer, unique_names
from leanseg.workflows.evaluation import evaluate_cases
from leanseg.workflows.promises import promises
from leanseg.workflows.score_files import about_rare_classes, remarks, write_scores
from leanseg.workflows.score_tables import pooled_table, terminal_table
from testers.scoring import save, score_rows

SIZE = (20, 30)
DIAGONAL = float(np.hypot(*SIZE))


def _square(left: int, width: int = 4) -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[5:9, left : left + width] = 1
    return mask


TRUTH = {"perfect": _square(2), "half": _square(2), "missed": _square(2), "none": 0 * _square(2), "gone": _square(2)}
SAID = {"perfect": _square(2), "half": _square(4), "missed": 0 * _square(2), "none": 0 * _square(2)}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "eyes"
    for stem, truth in TRUTH.items():
        save(folder / "images" / f"{stem}.png", np.full((*SIZE, 3), 90, np.uint8))
        save(folder / "masks" / f"{stem}.png", truth * 255)
    (folder / "dataset.toml").write_text('name = "Eyes"\n[classes]\n255 = "lesion"\n')
    return folder


@pytest.fixture
def said(tmp_path: Path) -> Path:
    for stem, mask in SAID.items():
        save(tmp_path / "tool" / f"{stem}.png", mask)
    return tmp_path / "tool"


def test_masks_of_any_tool_by_hand(data: Path, said: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["evaluate", str(data), "--predictions", str(said), "--out", str(out)]) == 3, "one mask is missing"
    rows = score_rows(out)
    assert set(rows) == set(TRUTH)
    assert [rows[stem]["dice"] for stem in ("perfect", "half", "missed", "none", "gone")] == ["1", "0.5", "0", "", "0"]
    assert float(rows["half"]["jaccard"]) == pytest.approx(8 / 24, rel=1e-5)
    assert float(rows["half"]["sensitivity"]) == pytest.approx(0.5)
    assert float(rows["half"]["specificity"]) == pytest.approx((600 - 24) / 584, rel=1e-5)
    assert rows["half"]["hd95"] == "2" and rows["half"]["nsd"] == "1" and rows["half"]["distance_unit"] == "pixels"
    assert float(rows["missed"]["hd95"]) == pytest.approx(DIAGONAL, rel=1e-5)
    assert (rows["none"]["both_empty"], rows["missed"]["missed"], rows["gone"]["missed"]) == ("1", "1", "1")
    assert rows["half"]["auroc"] == "", "masks have no probabilities"

    content = json.loads((out / "scores.json").read_text())
    lesion = content["models"]["tool"]["lesion"]
    assert (lesion["images"], lesion["both_empty"], lesion["missed"]) == (5, 1, 2)
    assert lesion["means"]["dice"]["mean"] == pytest.approx(1.5 / 4) and lesion["means"]["dice"]["n"] == 4
    assert lesion["means"]["dice"]["low"] <= 1.5 / 4 <= lesion["means"]["dice"]["high"]
    assert lesion["pooled"]["dice"] == pytest.approx(2 * 24 / (2 * 24 + 8 + 8 + 32))
    assert (lesion["images_with_class"], lesion["prevalence"]) == (4, pytest.approx(64 / 3000))
    assert lesion["predict_nothing"]["accuracy"] == pytest.approx(1 - 64 / 3000)
    assert lesion["predict_everything"]["dice"] == pytest.approx(2 * 64 / 3064)
    assert [float(rows[stem]["prevalence"]) for stem in ("half", "none")] == [pytest.approx(16 / 600, rel=1e-5), 0]
    assert [Path(entry["file"]).name for entry in content["failed"]] == ["gone"]

    page = (out / "report.html").read_text(encoding="utf-8")
    for words in ("no splits", "missed altogether in 2 of 5 images", "counted apart", "gone", "Worst cases"):
        assert words in page
    shown = capsys.readouterr().out
    assert "0.375" in shown and "expected a mask of this name" in shown
    assert "4 of 5" in shown and "average precision" not in shown
    rare = "Accuracy says little about rare classes; look at Dice. "
    rare += "Predicting nothing has an accuracy of 97.9 % for lesion (prevalence 2.1 %)."
    assert rare in shown and rare in page
    config = json.loads((out / "config.json").read_text())
    assert config["verb"] == "evaluate" and config["predictions"] == str(said)


def test_a_run_repeats_from_its_record(data: Path, said: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["evaluate", str(data), "--predictions", str(said), "--out", str(first)]) == 3
    assert main(["evaluate", "--config", str(first / "config.json"), "--out", str(second)]) == 3
    assert (first / "scores.csv").read_text() == (second / "scores.csv").read_text()
    assert (first / "scores.json").read_text() == (second / "scores.json").read_text()


def test_valid_area_bounds_every_score(data: Path, said: Path, tmp_path: Path) -> None:
    valid = np.zeros(SIZE, np.uint8)
    valid[:, :6] = 255
    save(data / "valid" / "half.png", valid)
    leanseg.evaluate(data=data, predictions=said, out=tmp_path / "out")
    row = score_rows(tmp_path / "out")["half"]
    # Inside: truth has columns 2 to 5, the prediction 4 and 5.
    assert float(row["sensitivity"]) == 0.5 and float(row["precision"]) == 1
    assert float(row["dice"]) == pytest.approx(2 / 3, rel=1e-5)


def test_splits(data: Path, said: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    splits = {"perfect": "test", "half": "test", "missed": "train", "none": "train", "gone": "train"}
    lines = [f"{stem},{split},{stem}," for stem, split in splits.items()]
    (data / "splits.csv").write_text("\n".join(["stem,split,patient,site", *lines]) + "\n")
    words = ["evaluate", str(data), "--predictions", str(said), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    assert set(score_rows(tmp_path / "out")) == {"perfect", "half"}
    assert main([*words, "--split", "all"]) == 3
    assert len(score_rows(tmp_path / "out")) == 5
    capsys.readouterr()
    assert main([*words, "--split", "val"]) == 2
    assert "the split 'val' is empty (images: train 3, test 2)" in capsys.readouterr().err
    assert main([*words, "--split", "holdout"]) == 2


def test_a_model_is_not_compared_with_itself(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", str(data), "--out", str(tmp_path / "out"), "--model", "vessels", "--model", "vessels"]
    assert main(words) == 2
    assert "with itself" in capsys.readouterr().err


def test_nothing_to_score_is_wrong_usage(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(data), "--out", str(tmp_path / "out")]) == 2
    assert "--model NAME or --predictions DIR" in capsys.readouterr().err
    assert main(["evaluate", str(data), "--predictions", str(tmp_path / "no"), "--out", str(tmp_path / "out")]) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("mask", "reason"),
    [(np.zeros((4, 4), np.uint8), "expected the size of its image, 30x20, found 4x4"),
     (np.arange(600, dtype=np.uint8).reshape(SIZE), "expected the values 0, 255, found also")],
)  # fmt: skip
def test_masks_that_do_not_fit_are_misses(
    mask: np.ndarray, reason: str, data: Path, said: Path, tmp_path: Path
) -> None:
    save(said / "perfect.png", mask)
    result = leanseg.evaluate(data=data, predictions=said, out=tmp_path / "out")
    assert result.exit_code == 3
    assert any(reason in message for _, message in result.failed)
    assert score_rows(tmp_path / "out")["perfect"]["dice"] == "0"


def test_broken_images_are_left_out_and_named(data: Path, said: Path, tmp_path: Path) -> None:
    (data / "images" / "half.png").write_bytes(b"no picture")
    result = leanseg.evaluate(data=data, predictions=said, out=tmp_path / "out")
    assert result.exit_code == 3 and "half" not in score_rows(tmp_path / "out")
    assert any("half.png" in file for file, _ in result.failed)


class _Fixed:
    """Answers with probabilities that are known."""

    def __init__(self, name: str, shift: int) -> None:
        self.name, self.shift = name, shift

    def answer(self, case: object, image: Image) -> Answer:
        truth = np.roll(TRUTH[case.stem], self.shift, axis=1) > 0
        return Answer(truth[None], np.where(truth, 0.75, 0.25).astype(np.float32)[None])


def test_two_models_are_compared_image_by_image(data: Path) -> None:
    dataset = open_dataset(data)
    seen = []
    result = evaluate_cases(
        dataset, dataset.cases, [_Fixed("exact", 0), _Fixed("shifted", 2)], advance=lambda: seen.append(1)
    )
    assert len(seen) == 5 and result.exit_code == 0
    dice = next(c for c in result.comparisons if c.score == "dice")
    assert (dice.first, dice.second, dice.found.difference.n) == ("exact", "shifted", 4)
    assert dice.found.difference.mean == pytest.approx(0.5) and (dice.found.wins, dice.found.losses) == (4, 0)
    assert [s.means["dice"].mean for s in result.summaries] == [1.0, 0.5]


def test_probabilities_bring_ranking_and_calibration(data: Path) -> None:
    dataset = open_dataset(data)
    [summary] = evaluate_cases(dataset, dataset.cases, [_Fixed("exact", 0)]).summaries
    assert summary.means["auroc"].mean == 1 and summary.means["auroc"].n == 4
    # All pixels at 0.25 are background and all at 0.75 are foreground: each is off by 0.25.
    assert summary.means["ece"].mean == pytest.approx(0.25)
    assert summary.pooled["auroc"] == 1


def test_models_stand_beside_answers_that_look_at_nothing(data: Path) -> None:
    dataset = open_dataset(data)
    summaries = evaluate_cases(dataset, dataset.cases, [_Fixed("exact", 0), _Fixed("shifted", 2)]).summaries
    table = pooled_table(summaries)
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["Answer"] for row in rows] == ["exact", "shifted", "predict nothing", "predict everything"]
    assert [(row["Class"], row["Prevalence"]) for row in rows] == [("lesion", "2.1 %"), ("", ""), ("", ""), ("", "")]
    # Half of the 64 pixels that are shifted are right: 32 of them are wrong and as many are missed, of 3000.
    assert [row["Accuracy"] for row in rows] == ["1.000", "0.979", "0.979", "0.021"]
    assert [row["Average precision"] for row in rows] == [
        "1.000",
        f"{0.5 * 0.5 + 0.5 * 64 / 3000:.3f}",
        "0.021",
        "0.021",
    ]
    assert [row["AUROC"] for row in rows][2:] == ["0.500", "0.500"]
    console = Console(width=80, file=io.StringIO())
    console.print(terminal_table(summaries))
    shown = console.file.getvalue().splitlines()
    assert [line.split() for line in shown if line.startswith(" shifted")][1] == [
        "shifted", "lesion", "2.1", "%", "0.261", "0.745", "0.979", "0.979"
    ]  # fmt: skip


def test_rare_classes_are_named_and_others_are_not(data: Path) -> None:
    dataset = open_dataset(data)
    [summary] = evaluate_cases(dataset, dataset.cases, [_Fixed("exact", 0)]).summaries
    shares = {"common": 0.05, "none": 0.0, "unknown": None, "lesion": 0.012, "dot": 0.00061}
    [note] = about_rare_classes([replace(summary, name=name, prevalence=share) for name, share in shares.items()])
    assert note == (
        "Accuracy and AUROC say little about rare classes; look at average precision. Predicting nothing has an "
        "accuracy of 99.939 % for dot (prevalence 0.061 %), 98.8 % for lesion (prevalence 1.2 %)."
    )
    many = [replace(summary, name=f"organ {n}", prevalence=0.001 * (n + 1)) for n in range(8)]
    [note] = about_rare_classes(many)
    assert "organ 4" in note and "organ 5" not in note and note.endswith("and more for 3 other classes.")
    assert about_rare_classes([replace(summary, prevalence=0.3)]) == []


class _Hopeful(_Fixed):
    """Expects 0.9 of every mask."""

    def answer(self, case: object, image: Image) -> Answer:
        answer = super().answer(case, image)
        return Answer(answer.masks, answer.probabilities, [Expected(value=0.9, low=0.8, high=1.0)])


def test_expectations_are_checked_against_the_truth(data: Path, tmp_path: Path) -> None:
    dataset = open_dataset(data)
    result = evaluate_cases(dataset, dataset.cases, [_Hopeful("exact", 0), _Hopeful("shifted", 2), _Fixed("mute", 0)])
    kept, broken = promises(result.rows)
    assert (kept.images, kept.held, kept.error) == (4, 4, pytest.approx(0.1))
    assert (broken.images, broken.held, broken.error) == (4, 0, pytest.approx(0.4))
    write_scores(result, tmp_path, facts={})
    assert "0 of 4 intervals of the expected Dice held the true one" in " ".join(remarks(result))
    content = json.loads((tmp_path / "scores.json").read_text())["expected"]
    assert [(one["model"], one["held"]) for one in content] == [("exact", 4), ("shifted", 0)]
    with (tmp_path / "scores.csv").open(newline="", encoding="utf-8") as file:
        hoped = {row["model"]: row["expected_dice"] for row in csv.DictReader(file)}
    assert hoped == {"exact": "0.9", "shifted": "0.9", "mute": ""}


def test_patients_not_images_are_drawn(data: Path) -> None:
    dataset = open_dataset(data)
    several = [case for case in dataset.cases if case.stem != "none"]
    one = [replace(case, patient="same") for case in several]
    [apart] = evaluate_cases(dataset, several, [_Uneven()]).summaries
    [together] = evaluate_cases(dataset, one, [_Uneven()]).summaries
    assert apart.means["dice"].mean == together.means["dice"].mean
    low, high = apart.means["dice"].interval
    assert low < apart.means["dice"].mean < high
    assert together.means["dice"].interval is None, "one patient tells nothing about others"


class _Uneven(_Fixed):
    def __init__(self) -> None:
        super().__init__("uneven", 0)

    def answer(self, case: object, image: Image) -> Answer:
        return Answer((np.roll(TRUTH[case.stem], len(case.stem) % 4, axis=1) > 0)[None])


def test_overlapping_classes_are_read_from_a_folder_each(tmp_path: Path) -> None:
    data, tool = tmp_path / "eyes", tmp_path / "tool"
    save(data / "images" / "a.png", np.full((*SIZE, 3), 90, np.uint8))
    for name, left in (("disc", 2), ("cup", 3)):
        save(data / "masks" / name / "a.png", _square(left) * 255)
        save(tool / "masks" / name / "a.png", _square(2) * 255)
    result = leanseg.evaluate(data=data, predictions=tool, out=tmp_path / "out")
    assert {row.name: row.scores["dice"] for row in result.rows} == {"disc": 1.0, "cup": 0.75}


def test_names_in_tables_are_short_but_never_equal() -> None:
    assert unique_names(["a/model"]) == ["model"] and unique_names(["a/m", "b/m"]) == ["a/m", "b/m"]


def test_options_are_checked_in_python_too(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="split must be"):
        leanseg.evaluate(data=data, predictions=tmp_path, out=tmp_path / "out", split="holdout")


def _bright(folder: Path, *, above: float, names: tuple[str, ...] = ("lesion",)) -> Path:
    """A model that finds what is brighter than a grey value."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Sub", ["x", "level"], ["over"]), helper.make_node("Mul", ["over", "scale"], ["y"])],
        "bright",
        [helper.make_tensor_value_info("x", kind, ["n", 1, "h", "w"])],
        [helper.make_tensor_value_info("y", kind, ["n", 1, "h", "w"])],
        [helper.make_tensor("level", kind, [1], [above]), helper.make_tensor("scale", kind, [1], [0.1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    part = Part(net="bright", onnx="model.onnx", halo=0)
    settings = Preprocessing(channels=("grey",), normalise="none")
    bundle = Bundle(name="bright", parts=(part,), classes=Classes(names=names), preprocessing=settings)
    write_bundle(bundle, folder, files={"model.onnx": model.SerializeToString()})
    return folder


def test_models_from_folders_are_scored_and_compared(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for stem, truth in TRUTH.items():
        save(data / "images" / f"{stem}.png", np.stack([60 + 120 * truth + 60 * np.roll(truth, 2)] * 3, axis=-1))
    good, greedy = _bright(tmp_path / "good", above=150), _bright(tmp_path / "greedy", above=90, names=("ulcer",))
    out = tmp_path / "out"
    assert main(["evaluate", str(data), "--model", str(good), "--model", str(greedy), "--out", str(out)]) == 0
    content = json.loads((out / "scores.json").read_text())
    means = {model: classes["lesion"]["means"] for model, classes in content["models"].items()}
    assert means["good"]["dice"]["mean"] == 1 and means["greedy"]["dice"]["mean"] == pytest.approx(0.8)
    assert means["good"]["auroc"]["mean"] == 1
    assert sum(content["models"]["good"]["lesion"]["reliability"]["counts"]) == 5 * 600
    dice = next(entry for entry in content["comparisons"] if entry["score"] == "dice")
    assert dice["mean"] == pytest.approx(0.2) and dice["wins"] == 4
    told = capsys.readouterr().out
    assert "good minus greedy 0.200" in told
    assert "greedy segments ulcer; scored as the dataset's lesion" in told and "good segments" not in told
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "good minus greedy, image by image" in page and "Calibration" in page

    assert main(["info", str(good)]) == 0
    shown = capsys.readouterr().out
    assert "bright (2-D)" in shown and "lesion" in shown


def test_a_model_that_does_not_know_the_classes_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "dataset.toml").write_text('[classes]\n255 = "lesion"\n1 = "scar"\n')
    model = _bright(tmp_path / "good", above=150)
    assert main(["evaluate", str(data), "--model", str(model), "--out", str(tmp_path / "out")]) == 2
    assert "does not know scar" in capsys.readouterr().err
