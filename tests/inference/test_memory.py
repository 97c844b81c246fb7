"""Amounts of memory in words."""

from __future__ import annotations

import pytest

from leanseg.errors import UsageError
from leanseg.inference.memory import largest_fitting, parse_memory


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1GB", 10**9),
        ("512 MiB", 2**29),
        ("2g", 2 * 10**9),
        ("400000000", 400_000_000),
        ("1.5gb", 1_500_000_000),
        ("1TB", 10**12),
    ],
)
def test_amounts(text, expected):
    assert parse_memory(text) == expected


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "0GB", "two", "1XB", "1e9", "nan"])
def test_nonsense(text):
    with pytest.raises(UsageError, match="such as 2GB"):
        parse_memory(text)


def test_what_the_libraries_need_is_told():
    with pytest.raises(UsageError, match="libraries alone take 330 MB, found '30MB'"):
        parse_memory("30MB")


def test_nothing_fits():
    assert largest_fitting([3, 2, 1], float, room=0.5) is None
