"""Tiles cover a grid once, start at multiples of the divisor and keep their halo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leanseg.errors import UsageError
from leanseg.images.tiles import plan_tiles, smallest_tile


@given(
    blocks=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    divisor=st.sampled_from([1, 4, 16]),
    halo=st.integers(0, 40),
    more=st.integers(0, 100),
)
def test_a_plan_is_seamless(blocks, divisor, halo, more):
    shape = tuple(n * divisor for n in blocks)
    side = smallest_tile(halo=halo, divisor=divisor) + more
    rows = plan_tiles(shape, tile=(side, side), halo=halo, divisor=divisor)
    seen = np.zeros(shape, int)
    for row in rows:
        assert len({(tile.core[0].start, tile.core[0].stop) for tile in row}) == 1
        for tile in row:
            seen[tile.core] += 1
            assert len({t.outer[1].stop - t.outer[1].start for r in rows for t in r}) == 1
            for outer, core, size in zip(tile.outer, tile.core, shape, strict=True):
                assert outer.start % divisor == 0
                assert outer.stop - outer.start <= side
                assert outer.start == 0 or core.start - outer.start >= halo
                assert outer.stop == size or outer.stop - core.stop >= halo
    assert (seen == 1).all()


def test_a_grid_that_fits_is_one_tile():
    (row,) = plan_tiles((96, 64), tile=(128, 128), halo=200, divisor=4)
    assert [tile.outer for tile in row] == [(slice(0, 96), slice(0, 64))]


def test_inner_is_the_core_seen_from_the_tile():
    tile = plan_tiles((8, 20), tile=(8, 12), halo=4, divisor=4)[0][1]
    assert tile.inner == (slice(0, 8), slice(4, 8))


def test_tiles_too_small_for_their_halo():
    with pytest.raises(UsageError, match="it needs 100"):
        plan_tiles((200, 200), tile=(64, 64), halo=48, divisor=4)


def test_a_grid_that_was_not_padded():
    with pytest.raises(UsageError, match="pad it first"):
        plan_tiles((7, 8), tile=(8, 8), halo=0, divisor=4)
