"""A second run into the same folder: what it skips, what it does anew, what stays."""

from __future__ import annotations

import pytest

from leanseg.errors import UsageError
from leanseg.workflows import segment as module
from testers.segmenting import GREY, TWO, rows, run, square


def test_existing_masks_are_skipped_and_their_rows_stay(make_bundle, tmp_path):
    bundle = make_bundle(preprocessing=GREY)
    out = tmp_path / "out"
    first, second = square(tmp_path / "a.png"), square(tmp_path / "b.png")
    run(bundle, [first], out)
    before = (out / "masks" / "a.png").stat().st_mtime_ns
    result = run(bundle, [first, second], out, skip_existing=True)
    assert (result.skipped, result.exit_code) == (1, 0)
    assert (out / "masks" / "a.png").stat().st_mtime_ns == before
    assert [row["mask"] for row in rows(out)] == ["a", "b"]
    assert run(bundle, [first, second], out, skip_existing=True).exit_code == 0
    other = make_bundle(preprocessing=GREY, name="other")
    with pytest.raises(UsageError, match="choose another --out"):
        run(other, [first], out, skip_existing=True)


def test_the_mask_of_another_file_of_that_name_is_not_this_ones(make_bundle, tmp_path):
    bundle, out = make_bundle(preprocessing=GREY), tmp_path / "out"
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
    left, right = square(tmp_path / "left" / "a.png"), square(tmp_path / "right" / "a.png")
    run(bundle, [left], out)
    assert run(bundle, [right], out, skip_existing=True).skipped == 0
    assert [row["image"] for row in rows(out)] == [str(right)]


def test_a_mask_without_a_row_is_what_an_interrupted_run_left(make_bundle, tmp_path):
    bundle, out = make_bundle(preprocessing=GREY), tmp_path / "out"
    both = [square(tmp_path / name) for name in ("a.png", "b.png")]
    run(bundle, both, out)
    lines = (out / "segmentation.csv").read_text().splitlines(keepends=True)
    (out / "segmentation.csv").write_text("".join(lines[:2]))
    (out / "overlays" / "b.png").unlink()
    assert run(bundle, both, out, skip_existing=True).skipped == 1
    assert [row["mask"] for row in rows(out)] == ["a", "b"]
    assert (out / "overlays" / "b.png").is_file()


def test_a_page_stays_where_nothing_was_left_to_do(make_bundle, tmp_path):
    bundle, out, path = make_bundle(preprocessing=GREY), tmp_path / "out", square(tmp_path / "a.png")
    run(bundle, [path], out)
    before = (out / "report.html").read_bytes()
    run(bundle, [path], out, skip_existing=True)
    assert (out / "report.html").read_bytes() == before


def test_an_image_without_its_merged_map_is_not_finished(make_bundle, tmp_path):
    bundle, out, path = make_bundle(classes=TWO, preprocessing=GREY), tmp_path / "out", square(tmp_path / "a.png")
    run(bundle, [path], out)
    assert run(bundle, [path], out, skip_existing=True).skipped == 1
    (out / "merged" / "a.png").unlink()
    assert run(bundle, [path], out, skip_existing=True).skipped == 0
    assert (out / "merged" / "a.png").is_file()


def test_rows_survive_an_interruption(make_bundle, tmp_path, monkeypatch):
    paths = [square(tmp_path / f"{name}.png") for name in "abc"]
    real = module.segment_one

    def stops_at_c(path, **options):
        if path.stem == "c":
            raise KeyboardInterrupt
        return real(path, **options)

    monkeypatch.setattr(module, "segment_one", stops_at_c)
    with pytest.raises(KeyboardInterrupt):
        run(make_bundle(preprocessing=GREY), paths, tmp_path / "out")
    assert [row["mask"] for row in rows(tmp_path / "out")] == ["a", "b"]
    assert not list((tmp_path / "out").rglob("*.part*"))


def test_what_is_asked_for_only_now_is_made(make_bundle, tmp_path):
    bundle, out, path = make_bundle(preprocessing=GREY), tmp_path / "out", square(tmp_path / "a.png")
    run(bundle, [path], out)
    for option, file in (
        ("instances", "instances/a.png"),
        ("probabilities", "probabilities/a.tif"),
        ("contours", "contours/a.geojson"),
    ):
        assert run(bundle, [path], out, skip_existing=True, **{option: True}).skipped == 0
        assert (out / file).is_file()
        assert run(bundle, [path], out, skip_existing=True, **{option: True}).skipped == 1
