"""What a DRBD node says about itself, whichever way it was asked; immutable.

Numbers of data are KiB. None is "not told": /proc/drbd, 8.4 and 9 do not tell the same things.
With 8.x there is no connection object while a resource is StandAlone: events2 and /proc/drbd name its state, `status`
shows no peer, so ask `Resource.standalone`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from drbdctl.status.words import ConnectionState, DiskState, ReplicationState, Role


class Unreadable(ValueError):
    """An output of DRBD's that can't be read; its text is one sentence for the operator."""


class NotLoaded(Unreadable):
    """The kernel module is not there, so that nothing is Primary, and nothing can be."""


Unrecognized = tuple[tuple[str, str], ...]
"the words that this version does not know: what they are of, and the text"


@dataclass(frozen=True, slots=True)
class Progress:
    """A resync or an online verify under way."""

    percent: float | None = None
    "done of what there was at its start, 0-100"
    seconds_left: float | None = None
    "None: DRBD does not say, or it is stalled"
    rate: float | None = None
    "KiB/s"
    stalled: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """One volume here."""

    volume: int
    minor: int | None = None
    disk: DiskState = DiskState.UNRECOGNIZED
    role: Role | None = None
    "8.x, from /proc/drbd: there each volume has its own"
    client: bool | None = None
    "diskless on purpose"
    quorum: bool | None = None
    open: bool | None = None
    backing_dev: str | None = None
    size: int | None = None
    read: int | None = None
    written: int | None = None
    al_writes: int | None = None
    bm_writes: int | None = None
    upper_pending: int | None = None
    lower_pending: int | None = None
    al_suspended: bool | None = None
    blocked: str | None = None
    "no, or who blocks: upper, lower"
    epochs: int | None = None
    write_ordering: str | None = None
    "/proc/drbd only; elsewhere it is the resource's"
    unrecognized: Unrecognized = ()


@dataclass(frozen=True, slots=True)
class PeerDevice:
    """One volume at a peer."""

    volume: int
    replication: ReplicationState = ReplicationState.UNRECOGNIZED
    peer_disk: DiskState = DiskState.UNRECOGNIZED
    peer_client: bool | None = None
    resync_suspended: str | None = None
    "no, or a list of user, peer, dependency"
    received: int | None = None
    sent: int | None = None
    out_of_sync: int | None = None
    "0 says nothing on a disconnected Secondary"
    pending: int | None = None
    unacked: int | None = None
    progress: Progress | None = None
    unrecognized: Unrecognized = ()


@dataclass(frozen=True, slots=True)
class Path:
    """One pair of addresses of a connection (9)."""

    local: str
    peer: str
    established: bool | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """The link to one peer."""

    name: str
    "the peer's host name; with 8.x `peer`"
    peer_node_id: int | None = None
    connection: ConnectionState = ConnectionState.UNRECOGNIZED
    peer_role: Role = Role.UNRECOGNIZED
    protocol: str | None = None
    "A, B or C; /proc/drbd only"
    congested: bool | None = None
    tls: bool | None = None
    ap_in_flight: int | None = None
    rs_in_flight: int | None = None
    peer_devices: tuple[PeerDevice, ...] = ()
    paths: tuple[Path, ...] = ()
    unrecognized: Unrecognized = ()


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource."""

    name: str
    node_id: int | None = None
    role: Role = Role.UNRECOGNIZED
    suspended: str | None = None
    "`no`, or a list of user, no-data, fencing, quorum; `yes` where the reason is not told"
    force_io_failures: bool | None = None
    write_ordering: str | None = None
    may_promote: bool | None = None
    promotion_score: int | None = None
    devices: tuple[Device, ...] = ()
    connections: tuple[Connection, ...] = ()
    unrecognized: Unrecognized = ()

    @property
    def standalone(self) -> bool:
        """No peer is connected nor looked for: after a split brain, a `disconnect`, or without a peer at all."""
        return all(each.connection is ConnectionState.STANDALONE for each in self.connections)

    @property
    def healthy(self) -> bool:
        """Every volume is UpToDate here and at every peer, connected, replicating, with quorum, and nothing is odd."""
        return not troubles(self)


@dataclass(frozen=True, slots=True)
class Status:
    """All resources of a node."""

    resources: tuple[Resource, ...] = ()
    unread: tuple[str, ...] = ()
    "lines that could not be read: the resources may be incomplete"

    def resource(self, name: str) -> Resource | None:
        """The resource with this name."""
        return next((each for each in self.resources if each.name == name), None)


def troubles(resource: Resource) -> list[str]:
    """What is not as it should be, each in a few words; empty when all is well."""
    found = [f"{what} {text!r} is not known here" for what, text in _strange(resource)]
    if resource.role not in (Role.PRIMARY, Role.SECONDARY):
        found.append("its role is not known")
    if resource.suspended not in (None, "no"):
        found.append(f"I/O is suspended ({resource.suspended})")
    if resource.force_io_failures:
        found.append("it answers every I/O with an error")
    if not resource.devices:
        found.append("it has no volume")
    for device in resource.devices:
        where = f"volume {device.volume}"
        if device.disk is not DiskState.UP_TO_DATE and not (device.client and device.disk is DiskState.DISKLESS):
            found.append(f"{where} is {device.disk.value or 'in a state not known'}")
        if device.quorum is False:
            found.append(f"{where} has no quorum")
    if resource.standalone:
        found.append("it is StandAlone: no peer is looked for")
    for connection in resource.connections:
        found += _connection_troubles(connection, len(resource.devices))
    return found


def _connection_troubles(connection: Connection, volumes: int) -> list[str]:
    if connection.connection is ConnectionState.STANDALONE:
        return []
    if connection.connection is not ConnectionState.CONNECTED:
        return [f"{connection.name} is not connected ({connection.connection.value or 'a state not known'})"]
    found: list[str] = []
    if connection.peer_role not in (Role.PRIMARY, Role.SECONDARY):
        found.append(f"the role of {connection.name} is not known")
    if len(connection.peer_devices) < volumes:
        found.append(f"{connection.name} does not have every volume")
    for peer in connection.peer_devices:
        where = f"volume {peer.volume} at {connection.name}"
        if peer.peer_disk is not DiskState.UP_TO_DATE and not (
            peer.peer_client and peer.peer_disk is DiskState.DISKLESS
        ):
            found.append(f"{where} is {peer.peer_disk.value or 'in a state not known'}")
        if peer.replication is not ReplicationState.ESTABLISHED:
            found.append(f"{where}: {peer.replication.value or 'a replication state not known'}")
        if peer.resync_suspended not in (None, "no"):
            found.append(f"{where}: resync is suspended ({peer.resync_suspended})")
    return found


def _strange(resource: Resource) -> list[tuple[str, str]]:
    peers = [peer for connection in resource.connections for peer in connection.peer_devices]
    several: list[Any] = [resource, *resource.devices, *resource.connections, *peers]
    return [each for one in several for each in one.unrecognized]


def with_unrecognized(known: Unrecognized, what: str, text: str | None) -> Unrecognized:
    """The list with `what` set to a text that is not known, or taken off it (None)."""
    rest = tuple(each for each in known if each[0] != what)
    return rest if text is None else tuple(sorted((*rest, (what, text))))
