"""The journal with real files: what a process that was killed leaves for the next one."""

import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from pyvrrp.daemon import journal as journal_module
from pyvrrp.daemon.journal import Entry, Goodbye, Held, Journal, Left, Sent, TrackerNote, read, remove

VIP = Held(address="192.0.2.100/24", device="eth0", delete="2000000015")
GOODBYE = Goodbye(
    family=4, interface="eth0", index=2, source="192.0.2.11", destination="224.0.0.18", ttl=255, packet="45c0"
)
MASTER = Entry(
    router="eth0/4/51",
    name="VI_1",
    state="MASTER",
    serving=True,
    wait=3.0,
    addresses=(VIP,),
    goodbyes=(GOODBYE,),
    gates=("drbd",),
    undo=(("drbdadm", "secondary", "r0"), ("true",)),
)
BACKUP = Entry(router="eth0/4/52", name="VI_2", state="BACKUP")
CHECK = TrackerNote(kind="script", name="chk", up=True, broken=False, since=12.5, detail="exit status 0")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal"


def test_a_killed_process_leaves_everything_to_the_next_one(path):
    first = Journal.open(path, "blue")
    assert first.left == Left()
    first.note(MASTER)
    first.note(BACKUP)
    first.note_tracker(CHECK)
    first.sent(MASTER.router, 1000.25, 7)
    first.sent(MASTER.router, 1001.25, 8)
    left = Journal.open(path).left
    assert left.net_namespace == "blue"
    assert left.entries == {MASTER.router: MASTER, BACKUP.router: BACKUP}
    assert left.trackers == {("script", "chk"): CHECK}
    assert left.sent[MASTER.router] == Sent(1001.25, 8)
    assert left.sent[BACKUP.router] == Sent(0.0, 0)
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_ends_a_service_is_kept_until_it_holds_nothing_any_more(path):
    journal = Journal.open(path)
    journal.note_service("dnslb", (("remove", "192.0.2.53"), ("remove", "2001:db8::53")))
    journal.note_service("drbdctl", (("demote",),))
    journal.note_service("drbdctl", ())
    journal.note_service("nothing", ())
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in ('{"service":7,"undo":[]}', '{"service":"dnslb","undo":["true"]}'))
    assert read(path).services == {
        "dnslb": (("remove", "192.0.2.53"), ("remove", "2001:db8::53")),
        "drbdctl": (),
    }
    journal.note(MASTER)
    again = Journal.open(path)
    assert again.left.services["dnslb"] == (("remove", "192.0.2.53"), ("remove", "2001:db8::53"))
    assert read(path).services == again.left.services, "the next process has written it down for the one after it"


def test_the_last_word_counts(path):
    journal = Journal.open(path)
    for entry in (replace(MASTER, state="BACKUP"), MASTER, replace(MASTER, addresses=())):
        journal.note(entry)
    journal.note(BACKUP)
    journal.gone(BACKUP.router)
    journal.gone("never heard of")
    assert read(path).entries == {MASTER.router: replace(MASTER, addresses=())}


def test_what_the_process_before_left_stays_until_something_else_is_noted(path):
    """A process that dies before it has taken over must not lose what it was to take over."""
    Journal.open(path).note(MASTER)
    Journal.open(path)
    second = Journal.open(path)
    assert read(path).entries == {MASTER.router: MASTER}
    second.note(replace(MASTER, state="BACKUP", addresses=()))
    assert second.left.entries == {MASTER.router: MASTER}, "what was left is what was left"
    assert read(path).entries[MASTER.router].state == "BACKUP"


def test_nothing_is_written_twice(path):
    journal = Journal.open(path)
    journal.note(MASTER)
    size = path.stat().st_size
    journal.note(MASTER)
    journal.note_tracker(CHECK)
    grown = path.stat().st_size
    journal.note_tracker(replace(CHECK))
    assert path.stat().st_size == grown > size


def test_each_router_keeps_its_place_for_the_last_advertisement(path):
    journal = Journal.open(path)
    journal.note(MASTER)
    journal.note(BACKUP)
    journal.sent(BACKUP.router, 5.0, 0)
    journal.gone(MASTER.router)
    journal = Journal.open(path)
    journal.note(replace(MASTER, router="eth0/4/53"))
    journal.sent("eth0/4/53", 6.0, 0)
    journal.sent("eth0/4/99", 7.0, 0)  # never noted: nowhere to write
    assert {router: sent.at for router, sent in read(path).sent.items()} == {BACKUP.router: 5.0, "eth0/4/53": 6.0}


def test_a_line_cut_off_by_a_crash_does_not_count(path):
    Journal.open(path).note(BACKUP)
    whole = path.read_bytes()
    Journal.open(path).note(MASTER)
    longer = path.read_bytes()
    for length in range(len(whole), len(longer) - 1, 7):
        path.write_bytes(longer[:length])
        assert read(path).entries == {BACKUP.router: BACKUP}


@pytest.mark.parametrize("text", [b"", b"\n", b"null\n", b"\xff\xfe\n", b'{"version":2}\n', b"[1]\n{}\n"])
def test_what_is_no_journal_is_no_journal(path, text):
    path.write_bytes(text)
    assert read(path) == Left()
    assert Journal.open(path).left == Left()


@pytest.mark.parametrize(
    "line", ["{}", "[]", '{"entry":{}}', '{"entry":{"router":"x"},"slot":0}', '{"tracker":{"a":1}}', '{"gone":[]}']
)
def test_lines_of_another_version_are_passed_over(path, line):
    Journal.open(path).note(BACKUP)
    with path.open("a") as file:
        file.write(line + "\n")
    assert read(path).entries == {BACKUP.router: BACKUP}


@pytest.mark.parametrize(
    ("was", "damaged"),
    [
        ('"slot":1', '"slot":-9'),
        ('"slot":1', '"slot":1000000000000'),
        ('"slot":1', '"slot":Infinity'),
        (',"slot":1', ""),
        ('"wait":3.0', '"wait":"3.0"'),
        ('"serving":true', '"serving":[true]'),
        ('"gates":["drbd"]', '"gates":"drbd"'),
        ('["true"]', '"true"'),
        ('"delete":"2000000015"', '"delete":"no hexadecimal"'),
        ('{"entry":{"router":"eth0/4/51"', "[" * 2000),
    ],
)
def test_a_damaged_line_is_passed_over(path, was, damaged):
    journal = Journal.open(path)
    journal.note(BACKUP)
    journal.note(MASTER)
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, damaged))
    assert read(path).entries == {BACKUP.router: BACKUP}
    again = Journal.open(path)
    again.note(MASTER)
    again.sent(MASTER.router, 5.0, 1)
    assert read(path).entries == {BACKUP.router: BACKUP, MASTER.router: MASTER}
    assert read(path).sent[MASTER.router] == Sent(5.0, 1)


def test_a_journal_of_another_boot_says_nothing(path):
    Journal.open(path).note(MASTER)
    first, *lines = path.read_text().splitlines()
    header = {**json.loads(first), "boot": "00000000-0000-4000-8000-000000000000"}
    path.write_text("\n".join([json.dumps(header), *lines]))
    assert read(path) == Left()
    Journal.open(path)
    assert "VI_1" not in path.read_text()


def test_it_does_not_grow_without_bound(path):
    journal = Journal.open(path)
    journal.note(BACKUP)
    for number in range(5000):
        journal.note(replace(MASTER, wait=float(number)))
    assert len(path.read_text().splitlines()) < 500
    assert read(path).entries == {BACKUP.router: BACKUP, MASTER.router: replace(MASTER, wait=4999.0)}


def test_a_clean_end_leaves_nothing(path, tmp_path):
    journal = Journal.open(path)
    journal.note(MASTER)
    journal.sent(MASTER.router, 1.0, 0)
    journal.close(forget=True)
    assert list(tmp_path.iterdir()) == []
    journal.note(BACKUP)
    journal.close(forget=True)
    remove(path)
    assert list(tmp_path.iterdir()) == []


def test_closed_for_a_restart_it_stays(path):
    journal = Journal.open(path)
    journal.note(MASTER)
    journal.close(forget=False)
    assert read(path).entries == {MASTER.router: MASTER}


def test_without_a_path_it_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    journal = Journal()
    journal.note(MASTER)
    journal.note_tracker(CHECK)
    journal.sent(MASTER.router, 1.0, 0)
    journal.gone(MASTER.router)
    journal.close(forget=True)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_once_and_the_journal_recovers(path, caplog, monkeypatch):
    journal = Journal.open(path)
    journal.note(BACKUP)
    real = os.write

    def full(descriptor, data):
        real(descriptor, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with caplog.at_level(logging.ERROR), monkeypatch.context() as patched:
        patched.setattr(journal_module.os, "write", full)
        journal.note(MASTER)
        patched.setattr(journal_module, "_SPARE_LINES", 1 << 40)
        journal.note(replace(MASTER, wait=9.0))
    assert [record.getMessage() for record in caplog.records] == [
        f"journal {path}: No space left on device; a crash can't be undone, nor its role adopted"
    ]
    journal.note(replace(MASTER, wait=8.0))
    assert read(path).entries == {BACKUP.router: BACKUP, MASTER.router: replace(MASTER, wait=8.0)}


def test_a_run_directory_that_is_gone_is_told_once(tmp_path, caplog):
    with caplog.at_level(logging.ERROR):
        journal = Journal.open(tmp_path / "none" / "journal")
        journal.note(MASTER)
        journal.sent(MASTER.router, 1.0, 0)
    assert len(caplog.records) == 1
    assert Path(tmp_path / "none").exists() is False
