"""What lvs says (real answers of LVM 2.03.16), what follows from it, and the snapshots before a resync or a discard."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from drbdctl.backup import lvm, safety, staging, surroundings
from drbdctl.backup.lvm import LogicalVolume, Snapshot
from drbdctl.backup.surroundings import Disk, Node
from drbdctl.status.state import Device, Resource, Status, Unreadable
from drbdctl.status.words import DiskState
from drbdctl.steps.command import Outcome
from drbdctl.steps.effect import StepFailed
from tests.unit.test_drbd_backup_decision import PAIR

LVS = """\
  WARNING: You have not turned on protection against thin pools running out of space.
  {
      "report": [
          {
              "lv": [
                  {"vg_name":"vg", "lv_name":"data", "lv_size":"20971520", "pool_lv":"", "origin":"", "vg_free":"73400320", "data_percent":"", "metadata_percent":"", "lv_attr":"owi-a-s---", "lv_tags":""},
                  {"vg_name":"vg", "lv_name":"data_backup_1", "lv_size":"5242880", "pool_lv":"", "origin":"data", "vg_free":"73400320", "data_percent":"0.00", "metadata_percent":"", "lv_attr":"swi-a-s---", "lv_tags":"drbdctl.backup,drbdctl.resource=r0,drbdctl.volume=0"},
                  {"vg_name":"vg", "lv_name":"data_before-resync_1", "lv_size":"5242880", "pool_lv":"", "origin":"data", "vg_free":"73400320", "data_percent":"100.00", "metadata_percent":"", "lv_attr":"swi-I-s---", "lv_tags":"drbdctl.reason=resync,drbdctl.resource=r0,drbdctl.safety,drbdctl.volume=0"},
                  {"vg_name":"vg", "lv_name":"pool", "lv_size":"41943040", "pool_lv":"", "origin":"", "vg_free":"73400320", "data_percent":"25.00", "metadata_percent":"12.11", "lv_attr":"twi-aotz--", "lv_tags":""},
                  {"vg_name":"vg", "lv_name":"thin", "lv_size":"346030080", "pool_lv":"pool", "origin":"", "vg_free":"73400320", "data_percent":"3.03", "metadata_percent":"", "lv_attr":"Vwi-a-tz--", "lv_tags":""}
              ]
          }
      ]
  }
"""  # noqa: E501
FOUND = lvm.parse(LVS)
DATA, BACKUP, OVERFLOWN, POOL, THIN = FOUND
MIB = 1 << 20


def test_lvs() -> None:
    assert LogicalVolume(group="vg", name="data", size=20 * MIB, group_free=70 * MIB) == DATA
    assert (BACKUP.origin, BACKUP.invalid, BACKUP.path) == ("data", False, "/dev/vg/data_backup_1")
    assert (OVERFLOWN.invalid, POOL.data_percent, POOL.metadata_percent, THIN.pool) == (True, 25.0, 12.11, "pool")
    assert list(lvm.tagged(FOUND, lvm.BACKUP_TAG, "r0")) == ["vg/data_backup_1"]
    assert list(lvm.tagged(FOUND, lvm.SAFETY_TAG, "r0", 0)) == ["vg/data_before-resync_1"]
    assert list(lvm.tagged(FOUND, lvm.SAFETY_TAG, "r0", 1)) == []
    assert list(lvm.tagged(FOUND, lvm.BACKUP_TAG, "r")) == []


@pytest.mark.parametrize("output", ["", LVS[:400], "{}", '{"report": 1}', LVS.replace("20971520", "big"), "[" * 9000])
def test_what_is_not_understood_is_no_room(output: str) -> None:
    with pytest.raises(Unreadable, match="its answer is not understood"):
        lvm.parse(output)


def test_a_snapshot_carries_what_it_is_for_from_its_first_moment() -> None:
    tags = lvm.tags(lvm.BACKUP_TAG, "r0", 0)
    assert " ".join(Snapshot(DATA, "data_backup_1", tags, 4 * MIB).create) == (
        "lvcreate --yes --quiet --config activation/monitoring=0 --snapshot --setactivationskip n --name data_backup_1 "
        "--addtag drbdctl.backup --addtag drbdctl.resource=r0 --addtag drbdctl.volume=0 --size 4097k vg/data"
    )
    assert "--size" not in Snapshot(THIN, "thin_backup_1", tags, 4 * MIB).create


def test_a_pool_that_is_nearly_full_gets_no_snapshot() -> None:
    assert lvm.full(DATA, FOUND, 70 * MIB) == ""
    assert "vgextend" in lvm.full(DATA, FOUND, 71 * MIB)
    assert lvm.full(THIN, FOUND, 10**12) == ""
    for pool in (replace(POOL, data_percent=90.0), replace(POOL, metadata_percent=95.0)):
        assert "which stops the volume itself" in lvm.full(THIN, (pool, THIN), 1)
    assert "can't be seen" in lvm.full(THIN, (replace(POOL, data_percent=None), THIN), 1)
    assert "can't be seen" in lvm.full(THIN, (THIN,), 1)


def test_only_a_logical_volume_is_one(tmp_path: Path) -> None:
    for number, uuid, name in ((0, "LVM-9M6Nzo", "vg-da--ta"), (1, "CRYPT-LUKS2-1", "secret")):
        mapper = tmp_path / f"dev/block/253:{number}/dm"
        mapper.mkdir(parents=True)
        (mapper / "uuid").write_text(f"{uuid}\n")
        (mapper / "name").write_text(f"{name}\n")
    assert lvm.mapped_number((253, 0), tmp_path) == "/dev/mapper/vg-da--ta"
    assert lvm.mapped_number((253, 1), tmp_path) == ""
    assert lvm.mapped_number((8, 1), tmp_path) == ""


def test_a_snapshot_is_mounted_read_only_with_its_journal_replayed() -> None:
    for file_system, options in (("ext4", "ro,nodev,nosuid,noexec"), ("xfs", "ro,nodev,nosuid,noexec,nouuid")):
        argv = staging.mount_command("/dev/vg/s", "/run/x", file_system)
        assert argv == ("mount", "-t", file_system, "-o", options, "/dev/vg/s", "/run/x")


def test_the_room_for_a_resync_is_what_is_out_of_sync_and_some_more() -> None:
    big = replace(DATA, size=10_000 * MIB)
    assert safety.room(big, 1000 * 1024) == 2100 * MIB
    assert safety.room(big, 0) == 1000 * MIB
    assert safety.room(big, 9900 * 1024) == big.size
    assert safety.room(big, None) == big.size
    assert safety.room(DATA, 0) == DATA.size


class Host:
    """LVM with the volumes given."""

    def __init__(self, monkeypatch, *volumes: LogicalVolume) -> None:
        monkeypatch.setattr(surroundings, "volumes_of", self.volumes_of)
        self.volumes = volumes
        self.commands: list[str] = []

    async def volumes_of(self, device: str, run: object) -> tuple[LogicalVolume, tuple[LogicalVolume, ...]]:
        if device != "/dev/vg/data":
            raise Unreadable(f"{device} is not LVM's")
        return self.volumes[0], self.volumes

    async def run(self, argv: Sequence[str], deadline: float) -> Outcome:
        self.commands.append(" ".join(argv))
        return Outcome(argv=tuple(argv), status=0, output="", seconds=0.0)


def keep(host: Host, resource: Resource | None, reason: str = safety.RESYNC, disk: str = "/dev/vg/data"):
    return asyncio.run(safety.keep("r0", 0, disk, reason, resource, host.run))


def test_a_resync_is_preceded_by_a_snapshot_with_room_for_it(monkeypatch) -> None:
    host = Host(monkeypatch, replace(DATA, size=400 * MIB, group_free=400 * MIB))
    (link,) = PAIR.connections
    synced = replace(link, peer_devices=(replace(link.peer_devices[0], out_of_sync=100 * 1024),))
    assert keep(host, replace(PAIR, connections=(synced,))).new
    (command,) = host.commands
    assert "--size 153601k" in command
    assert "--addtag drbdctl.safety --addtag drbdctl.resource=r0 --addtag drbdctl.volume=0" in command
    assert "drbdctl.reason=resync" in command


TORN = replace(PAIR, devices=(Device(0, disk=DiskState.INCONSISTENT),))
OLD = replace(BACKUP, name="old", tags=frozenset(lvm.tags(lvm.SAFETY_TAG, "r0", 0, "drbdctl.reason=resync")))


def test_when_a_resync_begins_anew_the_older_one_stays_for_it_is_the_whole_one(monkeypatch) -> None:
    for resource in (TORN, None):
        host = Host(monkeypatch, DATA, OLD)
        kept = keep(host, resource)
        assert (kept.new, kept.volume.name, host.commands) == (False, "old", [])


def test_one_that_was_forgotten_is_replaced_when_the_disk_is_whole_again(monkeypatch) -> None:
    host = Host(monkeypatch, DATA, OLD)
    assert keep(host, PAIR).new
    assert "lvremove --yes --quiet --config activation/monitoring=0 vg/old" in host.commands


def test_a_discard_never_takes_an_older_one_for_its_own(monkeypatch) -> None:
    discarded = replace(OLD, tags=frozenset(lvm.tags(lvm.SAFETY_TAG, "r0", 0, "drbdctl.reason=discard")))
    host = Host(monkeypatch, DATA, OLD, discarded)
    assert keep(host, PAIR, safety.DISCARD).new
    assert "lvremove" not in " ".join(host.commands)


def test_one_that_ran_out_of_room_is_replaced(monkeypatch) -> None:
    host = Host(monkeypatch, DATA, OVERFLOWN)
    assert keep(host, PAIR).new
    assert "lvremove --yes --quiet --config activation/monitoring=0 vg/data_before-resync_1" in host.commands


@pytest.mark.parametrize("disk", [DiskState.INCONSISTENT, DiskState.DISKLESS, DiskState.FAILED])
def test_what_is_torn_already_is_not_kept(monkeypatch, disk: DiskState) -> None:
    host = Host(monkeypatch, DATA)
    with pytest.raises(StepFailed, match=f"its disk is {disk.value} already; there is nothing whole to keep"):
        keep(host, replace(PAIR, devices=(Device(0, disk=disk),)))
    assert host.commands == []


def test_without_room_or_lvm_there_is_a_sentence(monkeypatch) -> None:
    host = Host(monkeypatch, replace(DATA, group_free=MIB))
    with pytest.raises(StepFailed, match="volume group vg has 1 MiB free, a snapshot of data needs 20 MiB"):
        keep(host, None)
    with pytest.raises(Unreadable, match="/dev/vdb is not LVM's"):
        keep(host, PAIR, disk="/dev/vdb")


def test_a_discard_has_room_for_all_of_the_volume(monkeypatch) -> None:
    class Here(Node):
        def status(self) -> Status:
            return Status((PAIR,))

    host = Host(monkeypatch, DATA)
    here = Here(name="n2", disks=(Disk(0, "/dev/vg/data"),))
    (name,) = asyncio.run(safety.before_discard(here, "r0", host.run))
    assert name.startswith("vg/data_before-discard_")
    assert "--size 20481k" in host.commands[0]
    with pytest.raises(StepFailed, match="no snapshot of r0 before the discard: /dev/vdb is not LVM's"):
        asyncio.run(safety.before_discard(replace(here, disks=(Disk(0, "/dev/vdb"),)), "r0", host.run))
