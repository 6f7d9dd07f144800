"""What the status page, and the summary of the status, tell of drbdctl: are the data safe, and why not; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pyvrrp.core.report import Entry, Mood, duration

Part = Mapping[str, Any]


def entries(part: Part) -> Iterator[Entry]:
    """An entry for each storage, and for each resource with backups."""
    for name, storage in part.get("storages", {}).items():
        yield _storage(name, storage)
    for resource, backup in part.get("backups", {}).items():
        yield _backup(resource, backup)


def summary(part: Part) -> list[str]:
    """A sentence for each, and what is wrong with it."""
    return [sentence for entry in entries(part) for sentence in _told(entry)]


def _told(entry: Entry) -> Iterator[str]:
    parts = "; ".join(f"{part.title} {part.word}" for part in entry.parts)
    yield f"{entry.title}: {entry.word}{f'; {parts}' if parts else ''}"
    for part in (entry, *entry.parts):
        if part.mood in (Mood.WATCH, Mood.BAD):
            yield from (f"{part.title}: {sentence}" for sentence in part.sentences)


def _storage(name: str, storage: Part) -> Entry:
    bad = [each for each in (storage["alarm"], *storage["faults"]) if each]
    bad += [f"hangs in the kernel: {each}" for each in storage["stuck"]]
    watch = [*storage["degraded"], *storage["refusals"], *([storage["gap"]] if storage["gap"] else [])]
    said = list(dict.fromkeys([*bad, *watch]))
    if storage["step"]:
        said.append(f"now: {storage['step']}")
    resources = [_resource(each, state) for each, state in storage["states"].items()]
    said += [
        f"{each} is not configured in the kernel" for each in storage["resources"] if each not in storage["states"]
    ]
    at_rest = storage["phase"] in ("primary", "secondary") and storage["seen_seconds_ago"] is not None
    mood = Mood.BAD if bad else Mood.WATCH if watch or not at_rest else Mood.GOOD
    return Entry(f"storage {name}", storage["phase"], mood, said, resources)


def _resource(name: str, state: Part) -> Entry:
    disks = "/".join(dict.fromkeys(each["disk"] or "?" for each in state["volumes"]))
    said = list(state["troubles"])
    for peer in state["connections"]:
        said += [each for volume in peer["volumes"] if (each := _resync(peer["peer"], volume))]
        here = "/".join(dict.fromkeys(each["peer_disk"] or "?" for each in peer["volumes"]))
        said.append(f"{peer['peer']}: {peer['connection'] or '?'}, {peer['peer_role'] or '?'} {here}".rstrip())
    mood = Mood.WATCH if state["troubles"] else Mood.GOOD
    return Entry(name, f"{state['role'] or '?'} {disks}", mood, said)


def _resync(peer: str, volume: Part) -> str:
    if volume["done_percent"] is None:
        return ""
    left = volume["seconds_left"]
    until = f", {duration(left)} left" if left is not None else ", it does not move"
    return f"volume {volume['volume']} with {peer}: {volume['done_percent']:.1f} % done{until}"


def _backup(resource: str, backup: Part) -> Entry:
    age = backup["metrics"].get("drbdctl_backup_age_seconds")
    word = "age not known" if age is None else f"{duration(age)} old"
    mood = Mood.WATCH if backup["alarms"] or age is None else Mood.GOOD
    return Entry(f"backup of {resource}", word, mood, backup["alarms"])
