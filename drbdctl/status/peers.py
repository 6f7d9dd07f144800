"""What a resource's status says of its peers, as the decisions need it."""

from __future__ import annotations

from drbdctl.status.state import Connection, Device, Resource
from drbdctl.status.words import ConnectionState, DiskState, ReplicationState, Role

LIVE = (ReplicationState.ESTABLISHED, ReplicationState.VERIFY_S, ReplicationState.VERIFY_T)
"replication states in which what is written here is written there"
_COMPLETE = (
    *LIVE,
    ReplicationState.SYNC_SOURCE,
    ReplicationState.PAUSED_SYNC_S,
    ReplicationState.WF_BITMAP_S,
    ReplicationState.STARTING_SYNC_S,
    ReplicationState.AHEAD,
)
"replication states in which what is written there is written here"
_COMPARED = (DiskState.INCONSISTENT, DiskState.OUTDATED, DiskState.CONSISTENT, DiskState.UP_TO_DATE)
_NOT_YET = (ReplicationState.OFF, ReplicationState.UNRECOGNIZED)


def data_peers(resource: Resource) -> tuple[Connection, ...]:
    """The connections to peers that have the data, or should; a tiebreaker has none."""
    return tuple(
        link
        for link in resource.connections
        if not (link.peer_devices and all(each.peer_client for each in link.peer_devices))
    )


def connected(resource: Resource) -> bool:
    """Every peer that has the data is connected, and has said what it is and has."""
    links = data_peers(resource)
    return bool(links) and all(
        link.connection is ConnectionState.CONNECTED
        and link.peer_role in (Role.PRIMARY, Role.SECONDARY)
        and all(each.replication not in _NOT_YET for each in link.peer_devices)
        for link in links
    )


def peer_is_primary(resource: Resource) -> bool:
    """A peer that DRBD takes for connected is Primary."""
    return any(
        link.peer_role is Role.PRIMARY for link in resource.connections if link.connection is ConnectionState.CONNECTED
    )


def served_by_peer(resource: Resource, volume: int) -> bool:
    """A connected peer has this volume UpToDate."""
    return any(
        each.peer_disk is DiskState.UP_TO_DATE
        for link in data_peers(resource)
        if link.connection is ConnectionState.CONNECTED
        for each in link.peer_devices
        if each.volume == volume
    )


def replication(resource: Resource, volume: int) -> ReplicationState:
    """What goes over the link for a volume; with several peers, what is not Established comes first."""
    states = [each.replication for link in data_peers(resource) for each in link.peer_devices if each.volume == volume]
    return next((each for each in states if each not in LIVE), states[0] if states else ReplicationState.OFF)


def peer_disk(resource: Resource, volume: int) -> DiskState:
    """The best disk that a connected peer has for a volume."""
    states = [
        each.peer_disk
        for link in data_peers(resource)
        if link.connection is ConnectionState.CONNECTED
        for each in link.peer_devices
        if each.volume == volume
    ]
    return max(states, key=list(DiskState).index, default=DiskState.D_UNKNOWN)


def up_to_date_replicas(resource: Resource, volume: int) -> int:
    """How many UpToDate copies of a volume can be reached, ours among them."""
    here = device(resource, volume)
    peers = [
        each
        for link in data_peers(resource)
        if link.connection is ConnectionState.CONNECTED
        for each in link.peer_devices
        if each.volume == volume and each.peer_disk is DiskState.UP_TO_DATE
    ]
    return len(peers) + (here is not None and here.disk is DiskState.UP_TO_DATE)


def compared(resource: Resource, volume: int) -> bool:
    """DRBD has compared the two sides of a volume when they connected: both have a disk."""
    here = device(resource, volume)
    return here is not None and here.disk in _COMPARED and peer_disk(resource, volume) in _COMPARED


def receives(resource: Resource, volume: int) -> bool:
    """A volume is UpToDate here, and whatever is written at the peer is written here."""
    here = device(resource, volume)
    return here is not None and here.disk is DiskState.UP_TO_DATE and replication(resource, volume) in _COMPLETE


def device(resource: Resource, volume: int) -> Device | None:
    """A volume here."""
    return next((each for each in resource.devices if each.volume == volume), None)
