"""/proc/drbd of every version, each field."""

from pathlib import Path

import pytest

from drbdctl.status.proc_drbd import ProcDevice, ProcDrbd, parse, status
from drbdctl.status.state import Progress
from drbdctl.status.words import ConnectionState, DiskState, ReplicationState, Role
from tests.unit.drbd_samples import FIXTURES

FIELDS = ("ns", "nr", "dw", "dr", "al", "bm", "lo", "pe", "ua", "ap", "ep", "oos")
PAIR = FIXTURES / "second-pair"
HEAD_83 = "version: 8.3.1 (api:88/proto:86-89)\nGIT-hash: fd40f4a8f by build@host, 2009-03-27 12:17:02\n"


def device(file: str) -> ProcDevice:
    proc = parse((PAIR / file).read_bytes())
    assert proc.unread == ()
    (found,) = proc.devices
    return found


def test_every_field() -> None:
    assert device("proc-drbd-synctarget.txt") == ProcDevice(
        0,
        "SyncTarget",
        "Secondary",
        "Primary",
        "Inconsistent",
        "UpToDate",
        "C",
        "r-----",
        dict(zip(FIELDS, (0, 21888, 21828, 0, 8, 0, 4, 2, 4, 0, 1, 43668), strict=True)),
        "f",
        Progress(37.5, 5.0, 7276.0),
    )


@pytest.mark.parametrize("path", sorted(PAIR.glob("proc-drbd-*.txt")), ids=lambda path: path.stem)
def test_every_sample_is_understood(path: Path) -> None:
    proc = parse(path.read_bytes())
    assert proc.unread == ()
    assert proc.release == "8.4.11"
    for resource in status(proc).resources:
        assert resource.unrecognized == ()
        assert resource.devices[0].unrecognized == ()


@pytest.mark.parametrize(
    ("file", "connection", "replication", "disk", "paused"),
    [
        ("connected-primary", "Connected", "Established", "UpToDate", "no"),
        ("connected-both-inconsistent", "Connected", "Established", "Inconsistent", "no"),
        ("diskless-primary", "Connected", "Established", "Diskless", "no"),
        ("outdated-standalone", "StandAlone", "Off", "Outdated", "no"),
        ("splitbrain-a", "StandAlone", "Off", "UpToDate", "no"),
        ("wfconnection-primary", "Connecting", "Off", "UpToDate", "no"),
        ("pausedsyncs", "Connected", "PausedSyncS", "UpToDate", "peer"),
        ("pausedsynct", "Connected", "PausedSyncT", "Inconsistent", "user"),
        ("syncsource-details2", "Connected", "SyncSource", "UpToDate", "no"),
        ("verifys", "Connected", "VerifyS", "UpToDate", "no"),
    ],
)
def test_one_word_of_8_is_two_of_9(file: str, connection: str, replication: str, disk: str, paused: str) -> None:
    (resource,) = status(parse((PAIR / f"proc-drbd-{file}.txt").read_bytes())).resources
    (link,) = resource.connections
    assert link.connection is ConnectionState(connection)
    assert link.peer_devices[0].replication is ReplicationState(replication)
    assert link.peer_devices[0].resync_suspended == paused
    assert resource.devices[0].disk is DiskState(disk)


def test_suspended_io() -> None:
    (resource,) = status(parse((PAIR / "proc-drbd-suspended-user.txt").read_bytes())).resources
    assert resource.suspended == "yes"
    assert not resource.healthy


def test_volumes_of_one_resource_can_differ_in_role() -> None:
    proc = parse((PAIR / "proc-drbd-multivolume-hole.txt").read_bytes())
    assert [each.minor for each in proc.devices] == [10, 12]
    (resource,) = status(proc, {10: ("m", 0), 12: ("m", 1)}).resources
    assert resource.role is Role.PRIMARY
    assert [each.role for each in resource.devices] == [Role.PRIMARY, Role.SECONDARY]
    assert [each.volume for each in resource.connections[0].peer_devices] == [0, 1]
    assert [each.al_suspended for each in resource.devices] == [True, True]
    assert [each.name for each in status(proc).resources] == ["minor-10", "minor-12"]


def test_one_volume_that_is_not_connected_is_not_hidden_by_the_other() -> None:
    text = (PAIR / "proc-drbd-connected-primary.txt").read_text()
    other = text[text.index(" 0: ") :].replace(" 0: cs:Connected", " 1: cs:WFConnection")
    for content in (text + other, text.replace(text[text.index(" 0: ") :], other) + text[text.index(" 0: ") :]):
        (resource,) = status(parse(content), {0: ("m", 0), 1: ("m", 1)}).resources
        assert resource.connections[0].connection is ConnectionState.CONNECTING


def test_8_0_with_st_and_four_flags() -> None:
    proc = parse(
        "version: 8.0.16 (api:86/proto:86)\nGIT-hash: d30881451 build by x@y, 2009-02-04 11:38:37\n"
        " 0: cs:Connected st:Primary/Secondary ds:UpToDate/UpToDate C r---\n"
        "    ns:125 nr:0 dw:123 dr:1369 al:5 bm:2 lo:0 pe:0 ua:0 ap:0\n"
        "\tresync: used:0/31 hits:0 misses:0 starving:0 dirty:0 changed:0\n"
        "\tact_log: used:0/257 hits:22 misses:5 starving:0 dirty:0 changed:5\n"
    )
    assert proc.unread == ()
    (resource,) = status(proc).resources
    assert (resource.role, resource.suspended, resource.write_ordering) == (Role.PRIMARY, "no", None)
    assert resource.connections[0].peer_devices[0].out_of_sync is None
    assert resource.devices[0].al_suspended is None
    assert resource.healthy


def test_8_3_1_prints_a_nul() -> None:
    content = (
        HEAD_83.encode() + b" 0: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r---\0\n"
        b"    ns:1 nr:0 dw:1 dr:1 al:1 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:b oos:0\n"
    )
    proc = parse(content)
    assert proc.unread == ()
    assert status(proc).resources[0].healthy
    assert status(proc).resources[0].write_ordering == "barrier"


def test_unconfigured_and_standalone_without_protocol() -> None:
    proc = parse(
        HEAD_83 + " 0: cs:Unconfigured\n 1: cs:StandAlone ro:Secondary/Unknown ds:UpToDate/DUnknown   r----\n"
        "    ns:0 nr:0 dw:0 dr:0 al:0 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:b oos:1\n10: cs:Unconfigured\n"
    )
    assert [each.minor for each in proc.devices] == [0, 1, 10]
    assert proc.unread == ()
    (resource,) = status(proc).resources
    assert resource.standalone
    assert resource.connections[0].protocol is None


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            "\t[>....................] sync'ed:  1.4% (9956/10092)M\n\tfinish: 1:02:03 speed: 30,164 (28,592) K/sec\n",
            Progress(1.4, 3723.0, 30164.0),
        ),
        # 2.6.39 forgets the line break.
        (
            "\t[>....................] sync'ed:  1.4% (9956/10092)Mfinish: 0:00:10 speed: 10 (10) K/sec\n",
            Progress(1.4, 10.0, 10.0),
        ),
        (
            "\t[=>..................] sync'ed: 14.3% (26800/26800)K\n\tfinish: 0:01:07 speed: 0 (0) K/sec (stalled)\n",
            Progress(14.3, None, 0.0, stalled=True),
        ),
        ("\t[=>..................] sync'ed: 14.3% (26800/26800)K\n\tstalled\n", Progress(14.3, stalled=True)),
    ],
    ids=["M", "no line break", "(stalled)", "stalled"],
)
def test_progress(lines: str, expected: Progress) -> None:
    proc = parse(HEAD_83 + " 0: cs:SyncSource ro:Primary/Secondary ds:UpToDate/Inconsistent C r-----\n" + lines)
    assert proc.unread == ()
    assert proc.devices[0].progress == expected


def test_9_says_its_version_only() -> None:
    proc = parse((FIXTURES / "drbd9-synthetic" / "proc-drbd-9-no-compat.txt").read_bytes())
    assert proc == ProcDrbd("9.2.13")
    assert proc.names_resources


def test_9_3_in_8_4_mode_speaks_like_8_4() -> None:
    proc = parse((FIXTURES / "drbd9-synthetic" / "proc-drbd-9.3-compat84.txt").read_bytes())
    assert proc.unread == ()
    assert not proc.names_resources
    assert proc.devices[0].progress == Progress(37.5)


def test_nothing_configured_is_not_9() -> None:
    assert not parse((PAIR / "proc-drbd-empty.txt").read_bytes()).names_resources


def test_what_is_not_known_is_kept() -> None:
    proc = parse(HEAD_83 + " 0: cs:Pondering ro:Primary/Secondary ds:UpToDate/UpToDate C r-----\n?? what\n")
    assert proc.unread == ("?? what",)
    found = status(proc)
    assert found.unread == ("?? what",)
    assert found.resources[0].connections[0].connection is ConnectionState.UNRECOGNIZED
    assert ("replication", "Pondering") in found.resources[0].connections[0].peer_devices[0].unrecognized
    assert not found.resources[0].healthy


@pytest.mark.parametrize(
    "second",
    [
        " 0: cs:Connected ro:Secondary/Secondary ds:Inconsistent/UpToDate C r-----",  # which one to believe?
        " 00: cs:Connected ro:Secondary/Secondary ds:UpToDate/UpToDate C r-----",
        " 1: cs:Connected ro:Secondary/Secondary ds:UpToDate/UpToDate r-----",  # the protocol was torn out
    ],
)
def test_a_line_that_no_kernel_prints_is_not_read(second: str) -> None:
    first = " 0: cs:Connected ro:Secondary/Secondary ds:UpToDate/UpToDate C r-----"
    found = parse(f"version: 8.4.11 (api:1/proto:86-101)\n{first}\n{second}\n")
    assert (len(found.devices), found.unread) == (1, (second,))
