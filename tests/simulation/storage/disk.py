"""One volume's disk on one machine: the data, and the meta data of DRBD 8.4 that survive a power failure."""

from enum import Enum
from random import Random

from drbdctl.status.generation import Generation
from drbdctl.status.words import DiskState


class Resync(Enum):
    """What drbd_sync_handshake makes of two sets of identifiers (uuid_compare of 8.4, by its rules)."""

    NONE = "the same data"
    SOURCE = "ours are newer"
    TARGET = "theirs are newer"
    SPLIT_BRAIN = "both have what the other lacks"


class Disk:
    """What it holds, and what it says of that."""

    def __init__(self, current: int) -> None:
        self.content: set[int] = set()
        "the writes that are on it"
        self.current = current
        self.bitmap = 0
        self.history = (0, 0)
        self.consistent = True
        self.up_to_date = True
        self.primary = False
        self.connected = False
        self.crashed = False
        self.changes = 0
        "writes since the bitmap is in use: its bits"

    def generation(self) -> Generation:
        """As get-gi has it."""
        return Generation(
            self.current | self.primary,
            self.bitmap,
            self.history,
            self.consistent,
            self.up_to_date,
            self.primary,
            self.connected,
            False,
            False,
            self.crashed,
        )

    def attached(self, *, fencing: bool) -> DiskState:
        """The state after `drbdadm up` without a peer."""
        self.crashed = self.crashed or self.primary
        self.primary = False
        if not self.consistent:
            return DiskState.INCONSISTENT
        if not self.up_to_date:
            return DiskState.OUTDATED
        return DiskState.CONSISTENT if fencing and not self.bitmap else DiskState.UP_TO_DATE

    def new_current(self, random: Random) -> None:
        """Writes begin that the peer does not get; a bitmap that is in use already stays."""
        if self.bitmap == 0:
            self.bitmap, self.current, self.changes = self.current, new_uuid(random), 0

    def compare(self, other: "Disk") -> Resync:
        """uuid_compare: ours and the peer's."""
        mine, theirs = self.current, other.current
        if mine == theirs:  # rule 40
            return {
                (False, False): Resync.NONE,
                (True, False): Resync.SOURCE,
                (False, True): Resync.TARGET,
                (True, True): Resync.SOURCE if id(self) < id(other) else Resync.TARGET,
            }[self.crashed, other.crashed]
        if mine == other.bitmap or mine in other.history:  # rules 50 and 60
            return Resync.TARGET
        if self.bitmap == theirs or theirs in self.history:  # rules 70 and 80
            return Resync.SOURCE
        return Resync.SPLIT_BRAIN  # rules 90 and 100

    def begin_source(self, random: Random) -> int:
        """A resync from here begins; returns the UUID of what the target will be meanwhile."""
        if self.bitmap:
            self.history = (self.bitmap, self.history[0])
        self.bitmap = new_uuid(random)
        return self.bitmap

    def begin_target(self, sync_uuid: int) -> None:
        self.current, self.bitmap = sync_uuid, 0
        self.consistent = self.up_to_date = False

    def end_source(self) -> None:
        self.history, self.bitmap, self.crashed = (self.bitmap, self.history[0]), 0, False

    def end_target(self, source: "Disk") -> None:
        """Everything of the source's is here."""
        self.content = set(source.content)
        self.current, self.bitmap, self.history = source.current, 0, source.history
        self.consistent = self.up_to_date = True
        self.crashed = False


def new_uuid(random: Random) -> int:
    return random.getrandbits(60) * 16 + 16
