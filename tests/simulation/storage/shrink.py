"""Takes out of a history what it does not need to fail, one thing at a time."""

from collections.abc import Iterator
from dataclasses import replace

from drbdctl.failover.group import Group, Limits, Policy
from tests.simulation.storage.faults import DiskFailure, PromotedByHand
from tests.simulation.storage.history import History
from tests.simulation.storage.invariants import Violation
from tests.simulation.storage.simulate import simulate


def violation(history: History) -> Violation | None:
    """What is wrong with it."""
    try:
        simulate(history)
    except Violation as found:
        return found
    return None


def shrink(history: History, rule: str) -> History:
    """A smaller one that violates the same rule: no fault can be left out, nothing made simpler."""

    def fails(smaller: History) -> bool:
        found = violation(smaller)
        return found is not None and found.rule == rule

    while (smaller := next((each for each in _smaller(history) if fails(each)), None)) is not None:
        history = smaller
    return history


def _smaller(history: History) -> Iterator[History]:
    for fault in history.faults:
        yield replace(history, faults=tuple(each for each in history.faults if each is not fault))
    for group in _simpler(history.setting.group, needed=_resources(history)):
        if group != history.setting.group:
            yield replace(history, setting=replace(history.setting, group=group))
    for fault in history.faults:
        rounder = replace(fault, at=round(fault.at, 1), seconds=round(fault.seconds, 1))
        if rounder != fault:
            yield replace(history, faults=tuple(rounder if each is fault else each for each in history.faults))


def _resources(history: History) -> int:
    """How many of the resources the faults name."""
    named = (each.resource + 1 for each in history.faults if isinstance(each, DiskFailure | PromotedByHand))
    return max(named, default=1)


def _simpler(group: Group, needed: int) -> Iterator[Group]:
    resources = group.resources[:needed]
    kept = {volume.device for each in resources for volume in each.volumes}
    yield replace(group, resources=resources, mounts=tuple(each for each in group.mounts if each.device in kept))
    yield replace(group, services=group.services[:1])
    yield replace(group, limits=Limits(takeovers=0, failures=0))
    yield replace(group, policy=replace(group.policy, on_demote_failure=Policy().on_demote_failure))
