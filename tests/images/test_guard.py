"""Libraries are silent while files are decoded, and speak again afterwards."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from threading import Barrier, Thread

import pytest

from leanseg.errors import InputError
from leanseg.images.guard import Budget, decoding


def test_silence_ends_with_the_last_thread(caplog: pytest.LogCaptureFixture) -> None:
    before = warnings.filters.copy()
    both_inside = Barrier(2)

    def decode() -> None:
        with decoding(Path("a"), "a picture"):
            both_inside.wait(timeout=30)
            logging.getLogger("tifffile").warning("odd tag")
            logging.getLogger("pydicom.pixels").error("odd value")

    threads = [Thread(target=decode) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not caplog.records
    assert warnings.filters == before
    logging.getLogger("tifffile").warning("heard again")
    assert [record.message for record in caplog.records] == ["heard again"]


def test_warnings_of_a_decoder_are_not_raised_as_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with decoding(Path("a"), "a picture"):
            warnings.warn("corrupt EXIF data", stacklevel=1)


@pytest.mark.parametrize("error", [ValueError("two\nlines"), OSError(""), EOFError(), KeyError("x"), MemoryError()])
def test_any_failure_becomes_one_line(error: Exception) -> None:
    with pytest.raises(InputError) as caught, decoding(Path("a.png"), "a picture"):
        raise error
    assert str(caught.value).startswith("a.png: ")
    assert "\n" not in str(caught.value)


def test_interrupts_pass_through() -> None:
    with pytest.raises(KeyboardInterrupt), decoding(Path("a.png"), "a picture"):
        raise KeyboardInterrupt


def test_budget() -> None:
    Budget(samples=6, memory=24).check(Path("a"), (2, 3), "float32", advice="")
    with pytest.raises(InputError, match="0 x 3"):
        Budget().check(Path("a"), (0, 3), "uint8", advice="")
    with pytest.raises(InputError, match="2 MB, the memory limit is 1 MB"):
        Budget(memory=10**6).check(Path("a"), (1000, 500), "float32", advice="Crop it.")
