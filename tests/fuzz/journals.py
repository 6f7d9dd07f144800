"""What a process that was killed has left behind: the lines of a journal, a NUL, and the file of the times of sending.

`BOOT` in the lines stands for this boot.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from pyvrrp.daemon import journal
from pyvrrp.daemon.adoption import Successor, residue, roles, tracker
from pyvrrp.daemon.journal import Entry, Goodbye, Held, Journal, TrackerNote

WORDS = [*(b'"entry"', b'"slot"', b'"gone"', b'"tracker"', b'"state"', b'"MASTER"', b'"eth0/4/51"', b"\n", b"\0")]
_ENTRY = Entry(
    router="eth0/4/51",
    name="VI_1",
    state="MASTER",
    serving=True,
    wait=3.0,
    addresses=(Held(address="192.0.2.100/24", device="eth0", delete="2000000015"),),
    goodbyes=(
        Goodbye(
            family=4, interface="eth0", index=2, source="192.0.2.11", destination="224.0.0.18", ttl=255, packet="45c0"
        ),
    ),
    gates=("drbd",),
    undo=(("true", "1"),),
)
_NOTE = TrackerNote(kind="script", name="chk", up=True, broken=False, since=12.5, detail="exit status 0")
_SUCCESSOR = Successor(name="VI_1", router="eth0/4/51", gates=("drbd",))


@cache
def _directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fuzz-journal-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)


def seeds() -> list[bytes]:
    """A journal as the speaker writes it."""
    path = Path(_directory().name) / "seed"
    journal.remove(path)
    written = Journal.open(path)
    written.note(_ENTRY)
    written.note_tracker(_NOTE)
    written.sent(_ENTRY.router, 1000.25, 7)
    written.note(Entry(router="eth0/4/52", name="VI_2", state="BACKUP"))
    written.gone("eth0/4/52")
    written.close(forget=False)
    return [path.read_bytes().replace(_boot(), b"BOOT") + b"\0" + path.with_name("seed.sent").read_bytes()]


@cache
def _boot() -> bytes:
    return journal._boot().encode() or b"\0no boot\0"


def run(data: bytes) -> list[str]:
    """Read the journal, decide what is adopted, and go on writing it; what was found in it."""
    lines, _, sent = data.partition(b"\0")
    path = Path(_directory().name) / "journal"
    path.write_bytes(lines.replace(b"BOOT", _boot()))
    path.with_name("journal.sent").write_bytes(sent)
    going_on = Journal.open(path)
    left = going_on.left
    adopted = roles([_SUCCESSOR], left, lambda _: True, 1001.0)
    taken_down = residue([_SUCCESSOR], adopted, ["192.0.2.100/24"], left, 1001.0)
    for note in left.trackers.values():
        tracker(note)
    going_on.note(_ENTRY)
    going_on.sent(_ENTRY.router, 1002.5, 9)
    going_on.note_tracker(_NOTE)
    going_on.close(forget=False)
    again = journal.read(path)
    assert again.entries[_ENTRY.router] == _ENTRY
    assert again.sent[_ENTRY.router] == journal.Sent(1002.5, 9)
    role = adopted[_SUCCESSOR.name].value if adopted else "nothing"
    return [
        f"{min(len(left.entries), 2)} entries, {role} adopted",
        f"{min(len(taken_down), 2)} to take down",
        f"{min(len(left.trackers), 2)} trackers",
    ]
