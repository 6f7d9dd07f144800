"""What is remembered of backups, also by a file that was cut; and what is made of it for status and metrics."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from drbdctl.backup import record
from drbdctl.backup.health import health
from drbdctl.backup.holder import Busy, give_way, held, holder
from drbdctl.backup.record import Event, Record

NOW = 1_800_000_000.0
HOUR = 3600.0
BEGUN = Record(event=Event.BEGUN, at=NOW - 2 * HOUR, node="n2")
MADE = Record(
    event=Event.MADE,
    at=NOW - HOUR,
    node="n2",
    archive="adf88e1b",
    archive_at=NOW - 2 * HOUR,
    seconds=60.0,
    size=300009,
    added=1760,
    generation="0123456789ABCDEE",
    role="Secondary",
)
VERIFIED = Record(event=Event.VERIFIED, at=NOW - HOUR, node="n2")


def found(*records: Record, unread: int = 0, running: bool = False):
    return health(records, unread, 26 * HOUR, NOW, running=running)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    for each in (BEGUN, MADE, VERIFIED):
        record.append("r0", each, str(tmp_path))
    assert record.load("r0", str(tmp_path)) == ((BEGUN, MADE, VERIFIED), 0)
    assert record.load("r1", str(tmp_path)) == ((), 0)


@pytest.mark.parametrize("cut", [1, 40, 130])
def test_a_cut_line_costs_itself_and_nothing_after_it(tmp_path: Path, cut: int) -> None:
    record.append("r0", BEGUN, str(tmp_path))
    record.append("r0", MADE, str(tmp_path))
    path = tmp_path / "r0.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    record.append("r0", VERIFIED, str(tmp_path))
    records, unread = record.load("r0", str(tmp_path))
    assert (records[0], records[-1]) == (BEGUN, VERIFIED)
    assert unread == (0 if cut == 1 else 1)


@pytest.mark.parametrize(
    "content",
    [b"\0" * 200, b"{}", b"[]", b"null", b'{"event": "warp", "at": 1, "node": "n"}', b'{"event": "made", "at": "x"}',
     b'{"event": "made", "at": "soon", "node": "n1"}', b"[" * 5000, b"\xff\xfe"],
)  # fmt: skip
def test_a_line_that_is_none_is_counted(content: bytes) -> None:
    assert record.parse(content) == ((), 1)


def test_fields_of_a_later_version_are_left_out() -> None:
    records, unread = record.parse(b'{"event": "made", "at": 5.0, "node": "n1", "colour": "blue"}\n')
    assert (records, unread) == ((Record(event=Event.MADE, at=5.0, node="n1"),), 0)


def test_the_file_does_not_grow_for_ever(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(record, "_MOST", 2000)
    for number in range(100):
        record.append("r0", replace(BEGUN, at=float(number)), str(tmp_path))
    records, unread = record.load("r0", str(tmp_path))
    assert (records[-1].at, unread) == (99.0, 0)
    assert len(records) < 50


def test_a_password_of_the_repository_is_not_recorded() -> None:
    failed = replace(MADE, why="Fatal: rest:https://me:hush@vault/r: no such host").redacted
    assert failed.why == "Fatal: rest:https://***@vault/r: no such host"


def test_all_is_well() -> None:
    now = found(BEGUN, MADE, VERIFIED)
    assert (now.age, now.last_ok, now.alarms) == (2 * HOUR, True, ())
    assert now.metrics() == {
        "drbdctl_backup_age_seconds": 7200.0,
        "drbdctl_backup_last_ok": 1.0,
        "drbdctl_backup_verify_age_seconds": 3600.0,
        "drbdctl_backup_verify_ok": 1.0,
        "drbdctl_backup_running": 0.0,
        "drbdctl_backup_alarms": 0.0,
        "drbdctl_backup_duration_seconds": 60.0,
        "drbdctl_backup_size_bytes": 300009.0,
    }


def test_what_is_not_known_is_an_alarm_and_no_number() -> None:
    now = found()
    assert (now.age, now.last_ok) == (None, None)
    assert now.alarms == ("no backup is known here; `drbdctl backup run`",)
    assert "drbdctl_backup_age_seconds" not in now.metrics()
    assert "3 lines of the record can't be read" in found(MADE, VERIFIED, unread=3).alarms


def test_an_old_backup_is_an_alarm_by_the_moment_of_its_snapshot() -> None:
    old = replace(MADE, at=NOW - 20 * HOUR, archive_at=NOW - 27 * HOUR)
    assert found(old, VERIFIED).alarms == (
        "the newest backup is 27.0 h old, it may be 26.0 h; `drbdctl backup run`",
    )  # fmt: skip


def test_the_peer_s_archive_counts_where_it_was_seen() -> None:
    left = Record(event=Event.LEFT, at=NOW - 60, node="n1", archive="c25d397f", archive_at=NOW - 3 * HOUR)
    now = found(BEGUN, left, VERIFIED)
    assert (now.age, now.last_ok, now.alarms) == (3 * HOUR, True, ())


def test_a_run_without_an_end_was_killed_unless_it_still_runs() -> None:
    begun = replace(BEGUN, at=NOW - 60)
    killed = found(MADE, VERIFIED, begun)
    assert (killed.last_ok, killed.age) == (False, 2 * HOUR)
    assert "was killed before its end" in killed.alarms[0]
    assert found(MADE, VERIFIED, begun, running=True).last_ok is True


def test_a_refused_or_failed_run_says_why() -> None:
    refused = Record(event=Event.REFUSED, at=NOW, node="n2", why="r0/0 is Inconsistent here")
    assert found(MADE, VERIFIED, refused).alarms == ("the last run was refused: r0/0 is Inconsistent here",)
    bad = Record(event=Event.VERIFY_FAILED, at=NOW, node="n2", why="volume-0/a is not what was saved")
    assert "volume-0/a is not what was saved" in found(MADE, VERIFIED, bad).alarms[0]
    assert "no sample was restored for a month" in found(MADE, replace(VERIFIED, at=NOW - 40 * 86400)).alarms[0]


HOLD = """
import signal, sys, time
from drbdctl.backup.holder import held
if sys.argv[2] == "stubborn": signal.signal(signal.SIGTERM, signal.SIG_IGN)
with held("r0", sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path: Path):
    """Starts a process that holds the lock of r0."""
    children = []

    def start(how: str) -> subprocess.Popen:
        child = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path), how], stdout=subprocess.PIPE, text=True)
        children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


def test_one_at_a_time_and_the_kernel_tells_who(tmp_path: Path, other) -> None:
    assert holder("r0", str(tmp_path)) is None
    child = other("gentle")
    assert holder("r0", str(tmp_path)) == child.pid
    with pytest.raises(Busy, match=f"under way already .process {child.pid}"), held("r0", str(tmp_path)):
        pass
    with held("r1", str(tmp_path)):
        pass
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with held("r0", str(tmp_path)):
        pass


@pytest.mark.parametrize("how", ["gentle", "stubborn"])
def test_a_failover_ends_a_backup_that_is_in_its_way(tmp_path: Path, other, how: str) -> None:
    child = other(how)
    began = time.monotonic()
    assert asyncio.run(give_way("r0", 2.0, str(tmp_path))) is True
    assert child.wait() == (-signal.SIGTERM if how == "gentle" else -signal.SIGKILL)
    assert time.monotonic() - began < 2.0
    assert asyncio.run(give_way("r0", 2.0, str(tmp_path))) is True
