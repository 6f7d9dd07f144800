"""One snapshot of the daemon: what `pyvrrp status --json` prints, schema version 1.

docs/status.md describes every field. Within a schema version fields are only added; none changes its meaning or goes
away. Durations are seconds, points in time are ISO 8601 in UTC.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum

from pyvrrp.core.discard import DiscardReason, Statistics
from pyvrrp.core.events import Phase, Reason, State

SCHEMA = 1
_COUNTERS = tuple(each.name for each in dataclasses.fields(Statistics) if each.name != "discarded")
_NO_DISCARDS = {reason.value: 0 for reason in DiscardReason}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a script (notify_*, vrrp_script) did when it last ended."""

    name: str
    "notify_master, notify, ...; for a tracker the vrrp_script's name"
    command: str
    ok: bool
    result: str
    "a sentence: `exit status 1`, `timed out after 3 s`, `killed by signal 9`, `can't be started: ...`"
    output: str = ""
    "the last of what it printed"
    at: str
    "when it ended"
    seconds_ago: float
    duration: float
    "seconds"
    runs: int = 1
    "how often it has ended, this time included"
    failures: int = 0
    "how often not with `ok`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lower:
    """A tracker whose weight takes from the priority now."""

    tracker: str
    "`script chk_dns`, `interface eth1`"
    weight: int
    "what it contributes, negative; or what it would add if it were healthy, as a negative number"
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Master:
    """The virtual router that is MASTER, as far as this node knows."""

    address: str
    priority: int
    myself: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One VIP."""

    address: str
    "with its prefix length: 192.0.2.1/24"
    device: str
    held: bool
    "it is on the device now"
    lease_seconds: float | None = None
    "until the kernel takes it away unless it is renewed; None: not held, or held without a lease"
    excluded: bool = False
    "not in the advertisement (virtual_ipaddress_excluded)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """The timers of a virtual router, in seconds."""

    running: Mapping[str, float] = field(default_factory=dict)
    "what it waits for (`master down`, `advertisement`, `announcement`, `gate`, ...) and how long still"
    advert_int: float
    master_adver_int: float
    "VRRPv3: learnt from the MASTER"
    master_down_interval: float
    skew_time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LastDiscard:
    """The packet that was refused last."""

    reason: DiscardReason
    detail: str
    source: str
    seconds_ago: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Another router, and what is to be remarked about it."""

    vrid: int
    source: str
    macs: tuple[str, ...] = ()
    "where its packets came from, the newest first; empty: not seen"
    version: int | None = None
    "this and the next four are None when the last packet can't be read"
    priority: int | None = None
    advert_int: float | None = None
    auth_type: str | None = None
    "none, PASS, AH; None also in VRRPv3, which has none"
    addresses: tuple[str, ...] | None = None
    differs: Mapping[str, str] = field(default_factory=dict)
    "field -> what is the matter with it"
    refused: bool = True
    first_heard: str
    last_heard: str
    seconds_ago: float
    "since `last_heard`"
    count: int
    "packets"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStatus:
    """One vrrp_instance."""

    name: str
    interface: str
    vrid: int
    version: int
    family: int
    state: State
    phase: Phase | None = None
    "how far a MASTER with gates has come; None in the other states"
    since: str
    since_seconds: float
    reason: str
    "why it is in this state (pyvrrp.core.events.Reason)"
    detail: str = ""
    base_priority: int
    effective_priority: int
    lowers: tuple[Lower, ...] = ()
    faults: tuple[str, ...] = ()
    "what keeps it in FAULT, a sentence each"
    pending: tuple[str, ...] = ()
    "trackers that have not reported yet and keep it in INIT"
    preempt: bool
    preempt_delay: float = 0.0
    sync_group: str | None = None
    unicast: bool = False
    master: Master | None = None
    "None: nobody has been heard"
    source: str | None = None
    "the address we advertise from; None: there is none"
    addresses: tuple[Address, ...] = ()
    timers: Timers
    remarks: Mapping[str, str] = field(default_factory=dict)
    "what the last accepted advertisement had different from our configuration"
    mismatch: tuple[Sender, ...] = ()
    "who has our VRID and is configured differently, or sends what is refused"
    counters: Mapping[str, int] = field(default_factory=dict)
    discarded: Mapping[str, int] = field(default_factory=dict)
    "packets refused, for every reason"
    last_discard: LastDiscard | None = None
    notify: tuple[Outcome, ...] = ()
    "the last outcome of each notify script that has run"
    notify_waiting: int = 0
    "scripts that wait for the one that runs"
    transitions: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    "state -> reason -> how often it came to the state for it"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStatus:
    """One vrrp_sync_group."""

    name: str
    state: State
    since: str
    since_seconds: float
    members: tuple[str, ...]
    notify: tuple[Outcome, ...] = ()
    notify_waiting: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerStatus:
    """One vrrp_script, or a plugin's check: what `track_*` blocks name."""

    kind: str
    name: str
    healthy: bool | None
    "None: it has not reported yet"
    detail: str = ""
    "what it found last"
    since: str | None = None
    "when `healthy` last changed"
    since_seconds: float | None = None
    weight: int = 0
    reverse: bool = False
    rise: int = 1
    fall: int = 1
    result: int = 0
    "keepalived's counter: 0 to rise + fall - 1, healthy from rise on"
    running: bool = False
    last: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """How much later than asked for the event loop delivered timers, in seconds."""

    last: float = 0.0
    max: float = 0.0
    "since the start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """The outcome of the last reload."""

    ok: bool
    detail: str
    "what changed, or why the old configuration stays"
    at: str
    seconds_ago: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonStatus:
    """The whole daemon at one moment."""

    schema: int = SCHEMA
    version: str
    pid: int
    taken: str
    "the moment of the snapshot"
    started: str
    uptime_seconds: float
    router_id: str = ""
    config_file: str
    loop: str
    "uvloop or asyncio"
    guard: int | None = None
    "the guard's process id; None: there is none"
    restarts: int = 0
    "how often the guard has started this process again"
    lateness: Lateness = Lateness()
    last_reload: Reload | None = None
    findings: Mapping[str, int] = field(default_factory=dict)
    "severity (`error`, `warning`, `note`) -> what `pyvrrp check` finds of it in the configuration in force"
    instances: tuple[InstanceStatus, ...] = ()
    groups: tuple[GroupStatus, ...] = ()
    trackers: tuple[TrackerStatus, ...] = ()
    interfaces: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    "packets refused before a virtual router was known, by interface and reason: malformed ones, foreign VRIDs"
    foreign: Mapping[str, tuple[Sender, ...]] = field(default_factory=dict)
    "by interface: who sends VRIDs that are not ours, or from our own address"
    foreign_full: Mapping[str, int] = field(default_factory=dict)
    "by interface: how often there was no room in `foreign`"
    plugins: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    "each plugin's own part, by its name; its `problems` are what somebody should come and look at, a sentence each"


def iso(wall: float) -> str:
    """A point in time (seconds since the epoch) as the snapshot writes it."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="microseconds")


def counters(statistics: Statistics) -> dict[str, int]:
    """`InstanceStatus.counters`: every counter except those of refused packets."""
    return {name: getattr(statistics, name) for name in _COUNTERS}


def transitions(found: Mapping[tuple[State, Reason], int]) -> dict[str, dict[str, int]]:
    """`InstanceStatus.transitions`."""
    states: dict[str, dict[str, int]] = {}
    for (state, reason), count in found.items():
        states.setdefault(state.value, {})[reason.value] = count
    return states


def discarded(refused: Counter[DiscardReason]) -> dict[str, int]:
    """`InstanceStatus.discarded`: every reason, also those that have not occurred."""
    return _NO_DISCARDS | {reason.value: count for reason, count in refused.items()}


def as_json(status: DaemonStatus) -> str:
    """The snapshot as one line of JSON."""
    return "".join(json_pieces(status))


def json_pieces(status: DaemonStatus) -> Iterator[str]:
    """The same in pieces, so that it can be made while other things go on."""
    return _pieces({each.name: getattr(status, each.name) for each in dataclasses.fields(status)}, 4)


def _pieces(value: object, deep: int) -> Iterator[str]:
    """`deep`: how many levels of lists and objects are taken apart."""
    if deep and isinstance(value, Mapping):
        begin = "{"
        for key, each in value.items():
            yield f"{begin}{_encode(str(key))}:"
            yield from _pieces(each, deep - 1)
            begin = ","
        yield "}" if value else "{}"
    elif deep and isinstance(value, list | tuple):
        begin = "["
        for each in value:
            yield begin
            yield from _pieces(each, deep - 1)
            begin = ","
        yield "]" if value else "[]"
    else:
        yield _encode(value)


def _encode(value: object) -> str:
    return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))


def plain(value: object) -> object:
    """The value made of what JSON has: enums by value, microseconds at most, anything unknown as its text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return round(value, 6) if math.isfinite(value) else None
        case Enum():
            return plain(value.value)
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(each) for each in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
        case _:
            return str(value)
