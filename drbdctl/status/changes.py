"""What is different between two states, in words: a line for each thing that an operator would ask about."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from drbdctl.status.state import Resource, Status

_GONE = "gone"


def changes(before: Status, after: Status) -> list[str]:
    """`r0: role Secondary -> Primary` and the like, in the order of the resources."""
    old, new = dict(_words(before)), dict(_words(after))
    lines: list[str] = []
    for key in [*new, *(each for each in old if each not in new)]:
        was, now = old.get(key), new.get(key, _GONE)
        if was == now:
            continue
        lines.append(f"{key} {now}" if was is None else f"{key} {was} -> {now}")
    return lines


def _words(status: Status) -> Iterator[tuple[str, str]]:
    for resource in status.resources:
        yield from _of(resource)


def _of(resource: Resource) -> Iterator[tuple[str, str]]:
    name = resource.name
    yield f"{name}: role", _text(resource.role, resource.unrecognized, "role")
    yield f"{name}: suspended", resource.suspended or "not told"
    if resource.may_promote is not None:
        yield f"{name}: may be promoted", "yes" if resource.may_promote else "no"
    for device in resource.devices:
        yield f"{name}/{device.volume}: disk", _text(device.disk, device.unrecognized, "disk")
        if device.quorum is not None:
            yield f"{name}/{device.volume}: quorum", "yes" if device.quorum else "no"
    for link in resource.connections:
        yield f"{name}: connection to {link.name}", _text(link.connection, link.unrecognized, "connection")
        yield f"{name}: role of {link.name}", _text(link.peer_role, link.unrecognized, "role")
        for peer in link.peer_devices:
            where = f"{name}/{peer.volume}"
            yield f"{where}: disk of {link.name}", _text(peer.peer_disk, peer.unrecognized, "peer-disk")
            yield f"{where}: replication with {link.name}", _text(peer.replication, peer.unrecognized, "replication")
            if peer.resync_suspended is not None:
                yield f"{where}: resync with {link.name} suspended", peer.resync_suspended


def _text(word: Enum, unrecognized: tuple[tuple[str, str], ...], what: str) -> str:
    return str(word.value) or f"{dict(unrecognized).get(what, '')!r} (not known)"
