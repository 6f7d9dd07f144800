"""LVM: the logical volume behind a replicated device, its snapshots, and the room for one more.

Every snapshot carries tags, which LVM writes together with it: whoever finds one knows what it is for, also after the
process that took it was killed or the machine lost its power.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drbdctl.status.state import Unreadable

BACKUP_TAG = "drbdctl.backup"
"of a snapshot that lives as long as one run"
SAFETY_TAG = "drbdctl.safety"
"of a snapshot that keeps what a resync or a discard is about to overwrite"
FULLEST_POOL = 90.0
"percent; a thin pool that is full stops the writes of every volume in it, the replicated one too"
_COLUMNS = "vg_name,lv_name,lv_size,pool_lv,origin,vg_free,data_percent,metadata_percent,lv_attr,lv_tags"
_INVALID = "I"
"the fifth letter of lv_attr: a snapshot that had too little room, and is worth nothing"
_OBJECT = re.compile(r"^\s*\{", re.MULTILINE)
# LVM may start dmeventd, which would stay in our mount namespace for ever; a snapshot of ours needs no watching.
_QUIET = ("--yes", "--quiet", "--config", "activation/monitoring=0")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalVolume:
    """A line of lvs(8); sizes in bytes."""

    group: str
    name: str
    size: int
    pool: str = ""
    "the thin pool that it is in"
    origin: str = ""
    "what it is a snapshot of"
    group_free: int = 0
    data_percent: float | None = None
    "of a pool or a snapshot: how full it is"
    metadata_percent: float | None = None
    invalid: bool = False
    tags: frozenset[str] = frozenset()

    @property
    def path(self) -> str:
        """Its device."""
        return f"/dev/{self.group}/{self.name}"

    def __str__(self) -> str:
        return f"{self.group}/{self.name}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One to be taken."""

    origin: LogicalVolume
    name: str
    tags: tuple[str, ...]
    size: int
    "bytes that may change before it is worth nothing; a thin one shares its pool and has no such limit"

    @property
    def path(self) -> str:
        """Its device."""
        return f"/dev/{self.origin.group}/{self.name}"

    @property
    def create(self) -> tuple[str, ...]:
        """The command that takes it."""
        argv = ["lvcreate", *_QUIET, "--snapshot", "--setactivationskip", "n", "--name", self.name]
        argv += [word for tag in self.tags for word in ("--addtag", tag)]
        if not self.origin.pool:
            argv += ["--size", f"{self.size // 1024 + 1}k"]
        return (*argv, str(self.origin))

    @property
    def remove(self) -> tuple[str, ...]:
        """The command that removes it."""
        return remove(f"{self.origin.group}/{self.name}")


def remove(volume: object) -> tuple[str, ...]:
    """The command that removes a volume."""
    return ("lvremove", *_QUIET, str(volume))


def listing(where: str = "") -> tuple[str, ...]:
    """The command that `parse` reads: of a volume group, of a volume or its device, or of all of this machine."""
    argv = ("lvs", "--reportformat", "json", "--units", "b", "--nosuffix", "-o", _COLUMNS)
    return (*argv, where) if where else argv


def parse(output: str) -> tuple[LogicalVolume, ...]:
    """What `listing` answers, warnings before it left out; raises Unreadable."""
    start = _OBJECT.search(output)
    try:
        report, _ = json.JSONDecoder().raw_decode(output, start.end() - 1 if start else 0)
        rows = [row for part in report["report"] for row in part["lv"]]
        return tuple(_volume(row) for row in rows)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable(f"lvs: its answer is not understood ({type(error).__name__}: {str(error)[:80]})") from None


def tags(tag: str, resource: str, volume: int, *more: str) -> tuple[str, ...]:
    """The tags of a snapshot of a replicated volume."""
    return (tag, f"drbdctl.resource={resource}", f"drbdctl.volume={volume}", *more)


def tagged(found: Iterable[LogicalVolume], tag: str, resource: str, volume: int | None = None) -> Iterator[str]:
    """Those that carry the tag and belong to the resource, or to one volume of it: `GROUP/NAME`."""
    wanted = {tag, f"drbdctl.resource={resource}"}
    if volume is not None:
        wanted.add(f"drbdctl.volume={volume}")
    return (str(each) for each in found if wanted <= each.tags)


def full(origin: LogicalVolume, found: Sequence[LogicalVolume], size: int) -> str:
    """Why there is no room for a snapshot of so many bytes; empty when there is."""
    if not origin.pool:
        if origin.group_free >= size:
            return ""
        return (
            f"volume group {origin.group} has {_mebibytes(origin.group_free)} free, a snapshot of {origin.name} needs "
            f"{_mebibytes(size)}; `vgextend` it, or let the snapshot be smaller"
        )
    pool = next((each for each in found if (each.group, each.name) == (origin.group, origin.pool)), None)
    if pool is None or pool.data_percent is None or pool.metadata_percent is None:
        return f"how full the thin pool {origin.group}/{origin.pool} is can't be seen; is it active? see `lvs`"
    if max(pool.data_percent, pool.metadata_percent) < FULLEST_POOL:
        return ""
    return (
        f"the thin pool {pool} is full to {pool.data_percent:g} % (its metadata to {pool.metadata_percent:g} %), and a "
        "snapshot would help to fill it, which stops the volume itself; `lvextend` it"
    )


def mapped(device: str, sys: Path = Path("/sys")) -> str:
    """The device-mapper path of a block device that is a logical volume; empty when it is none.

    Raises OSError when there is no such device.
    """
    number = os.stat(device).st_rdev
    return mapped_number((os.major(number), os.minor(number)), sys)


def mapped_number(device: tuple[int, int], sys: Path = Path("/sys")) -> str:
    """The same by major and minor number."""
    mapper = sys / f"dev/block/{device[0]}:{device[1]}/dm"
    try:
        if not (mapper / "uuid").read_text().startswith("LVM-"):
            return ""
        return f"/dev/mapper/{(mapper / 'name').read_text().strip()}"
    except OSError:
        return ""


def _volume(row: Mapping[str, Any]) -> LogicalVolume:
    return LogicalVolume(
        group=row["vg_name"],
        name=row["lv_name"].strip("[]"),
        size=int(row["lv_size"]),
        pool=row["pool_lv"].strip("[]"),
        origin=row["origin"].strip("[]"),
        group_free=int(row["vg_free"]),
        data_percent=float(row["data_percent"]) if row["data_percent"] else None,
        metadata_percent=float(row["metadata_percent"]) if row["metadata_percent"] else None,
        invalid=row["lv_attr"][4:5] == _INVALID,
        tags=frozenset(row["lv_tags"].split(",")) - {""},
    )


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.0f} MiB"
