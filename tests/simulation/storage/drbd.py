"""A DRBD 8.4 pair: two replicas of one resource, what each knows of the other, and what passes between them.

A connection that is dead is noticed by each side for itself, after ping-int at the latest, or when it needs the other;
until then it shows Connected. Promotion is volume by volume; alone it succeeds on any disk that calls itself UpToDate.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from drbdctl.failover.exits import PEER_NOT_OUTDATED, TWO_PRIMARIES, Failure
from drbdctl.failover.group import Fencing, GroupResource
from drbdctl.status import state as model
from drbdctl.status.events2 import Helper
from drbdctl.status.words import ConnectionState, DiskState, ReplicationState, Role
from tests.simulation.storage.disk import Disk, Resync

if TYPE_CHECKING:
    from tests.simulation.storage.host import Host

PING_TIMEOUT = 0.5
_TRAVEL = (0.0005, 0.01)
_RESYNC = (0.3, 4.0)
_CONNECT = (0.1, 2.0)
_PASSING = 0.01
"seconds for which a connection state between two others can be seen"


class Replica:
    """One resource on one machine."""

    def __init__(self, host: "Host", pair: "Pair", disks: list[Disk]) -> None:
        self.host = host
        self.pair = pair
        self.disks = disks
        self.broken = [False] * len(disks)
        "the disk gives I/O errors, and was detached"
        self.peer: Replica
        self.forget()

    def forget(self) -> None:
        """What does not survive a power failure."""
        count = len(self.disks)
        self.up = False
        self.link = ConnectionState.STANDALONE
        self.session = 0
        self.primary = [False] * count
        self.state = [DiskState.DISKLESS] * count
        self.replication = [ReplicationState.OFF] * count
        self.frozen = False
        "suspended:fencing"
        self.fenced = False
        "the peer's disk is Outdated, by the handler's word"
        self.waiting: list[tuple[int, int]] = []
        "writes that nobody has acknowledged: number, volume"
        self.sight: list[tuple[bool, DiskState]] = [(False, DiskState.D_UNKNOWN)] * count
        "what it believes of the peer's volumes: Primary, disk"
        self.exposed = [0] * count
        "of a Primary: the current UUID of the data that its users have seen last"

    # --- what drbdadm says -------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """In its own view."""
        return self.session != 0

    def status(self) -> model.Resource | None:
        """As /proc/drbd and drbd.conf have it."""
        if not self.up:
            return None
        devices = tuple(
            model.Device(
                volume.number, volume.minor, self.state[n], Role.PRIMARY if self.primary[n] else Role.SECONDARY
            )
            for n, volume in enumerate(self.pair.resource.volumes)
        )
        peers = tuple(
            model.PeerDevice(n, self.replication[n], self.sight[n][1] if self.connected else DiskState.D_UNKNOWN)
            for n in range(len(devices))
        )
        role = Role.UNKNOWN
        if self.connected:
            role = Role.PRIMARY if any(each for each, _ in self.sight) else Role.SECONDARY
        return model.Resource(
            self.pair.resource.name,
            role=Role.PRIMARY if any(self.primary) else Role.SECONDARY,
            suspended="fencing" if self.frozen else "no",
            devices=devices,
            connections=(model.Connection("peer", None, self.link, role, peer_devices=peers),),
        )

    def can_write(self, n: int) -> bool:
        """It is Primary, and a write would find UpToDate data: without them DRBD answers with an error."""
        served = self.pair.alive and self.sight[n][1] is DiskState.UP_TO_DATE
        return self.primary[n] and (served or self.state[n] is DiskState.UP_TO_DATE)

    def in_use(self, n: int) -> bool:
        """A Primary with good data of its own does not become SyncTarget (rr-conflict disconnect)."""
        return self.primary[n] and self.state[n] is DiskState.UP_TO_DATE

    @property
    def _fencing(self) -> bool:
        return self.pair.resource.fencing is not Fencing.DONT_CARE

    # --- commands ----------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        """`drbdadm up`."""
        self.up = True
        for n, disk in enumerate(self.disks):
            self.state[n] = DiskState.DISKLESS if self.broken[n] else disk.attached(fencing=self._fencing)
            disk.connected = False
        self.link = ConnectionState.CONNECTING
        self.changed()
        self.pair.look()

    def promotion_takes(self) -> float:
        """A dead connection is found out by asking."""
        return PING_TIMEOUT if self.connected and not self.pair.alive else 0.0

    def promote(self) -> Failure | None:
        """`drbdadm primary`: what is promoted before a volume fails stays so."""
        found_dead = self.connected and not self.pair.alive
        if found_dead:
            self.lose()
        for n in range(len(self.disks)):
            if not self.primary[n] and (failure := self._promote(n, found_dead)) is not None:
                return failure
        return None

    def _promote(self, n: int, found_dead: bool) -> Failure | None:
        if self.connected:
            if self.sight[n][0]:
                return Failure("Multiple primaries not allowed by config", 11, TWO_PRIMARIES)
            if DiskState.UP_TO_DATE not in (self.state[n], self.sight[n][1]):
                return Failure("Need access to UpToDate data", 17, -2)
        else:
            if self.state[n] not in (DiskState.UP_TO_DATE, DiskState.CONSISTENT):
                return Failure("Need access to UpToDate data", 17, -2)
            if self._fencing and not self.fenced:
                self.fenced = self.host.call_fence_peer(self)
                if not self.fenced or found_dead:  # the handler's word counts for the next attempt
                    return Failure("Refusing to be Primary while peer is not outdated", 11, PEER_NOT_OUTDATED)
            self.state[n] = DiskState.UP_TO_DATE
            self.disks[n].new_current(self.host.random)
        if self.connected and DiskState.DISKLESS in (self.state[n], self.sight[n][1]):
            holder = self if self.sight[n][1] is DiskState.DISKLESS else self.peer
            holder.disks[n].new_current(self.host.random)
        self.primary[n] = self.disks[n].primary = True
        self.expose()
        self.pair.promoted(self, n)
        self.tell_peer()
        return None

    def demote(self) -> Failure | None:
        """`drbdadm secondary`; nobody holds it open."""
        for n, disk in enumerate(self.disks):
            self.primary[n] = disk.primary = False
        self.tell_peer()
        return None

    def disconnect(self) -> None:
        """`drbdadm down`, on the way out: the peer sees it go in order."""
        if self.connected and self.pair.alive:
            self.peer.lose(ConnectionState.TEAR_DOWN)
        self.session, self.link = 0, ConnectionState.STANDALONE
        self.up = False
        self.changed()

    # --- data --------------------------------------------------------------------------------------------------------

    def write(self, number: int, n: int) -> None:
        """A service writes; it is acknowledged when both disks have it (C), or this one has (A)."""
        self.waiting.append((number, n))
        self._go_on(number, n)

    def _go_on(self, number: int, n: int) -> None:
        if self.frozen or not self.primary[n]:
            return
        here = self.state[n] is DiskState.UP_TO_DATE
        if self.state[n] is not DiskState.DISKLESS:
            self.disks[n].content.add(number)
        if not self.connected:
            self.disks[n].changes += 1
            self._over(number, n, well=here)
            return
        if here and self.pair.resource.protocol == "A":
            self.host.acknowledge(number)
        session, delay = self.session, self.host.random.uniform(*_TRAVEL)
        self.host.cluster.at(self.host.cluster.now + delay, lambda: self._arrived(number, n, session))

    def _arrived(self, number: int, n: int, session: int) -> None:
        if session != self.session or not self.pair.alive:
            return  # it is sent again, or given up, when the connection is
        peer = self.peer
        if peer.state[n] is not DiskState.DISKLESS:
            peer.disks[n].content.add(number)
        self._over(number, n, well=DiskState.UP_TO_DATE in (peer.state[n], self.state[n]))

    def _over(self, number: int, n: int, *, well: bool) -> None:
        if (number, n) in self.waiting:
            self.waiting.remove((number, n))
            if well:
                self.host.acknowledge(number)

    def flush(self) -> None:
        """What waits is tried again."""
        for number, n in list(self.waiting):
            self._go_on(number, n)

    # --- what happens ------------------------------------------------------------------------------------------------

    def lose(self, how: ConnectionState = ConnectionState.NETWORK_FAILURE) -> None:
        """It notices that the connection is gone."""
        if not self.connected:
            return
        self.session, self.link = 0, how
        self.sight = [(False, DiskState.D_UNKNOWN)] * len(self.disks)
        for n, disk in enumerate(self.disks):
            self.replication[n] = ReplicationState.OFF
            disk.connected = False
        self.changed()
        for n, state in enumerate(self.state):
            if state is DiskState.NEGOTIATING:
                self.state[n] = DiskState.DISKLESS
                self.attach(n)
        if self._alone() and self.pair.resource.fencing is Fencing.RESOURCE_AND_STONITH and not self.fenced:
            self.frozen = True
            self.host.later(1.0, self._handler_of_a_primary)
        else:
            self._go_on_alone()
        self.host.later(_PASSING, self._connecting)

    def _alone(self) -> list[int]:
        return [n for n in range(len(self.disks)) if self.primary[n] and self.state[n] is DiskState.UP_TO_DATE]

    def _go_on_alone(self) -> None:
        """A new generation begins, unless I/O is frozen: then it begins when that thaws without the peer."""
        for n in self._alone():
            self.disks[n].new_current(self.host.random)
        self.expose()
        self.flush()

    def _handler_of_a_primary(self) -> None:
        if self.frozen and not self.connected and self.host.call_fence_peer(self):
            self.fenced = True
            self._go_on_alone()
            self.thaw()

    def expose(self) -> None:
        """Whose data the users of a Primary see."""
        for n, disk in enumerate(self.disks):
            if self.primary[n] and self.state[n] is DiskState.UP_TO_DATE:
                self.exposed[n] = disk.current
            elif self.primary[n] and self.connected and self.peer.state[n] is DiskState.UP_TO_DATE:
                self.exposed[n] = self.peer.disks[n].current

    def thaw(self) -> None:
        self.frozen = False
        self.changed()
        self.flush()

    def _connecting(self) -> None:
        if self.up and not self.connected and self.link is not ConnectionState.STANDALONE:
            self.link = ConnectionState.CONNECTING
            self.changed()
            self.pair.look()

    def detach(self, n: int) -> None:
        """Its disk fails (on-io-error detach)."""
        self.broken[n] = True
        self.state[n] = DiskState.DISKLESS
        if self.connected:
            self.replication[n] = ReplicationState.ESTABLISHED
            other = self.peer
            if self.pair.alive and other.state[n] is DiskState.UP_TO_DATE and (self.primary[n] or other.primary[n]):
                other.disks[n].new_current(self.host.random)
            if self.pair.alive:
                other.replication[n] = ReplicationState.ESTABLISHED
                other.expose()
        self.expose()
        self.tell_peer()
        self.flush()

    def attach(self, n: int) -> None:
        """The disk is back, with what was on it; a Primary that has seen newer data refuses it."""
        self.broken[n] = False
        if not self.up:
            return
        talks = self.connected and self.pair.alive
        if self.connected and not talks:
            self.state[n] = DiskState.NEGOTIATING  # it waits for the peer's word, until it knows that there is none
            self.changed()
            return
        alone = not talks or self.peer.state[n] is DiskState.DISKLESS
        users = [each for each in ((self, self.peer) if talks else (self,)) if each.primary[n]]
        if alone and any(each.exposed[n] != self.disks[n].current for each in users):
            self.broken[n] = True
            self.host.later(2.0, lambda: self.attach(n))
            return
        self.state[n] = self.disks[n].attached(fencing=not talks and self._fencing)
        if self.primary[n]:
            self.disks[n].primary = True
        self.tell_peer()
        if talks:
            self.pair.handshake_volume(n)
        self.expose()

    def tell_peer(self) -> None:
        """Roles and disks, over a living connection."""
        if self.connected and self.pair.alive:
            self.peer.sight = list(zip(self.primary, self.state, strict=True))
            self.peer.changed()
        self.changed()

    def changed(self) -> None:
        self.host.drbd_changed()


class Pair:
    """What both replicas have in common: the link."""

    def __init__(self, resource: GroupResource, path: Callable[[], bool], ping_int: float) -> None:
        self.resource = resource
        self.path = path
        "packets get there and back, and both kernels run"
        self.replicas: tuple[Replica, Replica]
        self.split_brain = False
        self.promoted: Callable[[Replica, int], None]
        self._notice = ping_int + PING_TIMEOUT
        self._sessions = 0
        self._cut = 0
        self._was_ok = True

    @property
    def alive(self) -> bool:
        """There is a connection, and something can pass."""
        one, other = self.replicas
        return one.session == other.session != 0 and self.path()

    def look(self) -> None:
        """The path, a machine or a view has changed."""
        one, other = self.replicas
        cluster, ok = one.host.cluster, self.path()
        if ok is not self._was_ok:
            self._was_ok = ok
            self._cut += 1
        cut = self._cut
        for each in self.replicas:
            if each.connected and not ok and each.host.running:
                self._notices(each, cut)
            elif each.connected and ok and each.peer.session != each.session:
                each.lose()  # the other side has closed it: a reset
        if ok and one.session == other.session != 0:
            for each in self.replicas:
                each.flush()
        ready = all(each.up and each.link is ConnectionState.CONNECTING for each in self.replicas)
        if ok and ready:
            wait = cluster.random.uniform(*_CONNECT)
            cluster.at(cluster.now + wait, lambda: self._connect(cut))

    def _notices(self, each: Replica, cut: int) -> None:
        cluster, session = each.host.cluster, each.session
        when = cluster.now + cluster.random.uniform(0.05, self._notice)

        def notice() -> None:
            if each.session == session and cut == self._cut:
                if each.host.running:
                    each.lose()
                else:
                    each.host.later(0.1, notice)

        cluster.at(when, notice)

    def _connect(self, cut: int) -> None:
        ready = all(each.up and each.link is ConnectionState.CONNECTING for each in self.replicas)
        if cut != self._cut or not self.path() or not ready:
            return
        one, other = self.replicas
        two = any(a and b for a, b in zip(one.primary, other.primary, strict=True))
        if two or self._exposed_other_data(one) or self._exposed_other_data(other):
            cluster = one.host.cluster
            cluster.at(cluster.now + 2.0, self.look)
            return
        for n in self._both_attached():
            self._discard_zero_changes(n)
        found = [one.disks[n].compare(other.disks[n]) for n in self._both_attached()]
        wrong_way = any(
            (it is Resync.TARGET and one.in_use(n)) or (it is Resync.SOURCE and other.in_use(n))
            for n, it in zip(self._both_attached(), found, strict=True)
        )
        if Resync.SPLIT_BRAIN in found or wrong_way:
            self._part()
            return
        self._sessions += 1
        for each in self.replicas:
            each.session, each.link = self._sessions, ConnectionState.CONNECTED
            each.fenced = False
            each.replication = [ReplicationState.ESTABLISHED] * len(each.disks)
            for n, disk in enumerate(each.disks):
                disk.connected = True
                if each.state[n] is DiskState.CONSISTENT:
                    each.state[n] = DiskState.UP_TO_DATE
        for each in self.replicas:
            each.sight = list(zip(each.peer.primary, each.peer.state, strict=True))
        for n in range(len(one.disks)):
            self.handshake_volume(n)
        for each in self.replicas:
            each.tell_peer()
            if each.frozen:
                each.thaw()
            each.flush()

    def _discard_zero_changes(self, n: int) -> None:
        """after-sb-0pri discard-zero-changes, 1pri consensus: a Secondary that has written nothing alone gives way."""
        one, other = self.replicas
        if one.disks[n].compare(other.disks[n]) is not Resync.SPLIT_BRAIN:
            return
        idle = [each for each in self.replicas if not each.disks[n].changes and not each.primary[n]]
        if idle:
            victim = idle[0]
            victim.disks[n].current, victim.disks[n].bitmap = victim.peer.disks[n].bitmap, 0

    @staticmethod
    def _exposed_other_data(each: Replica) -> bool:
        """A diskless Primary connects only to the data that it has used."""
        return any(
            each.primary[n]
            and each.state[n] is DiskState.DISKLESS
            and each.peer.state[n] is not DiskState.DISKLESS
            and each.exposed[n] != each.peer.disks[n].current
            for n in range(len(each.disks))
        )

    def _both_attached(self) -> list[int]:
        gone = (DiskState.DISKLESS, DiskState.NEGOTIATING)
        volumes = range(len(self.replicas[0].disks))
        return [n for n in volumes if not any(each.state[n] in gone for each in self.replicas)]

    def handshake_volume(self, n: int) -> None:
        """Which way to sync a volume, if any."""
        one, other = self.replicas
        if n not in self._both_attached():
            return
        match one.disks[n].compare(other.disks[n]):
            case Resync.NONE:
                for each in self.replicas:
                    each.state[n] = DiskState.UP_TO_DATE
                    each.disks[n].consistent = each.disks[n].up_to_date = True
                    each.disks[n].crashed = False
            case Resync.SOURCE:
                self._resync(one, other, n)
            case Resync.TARGET:
                self._resync(other, one, n)
            case Resync.SPLIT_BRAIN:
                self._part()

    def _resync(self, source: Replica, target: Replica, n: int) -> None:
        random, cluster = source.host.random, source.host.cluster
        target.disks[n].begin_target(source.disks[n].begin_source(random))
        target.state[n] = DiskState.INCONSISTENT
        source.replication[n] = ReplicationState.SYNC_SOURCE
        target.replication[n] = ReplicationState.SYNC_TARGET
        for each in (source, target):
            each.tell_peer()
        session = source.session

        def done() -> None:
            if source.session != session or target.session != session or target.state[n] is DiskState.DISKLESS:
                return
            if not self.alive:
                cluster.at(cluster.now + 0.2, done)
                return
            if source.state[n] is DiskState.DISKLESS:
                return
            target.disks[n].end_target(source.disks[n])
            target.disks[n].content |= {number for number, volume in target.waiting if volume == n}
            source.disks[n].end_source()
            target.state[n] = DiskState.UP_TO_DATE
            for each in (source, target):
                each.replication[n] = ReplicationState.ESTABLISHED
                each.tell_peer()
                each.expose()

        cluster.at(cluster.now + random.uniform(*_RESYNC), done)

    def discard(self, victim: Replica) -> None:
        """An operator's `drbdctl split-brain --discard-my-data` there, and `drbdadm connect` on the other side."""
        for n in self._both_attached():
            one, other = victim.disks[n], victim.peer.disks[n]
            if one.compare(other) is Resync.SPLIT_BRAIN:
                one.current, one.bitmap = other.bitmap, 0
        self.split_brain = False
        for each in self.replicas:
            if each.up and each.link is ConnectionState.STANDALONE:
                each.link = ConnectionState.CONNECTING
                each.changed()
        self.look()

    def _part(self) -> None:
        """Split brain, unresolved: both drop the connection and stay alone."""
        self.split_brain = True
        for each in self.replicas:
            each.host.helper(Helper(self.resource.name, "initial-split-brain", 0))
            each.session, each.link = 0, ConnectionState.STANDALONE
            each.changed()
