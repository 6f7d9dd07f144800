"""Every scenario that was ever kept is replayed; see docs/simulation.md."""

from dataclasses import replace

import pytest

from tests.simulation.faults import Kill, Reload
from tests.simulation.known import KNOWN
from tests.simulation.scenario import FILES, Scenario
from tests.simulation.shrink import shrink, violation
from tests.simulation.simulate import simulate
from tests.simulation.test_mutations import a_backup_that_does_not_notice_that_it_slept

SCENARIOS = {path.stem: Scenario.read(path) for path in sorted(FILES.glob("*.json"))}
EXAMPLES = {name: scenario for name, scenario in SCENARIOS.items() if scenario.shows}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_invariants_hold_in(name):
    assert SCENARIOS[name].why
    simulate(SCENARIOS[name])


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_known_is_not_mended_yet(name):
    found = violation(EXAMPLES[name], KNOWN - {EXAMPLES[name].shows})
    assert found is not None, f"{name} holds: take {EXAMPLES[name].shows!r} out of known.py and `shows` out of the file"


def test_everything_known_has_an_example():
    assert {scenario.shows for scenario in EXAMPLES.values()} == KNOWN


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_is_the_same_after_it_was_written(name, tmp_path):
    path = tmp_path / "written.json"
    path.write_text(str(SCENARIOS[name]))
    assert Scenario.read(path) == SCENARIOS[name]


@pytest.fixture
def oversleeper(monkeypatch):
    """A scenario, and the mistake that makes it fail."""
    a_backup_that_does_not_notice_that_it_slept(monkeypatch)
    return SCENARIOS["second-sleep"]


def test_a_violation_names_the_rule_and_the_time_and_shows_what_happened(oversleeper):
    found = violation(oversleeper)
    first, *timeline, again = str(found).splitlines()
    rule, at = first.split(": ")[:2]
    assert (rule, at) == ("takeover", "at 15.8000"), first
    assert any("Standstill: seconds 7.7 node d what MACHINE" in line for line in timeline)
    assert timeline[-1].split()[:6] == ["15.8000", "d", "VI_51", "BACKUP", "->", "MASTER"]
    assert again == "reproduce: python -m tests.simulation --seed 32869"


def test_shrinking_takes_out_what_is_not_needed(oversleeper):
    small = shrink(oversleeper, "takeover")
    bystander = replace(small.machines[1], name="e", number=9, priority=1)
    faults = [*small.faults, Reload(at=40.0, node="e", priority=40), Kill(at=41.0, node="b")]
    padded = replace(small, machines=(*small.machines, bystander), faults=tuple(faults))
    shrunk = shrink(padded, "takeover")
    assert (shrunk.machines, shrunk.faults) == (small.machines, small.faults)
