"""Clusters that fail at random: a fixed number of seeds, and some that nobody has tried before."""

import os

import pytest

from tests.simulation.campaign import run
from tests.simulation.draw import draw
from tests.simulation.shrink import violation

FIXED, FRESH, CHUNK = 150, 20, 30


def check(seeds: range) -> None:
    failed = run(seeds).failed
    assert not failed, f"{len(failed)} of {seeds}; the first one, seed {failed[0][0]}:\n{violation(draw(failed[0][0]))}"


@pytest.mark.parametrize("first", range(0, FIXED, CHUNK))
def test_the_invariants_hold_whatever_fails(first):
    check(range(first, first + CHUNK))


def test_the_invariants_hold_with_fresh_seeds():
    first = int.from_bytes(os.urandom(4))
    check(range(first, first + FRESH))
