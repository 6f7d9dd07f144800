"""Takes out of a scenario what it does not need to fail, one thing at a time."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import fields, replace
from typing import TypeVar

from tests.simulation.faults import Fault, NodeFault, Partition
from tests.simulation.invariants.circumstances import Violation
from tests.simulation.known import KNOWN
from tests.simulation.node import Traits
from tests.simulation.scenario import Machine, Scenario
from tests.simulation.simulate import simulate

_T = TypeVar("_T")


def violation(scenario: Scenario, known: Collection[str] = KNOWN) -> Violation | None:
    """What is wrong with it."""
    try:
        simulate(scenario, known)
    except Violation as found:
        return found
    return None


def shrink(scenario: Scenario, rule: str, known: Collection[str] = KNOWN) -> Scenario:
    """A smaller one that violates the same rule: no machine and no fault can be left out, nothing made simpler."""

    def fails(smaller: Scenario) -> bool:
        found = violation(smaller, known)
        return found is not None and found.rule == rule

    while (smaller := _first(fails, _smaller(scenario))) is not None:
        scenario = smaller
    return scenario


def _first(fails: Callable[[Scenario], bool], scenarios: Iterator[Scenario]) -> Scenario | None:
    return next((each for each in scenarios if fails(each)), None)


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    for machine in scenario.machines:
        rest = tuple(each for each in scenario.machines if each is not machine)
        if rest:
            faults = (_without(machine.name, fault) for fault in scenario.faults)
            yield replace(scenario, machines=rest, faults=tuple(fault for fault in faults if fault is not None))
    for fault in scenario.faults:
        yield replace(scenario, faults=tuple(each for each in scenario.faults if each is not fault))
    usual = Scenario(seed=0)
    for name in ("family", "nopreempt", "preempt_delay"):
        if getattr(scenario, name) != getattr(usual, name):
            yield replace(scenario, **{name: getattr(usual, name)})
    for machine in scenario.machines:
        for simpler in _simpler(machine):
            yield replace(scenario, machines=_exchanged(scenario.machines, machine, simpler))
    for fault in scenario.faults:
        rounder = replace(fault, at=round(fault.at, 1), seconds=round(fault.seconds, 1))
        if rounder != fault:
            yield replace(scenario, faults=_exchanged(scenario.faults, fault, rounder))


def _simpler(machine: Machine) -> Iterator[Machine]:
    """As most machines are."""
    if machine.starts != round(machine.starts):
        yield replace(machine, starts=float(round(machine.starts)))
    usual = Traits()
    for each in fields(Traits):
        if getattr(machine.traits, each.name) != getattr(usual, each.name):
            yield replace(machine, traits=replace(machine.traits, **{each.name: getattr(usual, each.name)}))


def _exchanged(all_of_them: tuple[_T, ...], one: _T, other: _T) -> tuple[_T, ...]:
    return tuple(other if each is one else each for each in all_of_them)


def _without(name: str, fault: Fault) -> Fault | None:
    """The fault where there is no such machine; None: there is none."""
    if isinstance(fault, Partition):
        sides = [tuple(each for each in side if each != name) for side in (fault.side, fault.other)]
        return replace(fault, side=sides[0], other=sides[1]) if all(sides) else None
    return None if isinstance(fault, NodeFault) and fault.node == name else fault
