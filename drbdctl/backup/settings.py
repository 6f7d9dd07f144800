"""What a `backup` block says: where the archives go, how many are kept, how old the newest may get."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

from pyvrrp.config.diagnostics import Position
from pyvrrp.config.model import NOWHERE

_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")


class Program(Enum):
    """What makes and keeps the archives."""

    RESTIC = "restic"
    BORG = "borg"


class IoClass(Enum):
    """ionice(1)'s class for the reading of the snapshot."""

    IDLE = "idle"
    BEST_EFFORT = "best-effort"
    "at its lowest priority"
    NONE = "none"
    "as any other process"

    @property
    def argv(self) -> tuple[str, ...]:
        """What stands before the command."""
        match self:
            case IoClass.IDLE:
                return ("ionice", "-c", "3")
            case IoClass.BEST_EFFORT:
                return ("ionice", "-c", "2", "-n", "7")
            case IoClass.NONE:
                return ()


@dataclass(frozen=True, slots=True)
class Keep:
    """How many archives are kept; the newest of each day, week and month. All zero: every archive is kept."""

    daily: int = 7
    weekly: int = 4
    monthly: int = 0

    @property
    def everything(self) -> bool:
        """Nothing is ever forgotten."""
        return not (self.daily or self.weekly or self.monthly)

    @property
    def argv(self) -> tuple[str, ...]:
        """The options, which restic and borg share."""
        kept = (("daily", self.daily), ("weekly", self.weekly), ("monthly", self.monthly))
        return tuple(word for what, number in kept if number for word in (f"--keep-{what}", str(number)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """`backup { }` of a storage block."""

    program: Program
    repository: str = field(repr=False)
    "as the program takes it; it is given by the environment, for it may hold a password"
    password_file: str
    environment_file: str = ""
    "lines NAME=VALUE for the program: the keys of an object store"
    keep: Keep = Keep()
    deadline: float = 4 * 3600.0
    "seconds for the whole of one run"
    max_age: float = 26 * 3600.0
    "seconds; an older newest archive is an alarm, and no longer left to the peer to make"
    ionice: IoClass = IoClass.IDLE
    snapshot_size: int = 20
    "percent of the volume that may change while it is read; not for thin volumes"
    paths: tuple[str, ...] = ()
    "below the root of the file system; empty: all of it"
    independent_volumes: bool = False
    "the volumes of the resource may be of different moments"
    position: Position = field(default=NOWHERE, compare=False)

    @property
    def shown(self) -> str:
        """The repository without user and password."""
        return redacted(self.repository)


def redacted(text: str) -> str:
    """The text without the user and password of any URL in it."""
    return _USER_INFO.sub("***@", text)
