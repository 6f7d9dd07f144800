"""What must hold at every instant of a simulation, whatever the faults are; the numbers are in tests.simulation.bounds.

| rule | what it says |
| --- | --- |
| one holder | two nodes that run and hear each other don't both have the addresses for longer than `contention` |
| lease | nobody has the addresses for longer than `lease_bound` after its last advertisement |
| advertisement | who advertises as a MASTER that serves has the addresses |
| letting go, late | who is no longer MASTER, or must know that it slept too long, has let go after `letting_go` |
| takeover | nobody takes over from a MASTER that it has been hearing, unless it may preempt |
| storage | never two with a storage gate open; no address before a closed one |
| one master, best, peace | `settling` after the last fault: one MASTER, the best, which serves, alone, and stays |
| neighbours, announcement | `naming` after it: the neighbours ask that one; nobody announces who was deposed |
| rest | all this is reached |
| contract | every list of actions obeys tests.contract |
"""

from collections.abc import Collection

from pyvrrp.core.events import State, Transition
from tests.simulation.cluster import Cluster, Watch
from tests.simulation.invariants.circumstances import Circumstances
from tests.simulation.invariants.holders import Holders
from tests.simulation.invariants.neighbours import Neighbours
from tests.simulation.invariants.rest import Rest
from tests.simulation.invariants.storages import Storages
from tests.simulation.invariants.takeovers import Takeovers
from tests.simulation.known import KNOWN
from tests.simulation.member import Member
from tests.simulation.node import Node, Pause


class Invariants(Watch):
    """Watches a cluster; raises Violation."""

    def __init__(self, cluster: Cluster, known: Collection[str] = KNOWN) -> None:
        self.cluster = cluster
        self.transitions = 0
        self.holders = Holders(it := Circumstances(cluster, known))
        self._it = it
        self._takeovers = Takeovers(it)
        self._storages = Storages(it)
        self._rest = Rest(it, self._storages)
        self._neighbours = Neighbours(it)
        self._next_look = 0.0
        cluster.watch = self

    def begins(self, *nodes: Node) -> None:
        """A fault, on these nodes."""
        self._it.faults += 1
        self._disturb(*nodes)

    def ends(self, *nodes: Node) -> None:
        """A fault, on these nodes."""
        self._it.faults -= 1
        self._disturb(*nodes)

    @property
    def rested(self) -> bool:
        """It has been looked at in its final state."""
        it = self._it
        return not it.faults and self._next_look > it.disturbed + it.bounds.naming + it.bounds.listening

    # --- time --------------------------------------------------------------------------------------------------------

    def before(self, time: float) -> None:
        """Until `time` all stays as it is."""
        self.holders.before(time)

    def settled(self) -> None:
        """Everything that was to be done at this instant is done."""
        self._it.look()
        self.holders.settled()
        self._storages.settled()
        if self.cluster.now >= self._next_look and self._it.at_rest:
            self._next_look = self.cluster.now + self._it.bounds.listening
            for vrid in self._it.vrids:
                master = self._rest.master(vrid)
                if master is not None and self.cluster.now > self._it.disturbed + self._it.bounds.naming:
                    self._neighbours.ask(vrid, master)

    # --- what the cluster tells --------------------------------------------------------------------------------------

    def unsettled(self, node: Node) -> None:
        self._disturb(node)

    def _disturb(self, *nodes: Node) -> None:
        self._it.disturb(*nodes)
        for node in nodes:
            self._takeovers.unsettled(node)

    def woke(self, node: Node, what: Pause) -> None:
        self._it.disturb(node)
        self._it.slept[node.name] = self.cluster.now
        if node.alive:
            self.holders.woke(node)
            self._takeovers.woke(node, what)

    def advertised(self, member: Member) -> None:
        self.holders.advertised(member)

    def announced(self, member: Member) -> None:
        self._neighbours.announced(member)

    def changed(self, member: Member, transition: Transition) -> None:
        self.transitions += 1
        self._rest.changed(member, transition)
        if transition.new is State.MASTER:
            self._takeovers.took_over(member)
            self._neighbours.became_master(member)
        elif transition.old is State.MASTER:
            self.holders.must_let_go(member)
            self._neighbours.left(member, transition.reason)
        self._takeovers.changed(member)
