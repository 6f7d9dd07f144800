"""The state of a node as a table that a human reads."""

from __future__ import annotations

from collections.abc import Iterator

from drbdctl.status.fields import RUNNING
from drbdctl.status.state import Connection, PeerDevice, Resource, Status, troubles
from drbdctl.status.words import ReplicationState

_HEAD = ("RESOURCE", "ROLE", "VOLUME", "DEVICE", "DISK", "PEER", "CONNECTION", "PEER ROLE", "PEER DISK", "REPLICATION")
_BAR = 20
_WHAT = {
    ReplicationState.SYNC_SOURCE: "resync to",
    ReplicationState.SYNC_TARGET: "resync from",
    ReplicationState.PAUSED_SYNC_S: "paused resync to",
    ReplicationState.PAUSED_SYNC_T: "paused resync from",
    ReplicationState.VERIFY_S: "verify with",
    ReplicationState.VERIFY_T: "verify with",
}


def table(status: Status) -> list[str]:
    """The lines: a table, progress under way, and what is not as it should be."""
    if not status.resources:
        lines = ["no resource is up"]
    else:
        rows = [_HEAD, *(row for resource in status.resources for row in _rows(resource))]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    for resource in status.resources:
        lines += _progress_lines(resource)
    for resource in status.resources:
        lines += [f"{resource.name}: {trouble}" for trouble in troubles(resource)]
    lines += [f"not understood: {line!r}" for line in status.unread]
    return lines


def _rows(resource: Resource) -> Iterator[tuple[str, ...]]:
    name, role = resource.name, resource.role.value or "?"
    links: tuple[Connection | None, ...] = resource.connections or (None,)
    for device in resource.devices:
        number = "?" if device.minor is None else f"/dev/drbd{device.minor}"
        own_role = device.role.value or "?" if device.role is not None else role
        for link in links:
            yield name, own_role, str(device.volume), number, device.disk.value or "?", *_peer(link, device.volume)
    if not resource.devices:
        yield name, role, "-", "-", "-", *_peer(links[0], 0)


def _peer(link: Connection | None, volume: int) -> tuple[str, str, str, str, str]:
    if link is None:
        return "-", "StandAlone", "-", "-", "-"
    peer = next((each for each in link.peer_devices if each.volume == volume), None)
    disk, replication = ("-", "-") if peer is None else (peer.peer_disk.value or "?", peer.replication.value or "?")
    return link.name, link.connection.value or "?", link.peer_role.value or "?", disk, replication


def _progress_lines(resource: Resource) -> Iterator[str]:
    for link in resource.connections:
        for peer in link.peer_devices:
            if peer.replication in RUNNING:
                yield f"{resource.name}/{peer.volume}: {_WHAT[peer.replication]} {link.name} {_progress(peer)}"


def _progress(peer: PeerDevice) -> str:
    progress, parts = peer.progress, list[str]()
    if progress is not None and progress.percent is not None:
        done = round(min(max(progress.percent, 0.0), 100.0) / 100 * _BAR)
        parts.append(f"[{'=' * done}{'.' * (_BAR - done)}] {progress.percent:.1f} %")
    if peer.out_of_sync:
        parts.append(f"{_size(peer.out_of_sync)} to go")
    if progress is not None and progress.rate is not None:
        parts.append(f"{_size(progress.rate)}/s")
    if progress is not None and progress.stalled:
        parts.append("stalled")
    elif progress is not None and progress.seconds_left is not None:
        parts.append(f"{_duration(progress.seconds_left)} left")
    return ", ".join(parts) or "(no progress told)"


def _size(kibibytes: float) -> str:
    for unit in ("KiB", "MiB", "GiB"):
        if kibibytes < 1024:
            return f"{kibibytes:.0f} {unit}" if unit == "KiB" else f"{kibibytes:.1f} {unit}"
        kibibytes /= 1024
    return f"{kibibytes:.1f} TiB"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
