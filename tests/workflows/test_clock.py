"""The clock of a run goes on where an earlier part stopped."""

from pathlib import Path

from pytest import MonkeyPatch

from leanseg.workflows import clock
from leanseg.workflows.clock import Clock


def test_a_second_part_counts_on_from_what_the_first_one_kept(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    moments = iter([100.0, 130.0, 500.0, 507.0])
    monkeypatch.setattr(clock.time, "monotonic", lambda: next(moments))
    first = Clock(tmp_path / "facts.json")
    first.keep()
    assert Clock(tmp_path / "facts.json").seconds == 30 + 7
