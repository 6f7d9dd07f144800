"""Who had the addresses of a virtual router, from when to when."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

NOBODY: Mapping[str, float] = {}


class Holding(NamedTuple):
    vrid: int
    node: str
    start: float
    end: float


class Holdings:
    """Times in seconds of the world."""

    def __init__(self) -> None:
        self.now: dict[int, dict[str, float]] = {}
        "by VRID: the nodes that have the addresses, and since when"
        self.past: list[Holding] = []
        self.last_end: dict[int, float] = {}
        "by VRID: when somebody last ceased to have them"

    def of(self, vrid: int) -> Mapping[str, float]:
        return self.now.get(vrid, NOBODY)

    def change(self, vrid: int, node: str, holds: bool, time: float) -> None:
        """From `time` on the node has them, or has them no more."""
        holders = self.now.setdefault(vrid, {})
        if holds:
            holders.setdefault(node, time)
        elif (start := holders.pop(node, None)) is not None:
            self.past.append(Holding(vrid, node, start, time))
            self.last_end[vrid] = time

    def overlap(self, vrid: int, since: float, until: float) -> float:
        """For how many seconds two nodes or more had the addresses."""
        return sum(seconds for holders, seconds in self._spans(vrid, since, until) if holders > 1)

    def unheld(self, vrid: int, since: float, until: float) -> float:
        """For how many seconds no node had the addresses."""
        return sum(seconds for holders, seconds in self._spans(vrid, since, until) if not holders)

    def _spans(self, vrid: int, since: float, until: float) -> Iterator[tuple[int, float]]:
        """Numbers of holders, and for how long they were so many."""
        changes = [(since, 0), (until, 0)]
        held = [each for each in self.past if each.vrid == vrid]
        held += [Holding(vrid, node, start, until) for node, start in self.of(vrid).items()]
        for each in held:
            changes += [(each.start, 1), (each.end, -1)]
        changes.sort()
        holders = 0
        for (time, change), (following, _) in pairwise(changes):
            holders += change
            yield holders, max(following, since) - max(time, since)
