"""Carries a scenario out, with every invariant watched."""

from collections.abc import Collection
from dataclasses import fields

from tests.simulation.cluster import Cluster
from tests.simulation.faults import End, Fault, NodeFault, Standstill
from tests.simulation.invariants import Invariants
from tests.simulation.invariants.circumstances import Violation
from tests.simulation.known import KNOWN
from tests.simulation.node import Traits
from tests.simulation.scenario import Scenario, words

_PATIENCE = 120.0
"seconds after the last fault within which all comes to rest: a guard waits up to 30 s before it starts again"


def simulate(scenario: Scenario, known: Collection[str] = KNOWN) -> Invariants:
    """Until all is at rest after the last fault; raises Violation, unless what it finds is among the `known`."""
    cluster = _build(scenario)
    invariants = Invariants(cluster, known)
    for node, machine in zip(cluster.nodes, scenario.machines, strict=True):
        cluster.at(machine.starts, node.service.start)
    for fault in scenario.faults:
        _plan(cluster, invariants, fault)
    over = max([fault.at + fault.seconds for fault in scenario.faults], default=0.0)
    try:
        cluster.run(over, invariants.settled, invariants.before)
        while not invariants.rested:
            if cluster.now > over + _PATIENCE:
                raise Violation("rest", cluster, f"no rest {_PATIENCE:g} s after the last fault")
            cluster.run(cluster.now + 1.0, invariants.settled, invariants.before)
    except Violation:
        raise
    except AssertionError as broken:
        raise Violation("contract", cluster, str(broken).partition("\n")[0]) from None
    return invariants


def _build(scenario: Scenario) -> Cluster:
    cluster = Cluster(scenario.seed)
    grouped = len(scenario.vrids) > 1
    for machine in scenario.machines:
        traits = {each.name: getattr(machine.traits, each.name) for each in fields(Traits)}
        cluster.node(machine.name, machine.number, *scenario.parameters(machine), sync_group=grouped, **traits)
    return cluster


def _plan(cluster: Cluster, invariants: Invariants, fault: Fault) -> None:
    name = type(fault).__name__
    # A node that stands still is judged when it goes on.
    nodes = [fault.on(cluster)] if isinstance(fault, NodeFault) and not isinstance(fault, Standstill) else []

    def begin() -> None:
        cluster.timeline.add(cluster.now, "*", f"{name}: {words(fault)}")
        invariants.begins(*nodes)
        end = fault.begin(cluster)
        cluster.at(cluster.now + fault.seconds, lambda: over(end))

    def over(end: End) -> None:
        if fault.seconds:
            cluster.timeline.add(cluster.now, "*", f"{name} is over")
        end()
        invariants.ends(*nodes)

    cluster.at(fault.at, begin)
