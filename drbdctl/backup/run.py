"""One run: look, decide, snapshot, mount, archive, and everything undone in reverse, whatever happens.

    list the archives -> decide -> snapshots -> look again -> mounts -> archive -> mounts and snapshots off -> forget

What is undone is registered before it is done: a cancelled run (SIGTERM, the deadline, a failover that wants it out of
the way) leaves nothing, a killed one leaves tagged snapshots and no more, which the next run removes first.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from drbdctl.backup import lvm, staging, surroundings
from drbdctl.backup.decision import Decision, Go, Leave, Refuse, Seen, consistent, decide, hours
from drbdctl.backup.driver import Archive, Created, Driver, DriverFailed, Origin, said
from drbdctl.backup.holder import LEASED
from drbdctl.backup.lvm import Snapshot
from drbdctl.backup.record import Event, Record
from drbdctl.backup.sample import MANIFEST, Manifest, choose
from drbdctl.backup.settings import Backup
from drbdctl.backup.surroundings import Node
from drbdctl.status.state import Unreadable
from drbdctl.steps import command, holders
from drbdctl.steps.command import Outcome
from drbdctl.steps.effect import Run, StepFailed, succeed
from drbdctl.steps.holders import Kind

ASK = 120.0
"seconds for a question to the repository"
_LVM = 30.0
_REMOVE_TRIES = 5
_PAUSE = 0.5
_NICE = ("nice", "-n", "19")
Tell = Callable[[str], None]
"where a sentence about each step goes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be backed up, by what, and how the world is reached."""

    resource: str
    node: Node
    settings: Backup
    driver: Driver
    here: bool = False
    "don't leave it to the peer"
    tell: Tell = print
    run: Run = command.run
    clock: Callable[[], float] = time.time
    directory: str = staging.DIRECTORY

    async def ask(self, argv: Sequence[str], deadline: float, place: str = "") -> Outcome:
        """Run the driver's program, nice, with its environment, in a directory; it dies with this process."""
        where = ("env", f"--chdir={place}") if place else ()
        leased = (*LEASED, *self.settings.ionice.argv, *_NICE, *where, *argv)
        environment = {"HOME": os.environ.get("HOME", "/root"), **self.driver.environment}
        return await command.run(leased, deadline, environment)


class _Refused(Exception):
    """It may not be done now."""


async def plan(job: Job) -> tuple[Decision, Seen]:
    """What `back_up` would decide; changes nothing. Raises DriverFailed, Unreadable."""
    newest = next(reversed(await archives(job)), None)
    seen = await surroundings.look(job.node, job.resource, newest.at if newest else None, job.run)
    return decide(seen, job.settings, job.clock(), here=job.here), seen


async def back_up(job: Job) -> Record:
    """Do it, inside `holder.held`; the record of how it ended. CancelledError after everything is undone."""
    began = job.clock()
    record = Record(event=Event.FAILED, at=began, node=job.node.name)
    try:
        async with asyncio.timeout(job.settings.deadline):
            record = await _back_up(job, record)
    except TimeoutError:
        record = replace(record, why=f"no end within {hours(job.settings.deadline)}; see 'deadline'")
    except _Refused as refused:
        record = replace(record, event=Event.REFUSED, why=str(refused))
    except (DriverFailed, StepFailed, Unreadable) as error:
        record = replace(record, why=str(error))
    except OSError as error:
        record = replace(record, why=f"{error.filename or 'this machine'}: {error.strerror}")
    return replace(record, at=job.clock(), seconds=job.clock() - began)


async def _back_up(job: Job, record: Record) -> Record:
    await clean(job.resource, job.run, job.tell)
    for argv in job.driver.prepare():
        prepared = await job.ask(argv, ASK)
        if not prepared.ok:
            raise said(argv[0], argv[1], prepared)
    newest = next(reversed(await archives(job)), None)
    seen = await surroundings.look(job.node, job.resource, newest.at if newest else None, job.run)
    match decide(seen, job.settings, job.clock(), here=job.here):
        case Refuse(why):
            raise _Refused("; ".join(why))
        case Leave(because):
            job.tell(f"left to the peer: {because}")
            at = newest.at if newest else None
            return replace(record, event=Event.LEFT, why=because, archive=newest.name if newest else "", archive_at=at)
        case Go(role, because):
            job.tell(f"made here: {because}")
            origin, created = await _archive(job, seen, role.value, newest)
    for argv in () if job.settings.keep.everything else job.driver.forget(job.resource):
        forgotten = await job.ask(argv, job.settings.deadline)
        if not forgotten.ok:
            raise said(argv[0], f"{argv[1]} (the archive {created.name} was made)", forgotten)
    return replace(
        record,
        event=Event.MADE,
        archive=created.name,
        archive_at=origin.at,
        size=created.size,
        added=created.added,
        generation=origin.generation,
        role=role.value,
    )


async def archives(job: Job) -> tuple[Archive, ...]:
    """What the repository has of the resource, the newest last; raises DriverFailed."""
    return job.driver.archives(await job.ask(job.driver.listing(job.resource), ASK))


async def _archive(job: Job, seen: Seen, role: str, parent: Archive | None) -> tuple[Origin, Created]:
    place = os.path.join(job.directory, job.resource)
    await asyncio.to_thread(os.makedirs, place, 0o700, True)
    async with AsyncExitStack() as undo:
        at, snapshots = job.clock(), _snapshots(job, seen)
        for _, snapshot in snapshots:
            await undo.enter_async_context(taken(snapshot, job.run))
        # The resync may have begun between the first look and the snapshot.
        if why := consistent(await asyncio.to_thread(job.node.status), job.resource):
            raise _Refused(f"while the snapshot was taken: {why}")
        uuids = await surroundings.generations(job.resource, job.run)
        origin = Origin(resource=job.resource, node=job.node.name, at=at, generation=uuids)
        for number, snapshot in snapshots:
            await undo.enter_async_context(_mounted(snapshot, os.path.join(place, f"volume-{number}"), job.run))
        paths = await asyncio.to_thread(_paths, place, [number for number, _ in snapshots], job.settings.paths)
        await asyncio.to_thread(_write_manifest, place, paths, origin, role)
        job.tell(f"{job.driver.create(origin, (), None)[0]} reads {', '.join(paths)}")
        answer = await job.ask(job.driver.create(origin, (MANIFEST, *paths), parent), job.settings.deadline, place)
        await _still_whole(snapshots, job.run)
        return origin, job.driver.created(answer)


def _snapshots(job: Job, seen: Seen) -> list[tuple[int, Snapshot]]:
    found = []
    for backing in seen.backings:
        assert backing.origin is not None  # decide has refused such a volume
        tags = lvm.tags(lvm.BACKUP_TAG, job.resource, backing.number)
        size = backing.origin.size * job.settings.snapshot_size // 100
        name = f"{backing.origin.name}_backup_{int(job.clock())}"
        found.append((backing.number, Snapshot(backing.origin, name, tags, size)))
    return found


@asynccontextmanager
async def taken(snapshot: Snapshot, run: Run) -> AsyncIterator[None]:
    """A snapshot while the block runs; raises StepFailed."""
    try:
        await succeed(run, snapshot.create, _LVM)
        yield
    finally:
        await removed(str(f"{snapshot.origin.group}/{snapshot.name}"), run)


async def removed(name: str, run: Run) -> None:
    """Remove a snapshot that may be there, with some patience for who scans new devices; raises StepFailed."""
    outcome = None
    for _ in range(_REMOVE_TRIES):
        listed = await run(lvm.listing(name), _LVM)
        if not listed.ok and not listed.stuck and listed.status is not None:
            return  # it is not there
        outcome = await run(lvm.remove(name), _LVM)
        if outcome.ok or outcome.stuck:
            break
        await asyncio.sleep(_PAUSE)
    if outcome is not None and not outcome.ok:
        raise StepFailed(f"{outcome.sentence}; the next run, or `drbdctl backup clean`, tries again")


@asynccontextmanager
async def _mounted(snapshot: Snapshot, directory: str, run: Run) -> AsyncIterator[None]:
    try:
        await staging.mount(snapshot.path, directory, run)
        yield
    finally:
        await staging.umount(directory, run)


def _paths(place: str, numbers: Sequence[int], wanted: Sequence[str]) -> list[str]:
    """The paths of the archive; a wanted one that is in none of the volumes is an error, restic would leave it out."""
    roots = [f"volume-{number}" for number in numbers]
    if not wanted:
        return roots
    found = []
    for path in wanted:
        here = [f"{root}/{path}" for root in roots if os.path.lexists(os.path.join(place, root, path))]
        if not here:
            raise StepFailed(f"there is no {path} on the volume; correct 'paths' of the backup block")
        found += here
    return found


def _write_manifest(place: str, paths: list[str], origin: Origin, role: str) -> None:
    manifest = Manifest(
        resource=origin.resource,
        node=origin.node,
        role=role,
        at=origin.at,
        generation=origin.generation,
        sample=choose(place, paths, random.Random(origin.at)),
    )
    Path(place, MANIFEST).write_text(manifest.text())


async def _still_whole(snapshots: Sequence[tuple[int, Snapshot]], run: Run) -> None:
    for _, snapshot in snapshots:
        asked = await run(lvm.listing(f"{snapshot.origin.group}/{snapshot.name}"), _LVM)
        if not asked.ok:
            raise StepFailed(asked.sentence, stuck=asked.stuck)
        if any(each.invalid for each in lvm.parse(asked.output)):
            raise StepFailed(
                f"the snapshot of {snapshot.origin} had too little room, {snapshot.size >> 20} MiB, for what was "
                "written meanwhile; raise 'snapshot_size'"
            )


async def clean(resource: str, run: Run = command.run, tell: Tell = print) -> int:
    """Remove the snapshots that killed runs left, inside `holder.held`; their number. Raises StepFailed, Unreadable."""
    found = await surroundings.leftovers(lvm.BACKUP_TAG, resource, run)
    for volume in found:
        tell(f"removing {volume}, which a killed run left")
        await _end_namespace(volume.path)
        await removed(str(volume), run)
    return len(found)


async def _end_namespace(device: str) -> None:
    """Kill who lives in the mount namespace of a killed run: what its program had started, and did not die with it."""
    with suppress(OSError, ProcessLookupError):
        number = holders.device_number(device)
        for _ in range(_REMOVE_TRIES):
            found = await asyncio.to_thread(holders.holders, number)
            pids = {each.pid for each in found if each.kind is Kind.MOUNT} - {os.getpid()}
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            if not pids:
                return
            await asyncio.sleep(_PAUSE)
