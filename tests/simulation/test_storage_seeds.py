"""DRBD pairs that fail at random: a fixed number of seeds, and some that nobody has tried before."""

import os

import pytest

from tests.simulation.storage.draw import draw
from tests.simulation.storage.shrink import violation
from tests.simulation.storage.simulate import run

FIXED, FRESH, CHUNK = 120, 20, 30


def check(seeds: range) -> None:
    failed = run(seeds).failed
    assert not failed, f"{len(failed)} of {seeds}; the first one, seed {failed[0][0]}:\n{violation(draw(failed[0][0]))}"


@pytest.mark.parametrize("first", range(0, FIXED, CHUNK))
def test_the_invariants_hold_whatever_fails(first):
    check(range(first, first + CHUNK))


def test_the_invariants_hold_with_fresh_seeds():
    first = int.from_bytes(os.urandom(4))
    check(range(first, first + FRESH))


def test_the_histories_are_about_something():
    """Many promotions, writes and refusals; a simulator in which nothing happens would hold every invariant."""
    found = run(range(40))
    assert found.promotions > 80
    assert found.acknowledged > 2000
    assert found.faults > 100
