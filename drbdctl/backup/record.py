"""What became of the backups of a resource on this node: a file of JSON lines, one for each thing that happened.

A line may be cut (power, a full disk): it is counted and left out, and the next one begins on a line of its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum

from drbdctl.backup.settings import redacted

DIRECTORY = "/var/lib/drbdctl/backup"
_MOST = 1 << 20
"bytes; a longer file loses its older half"


class Event(Enum):
    """What happened."""

    BEGUN = "begun"
    "a run; without a line that says how it ended, it was killed"
    MADE = "made"
    FAILED = "failed"
    REFUSED = "refused"
    LEFT = "left"
    "to the peer, whose newest archive was seen"
    VERIFIED = "verified"
    VERIFY_FAILED = "verify-failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line; times are seconds since 1970."""

    event: Event
    at: float
    node: str
    why: str = ""
    archive: str = ""
    archive_at: float | None = None
    "when the snapshot that it was made of was taken"
    seconds: float = 0.0
    size: int = 0
    "bytes of all files"
    added: int = 0
    "bytes that the repository grew by"
    generation: str = ""
    role: str = ""
    "of the node that it was made on"

    @property
    def redacted(self) -> Record:
        """Without the user and password of a repository in `why`."""
        return replace(self, why=redacted(self.why))


def path(resource: str, directory: str = DIRECTORY) -> str:
    """The file of a resource."""
    return os.path.join(directory, f"{resource}.jsonl")


def append(resource: str, record: Record, directory: str = DIRECTORY) -> None:
    """Write a line, and have it on the disk; raises OSError."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    _shorten(path(resource, directory))
    line = json.dumps({**asdict(record), "event": record.event.value}) + "\n"
    with open(path(resource, directory), "ab+", buffering=0) as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else f"\n{line}"
        file.write(line.encode())
        os.fsync(file.fileno())


def load(resource: str, directory: str = DIRECTORY) -> tuple[tuple[Record, ...], int]:
    """All lines in their order, and how many can't be read; raises OSError, other than for a file that is not there."""
    try:
        with open(path(resource, directory), "rb") as file:
            return parse(file.read())
    except FileNotFoundError:
        return (), 0


def parse(content: bytes) -> tuple[tuple[Record, ...], int]:
    """The records of a file's content, and the number of lines that are none."""
    lines = [line for line in content.split(b"\n") if line.strip()]
    found = [_record(line) for line in lines]
    records = tuple(each for each in found if each is not None)
    return records, len(lines) - len(records)


def _record(line: bytes) -> Record | None:
    try:
        data = json.loads(line)
        known = {each.name: data[each.name] for each in fields(Record) if each.name in data}
        record = Record(**{**known, "event": Event(data["event"])})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    numbers: Sequence[object] = (record.at, record.seconds, record.size, record.added, record.archive_at or 0)
    texts: Sequence[object] = (record.node, record.why, record.archive, record.generation, record.role)
    whole = all(isinstance(each, int | float) for each in numbers) and all(isinstance(each, str) for each in texts)
    return record if whole else None


def _shorten(name: str) -> None:
    try:
        if os.path.getsize(name) <= _MOST:
            return
        with open(name, "rb") as file:
            lines = file.read().splitlines(keepends=True)
    except FileNotFoundError:
        return
    with open(f"{name}.new", "wb") as file:
        file.writelines(lines[len(lines) // 2 :])
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{name}.new", name)
