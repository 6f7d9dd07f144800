"""Safety snapshots: what is on a disk before a resync or a discard overwrites it, kept by LVM.

A SyncTarget is neither its old self nor its peer until the resync ends; when the source dies in the middle, the
snapshot is the only whole copy left. So when a resync begins anew on a disk that is Inconsistent, the older one stays.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from drbdctl.backup import lvm, surroundings
from drbdctl.backup.lvm import LogicalVolume, Snapshot
from drbdctl.backup.run import removed
from drbdctl.status.state import Resource, Unreadable
from drbdctl.status.words import DiskState
from drbdctl.steps import command
from drbdctl.steps.effect import Run, StepFailed, succeed

RESYNC, DISCARD = "resync", "discard"
"why it is taken; RESYNC's is removed when the resync is done, DISCARD's by an operator"
DEADLINE = 15.0
"seconds for one command: DRBD waits for its handler"
_MEANWHILE = 0.1
"of the volume: what the peer may write while the resync runs"
_LEAST = 32 << 20


@dataclass(frozen=True, slots=True)
class Kept:
    """A safety snapshot that is there."""

    volume: LogicalVolume
    new: bool


def room(origin: LogicalVolume, out_of_sync: int | None) -> int:
    """Bytes that a snapshot needs to live through the resync of so many KiB; None: all of the volume."""
    if out_of_sync is None:
        return origin.size
    return min(origin.size, max(_LEAST, int(out_of_sync * 1024 * 1.1 + origin.size * _MEANWHILE)))


def why_torn(resource: Resource | None, volume: int) -> str:
    """Why a snapshot of this disk would keep nothing; empty when it would."""
    devices = resource.devices if resource is not None else ()
    disk = next((each.disk for each in devices if each.volume == volume), None)
    if disk in (DiskState.INCONSISTENT, DiskState.DISKLESS, DiskState.FAILED):
        return f"its disk is {disk.value} already"
    return ""


def out_of_sync(resource: Resource | None, volume: int) -> int | None:
    """KiB that will be overwritten, as far as DRBD tells; the most of several peers."""
    links = resource.connections if resource is not None else ()
    told = [peer.out_of_sync for link in links for peer in link.peer_devices if peer.volume == volume]
    return max((each for each in told if each is not None), default=None)


async def keep(
    name: str, volume: int, disk: str, reason: str, resource: Resource | None, run: Run = command.run
) -> Kept:
    """Take a safety snapshot of a backing device, or find the one that has to stay; raises StepFailed, Unreadable.

    `resource` is what DRBD says now; None where it can't be asked: then there has to be room for all of the volume.
    """
    origin, every = await surroundings.volumes_of(disk, run)
    torn = why_torn(resource, volume)
    if reason == RESYNC:
        tagged = set(lvm.tagged(every, f"drbdctl.reason={RESYNC}", name, volume))
        for each in (each for each in every if str(each) in tagged):
            if not each.invalid and (torn or resource is None):
                return Kept(each, new=False)
            await removed(str(each), run)
    if torn:
        raise StepFailed(f"{name}/{volume}: {torn}; there is nothing whole to keep")
    size = room(origin, out_of_sync(resource, volume))
    if why := lvm.full(origin, every, size):
        raise StepFailed(f"{name}/{volume}: {why}")
    tags = lvm.tags(lvm.SAFETY_TAG, name, volume, f"drbdctl.reason={reason}")
    snapshot = Snapshot(origin, f"{origin.name}_before-{reason}_{int(time.time())}", tags, size)
    await succeed(run, snapshot.create, DEADLINE)
    return Kept(LogicalVolume(group=origin.group, name=snapshot.name, size=size, origin=origin.name), new=True)


async def drop(name: str, volume: int | None, reason: str, run: Run = command.run) -> list[str]:
    """Remove the safety snapshots of one volume, or of all, taken for a reason; `GROUP/NAME` of each.

    Raises StepFailed, Unreadable.
    """
    found = await surroundings.leftovers(lvm.SAFETY_TAG, name, run)
    wanted = set(lvm.tagged(found, f"drbdctl.reason={reason}", name, volume))
    for each in sorted(wanted):
        await removed(each, run)
    return sorted(wanted)


async def before_discard(where: surroundings.Node, name: str, run: Run = command.run) -> list[str]:
    """Keep every volume of a resource before its data are discarded: `GROUP/NAME` of each, all or StepFailed."""
    kept = []
    try:
        resource = where.status().resource(name)
        # What the peer has changed is not known before the two have talked: all of it may be overwritten.
        unsized = None if resource is None else replace(resource, connections=())
        for disk in where.disks:
            kept.append(str((await keep(name, disk.number, disk.path, DISCARD, unsized, run)).volume))
    except Unreadable as error:
        raise StepFailed(f"no snapshot of {name} before the discard: {error}") from None
    return kept
