"""A cluster in one process: real virtual routers, real packets, a virtual clock, and a network that may fail.

    cluster = Cluster()
    a = cluster.node("a", 1, Parameters(vrid=51, priority=200))
    b = cluster.node("b", 2, Parameters(vrid=51, priority=100))
    cluster.start(a, b)
    cluster.run(4.0)
    cluster.expect(cluster.masters(51) == [a], "the higher priority is MASTER")

Every list of actions is checked against tests.contract; what fails is told with the timeline of the whole run.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from itertools import count, pairwise
from random import Random

from pyvrrp.core.datagram import PROTOCOL_VRRP, Datagram, parse_ipv4
from pyvrrp.core.discard import Discard
from pyvrrp.core.events import (
    AcquireAddresses,
    Action,
    AdvertisementReceived,
    CloseGates,
    Event,
    GatesClosed,
    GatesOpened,
    OpenGates,
    ReleaseAddresses,
    SendAdvertisement,
    Shutdown,
    Startup,
    TimerExpired,
    Transition,
)
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.reception import GROUP4, GROUP6, Reception
from pyvrrp.core.sync_group import Step, SyncGroup
from pyvrrp.core.transmission import Transmission
from pyvrrp.core.virtual_router import VirtualRouter
from tests.contract import Contract
from tests.simulation.network import Network
from tests.simulation.timeline import Timeline

_BUSY = 1000
"events at one instant that are taken for an endless loop"


class Member:
    """One virtual router on one node, with all that stands around it in the daemon."""

    def __init__(self, node: "Node", name: str, parameters: Parameters) -> None:
        self.node = node
        self.name = name
        ipv4 = parameters.family == 4
        self.group = GROUP4 if ipv4 else GROUP6
        source = IPv4Address("192.0.2.0") + node.number if ipv4 else IPv6Address("fe80::") + node.number
        self.router = VirtualRouter(parameters, source)
        self.transmission = Transmission(parameters, source, [self.group])
        self.reception = Reception(parameters=parameters)
        self.contract = Contract(self.router)
        self.gates_open = False
        self.awake_at: float | None = None
        "the world's time of the next wake-up that is scheduled"

    @property
    def vrid(self) -> int:
        return self.router.parameters.vrid

    def datagram(self, priority: int) -> Datagram:
        """Our advertisement as the others receive it."""
        packet = self.transmission.packet(priority, self.group)
        if self.router.parameters.family == 4:
            return parse_ipv4(packet)
        return Datagram(self.transmission.source, self.group, 255, PROTOCOL_VRRP, b"", packet)


class Node:
    """A machine: its members, its clock, and whether it is alive, dead or frozen."""

    def __init__(self, name: str, number: int, clock: float, rate: float, gate_takes: float) -> None:
        self.name = name
        self.number = number
        "the last part of its address"
        self.clock = clock
        "what its monotonic clock shows when the world begins"
        self.rate = rate
        "its seconds per second of the world"
        self.gate_takes = gate_takes
        "seconds in which its gates open, or close"
        self.members: dict[str, Member] = {}
        self.sync_group: SyncGroup | None = None
        self.alive = False
        self.frozen = False
        self.unread: list[Callable[[], None]] = []
        "what arrived while it was frozen"

    def __repr__(self) -> str:
        return self.name

    def local(self, world: float) -> float:
        return self.clock + world * self.rate

    def world(self, local: float) -> float:
        return (local - self.clock) / self.rate


class Cluster:
    """Nodes, a network, and the time; everything random comes out of `seed`."""

    def __init__(self, seed: int = 0) -> None:
        self.now = 0.0
        "seconds of the world"
        self.random = Random(seed)
        self.network = Network(self.random)
        self.nodes: list[Node] = []
        self.timeline = Timeline()
        self.holdings: list[tuple[int, Node, float, float | None]] = []
        "who had the addresses of a VRID, from when to when (None: has them)"
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    # --- what a test does --------------------------------------------------------------------------------------------

    def node(
        self,
        name: str,
        number: int,
        *members: Parameters,
        sync_group: bool = False,
        clock: float = 0.0,
        rate: float = 1.0,
        gate_takes: float = 0.5,
    ) -> Node:
        """Add a machine with these virtual routers; `number` is the last part of its address."""
        node = Node(name, number, clock, rate, gate_takes)
        for parameters in members:
            member = Member(node, f"VI_{parameters.vrid}", replace(parameters, in_sync_group=sync_group))
            node.members[member.name] = member
        if sync_group:
            node.sync_group = SyncGroup("G", {each.name: each.router for each in node.members.values()})
        self.nodes.append(node)
        return node

    def start(self, *nodes: Node) -> None:
        """Start the daemon, for the first time or again after `stop`."""
        for node in nodes:
            node.alive = True
            self.timeline.add(self.now, node.name, "starts")
            self._all(node, Startup())

    def stop(self, node: Node) -> None:
        """Stop the daemon in order."""
        self.timeline.add(self.now, node.name, "stops")
        self._all(node, Shutdown())

    def crash(self, node: Node) -> None:
        """It is gone, with its addresses, and does not come back."""
        node.alive = False
        self.timeline.add(self.now, node.name, "dies")
        for vrid in {member.vrid for member in node.members.values()}:
            self._holds_no_more(vrid, node)

    def freeze(self, node: Node) -> None:
        """It stands still with all it holds; packets wait in its sockets."""
        node.frozen = True
        self.timeline.add(self.now, node.name, "freezes")

    def thaw(self, node: Node, *, timers_first: bool = False) -> None:
        """It goes on; asyncio reads the sockets first, uvloop looks at the timers first."""
        node.frozen = False
        self.timeline.add(self.now, node.name, "wakes up")
        unread, node.unread = node.unread, []
        if timers_first:
            self._look_at_timers(node)
        for receive in unread:
            receive()
        self._look_at_timers(node)

    def deliver(self, node: Node, event: Event, member: str | None = None) -> None:
        """Tell one member of a node (None: all of them) something, now."""
        for name in [member] if member else list(node.members):
            self._handle(node.members[name], event)

    def at(self, time: float, act: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self._agenda, (time, next(self._order), act))

    def run(self, until: float, each: Callable[[], None] = lambda: None) -> None:
        """Let time pass; `each` is called after each instant at which something happens."""
        instant, busy = self.now, 0
        while self._agenda and self._agenda[0][0] <= until:
            time, _, act = heapq.heappop(self._agenda)
            instant, busy = (instant, busy + 1) if time <= instant else (time, 0)
            self.expect(busy < _BUSY, f"an end of what is to be done at {instant}")
            self.now = max(self.now, time)
            act()
            if not self._agenda or self._agenda[0][0] > self.now:
                each()
        self.now = max(self.now, until)

    # --- what a test asks --------------------------------------------------------------------------------------------

    def expect(self, condition: bool, sentence: str) -> None:
        """Fail with the timeline unless it is so."""
        if not condition:
            raise AssertionError(f"expected at {self.now:.4f}: {sentence}\n{self.timeline}")

    def masters(self, vrid: int) -> list[Node]:
        """Who takes itself for MASTER, and is not giving it up."""
        return [each.node for each in self._members(vrid) if each.router.claims]

    def holders(self, vrid: int) -> list[Node]:
        """Who has the addresses."""
        return [node for held, node, _, end in self.holdings if held == vrid and end is None]

    def overlap(self, vrid: int, since: float = 0.0) -> float:
        """For how many seconds after `since` two nodes or more had the addresses."""
        return sum(seconds for holders, seconds in self._spans(vrid, since) if holders > 1)

    def unheld(self, vrid: int, since: float) -> float:
        """For how many seconds after `since` no node had the addresses."""
        return sum(seconds for holders, seconds in self._spans(vrid, since) if not holders)

    def _spans(self, vrid: int, since: float) -> Iterator[tuple[int, float]]:
        """Numbers of holders, and for how long they were so many."""
        changes = [(since, 0), (self.now, 0)]
        for held, _, start, end in self.holdings:
            if held == vrid:
                changes += [(start, 1), (self.now if end is None else min(end, self.now), -1)]
        changes.sort()
        holders = 0
        for (time, change), (following, _) in pairwise(changes):
            holders += change
            yield holders, max(following, since) - max(time, since)

    # --- the machinery -----------------------------------------------------------------------------------------------

    def _members(self, vrid: int) -> list[Member]:
        return [m for node in self.nodes if node.alive for m in node.members.values() if m.vrid == vrid]

    def _all(self, node: Node, event: Event) -> None:
        for member in node.members.values():
            self._handle(member, event)

    def _handle(self, member: Member, event: Event, local: float | None = None) -> None:
        node = member.node
        now = node.local(self.now) if local is None else local
        if node.sync_group is None:
            steps = [Step(member.name, action) for action in member.router.handle(event, now)]
        else:
            steps = list(node.sync_group.handle(member.name, event, now))
        for each in node.members.values():
            try:
                each.contract.check([step.action for step in steps if step.member == each.name])
            except AssertionError as broken:
                self.expect(False, f"{node.name} {each.name} keeps the contract: {broken}")
        for name, action in steps:
            if name is None:
                self.timeline.add(self.now, node.name, f"sync group {_told(action)}")
            else:
                self._perform(node.members[name], action)
        for each in node.members.values():
            self._arm(each)

    def _perform(self, member: Member, action: Action) -> None:
        node, vrid = member.node, member.vrid
        match action:
            case SendAdvertisement(priority):
                self.timeline.add(self.now, node.name, f"advertises {vrid} with priority {priority}")
                self._send(member, priority)
            case AcquireAddresses():
                self.holdings.append((vrid, node, self.now, None))
            case ReleaseAddresses(after):
                if after:
                    self.timeline.add(self.now, node.name, f"{member.name} answers for {after:g} s more")
                self._holds_no_more(vrid, node, after)
            case OpenGates() | CloseGates():
                self._move_gates(member, isinstance(action, OpenGates))
            case Transition():
                self.timeline.add(self.now, node.name, f"{member.name} {_told(action)}")
            case _:
                pass

    def _holds_no_more(self, vrid: int, node: Node, after: float = 0.0) -> None:
        self.holdings = [
            (held, who, start, self.now + after if (held, who, end) == (vrid, node, None) else end)
            for held, who, start, end in self.holdings
        ]

    def _move_gates(self, member: Member, wanted: bool) -> None:
        member.gates_open = wanted
        self.timeline.add(self.now, member.node.name, f"{member.name} {'opens' if wanted else 'closes'} its gates")

        def moved() -> None:
            if member.node.alive and member.gates_open is wanted:
                self._handle(member, GatesOpened() if wanted else GatesClosed())

        self.at(self.now + member.node.gate_takes, moved)

    def _send(self, sender: Member, priority: int) -> None:
        datagram = sender.datagram(priority)
        for receiver in self._members(sender.vrid):
            if receiver.node is sender.node:
                continue
            arrival = self.network.carry(sender.node.name, receiver.node.name, sender.vrid, self.now)
            if arrival is not None:
                self.at(arrival, lambda receiver=receiver: self._arrive(receiver, datagram))

    def _arrive(self, receiver: Member, datagram: Datagram) -> None:
        if not receiver.node.alive:
            return
        if receiver.node.frozen:
            receiver.node.unread.append(lambda: self._arrive(receiver, datagram))
            return
        try:
            advertisement = receiver.reception.check(datagram)
        except Discard as refused:
            self.timeline.add(self.now, receiver.node.name, f"discards a packet of {datagram.source}: {refused}")
            return
        self._handle(receiver, AdvertisementReceived(advertisement, datagram.source))

    def _arm(self, member: Member) -> None:
        deadline = member.router.deadline
        if deadline is None:
            member.awake_at = None
            return
        when = max(self.now, member.node.world(deadline))
        if member.awake_at is None or when != member.awake_at:
            member.awake_at = when
            self.at(when, lambda: self._wake(member, when))

    def _wake(self, member: Member, when: float) -> None:
        if member.node.alive and not member.node.frozen and member.awake_at == when:
            self._expire(member)

    def _look_at_timers(self, node: Node) -> None:
        for member in node.members.values():
            self._expire(member)

    def _expire(self, member: Member) -> None:
        member.awake_at = None
        deadline, local = member.router.deadline, member.node.local(self.now)
        # Two clocks that tick differently round differently: a wake-up for the deadline is never early.
        almost = deadline is not None and local < deadline < local + 1e-6
        self._handle(member, TimerExpired(), deadline if almost else local)


def _told(action: Action) -> str:
    assert isinstance(action, Transition)
    detail = f": {action.detail}" if action.detail else ""
    return f"{action.old.value} -> {action.new.value} ({action.reason.value}{detail})"
