"""A network that delays, loses and parts what the nodes of a cluster send each other."""

from collections.abc import Iterable
from random import Random


class Network:
    """Perfect until told otherwise: every packet arrives after 0.1 to 0.2 ms, in the order in which it was sent."""

    def __init__(self, random: Random) -> None:
        self.delay = (0.0001, 0.0002)
        "seconds: shortest, longest"
        self.loss = 0.0
        "the share of packets that get lost"
        self.ordered = True
        "a later packet never overtakes an earlier one of the same sender"
        self._random = random
        self._cuts: set[tuple[str, str, int | None]] = set()
        self._last: dict[tuple[str, str], float] = {}

    def cut(self, source: str, destination: str, vrid: int | None = None) -> None:
        """Nothing gets from one node to the other, of one virtual router or (None) of all; the way back is open."""
        self._cuts.add((source, destination, vrid))

    def partition(self, *sides: Iterable[str], vrid: int | None = None) -> None:
        """Only nodes of the same side hear each other."""
        parts = [set(side) for side in sides]
        for side in parts:
            for other in parts:
                if other is not side:
                    self._cuts |= {(source, destination, vrid) for source in side for destination in other}

    def heal(self) -> None:
        """Perfect again."""
        self._cuts.clear()
        self.loss = 0.0
        self.ordered = True
        self.delay = (0.0001, 0.0002)

    def carry(self, source: str, destination: str, vrid: int, now: float) -> float | None:
        """When a packet that is sent now arrives; None: never."""
        if self._cuts & {(source, destination, None), (source, destination, vrid)}:
            return None
        if self.loss and self._random.random() < self.loss:
            return None
        arrival = now + self._random.uniform(*self.delay)
        if self.ordered:
            arrival = self._last[source, destination] = max(arrival, self._last.get((source, destination), 0.0))
        return arrival
