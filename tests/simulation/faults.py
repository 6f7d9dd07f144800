"""What may go wrong, for how long, and whom it hits.

A fault is one line of a scenario: `begin` brings it about and returns what ends it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pyvrrp.core.events import Switchover as SwitchoverEvent
from pyvrrp.core.events import TrackingChanged
from tests.simulation.cluster import Cluster
from tests.simulation.network import DELAY
from tests.simulation.node import Node, Pause

End = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """It begins at `at` and ends `seconds` later."""

    at: float
    seconds: float = 0.0

    def begin(self, cluster: Cluster) -> End:
        raise NotImplementedError

    @property
    def place(self) -> tuple[Any, ...]:
        """What it takes hold of: two faults do not have the same place at the same time."""
        return (type(self).__name__,)


# --- the network -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss(Fault):
    """A share of all packets gets lost."""

    share: float

    def begin(self, cluster: Cluster) -> End:
        cluster.network.loss = self.share
        return lambda: setattr(cluster.network, "loss", 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplication(Fault):
    """A share of all packets arrives twice."""

    share: float

    def begin(self, cluster: Cluster) -> End:
        cluster.network.repeats = self.share
        return lambda: setattr(cluster.network, "repeats", 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay(Fault):
    """Packets take up to `longest` seconds, and may overtake one another."""

    longest: float
    reordering: bool = False

    def begin(self, cluster: Cluster) -> End:
        network = cluster.network
        network.delay, network.ordered = (0.0, self.longest), not self.reordering

        def end() -> None:
            network.delay, network.ordered = DELAY, True

        return end


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition(Fault):
    """Nothing gets from `side` to `other`; `one_way`: the way back is open; `vrid`: on one of two networks only."""

    side: tuple[str, ...]
    other: tuple[str, ...]
    one_way: bool = False
    vrid: int | None = None

    def begin(self, cluster: Cluster) -> End:
        network = cluster.network
        cuts = [network.cut(source, to, self.vrid) for source in self.side for to in self.other]
        if not self.one_way:
            cuts += [network.cut(source, to, self.vrid) for source in self.other for to in self.side]
        return lambda: network.mend(cuts)

    @property
    def place(self) -> tuple[Any, ...]:
        return (self.side, self.other)


# --- one machine -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFault(Fault):
    node: str

    def on(self, cluster: Cluster) -> Node:
        return next(node for node in cluster.nodes if node.name == self.node)

    @property
    def place(self) -> tuple[Any, ...]:
        return (type(self).__name__, self.node)


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerFailure(NodeFault):
    """It is gone with all it held; when the power is back it boots, unless it is gone `for_good`."""

    for_good: bool = False

    def begin(self, cluster: Cluster) -> End:
        node = self.on(cluster)
        node.power_off()
        return lambda: None if self.for_good else node.power_on()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill(NodeFault):
    """SIGKILL for the speaker, the guard or both; somebody starts again what is to run."""

    what: str = "speaker"

    def begin(self, cluster: Cluster) -> End:
        node = self.on(cluster)
        if self.what in ("guard", "both"):
            node.service.kill_guard(speaker_leaves=self.what == "guard")
        if self.what in ("speaker", "both"):
            node.service.kill_speaker()
        return lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standstill(NodeFault):
    """It is stopped and goes on."""

    what: Pause
    timers_first: bool = False

    def begin(self, cluster: Cluster) -> End:
        node = self.on(cluster)
        node.pause(self.what)
        return lambda: node.resume(timers_first=self.timers_first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute(NodeFault):
    """It can't send VRRP (a firewall); everything else gets out."""

    def begin(self, cluster: Cluster) -> End:
        node = self.on(cluster)
        node.mute = True
        return lambda: setattr(node, "mute", False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowGates(NodeFault):
    """Its gates take so many seconds to open, and to close."""

    takes: float

    def begin(self, cluster: Cluster) -> End:
        node = self.on(cluster)
        node.gate_takes = self.takes
        return lambda: setattr(node, "gate_takes", node.traits.gate_takes)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingGates(NodeFault):
    """Its gates refuse: 'opening' or 'closing'."""

    what: str

    def begin(self, cluster: Cluster) -> End:
        node = self.on(cluster)
        node.gate_fails = self.what
        return lambda: setattr(node, "gate_fails", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking(NodeFault):
    """Its trackers change the priority by `weight`, or, 0, forbid everything to its first virtual router."""

    weight: int = 0

    def begin(self, cluster: Cluster) -> End:
        node = self.on(cluster)
        names = list(node.parameters) if self.weight else list(node.parameters)[:1]
        event = TrackingChanged(weight=self.weight, faults=() if self.weight else ("script chk failed",))

        def tell(event: TrackingChanged) -> None:
            for name in names:
                node.track(name, event)

        tell(event)
        return lambda: tell(TrackingChanged())

    @property
    def place(self) -> tuple[Any, ...]:
        return ("Tracking", self.node)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplugged(NodeFault):
    """Its cable is out, and the interface tracker says so."""

    def begin(self, cluster: Cluster) -> End:
        node = self.on(cluster)
        node.plug(False)
        return lambda: node.plug(True)

    @property
    def place(self) -> tuple[Any, ...]:
        return ("Tracking", self.node)


@dataclass(frozen=True, slots=True, kw_only=True)
class Switchover(NodeFault):
    """The operator has it give up what it is MASTER of."""

    def begin(self, cluster: Cluster) -> End:
        node = self.on(cluster)
        for name in node.members:
            node.deliver(name, SwitchoverEvent())
        return lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown(NodeFault):
    """The daemon is stopped in order, and started again."""

    def begin(self, cluster: Cluster) -> End:
        node = self.on(cluster)
        node.service.stop()
        return node.service.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload(NodeFault):
    """Another priority, for good."""

    priority: int

    def begin(self, cluster: Cluster) -> End:
        node = self.on(cluster)
        node.reload({name: replace(each, priority=self.priority) for name, each in node.parameters.items()})
        return lambda: None


KINDS = {
    kind.__name__: kind
    for kind in (
        Loss, Duplication, Delay, Partition, PowerFailure, Kill, Standstill, Mute, SlowGates, FailingGates, Tracking,
        Unplugged, Switchover, Shutdown, Reload,
    )
}  # fmt: skip
