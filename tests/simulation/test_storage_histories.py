"""Every storage history that was ever kept is replayed; see docs/simulation.md."""

from dataclasses import replace

import pytest

from tests.simulation.storage.draw import draw
from tests.simulation.storage.faults import PowerCut
from tests.simulation.storage.history import FILES, History
from tests.simulation.storage.shrink import shrink, violation
from tests.simulation.storage.simulate import simulate
from tests.simulation.test_storage_mutations import silence_is_proof

HISTORIES = {path.stem: History.read(path) for path in sorted(FILES.glob("*.json"))}


@pytest.mark.parametrize("name", HISTORIES)
def test_the_invariants_hold_in(name):
    assert HISTORIES[name].why
    simulate(HISTORIES[name])


@pytest.mark.parametrize(
    "history", [*HISTORIES.values(), *map(draw, range(20))], ids=lambda each: each.why or each.seed
)
def test_a_history_is_the_same_after_it_was_written(history, tmp_path):
    path = tmp_path / "written.json"
    path.write_text(str(history))
    assert History.read(path) == history


def test_two_runs_of_a_seed_are_the_same():
    one, other = (str(simulate(draw(7)).cluster.timeline) for _ in range(2))
    assert one == other


@pytest.fixture
def gullible(monkeypatch):
    """A history, and the mistake that makes it fail."""
    silence_is_proof(monkeypatch)
    return HISTORIES["silent-peer"]


def test_a_violation_names_the_rule_and_the_time_and_shows_what_happened(gullible):
    first, *timeline, again = str(violation(gullible)).splitlines()
    assert first.startswith("two Primaries: at ")
    assert any(" *      " in line and "seconds" in line for line in timeline), "the faults"
    assert any("advertises with priority" in line for line in timeline)
    assert any("promote r0: nobody is there" in line for line in timeline), "what was done, and why"
    assert again == f"reproduce: python -m tests.simulation.storage --seed {gullible.seed}"


def test_shrinking_takes_out_what_is_not_needed(gullible):
    small = shrink(gullible, "two Primaries")
    padded = replace(small, faults=(*small.faults, PowerCut(at=500.0, seconds=1.0, host=0)))
    assert shrink(padded, "two Primaries").faults == small.faults
