"""Who keeps a block device, or the file system on it, from being let go: processes, mounts, nfsd, swap, other devices.

Everything is read from /proc and /sys without touching the file system itself, which may hang: an open file is known by
the mount id in fdinfo, a mapped one by the device number in maps. Root is needed to see other users' processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from drbdctl.steps import processes

_ESCAPES = {r"\040": " ", r"\011": "\t", r"\012": "\n", r"\134": "\\"}


class Kind(Enum):
    """What holds it."""

    PROCESS = "process"
    MOUNT = "mount"
    NFSD = "nfsd"
    SWAP = "swap"
    DEVICE = "device"
    "device mapper, loop, md ... on top of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """One of them."""

    kind: Kind
    what: str
    "what it has, and where: `open file /mnt/data/log`"
    pid: int = 0
    "of a process"
    command: str = ""
    "its name, as ps shows it"

    @property
    def sentence(self) -> str:
        """`process 4711 (mysqld): open file /mnt/data/ibdata1`."""
        return f"process {self.pid} ({self.command}): {self.what}" if self.pid else f"{self.kind.value}: {self.what}"


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of mountinfo, proc_pid_mountinfo(5)."""

    number: int
    device: tuple[int, int]
    point: str
    options: frozenset[str] = frozenset()
    "of the mount and of the file system: `ro`, `rw`, ..."
    file_system: str = ""
    source: str = ""
    shares: frozenset[int] = frozenset()
    "the peer group that its own umount propagates to"
    follows: frozenset[int] = frozenset()
    "the peer groups whose umount propagates to it"


def device_number(path: str) -> tuple[int, int]:
    """Major and minor of a block device's node; raises OSError."""
    number = os.stat(path).st_rdev
    return os.major(number), os.minor(number)


def mounts(proc: Path = Path("/proc"), process: str = "self") -> list[Mount]:
    """What a process sees mounted; empty when it is gone."""
    try:
        lines = (proc / process / "mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [found for line in lines if (found := _mount(line)) is not None]


def holders(device: tuple[int, int], proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> list[Holder]:
    """Who holds a device, other than the mounts that this process sees itself."""
    own = [mount for mount in mounts(proc) if mount.device == device]
    found: dict[Holder, None] = {}
    for holder in (*_processes(device, own, proc), *_nfsd(own, proc), *_swap(device, proc), *_devices(device, sys)):
        found[holder] = None
    return list(found)


def _mount(line: str) -> Mount | None:
    """proc_pid_mountinfo(5): number, parent, major:minor, root, point, options, tags ... - type, source, options."""
    before, _, after = line.partition(" - ")
    fields, rest = before.split(" "), after.split(" ")
    try:
        major, _, minor = fields[2].partition(":")
        tags = [tag.partition(":") for tag in fields[6:]]
        return Mount(
            number=int(fields[0]),
            device=(int(major), int(minor)),
            point=_plain(fields[4]),
            options=frozenset((*fields[5].split(","), *rest[2].split(","))),
            file_system=rest[0],
            source=_plain(rest[1]),
            shares=frozenset(int(number) for tag, _, number in tags if tag == "shared"),
            follows=frozenset(int(number) for tag, _, number in tags if tag in ("shared", "master")),
        )
    except (IndexError, ValueError):
        return None


def _plain(path: str) -> str:
    for escape, character in _ESCAPES.items():
        path = path.replace(escape, character)
    return path


def _processes(device: tuple[int, int], own: list[Mount], proc: Path) -> Iterator[Holder]:
    namespaces: dict[str, list[Mount]] = {}
    known = {mount.number for mount in own}
    groups = frozenset(number for mount in own for number in mount.shares)
    for directory in proc.iterdir():
        if not directory.name.isdigit():
            continue
        namespace = _link(directory / "ns/mnt")
        first = namespace not in namespaces
        if first:
            namespaces[namespace] = [each for each in mounts(proc, directory.name) if each.device == device]
        seen = namespaces[namespace]
        name = _name(directory)
        if first:
            for mount in (each for each in seen if each.number not in known and not each.follows & groups):
                what = f"{mount.point} of its own mount namespace"
                yield Holder(kind=Kind.MOUNT, what=what, pid=int(directory.name), command=name)
        for what in _held_by(directory, device, seen):
            yield Holder(kind=Kind.PROCESS, what=what, pid=int(directory.name), command=name)


def _held_by(directory: Path, device: tuple[int, int], seen: list[Mount]) -> Iterator[str]:
    numbers = {mount.number for mount in seen}
    for number in _names(directory / "fd"):
        path = _link(directory / "fd" / number)
        if _mount_id(directory / "fdinfo" / number) in numbers:
            yield f"open file {path}"
        elif path.startswith("/dev/") and _is_device(directory / "fd" / number, device):
            yield f"{path} itself is open"
    for place, what in (("cwd", "working directory"), ("root", "root directory")):
        path = _link(directory / place)
        if path != "/" and any(path == mount.point or path.startswith(f"{mount.point}/") for mount in seen):
            yield f"{what} {path}"
    if seen and (mapped := _mapped(directory, device)):
        yield f"mapped file {mapped}"


def _mapped(directory: Path, device: tuple[int, int]) -> str:
    wanted = f"{device[0]:02x}:{device[1]:02x}"
    with suppress(OSError):
        for line in (directory / "maps").read_text(errors="replace").splitlines():
            fields = line.split(None, 5)
            if len(fields) == 6 and fields[3] == wanted:
                return fields[5]
    return ""


def _mount_id(fdinfo: Path) -> int:
    with suppress(OSError, ValueError):
        for line in fdinfo.read_text().splitlines():
            if line.startswith("mnt_id:"):
                return int(line.partition(":")[2])
    return -1


def _is_device(link: Path, device: tuple[int, int]) -> bool:
    with suppress(OSError):
        return device_number(str(link)) == device
    return False


def _nfsd(own: list[Mount], proc: Path) -> Iterator[Holder]:
    points = [mount.point for mount in own]
    threads = len(processes.named("nfsd", str(proc)))
    with suppress(OSError):
        for line in (proc / "fs/nfsd/exports").read_text(errors="replace").splitlines():
            path = _plain(line.partition("\t")[0])
            if threads and any(path == point or path.startswith(f"{point}/") for point in points):
                yield Holder(kind=Kind.NFSD, what=f"{threads} threads serve {path}")


def _swap(device: tuple[int, int], proc: Path) -> Iterator[Holder]:
    with suppress(OSError):
        for line in (proc / "swaps").read_text().splitlines()[1:]:
            path = line.split()[0]
            if path.startswith("/dev/") and _is_device(Path(path), device):
                yield Holder(kind=Kind.SWAP, what=path)


def _devices(device: tuple[int, int], sys: Path) -> Iterator[Holder]:
    for name in _names(sys / f"dev/block/{device[0]}:{device[1]}/holders"):
        mapped = sys / "class/block" / name / "dm/name"
        with suppress(OSError):
            name = f"{name} (device mapper {mapped.read_text().strip()})"
        yield Holder(kind=Kind.DEVICE, what=name)
    for loop in (sys / "class/block").glob("loop*"):
        with suppress(OSError):
            behind = (loop / "loop/backing_file").read_text().strip()
            if behind.startswith("/dev/") and _is_device(Path(behind), device):
                yield Holder(kind=Kind.DEVICE, what=f"{loop.name} over {behind}")


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _name(directory: Path) -> str:
    try:
        return (directory / "comm").read_text().strip()
    except OSError:
        return "?"
