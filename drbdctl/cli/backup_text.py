"""Backups as an operator reads them, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from drbdctl.backup.decision import Go, Seen, hours
from drbdctl.backup.driver import Archive
from drbdctl.backup.health import Health
from drbdctl.backup.record import Event, Record
from drbdctl.backup.settings import Backup


def status(resource: str, settings: Backup, found: Health) -> list[str]:
    """How the backups of a resource are."""
    lines = [f"{resource}: {settings.program.value} to {settings.shown}"]
    if found.newest is not None and found.age is not None:
        made = found.newest
        where = f"made on {made.node} as {made.role}" if made.event is Event.MADE else "made by the peer"
        size = f", {_size(made.size)} in {made.seconds:.0f} s" if made.event is Event.MADE else ""
        lines.append(f"  newest {made.archive}, {hours(found.age)} old, {where}{size}")
    if found.verify_age is not None:
        lines.append(f"  a sample was restored and compared {hours(found.verify_age)} ago")
    if found.running:
        lines.append("  a run is under way")
    return lines + [f"  ALARM {each}" for each in found.alarms]


def listed(resource: str, found: Sequence[Archive], now: float) -> list[str]:
    """The archives, the newest first."""
    if not found:
        return [f"{resource}: no archive"]
    rows = [(each.name, _utc(each.at), each.node, f"{hours(now - each.at)} old") for each in reversed(found)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [f"{resource}: {'  '.join(map(str.ljust, row, widths)).rstrip()}" for row in rows]


def ended(made: Record) -> str:
    """How a run ended that was no failure."""
    match made.event:
        case Event.MADE:
            return f"archive {made.archive}: {_size(made.size)}, {_size(made.added)} of it new, in {made.seconds:.0f} s"
        case Event.VERIFIED:
            return f"archive {made.archive} verified in {made.seconds:.0f} s"
        case _:
            return str(made.event.value)


def steps(decision: Go, seen: Seen, settings: Backup) -> Iterator[str]:
    """What a run would do, in its order."""
    yield f"would be made here: {decision.because}"
    for backing in seen.backings:
        if backing.origin is not None:
            room = "in its pool" if backing.origin.pool else f"with room for {settings.snapshot_size} % of it"
            yield f"1. snapshot of {backing.origin}, {room}"
    yield "2. mount it read-only, in a mount namespace of its own"
    yield f"3. {settings.program.value} reads {', '.join(settings.paths) or 'all of it'} into {settings.shown}"
    yield "4. unmount, remove the snapshot"
    kept = "keep every archive" if settings.keep.everything else f"forget archives ({' '.join(settings.keep.argv)})"
    yield f"5. {kept}"


def as_json(found: Health) -> dict[str, Any]:
    """The same as numbers and words."""
    return {
        "age": found.age,
        "last_ok": found.last_ok,
        "last_run": _plain(found.last_run),
        "newest": _plain(found.newest),
        "verify_age": found.verify_age,
        "running": found.running,
        "alarms": list(found.alarms),
        "metrics": found.metrics(),
    }


def _plain(line: Record | None) -> dict[str, Any] | None:
    return None if line is None else {**asdict(line), "event": line.event.value}


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
