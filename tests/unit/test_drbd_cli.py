"""`drbdctl status` and `drbdctl events`: what an operator sees, also where DRBD is not there or answers nonsense."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from drbdctl.cli import main, status_storage
from drbdctl.status import ask
from drbdctl.status.state import Unreadable
from tests.unit.drbd_samples import FIXTURES

STATES = FIXTURES / "drbd84" / "states"
CONFIG = """
resource r0 {
  volume 0 { device /dev/drbd0; disk /dev/vdb; meta-disk internal; }
  volume 1 { device /dev/drbd1; disk /dev/vdc; meta-disk internal; }
  on n1 { address 10.77.0.1:7789; } on n2 { address 10.77.0.2:7789; }
}
resource r1 {
  device /dev/drbd2; disk /dev/vdd; meta-disk internal;
  on n1 { address 10.77.0.1:7790; } on n2 { address 10.77.0.2:7790; }
}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "drbd.conf"
    path.write_text(CONFIG)
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str], str]:
    status = main(list(arguments))
    out, err = capsys.readouterr()
    return status, out.splitlines(), err


def proc(state: str, node: str = "n1") -> str:
    return str(STATES / state / node / "proc-drbd.txt")


def test_all_is_well(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = proc("30-two-resources-three-volumes")
    assert run(capsys, "status", "-f", config, "--proc", file) == (
        0,
        [
            "RESOURCE  ROLE     VOLUME  DEVICE      DISK      PEER  CONNECTION  PEER ROLE  PEER DISK  REPLICATION",
            "r0        Primary  0       /dev/drbd0  UpToDate  peer  Connected   Secondary  UpToDate   Established",
            "r0        Primary  1       /dev/drbd1  UpToDate  peer  Connected   Secondary  UpToDate   Established",
            "r1        Primary  0       /dev/drbd2  UpToDate  peer  Connected   Secondary  UpToDate   Established",
        ],
        "",
    )


def test_a_resync_has_a_bar_and_an_end(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, lines, _ = run(capsys, "status", "-f", config, "--proc", proc("09-reconnected-resyncing"))
    assert status == 1
    assert lines[2:] == [
        "r0/0: resync from peer [=============.......] 66.7 %, 6.4 MiB to go, 1.6 MiB/s, 0:03 left",
        "r0: volume 0 is Inconsistent",
        "r0: volume 0 at peer: SyncTarget",
    ]


def test_a_split_brain_is_standalone(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, lines, _ = run(capsys, "status", "-f", config, "--proc", proc("15-split-brain-detected"))
    assert status == 1
    assert lines[-1] == "r0: it is StandAlone: no peer is looked for"


@pytest.fixture
def two_looks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Ctrl-C after the second one."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("drbdctl.cli.status.time.sleep", sleep)
    return slept


def test_watched_until_ctrl_c(config: str, capsys: pytest.CaptureFixture[str], two_looks: list[float]) -> None:
    watched, lines, _ = run(
        capsys, "status", "-f", config, "--proc", proc("04-primary-secondary-uptodate"), "--watch", "0.5"
    )
    assert (watched, two_looks) == (130, [0.5, 0.5])
    assert sum("every 0.5 s, Ctrl-C ends it" in line for line in lines) == 2
    assert sum(line.startswith("r0 ") for line in lines) >= 2


def test_watched_as_json_is_an_object_a_line(
    config: str, capsys: pytest.CaptureFixture[str], two_looks: list[float]
) -> None:  # fmt: skip
    _, lines, _ = run(
        capsys, "status", "-f", config, "--proc", proc("04-primary-secondary-uptodate"), "--json", "--watch"
    )
    assert [json.loads(line)["schema"] for line in lines] == [1, 1]


@pytest.mark.parametrize("wrong", ["0", "-1", "nan", "x", "3601"])
def test_a_watch_that_makes_no_sense(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["status", "--watch", wrong])
    assert "argument --watch: invalid seconds value" in capsys.readouterr().err


def test_without_a_configuration_minors_have_no_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, lines, _ = run(
        capsys, "status", "-f", str(tmp_path / "none"), "--proc", proc("04-primary-secondary-uptodate")
    )  # fmt: skip
    assert lines[1].startswith("minor-0 ")


def test_json(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = proc("09-reconnected-resyncing")
    status, lines, _ = run(capsys, "status", "--json", "-f", config, "--proc", file)
    report = json.loads("\n".join(lines))
    assert status == 1
    assert (report["schema"], report["source"], report["release"], report["unread"]) == (1, file, "8.4.11", [])
    (resource,) = report["resources"]
    assert (resource["name"], resource["role"], resource["healthy"], resource["standalone"]) == (
        "r0",
        "Secondary",
        False,
        False,
    )
    assert resource["connections"][0]["peer_devices"][0]["progress"] == {
        "percent": 66.7,
        "seconds_left": 3.0,
        "rate": 1664.0,
        "stalled": False,
    }


def test_drbd_is_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    missing = str(tmp_path / "proc-drbd")
    monkeypatch.setattr(ask, "PROC", missing)
    with pytest.raises(Unreadable, match=r"^DRBD is not here: its kernel module is not loaded"):
        ask.node_status(missing)
    assert run(capsys, "status", "--proc", str(tmp_path / "x")) == (
        2,
        [],
        f"drbdctl status: there is no file {tmp_path / 'x'}\n",
    )
    status, lines, _ = run(capsys, "status", "--json", "--proc", str(tmp_path / "x"))
    assert (status, json.loads(lines[0])["error"]) == (2, f"there is no file {tmp_path / 'x'}")


def test_a_file_that_is_not_proc_drbd(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, lines, err = run(capsys, "status", "--proc", config)
    assert (status, lines) == (2, [])
    assert err == f"drbdctl status: {config} does not begin with DRBD's version; is this the file?\n"


@pytest.fixture
def nine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A node with module 9: its /proc/drbd, and a drbdsetup that says what it is told to."""
    version = tmp_path / "proc-drbd"
    version.write_bytes((FIXTURES / "drbd9-synthetic" / "proc-drbd-9-no-compat.txt").read_bytes())
    monkeypatch.setattr(ask, "PROC", str(version))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def drbdsetup(directory: Path, script: str) -> None:
    path = directory / "drbdsetup"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_9_is_asked_by_drbdsetup(nine: Path) -> None:
    answer = FIXTURES / "drbd9" / "states" / "04-primary-secondary-uptodate" / "n1" / "status.json"
    drbdsetup(nine, f'[ "$*" = "status --json" ] && cat {answer}')
    found = ask.node_status(str(nine / "proc-drbd"))
    assert (found.source, found.release) == ("drbdsetup status --json", "9.2.13")
    assert found.status.resources[0].healthy


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 'no way' >&2; exit 20", "drbdsetup status --json: exit status 20, no way"),
        ("exit 3", "drbdsetup status --json: exit status 3, it said nothing"),
        ("echo '[{'", "drbdsetup status --json: this is no JSON"),
        ("printf '\\377\\000'", "drbdsetup status --json: this is no JSON"),
    ],
)
def test_9_answers_nonsense(nine: Path, script: str, expected: str) -> None:
    drbdsetup(nine, script)
    with pytest.raises(Unreadable) as caught:
        ask.node_status(str(nine / "proc-drbd"))
    assert str(caught.value).startswith(expected)


def test_a_command_that_hangs_or_is_missing() -> None:
    with pytest.raises(Unreadable, match=r"no answer within 0\.05 s"):
        ask.run(("sleep", "5"), deadline=0.05)
    with pytest.raises(Unreadable, match="drbdsetup is not installed; install drbd-utils"):
        ask.run(("a-command-that-nobody-has",))


def test_events_are_followed(nine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream = FIXTURES / "drbd9" / "streams" / "03-role-change" / "n1.timestamps-statistics.txt"
    drbdsetup(nine, f'[ "$*" = "events2 --timestamps" ] && cat {stream}; printf "change reso"')
    lines = list(ask.follow(ask.PROC))
    assert "".join(lines) == stream.read_text()


def test_events_of_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    stream = str(FIXTURES / "drbd84" / "streams" / "09-split-brain" / "n1.timestamps-statistics.txt")
    status, lines, _ = run(capsys, "events", "--file", stream)
    assert status == 0
    assert "2026-11-22T13:26:14.972865+00:00 r0: role Secondary -> Primary" in lines
    assert "2026-11-22T13:26:21.479437+00:00 r0: DRBD calls split-brain" in lines
    status, lines, _ = run(capsys, "events", "--json", "--file", stream)
    assert json.loads(lines[-1])["changes"][-1] == "r0: role of peer Unknown -> gone"


def test_a_stream_that_is_not_understood(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream = tmp_path / "stream"
    stream.write_text("exists resource name:r0 role:Primary suspended:no\nexists -\n- skipped 4\n")
    status, lines, _ = run(capsys, "events", "--file", str(stream))
    assert status == 1
    assert lines[-1] == "not understood, the state may be wrong from here: a line that can't be read: '- skipped 4'"
    assert run(capsys, "events", "--file", str(tmp_path / "none"))[0] == 2


def test_the_exit_status_of_a_fence_handler_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream = tmp_path / "stream"
    stream.write_text("response helper name:r0 peer-node-id:0 conn-name:peer helper:fence-peer status:1792\n")
    assert run(capsys, "events", "--file", str(stream))[1] == ["r0: fence-peer ended with 7"]


def test_version_and_help_need_no_heavy_import() -> None:
    code = "import sys; from drbdctl.cli import main; main(['--version']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("drbdctl ")
    for heavy in ("argparse", "asyncio", "json", "subprocess", "drbdctl.state"):
        assert f"'{heavy}'" not in done.stdout


def test_a_verb_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["sing"])
    assert caught.value.code == 2
    assert "check" in capsys.readouterr().err


STORAGE = {
    "vrrp_instance": "DRBD",
    "phase": "secondary",
    "step": None,
    "alarm": "",
    "faults": [],
    "degraded": [],
    "refusals": [],
}


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({}, ["storage NFS (DRBD): secondary", "    on a failover: it would take over"]),
        (
            {"faults": ["r0: it is StandAlone and does not look for its peer; `drbdadm connect r0` (rule 2)"]},
            [
                "storage NFS (DRBD): secondary",
                "    on a failover: it would not take over",
                "    r0: it is StandAlone and does not look for its peer; `drbdadm connect r0` (rule 2)",
            ],
        ),
        (
            {"phase": "primary", "degraded": ["r0: the peer is not connected"]},
            ["storage NFS (DRBD): primary", "    r0: the peer is not connected"],
        ),
        (
            {"phase": "held", "alarm": "it can't let go within 30 s (rule 15)", "step": "unmount /mnt/nfs"},
            ["storage NFS (DRBD): held", "    now: unmount /mnt/nfs", "    it can't let go within 30 s (rule 15)"],
        ),
    ],
)
def test_what_would_happen_on_a_failover_and_why_not(change: dict[str, object], lines: list[str]) -> None:
    assert list(status_storage.lines({"NFS": {**STORAGE, **change}})) == lines
