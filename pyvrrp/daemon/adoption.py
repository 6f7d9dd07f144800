"""What a speaker takes over from the one before it, and what of it has to be cleared away; decided without acting.

A role is adopted when nobody can have noticed that we were gone: the last advertisement is younger than the shortest
wait of the peers, every address is still on its interface, and what stands behind the addresses is held by the same
gates. A sync group is adopted whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pyvrrp.core.events import State
from pyvrrp.core.tracking import Tracker
from pyvrrp.daemon.journal import Entry, Held, Left, Sent, TrackerNote

NOTHING_SENT = Sent(0.0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Successor:
    """An instance of the new configuration."""

    name: str
    router: str
    "see record.router_of"
    gates: tuple[str, ...] = ()
    sync_group: str | None = None


def roles(
    successors: Sequence[Successor], left: Left, present: Callable[[Held], bool], now: float
) -> Mapping[str, State]:
    """The instances that adopt, with the state that they adopt: MASTER or BACKUP.

    `present` tells whether an address is on its interface, `now` is the clock of the process before.
    """
    found = {each.name: _role(each, left, present, now) for each in successors}
    groups: dict[str, set[State | None]] = {}
    for each in successors:
        if each.sync_group is not None:
            groups.setdefault(each.sync_group, set()).add(found[each.name])
    adopted = {}
    for each in successors:
        role = found[each.name]
        if role is not None and (each.sync_group is None or groups[each.sync_group] == {role}):
            adopted[each.name] = role
    return adopted


def _role(successor: Successor, left: Left, present: Callable[[Held], bool], now: float) -> State | None:
    entry = left.entries.get(successor.router)
    if entry is None:
        return None
    if entry.state == State.BACKUP.value and not entry.addresses and not entry.undo:
        return State.BACKUP
    if entry.state != State.MASTER.value or not entry.serving or entry.gates != successor.gates:
        return None
    return State.MASTER if unnoticed(entry, left, now) and all(map(present, entry.addresses)) else None


def unnoticed(entry: Entry, left: Left, now: float) -> bool:
    """Whether no peer's Master_Down_Timer can have run out yet."""
    return now < left.sent.get(entry.router, NOTHING_SENT).at + entry.wait


def residue(
    successors: Iterable[Successor], adopted: Mapping[str, State], wanted: Iterable[str], left: Left, now: float
) -> list[Entry]:
    """What must be taken down before the new speaker begins: what nobody adopts, and the addresses it does not want.

    `wanted` has the addresses of the new configuration, with prefix length. Priority 0 is among it only while
    somebody waits for our advertisements.
    """
    keeps = {each.router for each in successors if each.name in adopted}
    addresses = frozenset(wanted)
    found = []
    for entry in left.entries.values():
        if entry.router in keeps:
            dropped = tuple(held for held in entry.addresses if held.address not in addresses)
            entry = replace(entry, addresses=dropped, goodbyes=(), undo=())
        elif not unnoticed(entry, left, now):
            entry = replace(entry, goodbyes=())
        if entry.addresses or entry.goodbyes or entry.undo:
            found.append(entry)
    return found


def note(tracker: Tracker) -> TrackerNote:
    """What a tracker says, for the journal."""
    return TrackerNote(
        kind=tracker.kind,
        name=tracker.name,
        up=tracker.up,
        broken=tracker.broken,
        since=tracker.since,
        detail=tracker.detail,
    )


def tracker(note: TrackerNote) -> Tracker:
    """The tracker as it was: its result counts until the next one."""
    found = Tracker(note.kind, note.name)
    found.up, found.broken, found.since, found.detail = note.up, note.broken, note.since, note.detail
    return found
