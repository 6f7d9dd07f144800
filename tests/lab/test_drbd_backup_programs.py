"""Whole backups with the real restic and the real borg; LVM and DRBD are played (real: tests/vm)."""

import asyncio
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from drbdctl.backup import surroundings
from drbdctl.backup.programs import driver
from drbdctl.backup.record import Event
from drbdctl.backup.run import Job, archives, back_up
from drbdctl.backup.settings import Backup, Program
from drbdctl.backup.surroundings import Disk
from drbdctl.backup.verify import verify
from drbdctl.status.state import Status
from tests.backup_node import Lvm, Played
from tests.unit.test_drbd_backup_decision import PAIR


@pytest.fixture(params=list(Program), ids=lambda program: program.value)
def job(request, tmp_path: Path, monkeypatch) -> Job:
    program = request.param
    if shutil.which(program.value) is None:
        pytest.skip(f"{program.value} is not installed")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(surroundings.lvm, "mapped", lambda device: "/dev/mapper/vg-data")
    volume = tmp_path / "volume"
    (volume / "mail").mkdir(parents=True)
    (volume / "mail/inbox").write_text("precious\n")
    (volume / "mail/sent").write_bytes(os.urandom(100_000))
    password = tmp_path / "password"
    password.write_text("correct horse\n")
    settings = Backup(program=program, repository=str(tmp_path / "vault"), password_file=str(password), deadline=60.0)
    speaker = driver(settings, {})
    create = ["restic", "init"] if program is Program.RESTIC else ["borg", "init", "-e", "repokey-blake2"]
    subprocess.run(create, env={**os.environ, **speaker.environment}, check=True, capture_output=True)
    return Job(
        resource="r0",
        node=Played(name="n2", disks=(Disk(0, "/dev/vg/data"),), states=(Status((PAIR,)),)),
        settings=settings,
        driver=speaker,
        tell=lambda sentence: None,
        run=Lvm(volume).run,
        directory=str(tmp_path / "staging"),
    )


def lvm(job: Job) -> Lvm:
    return job.run.__self__  # type: ignore[attr-defined]


def test_an_archive_is_made_and_a_sample_of_it_is_read_back(job: Job, tmp_path: Path) -> None:
    made = asyncio.run(back_up(job))
    assert (made.event, made.why) == (Event.MADE, "")
    assert (made.role, made.generation, made.size >= 100_009) == ("Secondary", "3C6A6FC2E3A8D2D0", True)
    assert lvm(job).tags == {}
    (archive,) = asyncio.run(archives(job))
    assert (archive.node, abs(archive.at - made.archive_at) < 1.0) == ("n2", True)
    read = asyncio.run(verify(job, str(tmp_path / "record")))
    assert (read.event, read.why, read.size) == (Event.VERIFIED, "", 100_009)
    assert os.listdir(tmp_path / "record") == []


def test_a_repository_that_lost_something_does_not_pass_verify(job: Job, tmp_path: Path) -> None:
    assert asyncio.run(back_up(job)).event is Event.MADE
    data = max((tmp_path / "vault/data").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 0xFF
    data.chmod(0o600)
    data.write_bytes(content)
    read = asyncio.run(verify(job, str(tmp_path / "record")))
    assert read.event is Event.VERIFY_FAILED
    assert read.why


def test_a_wrong_password_is_told_before_anything_is_touched(job: Job, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("wrong\n")
    failed = asyncio.run(back_up(job))
    assert failed.event is Event.FAILED
    assert "wrong password" in failed.why or "passphrase" in failed.why
    assert "lvcreate" not in lvm(job).commands


def test_older_archives_are_forgotten(job: Job) -> None:
    times = iter([1_790_000_000.0 + 86400 * day for day in range(4) for _ in range(6)])
    for _ in range(3):
        day = next(times)
        assert asyncio.run(back_up(replace(job, clock=lambda day=day: day))).event is Event.MADE
        for _ in range(5):
            next(times)
    keep = replace(job.settings, keep=replace(job.settings.keep, daily=2, weekly=0))
    last = replace(job, settings=keep, driver=driver(keep, {}), clock=lambda: 1_790_000_000.0 + 86400 * 3)
    assert asyncio.run(back_up(last)).event is Event.MADE
    assert [each.at for each in asyncio.run(archives(job))] == [1_790_172_800.0, 1_790_259_200.0]
