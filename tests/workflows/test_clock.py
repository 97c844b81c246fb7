"""The clock of a run goes on where an earlier part stopped."""

from pathlib import Path

from pytest import MonkeyPatch

from leanseg.workflows import clock
from leanseg.workflows.clock import Clock


def test_a_second_part_counts_on_from_what_the_first_one_kept(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    moments, worked = iter([100.0, 130.0, 500.0, 507.0]), iter([1.0, 21.0, 3.0, 8.0])
    monkeypatch.setattr(clock.time, "monotonic", lambda: next(moments))
    monkeypatch.setattr(clock.time, "process_time", lambda: next(worked))
    first = Clock(tmp_path / "facts.json")
    first.keep()
    second = Clock(tmp_path / "facts.json")
    assert second.seconds == 30 + 7
    assert second.processor_seconds == 20 + 5


def test_a_run_that_kept_only_its_seconds_goes_on(tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_text('{"seconds": 60}')
    resumed = Clock(tmp_path / "facts.json")
    assert resumed.seconds >= 60
    assert 0 <= resumed.processor_seconds < 60
