"""`drbdctl backup` and `drbdctl snapshot-resync-target` as an operator, a timer and DRBD meet them."""

import functools
import json
import time
from pathlib import Path

import pytest

from drbdctl.backup import record
from drbdctl.backup.record import Event, Record
from drbdctl.cli import main

KEEPALIVED = """
storage DATA {{
    drbd_conf {drbd}
    drbd_resource r0
    backup {{
        repository rest:https://me:hush@vault/r
        password_file {password}
    }}
}}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch) -> str:
    monkeypatch.setattr(record, "load", functools.partial(record.load, directory=str(tmp_path)))
    path = tmp_path / "keepalived.conf"
    path.write_text(KEEPALIVED.format(drbd=tmp_path / "drbd.conf", password=tmp_path / "password"))
    return str(path)


def test_status_tells_what_is_known_and_what_is_wrong(file: str, tmp_path: Path, capsys) -> None:
    assert main(["backup", "status", "-f", file]) == 1
    out, err = capsys.readouterr()
    assert out == "r0: restic to rest:https://***@vault/r\n  ALARM no backup is known here; `drbdctl backup run`\n"
    assert "hush" not in err

    now = time.time()
    made = Record(
        event=Event.MADE, at=now, node="n2", archive="adf88e1b", archive_at=now - 7200, role="Secondary", size=2048
    )
    for each in (made, Record(event=Event.VERIFIED, at=now, node="n2")):
        record.append("r0", each, str(tmp_path))
    assert main(["backup", "status", "-f", file]) == 0
    assert "newest adf88e1b, 2.0 h old, made on n2 as Secondary, 2.0 KiB in 0 s" in capsys.readouterr().out
    assert main(["backup", "status", "--json", "-f", file]) == 0
    (found,) = json.loads(capsys.readouterr().out)["resources"].values()
    assert (found["last_ok"], found["alarms"], found["newest"]["event"]) == (True, [], "made")
    assert 7200 <= found["metrics"]["drbdctl_backup_age_seconds"] < 7300


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "-f", "/nowhere.conf"], "/nowhere.conf: No such file"),
        (["list", "r7"], "has backups of r0, not of r7"),
        (["list"], "drbd.conf: No such file"),
    ],
)
def test_what_can_t_be_used_is_one_sentence(file: str, arguments: list[str], words: str, capsys) -> None:
    assert main(["backup", *arguments, *([] if "-f" in arguments else ["-f", file])]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "hush" not in err
    assert err.count("drbdctl backup:") == 1


def test_a_file_without_a_backup_says_so(tmp_path: Path, capsys) -> None:
    path = tmp_path / "keepalived.conf"
    path.write_text("storage DATA {\n drbd_resource r0\n}\n")
    assert main(["backup", "run", "-f", str(path)]) == 2
    assert "has no storage block with a usable backup block" in capsys.readouterr().err


def handler(monkeypatch, *arguments: str, **environment: str) -> int:
    for name in ("DRBD_RESOURCE", "DRBD_VOLUME", "DRBD_LL_DISK", "DRBD_BACKING_DEV"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return main(["snapshot-resync-target", *arguments])


def test_the_handler_lets_a_resync_go_on_that_it_can_t_make_safe_unless_told_otherwise(monkeypatch, capsys) -> None:
    called = {"DRBD_RESOURCE": "r0", "DRBD_VOLUME": "0", "DRBD_LL_DISK": "/dev/null"}
    assert handler(monkeypatch, **called) == 0
    assert "/dev/null is not LVM's" in capsys.readouterr().err
    assert handler(monkeypatch, "--disconnect-on-error", **called) == 1
    called["DRBD_BACKING_DEV"] = "/dev/nowhere"
    assert handler(monkeypatch, **called) == 0
    assert "/dev/nowhere: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize("volume", ["", "x", "0 1"])
def test_the_handler_called_by_hand_says_where_it_belongs(monkeypatch, capsys, volume: str) -> None:
    assert handler(monkeypatch) == 2
    assert handler(monkeypatch, DRBD_RESOURCE="r0", DRBD_VOLUME=volume, DRBD_LL_DISK="/dev/null") == 2
    assert "write it into the handlers section of drbd.conf" in capsys.readouterr().err
