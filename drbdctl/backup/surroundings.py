"""What a backup needs to know of this node: the volumes of drbd.conf, what is behind them, what DRBD says."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass

from drbdctl.backup import lvm
from drbdctl.backup.decision import Backing, Seen
from drbdctl.backup.lvm import LogicalVolume
from drbdctl.drbd_conf.model import Config
from drbdctl.status import generation
from drbdctl.status.ask import CONFIG, PROC, node_status
from drbdctl.status.state import Status, Unreadable
from drbdctl.steps import command
from drbdctl.steps.effect import Run

_ASK = 20.0
"seconds for one question"


@dataclass(frozen=True, slots=True)
class Disk:
    """One volume of a resource on this host, as drbd.conf has it."""

    number: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Where a backup is made."""

    name: str
    disks: Sequence[Disk]
    config: str = CONFIG
    proc: str = PROC

    def status(self) -> Status:
        """What DRBD says now; raises Unreadable."""
        return node_status(self.proc, self.config).status


def node(config: Config, resource: str, file: str = CONFIG) -> Node:
    """What drbd.conf says of the host that it runs on; raises LookupError with a sentence."""
    name = os.uname().nodename
    found = next((each for each in config.resources if each.name == resource), None)
    if found is None:
        known = ", ".join(each.name for each in config.resources) or "none"
        raise LookupError(f"{file} has no resource {resource}; it has: {known}")
    side = found.host(name)
    if side is None:
        raise LookupError(f"resource {resource} of {file} is not on this host, {name}")
    return Node(name=name, disks=tuple(Disk(each.number, each.disk) for each in side.volumes), config=file)


async def look(where: Node, resource: str, newest: float | None, run: Run = command.run) -> Seen:
    """All of it; what is not known is so in the result. Raises Unreadable when DRBD can't be asked."""
    status = await asyncio.to_thread(where.status)
    volumes: dict[str, LogicalVolume] = {}
    backings = [await _backing(disk, volumes, run) for disk in where.disks]
    return Seen(resource=resource, status=status, backings=backings, volumes=tuple(volumes.values()), newest=newest)


async def volumes_of(device: str, run: Run = command.run) -> tuple[LogicalVolume, tuple[LogicalVolume, ...]]:
    """The logical volume that a device is, and all of its group; raises Unreadable."""
    try:
        path = lvm.mapped(device)
    except OSError as error:
        raise Unreadable(f"{device}: {error.strerror}") from None
    if not path:
        raise Unreadable(f"{device} is not LVM's")
    (origin,) = await _listed(path, run)
    every = await _listed(origin.group, run)
    return origin, every


async def generations(resource: str, run: Run = command.run) -> str:
    """DRBD's current UUID of each volume, without the bit for the role; raises Unreadable."""
    asked = await run(("drbdadm", "get-gi", resource), _ASK)
    if not asked.ok:
        raise Unreadable(asked.sentence)
    return ",".join(f"{each.current & ~1:016X}" for each in generation.parse(asked.output))


async def leftovers(tag: str, resource: str, run: Run = command.run) -> tuple[LogicalVolume, ...]:
    """The snapshots with a tag of ours on this machine; raises Unreadable."""
    found = await _listed("", run)
    wanted = set(lvm.tagged(found, tag, resource))
    return tuple(each for each in found if str(each) in wanted)


async def _backing(disk: Disk, volumes: dict[str, LogicalVolume], run: Run) -> Backing:
    try:
        origin, every = await volumes_of(disk.path, run)
    except Unreadable as error:
        return Backing(disk.number, disk.path, None, str(error))
    volumes.update({str(each): each for each in every})
    return Backing(disk.number, disk.path, origin)


async def _listed(where: str, run: Run) -> tuple[LogicalVolume, ...]:
    asked = await run(lvm.listing(where), _ASK)
    if not asked.ok:
        raise Unreadable(asked.sentence)
    return lvm.parse(asked.output)
