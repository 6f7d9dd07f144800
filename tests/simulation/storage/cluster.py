"""Two machines with a DRBD pair, two networks between them, a client that writes, a witness, and a power switch.

    cluster = StorageCluster(Setting(...), seed)
    cluster.start()
    cluster.run(60.0)

The client keeps a ledger: what was acknowledged to it must never be lost (protocol C).
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from drbdctl.failover.events import GaveUp
from drbdctl.failover.evidence import Word
from drbdctl.failover.group import Group, GroupResource
from drbdctl.failover.refusal import Refusal
from drbdctl.status.words import DiskState
from pyvrrp.core.advertisement import Advertisement
from pyvrrp.core.parameters import Parameters
from tests.simulation.storage.daemon import Daemon
from tests.simulation.storage.disk import Disk, new_uuid
from tests.simulation.storage.drbd import Pair, Replica
from tests.simulation.storage.host import Host
from tests.simulation.world import World

CLIENTS, REPLICATION = "clients", "replication"
_TRAVEL = 0.0003
_WRITES_EVERY = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What both machines are configured to be."""

    group: Group
    ping_int: float = 1.0
    priorities: tuple[int, int] = (150, 100)
    nopreempt: bool = False
    networks: int = 2
    guarantee: str = "proven"
    boot_takes: tuple[float, float] = (4.0, 6.0)


class Watch:
    """Is told what happens."""

    def promoted(self, replica: Replica, volume: int) -> None:
        """A volume has become Primary."""

    def gave_up(self, host: Host, action: GaveUp) -> None:
        """A promotion was refused, or has failed."""

    def gave_way(self, host: Host, faults: Iterable[Refusal]) -> None:
        """A node that serves lets go, for these."""

    def deposed(self, host: Host) -> None:
        """A node that serves has heard another MASTER, and lets go."""


class StorageCluster(World):
    """Everything of one simulation."""

    def __init__(self, setting: Setting, seed: int = 0) -> None:
        super().__init__(seed)
        self.setting = setting
        self.networks = (CLIENTS, REPLICATION)[: setting.networks]
        self.watch = Watch()
        self.cuts: dict[tuple[str, str, str], int] = {}
        "how many faults cut a network, from one machine to the other"
        self.witness_up = True
        self.power_switch_up = True
        self.ledger: dict[tuple[str, int], set[int]] = defaultdict(set)
        "by resource and volume: the writes that were acknowledged to the client"
        self.written = 0
        self._volume: dict[int, tuple[str, int]] = {}
        self.hosts = tuple(
            Host(self, name, number, setting.group, boot)
            for name, number, boot in zip("ab", (1, 2), setting.boot_takes, strict=True)
        )
        self.pairs = [self._pair(resource) for resource in setting.group.resources]

    def _pair(self, resource: GroupResource) -> Pair:
        pair = Pair(resource, self.link_passes, self.setting.ping_int)
        pair.promoted = lambda replica, volume: self.watch.promoted(replica, volume)
        uuids = [new_uuid(self.random) for _ in resource.volumes]
        one, other = (Replica(host, pair, [Disk(each) for each in uuids]) for host in self.hosts)
        one.peer, other.peer = other, one
        pair.replicas = (one, other)
        for each in (one, other):
            each.host.replicas.append(each)
        return pair

    def start(self) -> None:
        """DRBD and the daemons come up; the client begins to write."""
        for host in self.hosts:
            for each in host.replicas:
                each.configure()
            self.start_daemon(host)
        self._write()

    # --- networks ----------------------------------------------------------------------------------------------------

    def other(self, host: Host) -> Host:
        return self.hosts[1 - self.hosts.index(host)]

    def passes(self, network: str, source: Host, destination: Host) -> bool:
        """A packet gets from one machine to the other."""
        isolated = source.isolated or destination.isolated
        return not isolated and not self.cuts.get((network, source.name, destination.name))

    def link_passes(self) -> bool:
        """DRBD's connection gets there and back."""
        a, b = self.hosts
        network = self.networks[-1]
        return a.running and b.running and self.passes(network, a, b) and self.passes(network, b, a)

    def cut(self, network: str, source: Host, destination: Host, by: int) -> None:
        """One more (or less) fault cuts it."""
        key = (network, source.name, destination.name)
        self.cuts[key] = self.cuts.get(key, 0) + by
        self.paths_changed()

    def paths_changed(self) -> None:
        for pair in self.pairs:
            pair.look()

    def advertise(self, host: Host, advertisement: Advertisement, source: IPv4Address) -> None:
        other = self.other(host)
        for network in self.networks:
            if self.passes(network, host, other):
                self.at(self.now + _TRAVEL, lambda network=network: self._hear(other, network, advertisement, source))

    def _hear(self, host: Host, network: str, advertisement: Advertisement, source: IPv4Address) -> None:
        if host.running and host.daemon is not None:
            host.daemon.hear(network, advertisement, source)

    # --- those beside them -------------------------------------------------------------------------------------------

    def witness_says(self, host: Host) -> Word:
        return Word.REACHED if self.witness_up and not host.isolated else Word.UNREACHABLE

    def shoot(self, by: Host, target: Host) -> bool:
        """Switch the other one off, and on again later; over a network of its own."""
        if not self.power_switch_up or by.isolated:
            return False
        by.tell(f"shoots {target}")
        self.reboot(target)
        return True

    def reboot(self, host: Host) -> None:
        if host.powered:
            host.power_off()
            self.at(self.now + 3.0, host.power_on)

    def start_daemon(self, host: Host, *, adopt: bool = False) -> None:
        if host.frozen:
            host.later(0.0, lambda: self.start_daemon(host, adopt=adopt))
        elif host.powered and host.daemon is None:
            parameters = Parameters(
                vrid=51,
                priority=self.setting.priorities[host.number - 1],
                gated=True,
                nopreempt=self.setting.nopreempt,
                garp_master_delay=0.0,
                gate_timeout=60.0,
                gate_cool_down=5.0,
            )
            host.daemon = Daemon(host, parameters, adopt=adopt)
            host.daemon.start()

    # --- the client --------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        """To whoever has the address."""
        self.at(self.now + _WRITES_EVERY * self.random.uniform(0.5, 1.5), self._write)
        for host in self.hosts:
            if host.vip and not host.isolated and host.works:
                self.written += 1
                replica = self.random.choice(host.replicas)
                volume = self.random.randrange(len(replica.disks))
                self._volume[self.written] = (replica.pair.resource.name, volume)
                replica.write(self.written, volume)
                return

    def acknowledge(self, host: Host, number: int) -> None:
        """Unless the answer does not get there."""
        if host.vip and not host.isolated:
            self.ledger[self._volume[number]].add(number)

    # --- what is asked -----------------------------------------------------------------------------------------------

    @property
    def serving(self) -> list[Host]:
        """Who has the address, with everything behind it."""
        return [each for each in self.hosts if each.vip and each.works]

    def lost(self, replica: Replica, n: int) -> set[int]:
        """What was acknowledged and is not on the disk that this replica uses: its own, or its peer's."""
        holder = replica if replica.state[n] is DiskState.UP_TO_DATE else replica.peer
        return self.lost_by(holder, n)

    def lost_by(self, replica: Replica, n: int) -> set[int]:
        """What was acknowledged and is not on its own disk."""
        return self.ledger[replica.pair.resource.name, n] - replica.disks[n].content
