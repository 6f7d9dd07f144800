"""A cluster in one process: real virtual routers, real packets, a virtual clock, and a network that may fail.

    cluster = Cluster()
    a = cluster.node("a", 1, Parameters(vrid=51, priority=200))
    b = cluster.node("b", 2, Parameters(vrid=51, priority=100))
    cluster.start(a, b)
    cluster.run(4.0)
    cluster.expect(cluster.masters(51) == [a], "the higher priority is MASTER")

Every list of actions is checked against tests.contract; what fails is told with the timeline of the whole run.
"""

from typing import Any

from pyvrrp.core.datagram import Datagram
from pyvrrp.core.events import Event, TrackingChanged, Transition
from pyvrrp.core.parameters import Parameters
from tests.simulation.gates import Storage
from tests.simulation.holdings import Holdings
from tests.simulation.member import Member
from tests.simulation.network import Network
from tests.simulation.node import Node, Pause, Traits
from tests.simulation.world import World


class Watch:
    """Is told what happens; by itself it does nothing."""

    def unsettled(self, node: Node) -> None:
        """A speaker begins, or hears of another priority."""

    def woke(self, node: Node, what: Pause) -> None:
        """Something that stood still goes on in a moment."""

    def advertised(self, member: Member) -> None:
        """An advertisement has left, with another priority than 0."""

    def announced(self, member: Member) -> None:
        """The neighbours are told of the addresses."""

    def changed(self, member: Member, transition: Transition) -> None:
        """A virtual router has another state."""


class Cluster(World):
    """Nodes, the network between them and to their neighbours, and the storage behind them."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.network = Network(self.random)
        self.nodes: list[Node] = []
        self.holdings = Holdings()
        self.neighbours: dict[int, Node] = {}
        "by VRID: who announced the addresses last, so that the neighbours ask it"
        self.watch = Watch()
        self._storages: dict[int, Storage] = {}

    # --- what a test does --------------------------------------------------------------------------------------------

    def node(self, name: str, number: int, *members: Parameters, sync_group: bool = False, **traits: Any) -> Node:
        """Add a machine with these virtual routers and Traits; `number` is the last part of its address."""
        named = {f"VI_{parameters.vrid}": parameters for parameters in members}
        node = Node(self, name, number, named, Traits(**traits), sync_group=sync_group)
        self.nodes.append(node)
        return node

    def start(self, *nodes: Node) -> None:
        """Start the daemon, for the first time or again after `stop`."""
        for node in nodes:
            node.service.start()

    def stop(self, node: Node) -> None:
        """Stop the daemon in order."""
        node.service.stop()

    def crash(self, node: Node) -> None:
        """It is gone, with its addresses."""
        node.power_off()

    def freeze(self, node: Node) -> None:
        """The speaker stands still; packets wait in its sockets."""
        node.pause(Pause.SPEAKER)

    def thaw(self, node: Node, *, timers_first: bool = False) -> None:
        """It goes on; asyncio reads the sockets first, uvloop looks at the timers first."""
        node.resume(timers_first=timers_first)

    def deliver(self, node: Node, event: Event, member: str | None = None) -> None:
        """Tell one member of a node (None: all of them) something, now."""
        for name in [member] if member else list(node.members):
            if isinstance(event, TrackingChanged):
                node.track(name, event)
            else:
                node.deliver(name, event)

    # --- what a test asks --------------------------------------------------------------------------------------------

    def members(self, vrid: int) -> list[Member]:
        """The members of a virtual router whose daemon is there."""
        return [m for node in self.nodes if node.alive for m in node.members.values() if m.vrid == vrid]

    def masters(self, vrid: int) -> list[Node]:
        """Who takes itself for MASTER, and is not giving it up."""
        return [each.node for each in self.members(vrid) if each.router.claims]

    def holders(self, vrid: int) -> list[Node]:
        """Who has the addresses, and is not about to take them off."""
        leaving = [member.node for member in self.members(vrid) if member.letting_go]
        return [node for node in self.nodes if node.name in self.holdings.of(vrid) and node not in leaving]

    def overlap(self, vrid: int, since: float = 0.0) -> float:
        """For how many seconds after `since` two nodes or more had the addresses."""
        return self.holdings.overlap(vrid, since, self.now)

    def unheld(self, vrid: int, since: float) -> float:
        """For how many seconds after `since` no node had the addresses."""
        return self.holdings.unheld(vrid, since, self.now)

    # --- what the nodes do -------------------------------------------------------------------------------------------

    def storage(self, vrid: int) -> Storage:
        """What the gates of a virtual router open."""
        return self._storages.setdefault(vrid, Storage())

    def addresses_changed(self, node: Node, vrid: int) -> None:
        """They came or went, or whether they answer."""
        answers = node.kernel.running and node.kernel.has(vrid) and node.plugged
        self.holdings.change(vrid, node.name, answers, self.now)

    def announce(self, member: Member) -> None:
        """Gratuitous ARP or Neighbor Advertisements."""
        self.neighbours[member.vrid] = member.node
        self.watch.announced(member)

    def broadcast(self, sender: Member, priority: int) -> None:
        """An advertisement to all others."""
        datagram = sender.datagram(priority)
        for node in self.nodes:
            if node is sender.node:
                continue
            for arrival in self.network.carry(sender.node.name, node.name, sender.vrid, self.now):
                self.at(arrival, lambda node=node: self._arrive(node, sender, datagram))

    def _arrive(self, node: Node, sender: Member, datagram: Datagram) -> None:
        if not node.hears:
            self.network.unheard(sender.node.name, node.name, self.now)
        elif sender.name in node.members:
            speaker = node.speaker
            speaker.do(lambda: speaker.members[sender.name].receive(datagram))
