"""What drbdsetup's exit status and the kernel's reason mean for the next attempt (drbdadm passes both through).

11 is a refusal with its reason as a negative number: `State change failed: (-12) Device is held open by someone`.
Source: drbdsetup.c of drbd-utils 9.22, drbd_strings.c of drbd-headers, measurements with DRBD 8.4.11.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

TWO_PRIMARIES, PEER_NOT_OUTDATED, HELD_OPEN = -1, -7, -12
_REFUSED = 11


class Again(Enum):
    """Whether the same command may pass next time."""

    NO = "no"
    SOON = "soon"
    "a transient state, a concurrent change, a timeout"
    ONCE = "once"
    "the peer's death was found, and its fencing done, inside the first attempt"
    PEER_LIVES = "when the peer has given up Primary"
    WHEN_FREE = "when nobody holds it open"


_REASONS = {
    TWO_PRIMARIES: (Again.PEER_LIVES, "the peer is Primary, and alive"),
    PEER_NOT_OUTDATED: (Again.ONCE, "the peer is not fenced: see the fence-peer handler"),
    -10: (Again.NO, "the peer refuses it"),
    HELD_OPEN: (Again.WHEN_FREE, "somebody holds the device open"),
    -13: (Again.NO, "it has no network configuration: `drbdadm connect`"),
    -18: (Again.SOON, "it is in a transient state"),
    -19: (Again.SOON, "another change is under way"),
    -23: (Again.SOON, "the peer did not answer in time"),
    -25: (Again.NO, "it has no quorum"),
}
_STATUSES = {
    1: "drbdadm does not understand its configuration or this resource: `drbdctl check`",
    5: "the disk was Inconsistent already",
    10: "the kernel refuses what is configured: `drbdctl check`",
    16: "it has no disk here",
    17: "it needs a connected peer that is UpToDate",
    20: "drbdsetup failed: do its version and the kernel module's fit?",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a step failed; `status` and `reason` where it was a DRBD command."""

    why: str
    "one line: what was done, what it said"
    status: int | None = None
    reason: int | None = None
    "the kernel's, negative; with status 11"
    stuck: bool = False
    "it was killed and hangs in the kernel"

    @property
    def again(self) -> Again:
        """Whether it makes sense to try the same once more."""
        if self.stuck or self.status != _REFUSED:
            return Again.NO
        return _REASONS.get(self.reason or 0, (Again.NO, ""))[0]

    @property
    def meaning(self) -> str:
        """What the numbers mean; empty when there are none."""
        if self.status == _REFUSED and self.reason in _REASONS:
            return _REASONS[self.reason][1]
        return _STATUSES.get(self.status or 0, "")

    def __str__(self) -> str:
        return f"{self.why}; {self.meaning}" if self.meaning else self.why
