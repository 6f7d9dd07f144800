"""One run, step by step: what it does in which order, and what is undone when it is refused, fails or is ended."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from drbdctl.backup import surroundings
from drbdctl.backup.driver import Archive, Argv, Created, DriverFailed, Origin
from drbdctl.backup.record import Event
from drbdctl.backup.run import Job, back_up, plan
from drbdctl.backup.settings import Backup, Program
from drbdctl.backup.surroundings import Disk
from drbdctl.status.state import Status
from drbdctl.status.words import DiskState, ReplicationState, Role
from drbdctl.steps.command import Outcome
from tests.backup_node import Lvm, Played
from tests.unit.test_drbd_backup_decision import PAIR, linked


class Vault:
    """A driver whose program is a shell command."""

    environment: Mapping[str, str] = {}

    def __init__(self, create: str = "test -s manifest.json && cat volume-0/mail/inbox") -> None:
        self._create = create

    def prepare(self) -> Sequence[Argv]:
        return ()

    def listing(self, resource: str) -> Argv:
        return ("true",)

    def archives(self, answer: Outcome) -> tuple[Archive, ...]:
        return ()

    def create(self, origin: Origin, paths: Sequence[str], parent: Archive | None) -> Argv:
        return ("sh", "-c", self._create)

    def created(self, answer: Outcome) -> Created:
        if not answer.ok:
            raise DriverFailed(answer.sentence)
        return Created(answer.output.strip(), 9, 9)

    def forget(self, resource: str) -> Sequence[Argv]:
        return (("true",),)

    def check(self) -> Argv:
        return ("true",)

    def restore(self, archive: Archive, paths: Sequence[str]) -> Argv:
        return ("true",)


@pytest.fixture
def job(tmp_path: Path, monkeypatch) -> Job:
    monkeypatch.setattr(surroundings.lvm, "mapped", lambda device: "/dev/mapper/vg-data")
    (tmp_path / "volume/mail").mkdir(parents=True)
    (tmp_path / "volume/mail/inbox").write_text("precious\n")
    return Job(
        resource="r0",
        node=Played(name="n2", disks=(Disk(0, "/dev/vg/data"),), states=(Status((PAIR,)),)),
        settings=Backup(program=Program.RESTIC, repository="/srv/vault", password_file="/p", deadline=60.0),
        driver=Vault(),
        tell=lambda sentence: None,
        run=Lvm(tmp_path / "volume").run,
        directory=str(tmp_path / "staging"),
    )


def lvm(job: Job) -> Lvm:
    return job.run.__self__  # type: ignore[attr-defined]


def test_a_resync_that_begins_in_the_middle_ends_it_and_the_snapshot_goes(job: Job) -> None:
    syncing = linked(PAIR, Role.SECONDARY, peer_role=Role.PRIMARY, replication=ReplicationState.SYNC_TARGET)
    refused = asyncio.run(back_up(replace(job, node=replace(job.node, states=(Status((PAIR,)), Status((syncing,)))))))
    assert (refused.event, "SyncTarget" in refused.why) == (Event.REFUSED, True)
    assert (lvm(job).tags, "mount" in lvm(job).commands) == ({}, False)


def test_a_snapshot_that_ran_out_of_room_is_no_backup(job: Job) -> None:
    lvm(job).invalid = True
    failed = asyncio.run(back_up(job))
    assert (failed.event, "raise 'snapshot_size'" in failed.why) == (Event.FAILED, True)
    assert lvm(job).tags == {}


def test_a_path_that_is_not_there_is_no_smaller_backup(job: Job) -> None:
    failed = asyncio.run(back_up(replace(job, settings=replace(job.settings, paths=("mail", "exprot")))))
    assert failed.why == "there is no exprot on the volume; correct 'paths' of the backup block"
    assert lvm(job).tags == {}


def test_what_a_killed_run_left_is_removed_first(job: Job) -> None:
    lvm(job).tags["data_backup_1"] = "drbdctl.backup,drbdctl.resource=r0,drbdctl.volume=0"
    lvm(job).tags["other_backup_1"] = "drbdctl.backup,drbdctl.resource=r1,drbdctl.volume=0"
    assert asyncio.run(back_up(job)).event is Event.MADE
    assert list(lvm(job).tags) == ["other_backup_1"]


def test_an_inconsistent_disk_is_refused_without_a_snapshot(job: Job) -> None:
    torn = replace(PAIR, devices=(replace(PAIR.devices[0], disk=DiskState.INCONSISTENT),))
    refused = asyncio.run(back_up(replace(job, node=replace(job.node, states=(Status((torn,)),)))))
    assert refused.event is Event.REFUSED
    assert "lvcreate" not in lvm(job).commands


def test_the_snapshot_is_there_before_the_mount_and_gone_after_the_archive(job: Job) -> None:
    made = asyncio.run(back_up(job))
    assert (made.event, made.archive, made.role) == (Event.MADE, "precious", "Secondary")
    order = [each for each in lvm(job).commands if each not in ("lvs", "drbdadm")]
    assert order == ["lvcreate", "blkid", "mount", "lvremove"]
    assert lvm(job).tags == {}


def test_a_program_that_fails_leaves_no_snapshot(job: Job) -> None:
    failed = asyncio.run(back_up(replace(job, driver=Vault("echo no room >&2; exit 1"))))
    assert (failed.event, "exit status 1, no room" in failed.why, lvm(job).tags) == (Event.FAILED, True, {})


def test_the_deadline_ends_a_program_that_does_not(job: Job) -> None:
    settings = replace(job.settings, deadline=1.0)
    failed = asyncio.run(back_up(replace(job, settings=settings, driver=Vault("sleep 60"))))
    assert failed.event is Event.FAILED
    assert "no end within" in failed.why
    assert lvm(job).tags == {}


def test_a_run_that_is_told_to_end_undoes_what_it_did(job: Job, tmp_path: Path) -> None:
    async def scenario() -> None:
        pipe = tmp_path / "begun"
        task = asyncio.create_task(back_up(replace(job, driver=Vault(f"echo > {pipe}; sleep 60"))))
        await asyncio.to_thread(written, pipe)
        assert len(lvm(job).tags) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert lvm(job).tags == {}


def test_a_dry_run_changes_nothing(job: Job) -> None:
    asyncio.run(plan(job))
    assert set(lvm(job).commands) == {"lvs"}


def written(path: Path) -> None:
    for _ in range(1000):
        if path.exists():
            return
        time.sleep(0.01)
