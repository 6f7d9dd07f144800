"""One situation asked in four ways gives one state: /proc/drbd, `status` as JSON and as text, `events2 --now`."""

from pathlib import Path

import pytest

from drbdctl.status import drbdsetup_text as status_text
from drbdctl.status import proc_drbd
from drbdctl.status.agreement import disagreement
from drbdctl.status.drbdsetup_json import parse_json
from drbdctl.status.events2 import Feed
from drbdctl.status.state import Connection, Device, PeerDevice, Progress, Resource, Status, Unreadable, troubles
from drbdctl.status.words import ConnectionState, DiskState, ReplicationState, Role
from tests.unit.drbd_samples import FIXTURES, STATES, configured, name, text, words

UP = [path for path in STATES if configured(path)]
NAMES = {0: ("r0", 0), 1: ("r0", 1), 2: ("r1", 0)}
SUSPENDED = ("33-io-suspended-by-admin", "35-io-frozen-while-fence-handler-runs")
OUTDATED_PEER = ("34-fencing-handler-said-peer-outdated", "36-fenced-peer-io-resumed")


def verbose(path: Path) -> Status:
    return status_text.parse_text(text(path / "status-verbose-statistics.txt"))


def replayed(lines: str) -> Feed:
    feed = Feed()
    for line in lines.splitlines():
        feed = feed.after(line)
    return feed


@pytest.mark.parametrize("path", UP, ids=name)
def test_text_and_events_agree(path: Path) -> None:
    status = verbose(path)
    assert status.unread == ()
    assert status.resources
    feed = replayed(text(path / "events2-now-statistics.txt"))
    assert feed.trusted
    assert words(feed.status) == words(status)


@pytest.mark.parametrize("path", UP, ids=name)
def test_feed_and_status_of_one_moment_do_not_disagree(path: Path) -> None:
    feed = replayed(text(path / "events2-now-statistics.txt")).status
    status = parse_json(text(path / "status.json")) if (path / "status.json").exists() else proc_status(path)
    assert disagreement(feed, status) == ""


def proc_status(path: Path) -> Status:
    return proc_drbd.status(proc_drbd.parse((path / "proc-drbd.txt").read_bytes()), NAMES)


@pytest.mark.parametrize("path", [each for each in UP if (each / "status.json").exists()], ids=name)
def test_json_agrees(path: Path) -> None:
    assert words(parse_json(text(path / "status.json"))) == words(verbose(path))


@pytest.mark.parametrize("path", [each for each in UP if "drbd84" in each.parts], ids=name)
def test_proc_drbd_agrees(path: Path) -> None:
    proc = proc_drbd.parse((path / "proc-drbd.txt").read_bytes())
    assert (proc.release, proc.unread) == ("8.4.11", ())
    found = words(proc_drbd.status(proc, NAMES))
    expected = words(verbose(path))
    if path.parent.name in SUSPENDED and path.name == "n1":
        # /proc/drbd has one letter for every reason.
        assert [each.suspended for each in found] == ["yes"]
        expected = [Resource(each.name, role=each.role, suspended="yes", devices=each.devices, connections=each.connections) for each in expected]  # fmt: skip  # noqa: E501
    assert found == expected


@pytest.mark.parametrize("path", UP, ids=name)
def test_short_text_agrees(path: Path) -> None:
    found, expected = words(status_text.parse_text(text(path / "status.txt"))), words(verbose(path))
    if path.parent.name in OUTDATED_PEER and path.name == "n1":
        # Without --verbose nothing is said of a lost peer.
        assert found[0].connections[0].peer_devices[0].peer_disk is DiskState.D_UNKNOWN
        assert expected[0].connections[0].peer_devices[0].peer_disk is DiskState.OUTDATED
    else:
        assert found == expected


def test_counters_of_proc_are_those_of_status() -> None:
    path = FIXTURES / "drbd84" / "states" / "04-primary-secondary-uptodate" / "n1"
    (told,) = verbose(path).resources
    (found,) = proc_drbd.status(proc_drbd.parse((path / "proc-drbd.txt").read_bytes()), NAMES).resources
    for counter in ("read", "written", "al_writes", "bm_writes", "upper_pending", "lower_pending", "al_suspended"):
        assert getattr(found.devices[0], counter) == getattr(told.devices[0], counter), counter
    for counter in ("received", "sent", "out_of_sync", "pending", "unacked"):
        mine, its = (each.connections[0].peer_devices[0] for each in (found, told))
        assert getattr(mine, counter) == getattr(its, counter), counter
    assert found.write_ordering == told.write_ordering == "flush"


def test_json_in_full() -> None:
    path = FIXTURES / "drbd9" / "states" / "09-reconnected-resyncing" / "n1" / "status.json"
    assert parse_json(path.read_bytes()).resources == (
        Resource(
            "r0",
            0,
            Role.SECONDARY,
            "no",
            force_io_failures=False,
            write_ordering="flush",
            devices=(
                Device(
                    0,
                    0,
                    DiskState.INCONSISTENT,
                    client=False,
                    quorum=True,
                    size=98264,
                    read=99695,
                    written=109458,
                    al_writes=2,
                    bm_writes=7,
                    upper_pending=0,
                    lower_pending=1,
                ),
            ),
            connections=(
                Connection(
                    "n2",
                    1,
                    ConnectionState.CONNECTED,
                    Role.PRIMARY,
                    congested=False,
                    ap_in_flight=0,
                    rs_in_flight=0,
                    peer_devices=(
                        PeerDevice(
                            0,
                            ReplicationState.SYNC_TARGET,
                            DiskState.UP_TO_DATE,
                            peer_client=False,
                            resync_suspended="no",
                            received=512,
                            sent=0,
                            out_of_sync=7696,
                            pending=2,
                            unacked=0,
                            progress=Progress(6.24, 6.0, 1.18 * 1024),
                        ),
                    ),
                ),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("status-healthy-tiebreaker.json", []),
        ("status-old-9.0-keys.json", []),
        ("status-none.json", []),
        ("status-consistent-no-peer.json", ["volume 0 is Consistent", "node-b is not connected (Connecting)"]),
        ("status-forced-secondary.json", ["it answers every I/O with an error", "volume 0 is Outdated"]),
        (
            "status-no-quorum-suspended.json",
            [
                "I/O is suspended (quorum)",
                "volume 0 has no quorum",
                "node-b is not connected (Connecting)",
                "node-q is not connected (Connecting)",
            ],
        ),
        ("status-split-brain-standalone.json", ["it is StandAlone: no peer is looked for"]),
        ("status-syncing-details.json", ["volume 0 is Inconsistent", "volume 0 at node-b: SyncTarget"]),
        ("status-two-resources.json", ["volume 1 is Outdated"]),
    ],
)
def test_what_is_not_as_it_should_be(file: str, expected: list[str]) -> None:
    status = parse_json((FIXTURES / "drbd9-synthetic" / file).read_bytes())
    assert [trouble for resource in status.resources for trouble in troubles(resource)] == expected


HEALTHY = {"04", "05", "06", "17", "20", "30", "34c", "38", "40"}
"the situations in which nothing is wrong"


@pytest.mark.parametrize("path", UP, ids=name)
def test_healthy_is_only_what_is(path: Path) -> None:
    number = path.parent.name.partition("-")[0]
    healthy = all(resource.healthy for resource in verbose(path).resources)
    connected = all(not resource.standalone for resource in verbose(path).resources)
    assert healthy is (number in HEALTHY and connected)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"disk-state": "UpToDate"', '"disk-state": "UpToDateish"'),
        ('"peer-disk-state": "UpToDate"', '"peer-disk-state": "Splendid"'),
        ('"connection-state": "Connected"', '"connection-state": "Connectedly"'),
        ('"replication-state": "Established"', '"replication-state": "Establishing"'),
        ('"role": "Primary"', '"role": "Tertiary"'),
        ('"peer-role": "Secondary"', '"peer-role": ""'),
        ('"disk-state": "UpToDate",', ""),
        ('"disk-state": "UpToDate"', '"disk-state": ["UpToDate"]'),
    ],
)
def test_a_word_that_is_not_known_is_kept_and_never_healthy(old: str, new: str) -> None:
    healthy = (FIXTURES / "drbd9-synthetic" / "status-old-9.0-keys.json").read_text()
    assert parse_json(healthy).resources[0].healthy
    changed = healthy.replace(old, new, 1)
    assert changed != healthy
    (resource,) = parse_json(changed).resources
    assert not resource.healthy


def test_the_text_of_an_unknown_word() -> None:
    (resource,) = status_text.parse_text("r0 role:Tertiary\n  disk:Wobbly\n").resources
    assert (resource.role, resource.unrecognized) == (Role.UNRECOGNIZED, (("role", "Tertiary"),))
    assert resource.devices[0].disk is DiskState.UNRECOGNIZED
    assert troubles(resource)[:2] == ["role 'Tertiary' is not known here", "disk 'Wobbly' is not known here"]


def test_keys_of_a_newer_drbd_are_left_out() -> None:
    assert parse_json('[{"name": "r", "admin-lock": {"a": [1]}, "devices": [], "new": 3}]').resources[0].name == "r"


def test_a_counter_that_fell_below_zero_is_not_a_number() -> None:
    (resource,) = parse_json(
        '[{"name": "r", "connections": [{"name": "p", "ap-in-flight": 18446744073709551608, "rs-in-flight": 8}]}]'
    ).resources
    assert (resource.connections[0].ap_in_flight, resource.connections[0].rs_in_flight) == (None, 8)


@pytest.mark.parametrize(
    "answer",
    [
        (FIXTURES / "drbd84" / "errors" / "json-unsupported.txt").read_text(),
        "",
        "{}",
        "[1]",
        '[{"role": "Primary"}]',
        '[{"name": "r", "devices": [{"disk-state": "UpToDate"}]}]',
        '[{"name": "r", "devices": 3}]',
        "[" * 100_000,
        '[{"name": "r0", "role": "Primary"',
    ],
    ids=["usage", "nothing", "object", "number", "nameless", "no volume", "no list", "deep", "torn"],
)
def test_what_is_no_answer_is_one_sentence(answer: str) -> None:
    with pytest.raises(Unreadable) as caught:
        parse_json(answer)
    assert str(caught.value).startswith("drbdsetup status --json: ")
    assert "\n" not in str(caught.value)


def test_a_line_of_text_that_fits_nowhere_is_told() -> None:
    assert status_text.parse_text("r0: No such resource\n").unread == ("r0: No such resource",)
    assert status_text.parse_text("  disk:UpToDate\n").unread == ("  disk:UpToDate",)
    assert status_text.parse_text("r0 role:Primary\n  disk:UpToDate what\n").unread == ("  disk:UpToDate what",)


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ('[{"name": "r0"}, {"name": "r0"}]', "resources of one name"),
        ('[{"name": "r0", "devices": [{"volume": 0}, {"volume": 0}]}]', "devices of one volume"),
        (
            '[{"name": "r0", "connections": [{"name": "p", "peer_devices": [{"volume": 1}, {"volume": 1}]}]}]',
            "peer devices of one volume",
        ),
    ],
)
def test_of_two_with_one_name_nobody_knows_which_to_believe(answer: str, what: str) -> None:
    with pytest.raises(Unreadable, match=f"it has two {what}"):
        parse_json(answer)
