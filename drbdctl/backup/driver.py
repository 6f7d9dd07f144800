"""What makes and keeps the archives: one small Protocol.

A driver says which command to run and reads what it answered; it runs nothing itself. Commands that read or write files
do it in their working directory, so that an archive holds `manifest.json` and `volume-0/...` and no mount points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from drbdctl.steps.command import Outcome

Argv = tuple[str, ...]


class DriverFailed(Exception):
    """A program did not do what it was asked, or said what can't be read: one line, with what to do."""


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive in the repository."""

    name: str
    "what it is asked for by"
    at: float
    "when its snapshot was taken, seconds since 1970"
    node: str


@dataclass(frozen=True, slots=True)
class Created:
    """What a new archive holds."""

    name: str
    size: int
    "bytes of all files"
    added: int
    "bytes that the repository has grown by"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Whose archive it is."""

    resource: str
    node: str
    at: float
    "seconds since 1970"
    generation: str
    "DRBD's current UUID of each volume"


class Driver(Protocol):
    """restic or borg, with a repository."""

    environment: Mapping[str, str]
    "for each of its commands: the repository, and where the password is"

    def prepare(self) -> Sequence[Argv]:
        """Before all else: the locks of processes that were killed."""

    def listing(self, resource: str) -> Argv:
        """The newest archives of a resource."""

    def archives(self, answer: Outcome) -> tuple[Archive, ...]:
        """What `listing` answered, the newest last; raises DriverFailed."""

    def create(self, origin: Origin, paths: Sequence[str], parent: Archive | None) -> Argv:
        """Put paths of the working directory into a new archive."""

    def created(self, answer: Outcome) -> Created:
        """What `create` answered; raises DriverFailed, also when a single file could not be read."""

    def forget(self, resource: str) -> Sequence[Argv]:
        """Remove what is older than `keep` wants, and the data that nothing else needs."""

    def check(self) -> Argv:
        """Look whether the repository is whole."""

    def restore(self, archive: Archive, paths: Sequence[str]) -> Argv:
        """Bring paths of an archive back into the working directory."""


def said(program: str, what: str, answer: Outcome) -> DriverFailed:
    """`restic backup: exit status 1, Fatal: wrong password or no key found`."""
    lines = [line.strip() for line in answer.output.splitlines() if line.strip()]
    wrong = [line for line in lines if not line.startswith(("{", "[", '"', "}", "]"))]
    last = next((line for line in reversed(wrong) if "atal" in line or "rror" in line), (wrong or ["nothing said"])[-1])
    return DriverFailed(f"{program} {what}: {answer.failure or f'exit status {answer.status}, {last[:300]}'}")
