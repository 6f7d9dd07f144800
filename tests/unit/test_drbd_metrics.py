"""drbdctl's metrics: every one is well formed, and says what drbdctl's part of the snapshot says."""

import asyncio
from types import SimpleNamespace

import pytest

from drbdctl.backup import record
from drbdctl.backup.configured import Configured
from drbdctl.backup.record import Event, Record
from drbdctl.backup.settings import Backup, Program
from drbdctl.daemon import backup_watch
from drbdctl.daemon.backup_watch import BackupWatch
from drbdctl.daemon.document import states
from drbdctl.failover.seen import Seen
from drbdctl.metrics import METRICS, families
from drbdctl.status.proc_drbd import parse, status
from tests.unit.test_metrics import parsed, text

SYNCING = b"""version: 8.4.11 (api:1/proto:86-101)
srcversion: F73C670A7EC572DB9CF3E5B
 0: cs:SyncTarget ro:Secondary/Primary ds:Inconsistent/UpToDate C r-----
    ns:0 nr:524288 dw:524288 dr:0 al:0 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:524288
\t[=========>..........] sync'ed: 50.0% (512/1024)M
\tfinish: 0:00:52 speed: 10,080 (10,080) K/sec
"""


def storage(proc=SYNCING, **changes):
    seen = Seen(at=100.0, status=status(parse(proc), {0: ("r0", 0)}))
    return {
        "phase": "secondary", "wish": "Secondary", "faults": ["r0/0: it is Inconsistent (rule 1)"], "degraded": [],
        "rules": [1, 20, 1], "holders": {"/mnt/data": ("pid 7 (cp)",)}, "alarm": "", "stuck": [],
        "tally": {"takeovers": 2, "gave_up": 1, "steps_failed": 3, "alarms": 0},
        **states(seen, ["r0", "r1"], 103.5), **changes,
    }  # fmt: skip


BACKUP = {"metrics": {"drbdctl_backup_age_seconds": 90000.0, "drbdctl_backup_last_ok": 0.0,
                      "drbdctl_backup_verify_age_seconds": 5.0, "drbdctl_backup_verify_ok": 1.0,
                      "drbdctl_backup_running": 0.0, "drbdctl_backup_alarms": 2.0,
                      "drbdctl_backup_duration_seconds": 61.5, "drbdctl_backup_size_bytes": 1e9}}  # fmt: skip
RESOURCE = {"storage": "data", "resource": "r0"}
VOLUME = {**RESOURCE, "volume": "0"}


def part(**changes):
    return {"storages": {"data": storage(**changes)}, "backups": {"r0": BACKUP}, "problems": []}


def with_size():
    found = part()
    found["storages"]["data"]["states"]["r0"]["volumes"][0]["size"] = 1024
    return found


def test_every_metric_is_well_formed_and_there_once():
    for openmetrics in (False, True):
        found = parsed(text(*families(with_size()), openmetrics=openmetrics), openmetrics=openmetrics)
        assert sorted(found) == sorted(metric.name for metric, _ in METRICS)


@pytest.mark.parametrize("nothing", [{}, {"storages": {}, "backups": {}}])
def test_without_a_storage_there_is_nothing(nothing):
    assert text(*families(nothing)) == ""


def test_a_storage_that_was_never_looked_at_has_no_resource():
    found = parsed(text(*families({"storages": {"data": storage(**states(None, ["r0"], 0.0))}})))
    assert "drbdctl_resource_role" not in found
    assert "drbdctl_storage_seen_age_seconds" not in found
    assert "drbdctl_storage_phase" in found


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("drbdctl_storage_phase", {"storage": "data", "phase": "secondary"}, 1),
        ("drbdctl_storage_seen_age_seconds", {"storage": "data"}, 3.5),
        ("drbdctl_storage_faults", {"storage": "data"}, 1),
        ("drbdctl_storage_alarm", {"storage": "data"}, 0),
        ("drbdctl_refused", {"rule": "1"}, 1),
        ("drbdctl_refused", {"rule": "20"}, 1),
        ("drbdctl_holders", {"what": "/mnt/data"}, 1),
        ("drbdctl_takeovers_total", {"storage": "data"}, 2),
        ("drbdctl_takeovers_failed_total", {"storage": "data"}, 1),
        ("drbdctl_steps_failed_total", {"storage": "data"}, 3),
        ("drbdctl_resource_role", {**RESOURCE, "role": "Secondary"}, 1),
        ("drbdctl_disk_state", {**VOLUME, "disk": "Inconsistent"}, 1),
        ("drbdctl_connection_state", {**RESOURCE, "connection": "Connected"}, 1),
        ("drbdctl_peer_role", {**RESOURCE, "role": "Primary"}, 1),
        ("drbdctl_peer_disk_state", {**VOLUME, "disk": "UpToDate"}, 1),
        ("drbdctl_replication_state", {**VOLUME, "replication": "SyncTarget"}, 1),
        ("drbdctl_out_of_sync_bytes", VOLUME, 524288 * 1024),
        ("drbdctl_resync_done_ratio", VOLUME, 0.5),
        ("drbdctl_resync_left_seconds", VOLUME, 52),
        ("drbdctl_backup_age_seconds", {"resource": "r0"}, 90000),
        ("drbdctl_backup_last_ok", {"resource": "r0"}, 0),
        ("drbdctl_backup_verify_ok", {"resource": "r0"}, 1),
    ],
)
def test_a_metric_says_what_the_snapshot_says(name, labels, value):
    found = parsed(text(*families(part())))[name]
    assert [number for each, number in found if labels.items() <= each.items()] == [value]


# --- the records of backups ------------------------------------------------------------------------------------------


SETTINGS = Backup(program=Program.RESTIC, repository="/backup", password_file="/etc/password")


@pytest.fixture
def watched(monkeypatch, tmp_path):
    """The watch over the backups of r0, of which the records are here; what it says at 10000 after one look."""
    monkeypatch.setattr(record, "path", lambda resource, _="": str(tmp_path / f"{resource}.jsonl"))
    monkeypatch.setattr(backup_watch, "holder", lambda resource: None)

    def look():
        async def main():
            watch = BackupWatch([Configured("r0", "/etc/drbd.conf", SETTINGS)])
            before = watch.status(10000.0)["r0"]
            assert (before["metrics"], before["alarms"]) == ({}, [])
            watch.start()
            while not watch._read and not watch._failed:  # noqa: ASYNC110 - nobody signals it
                await asyncio.sleep(0)
            found = watch.status(10000.0)["r0"]
            await watch.stop()
            return found

        return asyncio.run(main())

    return SimpleNamespace(look=look, file=tmp_path / "r0.jsonl", directory=tmp_path)


def test_the_age_of_the_newest_archive_grows_while_nothing_is_read(watched):
    made = Record(event=Event.MADE, at=9000.0, node="n1", archive="a", archive_at=8000.0, seconds=60.0, size=5)
    record.append("r0", made, str(watched.directory))
    found = watched.look()
    assert found["metrics"]["drbdctl_backup_age_seconds"] == 2000.0
    assert found["metrics"]["drbdctl_backup_last_ok"] == 1.0
    assert found["last_run"]["event"] == "made"


def test_every_number_of_the_backups_health_is_a_metric(watched):
    made = Record(event=Event.MADE, at=9000.0, node="n1", archive="a", archive_at=8000.0, seconds=60.0, size=5)
    for each in (made, Record(event=Event.VERIFIED, at=9500.0, node="n1")):
        record.append("r0", each, str(watched.directory))
    numbers = watched.look()["metrics"]
    assert set(numbers) == {metric.name for metric, _ in METRICS if metric.name.startswith("drbdctl_backup_")}


def test_a_resource_that_was_never_backed_up_is_an_alarm(watched):
    found = watched.look()
    assert found["metrics"]["drbdctl_backup_alarms"] == 1.0
    assert "no backup is known here" in found["alarms"][0]


def test_a_record_that_cannot_be_read_is_told_and_has_no_numbers(watched, caplog):
    watched.file.mkdir()
    found = watched.look()
    assert found["metrics"] == {"drbdctl_backup_alarms": 1.0}
    assert found["alarms"] == [f"the record of its backups can't be read: {watched.file}: Is a directory"]
    assert [entry.getMessage() for entry in caplog.records] == [f"backup of r0: {watched.file}: Is a directory"]
