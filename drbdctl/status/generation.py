"""`drbdadm get-gi`: the generation identifiers, which tell new data from old where both call themselves UpToDate.

`current:bitmap:history:history` and flags: 7 with DRBD 8, 12 with 9 (five of these are left out). A side that went on
writing alone has a bitmap UUID; the side that was left behind has none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from drbdctl.status.state import Unreadable

_LINE = re.compile(r"(?P<uuids>(?:[0-9A-Fa-f]{16}:){4})(?P<flags>[01](?::[01])*)")
_ORDER = {7: (0, 1, 2, 3, 4, 5, 6), 12: (0, 1, 2, 7, 10, 8, 3)}
"where the flags of Generation stand, by the number of flags: 7 with DRBD 8, 12 with 9"
JUST_CREATED = 4
"the current UUID of meta data that never had data"
_PRIMARY_BIT = 1


@dataclass(frozen=True, slots=True)
class Generation:
    """The identifiers of one volume; the lowest bit of a UUID says only that the node was Primary."""

    current: int
    bitmap: int
    history: tuple[int, int]
    consistent: bool
    was_up_to_date: bool
    primary: bool
    "with 9 also where only a connected peer is"
    connected: bool
    "was or is; the disk keeps how the node went down"
    full_sync: bool
    "all bits of the bitmap were being set"
    peer_outdated: bool
    "8: the peer's disk was outdated or inconsistent"
    crashed_primary: bool
    "and has not seen its peer since; with 9 also while it is Primary"

    @property
    def wrote_alone(self) -> bool:
        """It went on without its peer and has something the peer lacks."""
        return self.bitmap & ~_PRIMARY_BIT != 0

    def same_data(self, other: Generation) -> bool:
        """Both have the same current generation."""
        return (self.current ^ other.current) & ~_PRIMARY_BIT == 0


def parse(text: str) -> tuple[Generation, ...]:
    """The answer of `get-gi`, one line for each volume.

    Raises Unreadable when there is any other line: an error message of drbdmeta, a cut line.
    """
    return tuple(_generation(line.strip()) for line in text.splitlines() if line.strip())


def _generation(line: str) -> Generation:
    match = _LINE.fullmatch(line)
    places = _ORDER.get(match["flags"].count(":") + 1) if match is not None else None
    if match is None or places is None:
        raise Unreadable(f"get-gi: {line[:100]!r} are no generation identifiers")
    current, bitmap, younger, older = (int(each, 16) for each in match["uuids"].rstrip(":").split(":"))
    flags = [each == "1" for each in match["flags"].split(":")]
    consistent, up_to_date, primary, connected, full_sync, peer_outdated, crashed = (flags[at] for at in places)
    return Generation(
        current, bitmap, (younger, older), consistent, up_to_date, primary, connected, full_sync, peer_outdated, crashed
    )
