"""`drbdsetup status` of 8.4 and 9 as text, with or without `--verbose --statistics`, to the model.

Always ask with `--color=never`. Source of the format: drbdsetup.c of drbd-utils, and captures of 8.4.11 and 9.2.14.
"""

from __future__ import annotations

from dataclasses import replace

from drbdctl.status.fields import applied, whole
from drbdctl.status.state import Connection, Device, PeerDevice, Resource, Status
from drbdctl.status.words import ConnectionState, DiskState, ReplicationState


def parse_text(text: str) -> Status:
    """The answer of `drbdsetup status`, with or without `--verbose --statistics`; it raises nothing.

    What it leaves out because it is as usual (a connection that is Connected, replication Established) is filled in.
    Ask with --verbose: without, it also leaves out that the disk of a lost peer is Outdated, and DUnknown is read.
    """
    resources: list[Resource] = []
    unread: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        indent = len(line) - len(line.lstrip(" "))
        fields = dict(word.split(":", 1) for word in words if ":" in word)
        name = "" if ":" in words[0] else words[0]
        strange = len(fields) + bool(name) != len(words)
        if strange or not _take(resources, indent, name, fields):
            unread.append(line)
    return Status(tuple(map(_completed, resources)), tuple(unread))


def _take(resources: list[Resource], indent: int, name: str, fields: dict[str, str]) -> bool:
    """Take in a line; False when it fits nowhere."""
    if indent == 0 and name:
        if "role" not in fields or any(each.name == name for each in resources):
            return False
        resources.append(applied(Resource(name), {"suspended": "no", **fields}))
        return True
    if not resources or indent == 0:
        return False
    resource = resources[-1]
    if name:
        if indent != 2 or not fields.keys() & {"role", "connection"}:
            return False
        connection = applied(Connection(name), {"connection": "Connected", "role": "Unknown", **fields})
        resources[-1] = replace(resource, connections=(*resource.connections, connection))
        return True
    volume = whole(fields.get("volume", "0"))
    if volume is None:
        return False
    if "disk" in fields and indent == 2:
        if any(each.volume == volume for each in resource.devices):
            return False
        device = applied(Device(volume), fields)
        resources[-1] = replace(resource, devices=(*resource.devices, device))
    elif fields.keys() & {"peer-disk", "replication"} and indent == 4 and resource.connections:
        if any(each.volume == volume for each in resource.connections[-1].peer_devices):
            return False
        peer = applied(PeerDevice(volume), {"replication": "Established", "resync-suspended": "no", **fields})
        resources[-1] = _with_peer(resource, peer)
    elif indent >= 4:
        resources[-1] = _continued(resource, indent, fields)
    else:
        return False
    return True


def _with_peer(resource: Resource, peer: PeerDevice) -> Resource:
    last = resource.connections[-1]
    last = replace(last, peer_devices=(*last.peer_devices, peer))
    return replace(resource, connections=(*resource.connections[:-1], last))


def _continued(resource: Resource, indent: int, fields: dict[str, str]) -> Resource:
    """A further line of what was begun last, by its depth."""
    if not resource.connections:
        if indent >= 6 and resource.devices:
            return replace(resource, devices=(*resource.devices[:-1], applied(resource.devices[-1], fields)))
        return applied(resource, fields)
    last = resource.connections[-1]
    if indent >= 8 and last.peer_devices:
        peers = (*last.peer_devices[:-1], applied(last.peer_devices[-1], fields))
        last = replace(last, peer_devices=peers)
    else:
        last = applied(last, fields)
    return replace(resource, connections=(*resource.connections[:-1], last))


def _completed(resource: Resource) -> Resource:
    """Without --verbose the volumes of a peer that is not connected are left out, even where its disk is Outdated."""
    return replace(resource, connections=tuple(_with_absent(each, resource.devices) for each in resource.connections))


def _with_absent(connection: Connection, devices: tuple[Device, ...]) -> Connection:
    if connection.connection is ConnectionState.CONNECTED:
        return connection
    shown = {peer.volume: _off(peer) for peer in connection.peer_devices}
    for device in devices:
        shown.setdefault(
            device.volume,
            PeerDevice(device.volume, ReplicationState.OFF, DiskState.D_UNKNOWN, resync_suspended="no"),
        )
    return replace(connection, peer_devices=tuple(shown.values()))


def _off(peer: PeerDevice) -> PeerDevice:
    usual = peer.replication is ReplicationState.ESTABLISHED
    return replace(peer, replication=ReplicationState.OFF) if usual else peer
