"""Restoring a sample of the newest archive, and comparing: an archive that nobody ever read back is a hope."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import replace
from pathlib import Path

from drbdctl.backup.driver import Archive, DriverFailed, said
from drbdctl.backup.record import DIRECTORY, Event, Record
from drbdctl.backup.run import Job, archives
from drbdctl.backup.sample import MANIFEST, Manifest, differing, read_manifest


async def verify(job: Job, directory: str = DIRECTORY) -> Record:
    """Check the repository, restore, compare, inside `holder.held`; the record of it."""
    began = job.clock()
    record = Record(event=Event.VERIFY_FAILED, at=began, node=job.node.name)
    place = os.path.join(directory, f"{job.resource}.verify")
    try:
        async with asyncio.timeout(job.settings.deadline):
            record = await _verify(job, record, place)
    except TimeoutError:
        record = replace(record, why=f"no end within {job.settings.deadline:g} s; see 'deadline'")
    except (DriverFailed, ValueError) as error:
        record = replace(record, why=str(error))
    except OSError as error:
        record = replace(record, why=f"{error.filename or place}: {error.strerror}")
    finally:
        await asyncio.to_thread(shutil.rmtree, place, True)
    return replace(record, at=job.clock(), seconds=job.clock() - began)


async def _verify(job: Job, record: Record, place: str) -> Record:
    newest = next(reversed(await archives(job)), None)
    if newest is None:
        raise DriverFailed(f"there is no archive of {job.resource} in {job.settings.shown}; `drbdctl backup run` first")
    record = replace(record, archive=newest.name, archive_at=newest.at)
    for argv in (*job.driver.prepare(), job.driver.check()):
        checked = await job.ask(argv, job.settings.deadline)
        if not checked.ok:
            raise said(argv[0], next(each for each in argv[1:] if not each.startswith("-")), checked)
    await asyncio.to_thread(_empty, place)
    await _restore(job, newest, [MANIFEST], place)
    manifest = read_manifest(await asyncio.to_thread(Path(place, MANIFEST).read_bytes))
    if not manifest.sample:
        raise DriverFailed(f"archive {newest.name} has no file to compare; was the file system empty?")
    await _restore(job, newest, [each.path for each in manifest.sample], place)
    if wrong := await asyncio.to_thread(differing, place, manifest.sample):
        raise DriverFailed(f"archive {newest.name}: {'; '.join(wrong)}; make a new one into a new repository")
    job.tell(_sentence(newest, manifest))
    return replace(
        record,
        event=Event.VERIFIED,
        size=sum(each.size for each in manifest.sample),
        generation=manifest.generation,
        role=manifest.role,
    )


async def _restore(job: Job, archive: Archive, paths: list[str], place: str) -> None:
    argv = job.driver.restore(archive, paths)
    answer = await job.ask(argv, job.settings.deadline, place)
    if not answer.ok:
        raise said(argv[0], "restore", answer)


def _empty(place: str) -> None:
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place, mode=0o700)


def _sentence(archive: Archive, manifest: Manifest) -> str:
    size = sum(each.size for each in manifest.sample)
    return (
        f"archive {archive.name} of {archive.node}: {len(manifest.sample)} files, {size} bytes, restored and compared; "
        "the repository is whole"
    )
