"""/proc/drbd of DRBD 8.0 to 8.4 (and of 9.3 in its 8.4 mode): line by line to devices, and to the model.

It names minors, not resources: `status` puts them together by the drbd.conf. Read it as bytes: 8.3.1 prints a NUL. With
9 it holds the version only. Source of the grammar: drbd_seq_show() in LINBIT/drbd 8.0.16 to 8.4.7 and
drbd_legacy_84.c, and captures of 8.4.11.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from drbdctl.status.fields import RUNNING, whole
from drbdctl.status.state import Connection, Device, PeerDevice, Progress, Resource, Status, with_unrecognized
from drbdctl.status.words import ConnectionState, DiskState, ReplicationState, Role, recognize

UNCONFIGURED = "Unconfigured"
_DEVICE = re.compile(
    r" {0,2}(?P<minor>0|[1-9][0-9]{0,6}): cs:(?P<cs>\S+)"
    r"(?: (?P<rokey>ro|st):(?P<role>[^\s/]+)/(?P<peer_role>[^\s/]+)"
    r" (?:ds|ld):(?P<disk>[^\s/]+)/(?P<peer_disk>[^\s/]+)(?: (?P<protocol>[A-Za-z ]) (?P<flags>\S+))?)?\s*"
)
_VERSION = re.compile(r"version: (?P<release>\S+) \(api:(?P<api>\S+?)/proto:(?P<protocols>\S+?)\)")
_COUNTER = re.compile(r"([a-z]+):(\S+)")
_BAR = re.compile(
    r"\t\[[=>.]*\] (?P<what>sync'ed|verified): *(?P<percent>[0-9.]+)% "
    r"\((?P<left>[0-9]+)/(?P<total>[0-9]+)\)(?P<unit>[KM]?)"
)
_FINISH = re.compile(
    r"\s*finish: (?:(?P<h>[0-9]+):(?P<m>[0-9]+):(?P<s>[0-9]+)|∞)"
    r"(?: speed: (?P<now>-?[0-9,]+)(?P<rest>.*))?"
)
_DETAILS = re.compile(r"\s+(?:[0-9]+% sector pos:|resync: used:|act_log: used:|blocked on activity log:)")
COUNTERS = frozenset(["ns", "nr", "dw", "dr", "al", "bm", "lo", "pe", "ua", "ap", "ep", "oos"])
_AFTER, _PEER, _USER = "dependency", "peer", "user"
_CONNECTING = {"WFConnection": ConnectionState.CONNECTING, "Unconfigured": ConnectionState.STANDALONE}


@dataclass(frozen=True, slots=True)
class ProcDevice:
    """One device as it is printed."""

    minor: int
    cs: str
    role: str = ""
    peer_role: str = ""
    disk: str = ""
    peer_disk: str = ""
    protocol: str = ""
    "A, B, C; empty without a net configuration"
    flags: str = ""
    "4 to 6 characters: r or s; after-dependency, peer and user sync pause; congestion; activity log"
    counters: Mapping[str, int] = field(default_factory=dict)
    "ns nr dw dr oos in KiB; al bm lo pe ua ap ep are counts"
    write_ordering: str = ""
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class ProcDrbd:
    """The file."""

    release: str = ""
    "of the kernel module: 8.4.11"
    devices: tuple[ProcDevice, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def names_resources(self) -> bool:
        """DRBD 9: the devices are not here but in `drbdsetup status`."""
        return not self.devices and self.release.partition(".")[0] not in ("", "0", "8")


def parse(content: bytes | str) -> ProcDrbd:
    """Read the file; a line that is not known is kept in `unread`; it raises nothing."""
    text = content.decode("utf-8", "replace") if isinstance(content, bytes) else content
    release, devices, unread = "", list[ProcDevice](), list[str]()
    for line in text.replace("\0", "-").split("\n"):
        if not line.strip() or line.startswith(("GIT-hash:", "srcversion:", "Transports ", "SVN Revision:")):
            continue
        if match := _VERSION.match(line):
            release = match["release"]
        elif (match := _DEVICE.fullmatch(line)) and all(each.minor != int(match["minor"]) for each in devices):
            devices.append(_device(match))
        elif devices and (further := _further(devices[-1], line)) is not None:
            devices[-1] = further
        else:
            unread.append(line)
    return ProcDrbd(release, tuple(devices), tuple(unread))


def _device(match: re.Match[str]) -> ProcDevice:
    found = {key: value or "" for key, value in match.groupdict().items()}
    return ProcDevice(
        int(found["minor"]),
        found["cs"],
        found["role"],
        found["peer_role"],
        found["disk"],
        found["peer_disk"],
        found["protocol"].strip(),
        found["flags"],
    )


def _further(device: ProcDevice, line: str) -> ProcDevice | None:
    """The device with what one more line says of it, or None when the line is not known."""
    if line.startswith("    ns:"):
        pairs = dict(_COUNTER.findall(line))
        counters = {key: number for key in COUNTERS & pairs.keys() if (number := whole(pairs[key])) is not None}
        return replace(device, counters=counters, write_ordering=pairs.get("wo", ""))
    if match := _BAR.match(line):
        percent = float(match["percent"]) if re.fullmatch(r"[0-9]{1,3}\.[0-9]", match["percent"]) else None
        device = replace(device, progress=Progress(percent))
        rest = line[match.end() :]
        return _finish(device, rest) if rest.strip() else device
    if "finish:" in line or line.strip() == "stalled":
        return _finish(device, line)
    return device if _DETAILS.match(line) else None


def _finish(device: ProcDevice, line: str) -> ProcDevice | None:
    before = device.progress or Progress()
    if line.strip() == "stalled":
        return replace(device, progress=replace(before, stalled=True))
    match = _FINISH.match(line)
    if match is None:
        return None
    stalled = "(stalled)" in line
    seconds = None
    if match["h"] is not None and len(match["h"]) < 10:
        seconds = float(int(match["h"]) * 3600 + int(match["m"][:4]) * 60 + int(match["s"][:4]))
    speed = whole((match["now"] or "").replace(",", ""))
    rate = None if speed is None else float(speed)
    return replace(
        device, progress=replace(before, seconds_left=None if stalled else seconds, rate=rate, stalled=stalled)
    )


def status(proc: ProcDrbd, names: Mapping[int, tuple[str, int]] | None = None) -> Status:
    """The model of it; `names` gives resource and volume of a minor, the others are called `minor-N` by themselves.

    A resource with one volume Primary counts as Primary, as events2 has it; `Device.role` tells them apart.
    """
    resources: dict[str, Resource] = {}
    for device in proc.devices:
        if device.cs == UNCONFIGURED:
            continue
        name, volume = (names or {}).get(device.minor, (f"minor-{device.minor}", 0))
        found = _resource(name, volume, device)
        resources[name] = _merged(resources[name], found) if name in resources else found
    return Status(tuple(resources.values()), proc.unread)


def _resource(name: str, volume: int, device: ProcDevice) -> Resource:
    counters = device.counters.get
    role, peer_role = recognize(Role, device.role), recognize(Role, device.peer_role)
    disk, peer_disk = recognize(DiskState, device.disk), recognize(DiskState, device.peer_disk)
    connection, replication = _link(device.cs)
    here = Device(
        volume,
        device.minor,
        disk,
        role,
        read=counters("dr"),
        written=counters("dw"),
        al_writes=counters("al"),
        bm_writes=counters("bm"),
        upper_pending=counters("ap"),
        lower_pending=counters("lo"),
        al_suspended=device.flags[5:6] == "s" if len(device.flags) > 5 else None,
        epochs=counters("ep"),
        write_ordering=_ORDERINGS.get(device.write_ordering),
        unrecognized=_strange({"disk": (disk, device.disk), "role": (role, device.role)}),
    )
    peer = PeerDevice(
        volume,
        replication,
        peer_disk,
        resync_suspended=_paused(device.flags),
        received=counters("nr"),
        sent=counters("ns"),
        out_of_sync=counters("oos"),
        pending=counters("pe"),
        unacked=counters("ua"),
        progress=device.progress if replication in RUNNING else None,
        unrecognized=_strange({"peer-disk": (peer_disk, device.peer_disk), "replication": (replication, device.cs)}),
    )
    link = Connection(
        "peer",
        None,
        connection,
        peer_role,
        device.protocol or None,
        peer_devices=(peer,),
        unrecognized=_strange({"role": (peer_role, device.peer_role)}),
    )
    return Resource(
        name,
        role=role,
        suspended={"r": "no", "s": "yes"}.get(device.flags[:1]),
        write_ordering=here.write_ordering,
        devices=(here,),
        connections=(link,),
    )


_ORDERINGS = {"n": "none", "d": "drain", "f": "flush", "b": "barrier"}


def _strange(words: Mapping[str, tuple[object, str]]) -> tuple[tuple[str, str], ...]:
    unrecognized: tuple[tuple[str, str], ...] = ()
    for what, (word, text) in words.items():
        if getattr(word, "value", "") == "":
            unrecognized = with_unrecognized(unrecognized, what, text)
    return unrecognized


def _link(cs: str) -> tuple[ConnectionState, ReplicationState]:
    """8.x has one word for both; what is a replication state implies a connection."""
    connection = _CONNECTING.get(cs) or recognize(ConnectionState, cs)
    if connection is ConnectionState.CONNECTED:
        return connection, ReplicationState.ESTABLISHED
    if connection is not ConnectionState.UNRECOGNIZED:
        return connection, ReplicationState.OFF
    replication = recognize(ReplicationState, cs)
    if replication in (ReplicationState.UNRECOGNIZED, ReplicationState.OFF, ReplicationState.ESTABLISHED):
        return ConnectionState.UNRECOGNIZED, ReplicationState.UNRECOGNIZED
    return ConnectionState.CONNECTED, replication


def _paused(flags: str) -> str | None:
    if len(flags) < 4:
        return None
    reasons = [name for name, letter in ((_USER, flags[3]), (_PEER, flags[2]), (_AFTER, flags[1])) if letter != "-"]
    return ",".join(reasons) or "no"


def _merged(one: Resource, other: Resource) -> Resource:
    """Two volumes of one resource; the worse of what they say about their common connection counts."""
    mine, its = one.connections[0], other.connections[0]
    worse = mine if mine.connection is not ConnectionState.CONNECTED else its
    link = replace(worse, peer_devices=(*mine.peer_devices, *its.peer_devices))
    return replace(
        one,
        role=_either(one.role, other.role),
        suspended=one.suspended if one.suspended != "no" else other.suspended,
        devices=(*one.devices, *other.devices),
        connections=(replace(link, peer_role=_either(mine.peer_role, its.peer_role)),),
    )


def _either(one: Role, other: Role) -> Role:
    order: Iterable[Role] = (Role.UNRECOGNIZED, Role.PRIMARY, Role.UNKNOWN, Role.SECONDARY)
    return next(role for role in order if role in (one, other))
