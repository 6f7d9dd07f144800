"""Rule 22: two ways of asking DRBD, compared in what both tell; where they differ for long, one of them is wrong."""

from __future__ import annotations

from collections.abc import Iterator

from drbdctl.status.state import Resource, Status
from drbdctl.status.words import ConnectionState, DiskState, Role


def disagreement(one: Status, other: Status) -> str:
    """The first thing that they say differently, one sentence; empty: nothing.

    Words that one of them does not know or tell are passed over. 8.4's feed has no connection while a resource is
    StandAlone, and calls a resource Primary that is so in one volume only.
    """
    for mine in one.resources:
        theirs = other.resource(mine.name)
        if theirs is not None:
            for what, here, there in _told(mine, theirs):
                if here != there:
                    return f"{mine.name}: the events say {what} {here}, the status {there}"
    return ""


def _told(one: Resource, other: Resource) -> Iterator[tuple[str, str, str]]:
    known = {each.volume: each for each in other.devices}
    for device in one.devices:
        found = known.get(device.volume)
        if found is not None and DiskState.UNRECOGNIZED not in (device.disk, found.disk):
            yield f"disk {device.volume} is", device.disk.value, found.disk.value
    if len(one.devices) == len(other.devices) == 1:
        mine, theirs = (each.devices[0].role or each.role for each in (one, other))
        if Role.UNRECOGNIZED not in (mine, theirs):
            yield "it is", mine.value, theirs.value
    if len(one.connections) == len(other.connections) == 1:
        yield "the peer is", _connected(one), _connected(other)


def _connected(resource: Resource) -> str:
    return "connected" if resource.connections[0].connection is ConnectionState.CONNECTED else "not connected"
