"""`drbdsetup events2` of 8.4 and 9: one line after the other onto the model.

    feed = Feed()
    for line in stream:
        feed = feed.after(line)

The lines before `exists -` are the state at the start. What can't be read, or does not fit what was seen before, is a
`gap`: from then on the state is not to be trusted until it was read anew. Source of the format: drbdsetup_events2.c,
captures of 8.4.11 and 9.2.14.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from drbdctl.status.fields import applied, whole
from drbdctl.status.state import Connection, Device, Path, PeerDevice, Resource, Status

_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}(?:[+-][0-9]{2}:[0-9]{2}|Z)?")
_OBJECTS = frozenset({"resource", "device", "connection", "peer-device", "path", "helper"})
_NAMELESS = "peer"
"8.4 leaves out `conn-name` while StandAlone"


class Action(Enum):
    """What a line says of its object."""

    EXISTS = "exists"
    CREATE = "create"
    CHANGE = "change"
    DESTROY = "destroy"
    RENAME = "rename"
    CALL = "call"
    RESPONSE = "response"


@dataclass(frozen=True, slots=True)
class Event:
    """One line."""

    action: Action
    what: str
    "resource, device, connection, peer-device, path, helper; `-` ends the state at the start"
    fields: Mapping[str, str]
    timestamp: str = ""


@dataclass(frozen=True, slots=True)
class Helper:
    """DRBD calls a handler; without one configured it calls it all the same."""

    resource: str
    name: str
    "split-brain, fence-peer, before-resync-target, ..."
    status: int | None = None
    "None: called; a number: ended, with the raw wait status (exit status 7 is 1792)"


@dataclass(frozen=True, slots=True)
class Feed:
    """The state after the lines so far."""

    status: Status = field(default_factory=Status)
    complete: bool = False
    "the state at the start is whole"
    gap: str = ""
    "why the state is not to be trusted; empty: it is"
    helper: Helper | None = None
    "of the last line, if that was about one"

    @property
    def trusted(self) -> bool:
        """The state is whole and nothing was missed."""
        return self.complete and not self.gap

    def after(self, line: str) -> Feed:
        """The state after one more line; it raises nothing.

        A line without its end is a cut one: give only whole lines, and call `cut` when the stream ends.
        """
        feed = replace(self, helper=None)
        text = line.strip()
        if not text:
            return feed
        event = parse(text)
        if event is None:
            return replace(feed, gap=self.gap or f"a line that can't be read: {text[:80]!r}")
        if event.what == "-":
            return replace(feed, complete=True)
        if event.action is Action.EXISTS and event.what == "resource" and self.complete:
            feed = Feed()  # a new start: the state comes again from its beginning
        return feed._apply(event)

    def cut(self) -> Feed:
        """The stream has ended: nothing will tell of changes any more."""
        return replace(self, gap=self.gap or "the stream has ended", helper=None)

    def _apply(self, event: Event) -> Feed:
        name = event.fields.get("name", "")
        if event.what == "helper":
            ended = whole(event.fields.get("status", "")) if event.action is Action.RESPONSE else None
            return replace(self, helper=Helper(name, event.fields.get("helper", ""), ended))
        before = self.status.resource(name)
        if event.what == "resource":
            after, fault = _resource(before, name, event)
        elif before is None:
            after, fault = None, f"{event.what} of {name or 'nothing'}, which was not told of"
        else:
            after, fault = _part(before, event)
        if fault:
            return replace(self, gap=self.gap or fault)
        return replace(self, status=_with(self.status, name, after))


def parse(line: str) -> Event | None:
    """One line without its end, or None when it can't be read."""
    words = line.split()
    timestamp = words.pop(0) if words and _TIMESTAMP.fullmatch(words[0]) else ""
    if words == ["exists", "-"]:
        return Event(Action.EXISTS, "-", {}, timestamp)
    if len(words) < 3 or words[1] not in _OBJECTS:
        return None
    fields: dict[str, str] = {}
    for word in words[2:]:
        key, colon, value = word.partition(":")
        if not colon or not key:
            return None
        fields[key] = value
    try:
        action = Action(words[0])
    except ValueError:
        return None
    return Event(action, words[1], fields, timestamp) if "name" in fields else None


def _with(status: Status, name: str, resource: Resource | None) -> Status:
    """The status with the resource of this name replaced, added at the end, or (None) taken out."""
    if resource is not None and not any(each.name == name for each in status.resources):
        return replace(status, resources=(*status.resources, resource))
    changed = (resource if each.name == name else each for each in status.resources)
    return replace(status, resources=tuple(each for each in changed if each is not None))


def _resource(before: Resource | None, name: str, event: Event) -> tuple[Resource | None, str]:
    match event.action:
        case Action.EXISTS | Action.CREATE:
            return applied(Resource(name), event.fields), ""
        case Action.DESTROY:
            return None, ""
        case Action.RENAME if before is not None:
            new = event.fields.get("new_name", event.fields.get("new-name", ""))
            return (replace(before, name=new), "") if new else (None, f"{name} is renamed to nothing")
        case _ if before is not None:
            return applied(before, event.fields), ""
        case _:
            return None, f"a change of {name}, which was not told of"


def _part(resource: Resource, event: Event) -> tuple[Resource, str]:
    fields = event.fields
    destroyed = event.action is Action.DESTROY
    fresh = event.action in (Action.EXISTS, Action.CREATE)
    if event.what == "device":
        volume = whole(fields.get("volume", ""))
        if volume is None:
            return resource, f"a device of {resource.name} without volume"
        devices = {each.volume: each for each in resource.devices}
        if not fresh and not destroyed and volume not in devices:
            return resource, f"a change of volume {volume} of {resource.name}, which was not told of"
        if destroyed:
            devices.pop(volume, None)
        else:
            devices[volume] = applied(Device(volume) if fresh else devices[volume], fields)
        return replace(resource, devices=tuple(devices[each] for each in sorted(devices))), ""
    node_id = whole(fields.get("peer-node-id", ""))
    if node_id is None:
        return resource, f"a {event.what} of {resource.name} without peer-node-id"
    connections = {each.peer_node_id: each for each in resource.connections}
    link = connections.get(node_id)
    if event.what == "connection":
        if destroyed:
            connections.pop(node_id, None)
        elif fresh:
            name = fields.get("conn-name", _NAMELESS)
            connections[node_id] = applied(Connection(name, node_id), fields)
        elif link is None:
            return resource, f"a change of a connection of {resource.name}, which was not told of"
        else:
            connections[node_id] = applied(link, fields)
    elif link is None:
        return (resource, "") if destroyed else (resource, f"a {event.what} of {resource.name} without its connection")
    else:
        changed = _path(link, event) if event.what == "path" else _peer_device(link, event)
        if changed is None:
            return resource, f"a {event.what} of {resource.name}, which was not told of"
        connections[node_id] = changed
    return replace(resource, connections=tuple(connections.values())), ""


def _peer_device(link: Connection, event: Event) -> Connection | None:
    volume = whole(event.fields.get("volume", ""))
    peers = {each.volume: each for each in link.peer_devices}
    if volume is None:
        return None
    if event.action is Action.DESTROY:
        peers.pop(volume, None)
    elif event.action in (Action.EXISTS, Action.CREATE):
        peers[volume] = applied(PeerDevice(volume), event.fields)
    elif volume in peers:
        peers[volume] = applied(peers[volume], event.fields)
    else:
        return None
    return replace(link, peer_devices=tuple(peers[each] for each in sorted(peers)))


def _path(link: Connection, event: Event) -> Connection | None:
    key = (event.fields.get("local", ""), event.fields.get("peer", ""))
    paths = {(each.local, each.peer): each for each in link.paths}
    if event.action is Action.DESTROY:
        paths.pop(key, None)
    elif event.action in (Action.EXISTS, Action.CREATE) or key in paths:
        paths[key] = applied(paths.get(key, Path(*key)), event.fields)
    else:
        return None
    return replace(link, paths=tuple(paths.values()))
