"""Whether this node makes the backup now, leaves it to its peer, or refuses; pure.

A connected Secondary that is UpToDate has the same data as its Primary and nothing else to do: it reads its own disk
and the service does not notice. The Primary makes the backup itself where there is no such peer, and when the peer has
made none for `max_age`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drbdctl.backup.lvm import LogicalVolume, full
from drbdctl.backup.settings import Backup
from drbdctl.status.state import Connection, Device, Resource, Status
from drbdctl.status.words import ConnectionState, DiskState, ReplicationState, Role

_CLOCKS = 300.0
"seconds that an archive may be of the future, by another node's clock"
_NOT_WHOLE = {
    ReplicationState.SYNC_TARGET: "it is being resynchronised",
    ReplicationState.PAUSED_SYNC_T: "it is being resynchronised, which is paused",
    ReplicationState.STARTING_SYNC_T: "a resync of it begins",
    ReplicationState.WF_BITMAP_T: "a resync of it begins",
    ReplicationState.WF_SYNC_UUID: "a resync of it begins",
    ReplicationState.BEHIND: "it is behind its peer",
    ReplicationState.UNRECOGNIZED: "its replication is in a state that is not known",
}


@dataclass(frozen=True, slots=True)
class Backing:
    """What is behind one volume of the resource on this host."""

    number: int
    disk: str
    origin: LogicalVolume | None = None
    "None: it is no logical volume"
    why: str = ""
    "why it is none, or is not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that is known at one moment."""

    resource: str
    status: Status
    backings: Sequence[Backing]
    volumes: Sequence[LogicalVolume]
    "of the volume groups of the backings"
    newest: float | None
    "when the newest archive was made, by whichever node; seconds since 1970"


@dataclass(frozen=True, slots=True)
class Go:
    """It is made on this node."""

    role: Role
    because: str


@dataclass(frozen=True, slots=True)
class Leave:
    """The peer makes it."""

    because: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """No backup now: each reason is a sentence with what to do."""

    why: tuple[str, ...]


Decision = Go | Leave | Refuse


def decide(seen: Seen, settings: Backup, now: float, *, here: bool = False) -> Decision:
    """What this node does; `now` in seconds since 1970, `here`: don't leave it to the peer."""
    resource = seen.status.resource(seen.resource)
    if resource is None or seen.status.unread:
        return Refuse(tuple(_unseen(seen, resource)))
    if refusals := tuple(_state(resource)):
        return Refuse(refusals)
    peer = _fit_peer(resource)
    if _role(resource) is Role.PRIMARY and peer is not None and not here:
        age = None if seen.newest is None else now - seen.newest
        if age is not None and -_CLOCKS <= age <= settings.max_age:
            return Leave(f"{_called(peer)} is Secondary and UpToDate, the newest archive is {hours(age)} old")
    if refusals := tuple(_source(seen, resource, settings)):
        return Refuse(refusals)
    return Go(_role(resource), _reason(resource, peer, here))


def consistent(status: Status, name: str) -> str:
    """Why what a snapshot shows can't be trusted, looked at after it was taken; empty when it can."""
    resource = status.resource(name)
    if resource is None or status.unread:
        return f"{name} can't be seen any more"
    return next(_state(resource), "")


def hours(seconds: float) -> str:
    """`26.5 h`, `40 min`."""
    return f"{seconds / 60:.0f} min" if abs(seconds) < 5400 else f"{seconds / 3600:.1f} h"


def _unseen(seen: Seen, resource: Resource | None) -> Iterator[str]:
    for line in seen.status.unread:
        yield f"DRBD says what is not understood, {line[:80]!r}; see `drbdctl status`"
    if resource is None:
        yield f"{seen.resource} is not up on this node; `drbdadm up {seen.resource}`"


def _state(resource: Resource) -> Iterator[str]:
    """What forbids a backup of what is on the disk now."""
    name, role = resource.name, _role(resource)
    if resource.unrecognized:
        yield f"{name}: {resource.unrecognized[0]} is not understood; see `drbdctl status`"
    if not resource.devices:
        yield f"{name}: it has no volume here"
    if role not in (Role.PRIMARY, Role.SECONDARY):
        yield f"{name}: its role is not clear, its volumes differ or it is not known; see `drbdctl status`"
    if resource.suspended not in (None, "no"):
        yield f"{name}: its I/O is suspended ({resource.suspended}); see `drbdctl status`"
    for device in resource.devices:
        yield from _disk(name, device)
    for link in resource.connections:
        yield from _replication(name, link)
    if role is Role.SECONDARY and not any(_in_step(link, resource) for link in resource.connections):
        yield (
            f"{name}: a Secondary without a connected peer that is UpToDate can't know that its data are the newest; "
            "connect it, or run this at the peer"
        )


def _disk(name: str, device: Device) -> Iterator[str]:
    if device.disk is not DiskState.UP_TO_DATE:
        state = device.disk.value or "in a state that is not known"
        hint = "a resync has to end first" if device.disk is not DiskState.DISKLESS else "run this at the peer"
        yield f"{name}/{device.volume} is {state} here, which is no moment of the volume's life; {hint}"
    if device.unrecognized:
        yield f"{name}/{device.volume}: {device.unrecognized[0]} is not understood; see `drbdctl status`"


def _replication(name: str, link: Connection) -> Iterator[str]:
    for peer in link.peer_devices:
        if why := _NOT_WHOLE.get(peer.replication):
            yield f"{name}/{peer.volume}: {why} ({peer.replication.value or '?'}); wait until it is done"


def _source(seen: Seen, resource: Resource, settings: Backup) -> Iterator[str]:
    """What forbids the snapshots."""
    backings = {each.number: each for each in seen.backings}
    for device in resource.devices:
        backing = backings.get(device.volume)
        if backing is None or backing.origin is None:
            disk, why = (backing.disk, backing.why) if backing else ("?", "drbd.conf does not name its disk")
            yield (
                f"{resource.name}/{device.volume}: its backing device {disk} is no logical volume ({why}), so there is "
                "no snapshot of it; put it on LVM, or back up the mounted file system by other means"
            )
        elif why := full(backing.origin, seen.volumes, backing.origin.size * settings.snapshot_size // 100):
            yield f"{resource.name}/{device.volume}: {why}"
    if len(resource.devices) > 1 and not settings.independent_volumes:
        yield (
            f"{resource.name} has {len(resource.devices)} volumes, whose snapshots would be of different moments; "
            "where none needs another (a database and its log do), write 'independent_volumes' into the backup block"
        )


def _role(resource: Resource) -> Role:
    """The role of all its volumes; UNKNOWN where they differ: with 8.x each volume has its own."""
    roles = {device.role or resource.role for device in resource.devices} or {resource.role}
    return roles.pop() if len(roles) == 1 else Role.UNKNOWN


def _in_step(link: Connection, resource: Resource) -> bool:
    """The peer has what this node has: connected, every volume replicating, and UpToDate there."""
    volumes = {device.volume for device in resource.devices}
    return (
        link.connection is ConnectionState.CONNECTED
        and volumes <= {peer.volume for peer in link.peer_devices}
        and all(
            peer.peer_disk is DiskState.UP_TO_DATE and peer.replication in _REPLICATING for peer in link.peer_devices
        )
    )


_REPLICATING = (ReplicationState.ESTABLISHED, ReplicationState.VERIFY_S, ReplicationState.VERIFY_T)


def _fit_peer(resource: Resource) -> Connection | None:
    return next(
        (each for each in resource.connections if each.peer_role is Role.SECONDARY and _in_step(each, resource)), None
    )


def _called(link: Connection) -> str:
    return "the peer" if link.name == "peer" else link.name


def _reason(resource: Resource, peer: Connection | None, here: bool) -> str:
    if _role(resource) is Role.SECONDARY:
        return "a connected Secondary that is UpToDate: its peer's service does not notice"
    if here and peer is not None:
        return "asked for at the Primary"
    return "no archive of the Secondary's is new enough" if peer is not None else "there is no Secondary that could"
