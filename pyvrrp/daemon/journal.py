"""What this node holds, written down before it is taken: for the speaker that adopts it, and for who must undo it.

Two files in the run directory. `journal` has a line of JSON for each change, the last one about a thing counts, the
first names the boot. `journal.sent` has 16 bytes for each virtual router: when its last advertisement was sent, and the
sequence number of its Authentication Header; they are written with each advertisement, which must cost nothing.

The guard's helpers read it too: standard library only.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

VERSION = 1
"lines of another version are not understood"
_SENT = struct.Struct("=dI4x")
_SLOTS = range(1 << 16)
"places in journal.sent; a larger number is none that we wrote, and would make the file huge"
_SPARE_LINES = 200
"so many superseded lines, and three for each that counts, before the file is written anew"

_PLAIN: Mapping[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "bool": bool,
    "float": (float, int),
    "bool | None": (bool, NoneType),
    "float | None": (float, int, NoneType),
}
"by annotation"

Commands = tuple[tuple[str, ...], ...]
"the argv of each"

_LOG = logging.getLogger("pyvrrp")
_T = TypeVar("_T", bound="DataclassInstance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An address on an interface, and the rtnetlink message that takes it off (hexadecimal)."""

    address: str
    device: str
    delete: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodbye:
    """An advertisement with priority 0, ready to be sent (hexadecimal, IPv4 with its header)."""

    family: int
    interface: str
    index: int
    source: str
    destination: str
    ttl: int
    packet: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One virtual router: its role and what it holds."""

    router: str
    "what makes it the same one in another process: interface, family, VRID, cast, version"
    name: str
    state: str
    serving: bool = False
    "MASTER with all its gates open and its addresses on, or about to be"
    yielded: bool = False
    "BACKUP after a switchover: it is not to preempt"
    wait: float = 0.0
    "seconds after our last advertisement in which no peer takes over"
    addresses: tuple[Held, ...] = ()
    goodbyes: tuple[Goodbye, ...] = ()
    "of a MASTER, one for each destination"
    gates: tuple[str, ...] = ()
    undo: Commands = ()
    "commands that give back what the gates hold, in order"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerNote:
    """What a tracker said last (pyvrrp.core.tracking.Tracker)."""

    kind: str
    name: str
    up: bool | None
    broken: bool
    since: float | None
    detail: str


@dataclass(frozen=True, slots=True)
class Sent:
    """The last advertisement of a virtual router."""

    at: float
    "monotonic seconds, 0: none"
    sequence: int
    "of its Authentication Header; 0 without"


@dataclass(slots=True)
class Left:
    """What a journal says; empty when there is none, or when it is of another boot."""

    net_namespace: str | None = None
    entries: dict[str, Entry] = field(default_factory=dict)
    "by Entry.router"
    trackers: dict[tuple[str, str], TrackerNote] = field(default_factory=dict)
    "by kind and name"
    services: dict[str, Commands] = field(default_factory=dict)
    "by plugin: what gives back what its service holds, whoever is MASTER"
    slots: dict[str, int] = field(default_factory=dict)
    sent: dict[str, Sent] = field(default_factory=dict)

    def take(self, line: Mapping[str, Any]) -> None:
        """Take a line in; raises KeyError, TypeError or ValueError for one that is not ours."""
        if "entry" in line:
            entry, slot = _entry(line["entry"]), line["slot"]
            if not isinstance(slot, int) or slot not in _SLOTS:
                raise ValueError(f"{slot!r} is no place in journal.sent")
            self.entries[entry.router] = entry
            self.slots[entry.router] = slot
        elif "gone" in line:
            self.entries.pop(line["gone"], None)
        elif "tracker" in line:
            note = _typed(TrackerNote(**line["tracker"]))
            self.trackers[note.kind, note.name] = note
        elif "service" in line:
            if not isinstance(line["service"], str):
                raise TypeError(f"{line['service']!r} is no name")
            self.services[line["service"]] = _commands(line["undo"])


def read(path: Path) -> Left:
    """What the journal of this boot says; raises OSError, but not when there is none.

    A line that was cut off by a crash does not count: what it told of had not been done yet.
    """
    left = Left()
    try:
        first, *lines = path.read_bytes().splitlines() or [b""]
    except FileNotFoundError:
        return left
    header = _parsed(first)
    if header.get("version") != VERSION or header.get("boot") != _boot():
        return left
    namespace = header.get("net_namespace")
    left.net_namespace = namespace if isinstance(namespace, str) else None
    for line in lines:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            left.take(_parsed(line))
    with contextlib.suppress(FileNotFoundError):
        sent = _sent_file(path).read_bytes()
        for router, slot in left.slots.items():
            if len(sent) >= (slot + 1) * _SENT.size:
                left.sent[router] = Sent(*_SENT.unpack_from(sent, slot * _SENT.size))
    return left


def remove(path: Path) -> None:
    """Forget everything; raises OSError."""
    path.unlink(missing_ok=True)
    _sent_file(path).unlink(missing_ok=True)


class Journal:
    """The journal as the speaker writes it; without a path it writes nothing.

    An error of the file system is logged once: the daemon goes on, but what it holds can't be adopted or undone.
    """

    def __init__(self, path: Path | None = None, net_namespace: str | None = None) -> None:
        self.left = Left()
        "what the process before has left"
        self._path = path
        self._now = Left()
        self._net_namespace = net_namespace
        self._told = False
        self._lines = 0
        self._journal = self._sent = -1

    @classmethod
    def open(cls, path: Path, net_namespace: str | None = None) -> Self:
        """Read what the process before has left, and go on from there: it counts until something else is noted."""
        journal = cls(path, net_namespace)
        with journal._told_once():
            left = journal.left = read(path)
            journal._now = replace(
                left,
                entries=dict(left.entries),
                trackers=dict(left.trackers),
                services=dict(left.services),
                slots=dict(left.slots),
            )
            journal._sent = os.open(_sent_file(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            journal._rewrite()
        return journal

    def note(self, entry: Entry) -> None:
        """Write down what a virtual router is, holds or is about to take."""
        if self._path is None or self._now.entries.get(entry.router) == entry:
            return
        if entry.router not in self._now.slots:
            self._now.slots[entry.router] = max(self._now.slots.values(), default=-1) + 1
            self.sent(entry.router, 0.0, 0)  # somebody else may have had the place
        self._now.entries[entry.router] = entry
        self._write({"entry": asdict(entry), "slot": self._now.slots[entry.router]})

    def gone(self, router: str) -> None:
        """It holds nothing any more and is no part of the configuration."""
        if self._now.entries.pop(router, None) is not None:
            self._write({"gone": router})

    def note_tracker(self, note: TrackerNote) -> None:
        """Write down what a tracker says."""
        if self._path is not None and self._now.trackers.get((note.kind, note.name)) != note:
            self._now.trackers[note.kind, note.name] = note
            self._write({"tracker": asdict(note)})

    def note_service(self, plugin: str, undo: Commands) -> None:
        """Write down what gives back what a plugin's service is about to hold; nothing: it holds nothing any more."""
        if self._path is not None and self._now.services.get(plugin, ()) != undo:
            self._now.services[plugin] = undo
            self._write({"service": plugin, "undo": undo})

    def sent(self, router: str, now: float, sequence: int) -> None:
        """An advertisement was sent; only for a router that has been noted."""
        slot = self._now.slots.get(router)
        if slot is not None and self._sent >= 0:
            try:
                os.pwrite(self._sent, _SENT.pack(now, sequence), slot * _SENT.size)
            except OSError as error:
                self._failed(error)

    def close(self, *, forget: bool) -> None:
        """Stop writing; with `forget` there is nothing to be adopted or undone, the files go."""
        for descriptor in (self._journal, self._sent):
            if descriptor >= 0:
                os.close(descriptor)
        self._journal = self._sent = -1
        path, self._path = self._path, None
        if forget and path is not None:
            with self._told_once():
                remove(path)

    def _write(self, line: dict[str, Any]) -> None:
        with self._told_once():
            if self._lines > 4 * (len(self._now.entries) + len(self._now.trackers)) + _SPARE_LINES:
                self._rewrite()
            else:
                os.write(self._journal, _encoded(line))
                self._lines += 1

    def _rewrite(self) -> None:
        """Put a file with the lines that count in its place, at once and whole."""
        assert self._path is not None
        new = self._path.with_name(f"{self._path.name}.new")
        lines = list(self._live_lines())
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.writelines(map(_encoded, lines))
        new.replace(self._path)
        if self._journal >= 0:
            os.close(self._journal)
        self._journal = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._lines = len(lines)

    def _live_lines(self) -> Iterator[dict[str, Any]]:
        yield {"version": VERSION, "boot": _boot(), "net_namespace": self._net_namespace}
        for router, entry in self._now.entries.items():
            yield {"entry": asdict(entry), "slot": self._now.slots[router]}
        for note in self._now.trackers.values():
            yield {"tracker": asdict(note)}
        for plugin, undo in self._now.services.items():
            yield {"service": plugin, "undo": undo}

    @contextlib.contextmanager
    def _told_once(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        self._lines = 1 << 30  # the file may end in half a line: the next write makes it anew
        if not self._told:
            _LOG.error("journal %s: %s; a crash can't be undone, nor its role adopted", self._path, error.strerror)
        self._told = True


def _entry(data: Mapping[str, Any]) -> Entry:
    entry = Entry(
        **{
            **data,
            "addresses": tuple(_typed(Held(**each)) for each in data["addresses"]),
            "goodbyes": tuple(_typed(Goodbye(**each)) for each in data["goodbyes"]),
            "gates": _words(data["gates"]),
            "undo": _commands(data["undo"]),
        }
    )
    for message in (*(held.delete for held in entry.addresses), *(goodbye.packet for goodbye in entry.goodbyes)):
        bytes.fromhex(message)
    return _typed(entry)


def _typed(made: _T) -> _T:
    """The same, when its plain members have the types that they should; raises TypeError."""
    for member in fields(made):
        kinds = _PLAIN.get(str(member.type))
        if kinds and not isinstance(getattr(made, member.name), kinds):
            raise TypeError(f"{type(made).__name__}.{member.name} is no {member.type}")
    return made


def _commands(data: Any) -> Commands:
    if not isinstance(data, list | tuple):
        raise TypeError(f"{data!r} are no commands")
    return tuple(map(_words, data))


def _words(data: Any) -> tuple[str, ...]:
    if not isinstance(data, list | tuple) or not all(isinstance(word, str) for word in data):
        raise TypeError(f"{data!r} is no list of words")
    return tuple(data)


def _encoded(line: Mapping[str, Any]) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _parsed(line: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _sent_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sent")
