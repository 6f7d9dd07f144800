"""What may go wrong with storage, for how long; `begin` brings it about and returns what ends it."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation.storage.cluster import StorageCluster
from tests.simulation.storage.host import Host, Sickness

End = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """It begins at `at` and ends `seconds` later."""

    at: float
    seconds: float = 0.0

    def begin(self, cluster: StorageCluster) -> End:
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFault(Fault):
    host: int

    def on(self, cluster: StorageCluster) -> Host:
        return cluster.hosts[self.host]


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerCut(HostFault):
    """Its power fails, and comes back."""

    def begin(self, cluster: StorageCluster) -> End:
        host = self.on(cluster)
        host.power_off()
        return host.power_on


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCut(Fault):
    """Nothing gets from one machine to the other on one network, or either way; clients and witness are reached."""

    network: int
    source: int
    both_ways: bool = True

    def begin(self, cluster: StorageCluster) -> End:
        network = cluster.networks[self.network]
        one, other = cluster.hosts[self.source], cluster.hosts[1 - self.source]
        ways = [(one, other), (other, one)] if self.both_ways else [(one, other)]
        for source, destination in ways:
            cluster.cut(network, source, destination, 1)

        def end() -> None:
            for source, destination in ways:
                cluster.cut(network, source, destination, -1)

        return end


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation(HostFault):
    """It is cut off from everything: its peer, the clients, the witness, the power switch."""

    def begin(self, cluster: StorageCluster) -> End:
        host = self.on(cluster)

        def set_to(isolated: bool) -> None:
            host.isolated = isolated
            cluster.paths_changed()

        set_to(True)
        return lambda: set_to(False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standstill(HostFault):
    """The machine stands still, with its kernel, and goes on."""

    def begin(self, cluster: StorageCluster) -> End:
        host = self.on(cluster)
        host.freeze()
        return host.thaw


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFailure(HostFault):
    """A disk gives errors and is detached; later it is attached again, with what was on it."""

    resource: int
    volume: int

    def begin(self, cluster: StorageCluster) -> End:
        replica = self.on(cluster).replicas[self.resource]
        replica.detach(self.volume)

        def end() -> None:
            if replica.host.frozen:
                cluster.at(cluster.now + 0.1, end)  # its power may fail before it goes on
            else:
                replica.attach(self.volume)

        return end


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonKilled(HostFault):
    """SIGKILL, and a supervisor that starts it again; what it held stays with the kernel."""

    adopt: bool = True

    def begin(self, cluster: StorageCluster) -> End:
        host = self.on(cluster)
        if host.daemon is None or not host.running:
            return lambda: None
        host.daemon.kill()
        return lambda: cluster.start_daemon(host, adopt=self.adopt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sick(HostFault):
    """A kind of step fails, is slow, hangs until it is killed, or can't be killed."""

    step: str
    how: str

    def begin(self, cluster: StorageCluster) -> End:
        self.on(cluster).sick.append(Sickness(self.step, self.how, cluster.now + self.seconds))
        return lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDies(HostFault):
    """A service ends by itself."""

    def begin(self, cluster: StorageCluster) -> End:
        services = self.on(cluster).services
        if services:
            services.discard(max(services))
        return lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Move(HostFault):
    """The operator has it hand over."""

    def begin(self, cluster: StorageCluster) -> End:
        host = self.on(cluster)
        if host.daemon is not None and host.running:
            host.daemon.switchover()
        return lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeavesInOrder(HostFault):
    """`shutdown -r`: the daemon gives up, DRBD goes down in order, the machine boots again."""

    def begin(self, cluster: StorageCluster) -> End:
        host = self.on(cluster)
        if host.daemon is not None and host.running:
            host.daemon.shutdown()

        def end() -> None:
            if host.powered and host.leaving:  # it has not come to its end yet
                cluster.at(cluster.now + 1.0, end)
            else:
                host.power_on()

        return end


@dataclass(frozen=True, slots=True, kw_only=True)
class Blind(HostFault):
    """The daemon can't see DRBD: no answer, words that nobody knows, no identifiers, or a feed that has ended."""

    how: str

    def begin(self, cluster: StorageCluster) -> End:
        host = self.on(cluster)
        host.blind = self.how
        if host.daemon is not None and host.running:
            host.daemon.loses_sight()
        return lambda: setattr(host, "blind", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotedByHand(HostFault):
    """An operator promotes a resource beside the daemon, and gives it back later."""

    resource: int

    def begin(self, cluster: StorageCluster) -> End:
        replica = self.on(cluster).replicas[self.resource]
        both_secondary = not any((*replica.primary, *replica.peer.primary))
        if not (replica.host.running and replica.pair.alive and both_secondary):
            return lambda: None
        replica.host.tell(f"{replica.pair.resource.name} is promoted by hand")
        replica.promote()

        def end() -> None:
            if replica.up and not replica.host.journal and not replica.host.mounts:
                replica.demote()

        return lambda: replica.host.later(0.0, end)


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessDown(Fault):
    def begin(self, cluster: StorageCluster) -> End:
        cluster.witness_up = False
        return lambda: setattr(cluster, "witness_up", True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSwitchDown(Fault):
    """Nobody can be shot."""

    def begin(self, cluster: StorageCluster) -> End:
        cluster.power_switch_up = False
        return lambda: setattr(cluster, "power_switch_up", True)


KINDS: dict[str, type[Fault]] = {
    each.__name__: each
    for each in (
        PowerCut,
        NetworkCut,
        Isolation,
        Standstill,
        DiskFailure,
        DaemonKilled,
        Sick,
        ServiceDies,
        Move,
        LeavesInOrder,
        Blind,
        PromotedByHand,
        WitnessDown,
        PowerSwitchDown,
    )
}
"by the name that a scenario file has"
