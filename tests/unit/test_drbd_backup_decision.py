"""Which node makes a backup, and when none is made: on captures of real pairs, and on states that are rarer."""

from dataclasses import replace
from pathlib import Path

import pytest

from drbdctl.backup.decision import Backing, Go, Leave, Refuse, Seen, consistent, decide
from drbdctl.backup.lvm import LogicalVolume
from drbdctl.backup.settings import Backup, Program
from drbdctl.status import proc_drbd
from drbdctl.status.state import Connection, Device, PeerDevice, Resource, Status
from drbdctl.status.words import ConnectionState, DiskState, ReplicationState, Role
from tests.unit.drbd_samples import STATES, configured, name

NOW = 1_800_000_000.0
HOUR = 3600.0
SETTINGS = Backup(program=Program.RESTIC, repository="/srv/vault", password_file="/etc/password")
ORIGIN = LogicalVolume(group="vg", name="data", size=1 << 30, group_free=1 << 30)
PAIR = Resource(
    "r0",
    role=Role.SECONDARY,
    suspended="no",
    devices=(Device(0, minor=0, disk=DiskState.UP_TO_DATE),),
    connections=(
        Connection(
            "n1",
            connection=ConnectionState.CONNECTED,
            peer_role=Role.PRIMARY,
            peer_devices=(PeerDevice(0, ReplicationState.ESTABLISHED, DiskState.UP_TO_DATE),),
        ),
    ),
)


def linked(resource: Resource, role: Role, connection=ConnectionState.CONNECTED, peer_role=Role.SECONDARY, **peer):
    (link,) = resource.connections
    device = replace(link.peer_devices[0], **peer)
    changed = replace(link, connection=connection, peer_role=peer_role, peer_devices=(device,))
    return replace(resource, role=role, connections=(changed,))


PRIMARY = linked(PAIR, Role.PRIMARY)


def seen(resource: Resource | None, *, newest: float | None = None, origin: LogicalVolume | None = ORIGIN, **more):
    status = Status((resource,) if resource else (), **more)
    backings = [Backing(0, "/dev/vg/data", origin, "" if origin else "/dev/vdb is not LVM's")]
    return Seen(resource="r0", status=status, backings=backings, volumes=(ORIGIN,), newest=newest)


def why(resource: Resource | None, **more) -> str:
    decision = decide(seen(resource, **more), SETTINGS, NOW)
    assert isinstance(decision, Refuse), decision
    return "; ".join(decision.why)


def test_a_connected_secondary_that_is_up_to_date_makes_it() -> None:
    assert decide(seen(PAIR, newest=NOW - HOUR), SETTINGS, NOW) == Go(
        Role.SECONDARY, "a connected Secondary that is UpToDate: its peer's service does not notice"
    )


def test_the_primary_leaves_it_to_such_a_peer_while_that_does_its_work() -> None:
    assert isinstance(decide(seen(PRIMARY, newest=NOW - 25 * HOUR), SETTINGS, NOW), Leave)
    assert isinstance(decide(seen(PRIMARY, newest=NOW - 27 * HOUR), SETTINGS, NOW), Go)
    assert isinstance(decide(seen(PRIMARY, newest=None), SETTINGS, NOW), Go)
    assert isinstance(decide(seen(PRIMARY, newest=NOW - HOUR), SETTINGS, NOW, here=True), Go)


def test_an_archive_of_the_future_is_no_reason_to_leave_it() -> None:
    assert isinstance(decide(seen(PRIMARY, newest=NOW + 86400), SETTINGS, NOW), Go)
    assert isinstance(decide(seen(PRIMARY, newest=NOW + 60), SETTINGS, NOW), Leave)


@pytest.mark.parametrize(
    "peer",
    [
        {"connection": ConnectionState.CONNECTING, "peer_role": Role.UNKNOWN},
        {"connection": ConnectionState.STANDALONE, "peer_role": Role.UNKNOWN},
        {"peer_disk": DiskState.INCONSISTENT, "replication": ReplicationState.SYNC_SOURCE},
        {"peer_disk": DiskState.DISKLESS},
        {"replication": ReplicationState.AHEAD},
    ],
)
def test_the_primary_makes_it_where_no_peer_could(peer) -> None:
    assert isinstance(decide(seen(linked(PAIR, Role.PRIMARY, **peer), newest=NOW - HOUR), SETTINGS, NOW), Go)


@pytest.mark.parametrize(
    "disk", [each for each in DiskState if each is not DiskState.UP_TO_DATE], ids=lambda disk: disk.name
)
@pytest.mark.parametrize("role", [Role.PRIMARY, Role.SECONDARY])
def test_a_disk_in_any_other_state_is_refused(disk: DiskState, role: Role) -> None:
    resource = replace(PAIR, role=role, devices=(Device(0, disk=disk),))
    assert f"r0/0 is {disk.value or 'in a state that is not known'} here" in why(resource)


@pytest.mark.parametrize(
    ("replication", "word"),
    [
        (ReplicationState.SYNC_TARGET, "it is being resynchronised (SyncTarget)"),
        (ReplicationState.PAUSED_SYNC_T, "which is paused (PausedSyncT)"),
        (ReplicationState.WF_BITMAP_T, "a resync of it begins (WFBitMapT)"),
        (ReplicationState.BEHIND, "it is behind its peer (Behind)"),
        (ReplicationState.UNRECOGNIZED, "in a state that is not known"),
    ],
)
def test_whoever_receives_data_that_it_lacks_is_refused(replication: ReplicationState, word: str) -> None:
    assert word in why(linked(PAIR, Role.SECONDARY, peer_role=Role.PRIMARY, replication=replication))


def test_a_secondary_alone_may_be_old_and_is_refused() -> None:
    for state in (ConnectionState.CONNECTING, ConnectionState.STANDALONE, ConnectionState.UNRECOGNIZED):
        assert "can't know that its data are the newest" in why(linked(PAIR, Role.SECONDARY, connection=state))
    assert "can't know" in why(replace(PAIR, connections=()))


def test_what_is_not_known_is_refused() -> None:
    assert why(None) == "r0 is not up on this node; `drbdadm up r0`"
    assert "what is not understood" in why(PAIR, unread=(" 1: cs:Warp",))
    assert "its role is not clear" in why(replace(PAIR, role=Role.UNRECOGNIZED))
    assert "has no volume" in why(replace(PAIR, devices=()))
    mixed = (Device(0, disk=DiskState.UP_TO_DATE, role=Role.PRIMARY), Device(1, disk=DiskState.UP_TO_DATE))
    assert "its role is not clear" in why(replace(PAIR, devices=mixed))
    assert "I/O is suspended (quorum)" in why(replace(PAIR, suspended="quorum"))


def test_without_lvm_or_room_there_is_no_snapshot() -> None:
    assert "is no logical volume (/dev/vdb is not LVM's)" in why(PAIR, origin=None)
    assert "has 100 MiB free, a snapshot of data needs 205 MiB" in why(
        PAIR, origin=replace(ORIGIN, group_free=100 << 20)
    )


def test_two_volumes_have_no_common_moment_unless_they_need_none() -> None:
    (link,) = PAIR.connections
    both = replace(
        PAIR,
        devices=(*PAIR.devices, Device(1, disk=DiskState.UP_TO_DATE)),
        connections=(replace(link, peer_devices=(*link.peer_devices, replace(link.peer_devices[0], volume=1))),),
    )
    found = seen(both)
    found = replace(found, backings=[*found.backings, Backing(1, "/dev/vg/log", ORIGIN)])
    decision = decide(found, SETTINGS, NOW)
    assert isinstance(decision, Refuse)
    assert "would be of different moments" in decision.why[0]
    assert isinstance(decide(found, replace(SETTINGS, independent_volumes=True), NOW), Go)


def test_a_resync_that_began_while_the_snapshot_was_taken_is_noticed() -> None:
    assert consistent(Status((PAIR,)), "r0") == ""
    syncing = linked(PAIR, Role.SECONDARY, peer_role=Role.PRIMARY, replication=ReplicationState.SYNC_TARGET)
    assert "SyncTarget" in consistent(Status((syncing,)), "r0")
    assert "can't be seen" in consistent(Status(), "r0")


@pytest.mark.parametrize("path", [each for each in STATES if (each / "proc-drbd.txt").exists()], ids=name)
def test_of_all_captured_states_only_whole_disks_are_backed_up(path: Path) -> None:
    content = (path / "proc-drbd.txt").read_bytes()
    found = proc_drbd.parse(content)
    if found.names_resources or not configured(path):
        return
    for resource in proc_drbd.status(found, {}).resources:
        at = replace(seen(resource), resource=resource.name)
        decision = decide(replace(at, status=Status((resource,))), SETTINGS, NOW)
        minor = resource.name.removeprefix("minor-")
        line = next(line for line in content.decode(errors="replace").splitlines() if line.startswith(f" {minor}: cs:"))
        good = "ds:UpToDate/" in line and "SyncTarget" not in line and "Behind" not in line
        alone = "ro:Secondary" in line and "/UpToDate" not in line
        assert isinstance(decision, Refuse) == (not good or alone or " s----" in line), line
