"""A network that delays, loses, repeats and parts what the nodes of a cluster send each other."""

from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

DELAY = (0.0001, 0.0002)
"seconds that a packet takes while all is well: shortest, longest"


class Cut(NamedTuple):
    """Nothing gets from one node to the other, of one virtual router or (None) of all."""

    source: str
    destination: str
    vrid: int | None = None


class Word(NamedTuple):
    """A packet."""

    time: float
    heard: bool


class Network:
    """Perfect until told otherwise: every packet arrives once, within DELAY, in the order in which it was sent."""

    def __init__(self, random: Random) -> None:
        self.trouble: dict[tuple[str, str], float] = {}
        "until when what one node heard of another was not what it should have heard: lost, late or twice"
        self.last_word: dict[tuple[str, str], Word] = {}
        "what became of the last packet from one node to another"
        self.last_trouble = 0.0
        "the latest of all in `trouble`"
        self._random = random
        self._cuts: list[Cut] = []
        self._last: dict[tuple[str, str], float] = {}
        self.heal()

    def heal(self) -> None:
        """Perfect again."""
        self._cuts.clear()
        self.loss = 0.0
        "the share of packets that get lost"
        self.repeats = 0.0
        "the share of packets that arrive twice"
        self.ordered = True
        "a later packet never overtakes an earlier one of the same sender"
        self.delay = DELAY

    def cut(self, source: str, destination: str, vrid: int | None = None) -> Cut:
        """Cut one way; the way back is open."""
        cut = Cut(source, destination, vrid)
        self._cuts.append(cut)
        return cut

    def partition(self, *sides: Iterable[str], vrid: int | None = None) -> Sequence[Cut]:
        """Only nodes of the same side hear each other."""
        parts = [list(side) for side in sides]
        apart = [(side, other) for side in parts for other in parts if other is not side]
        return [self.cut(source, to, vrid) for side, other in apart for source in side for to in other]

    def mend(self, cuts: Iterable[Cut]) -> None:
        """Take these back, each once."""
        for cut in cuts:
            self._cuts.remove(cut)

    def unheard(self, source: str, destination: str, now: float) -> None:
        """A packet did not even leave, or nobody was there to take it."""
        self.last_word[source, destination] = Word(now, heard=False)

    def severed(self, source: str, destination: str) -> bool:
        """Whether something is cut between them, either way."""
        return any({cut.source, cut.destination} == {source, destination} for cut in self._cuts)

    def carry(self, source: str, destination: str, vrid: int, now: float) -> Sequence[float]:
        """When a packet that is sent now arrives: once, never or twice."""
        pair = (source, destination)
        if self._cuts and not {Cut(*pair), Cut(*pair, vrid)}.isdisjoint(self._cuts):
            return self._lose(pair, now)
        if self.loss and self._random.random() < self.loss:
            return self._lose(pair, now)
        self.last_word[pair] = Word(now, heard=True)
        arrivals = [self._arrival(pair, now)]
        if self.repeats and self._random.random() < self.repeats:
            arrivals.append(self._arrival(pair, now))
        if (last := max(arrivals)) > now + DELAY[1] or len(arrivals) > 1:
            self._troubled(pair, last)
        return arrivals

    def _lose(self, pair: tuple[str, str], now: float) -> Sequence[float]:
        self.last_word[pair] = Word(now, heard=False)
        self._troubled(pair, now + DELAY[1])
        return ()

    def _troubled(self, pair: tuple[str, str], until: float) -> None:
        self.trouble[pair] = max(until, self.trouble.get(pair, 0.0))
        self.last_trouble = max(until, self.last_trouble)

    def _arrival(self, pair: tuple[str, str], now: float) -> float:
        arrival = now + self._random.uniform(*self.delay)
        if self.ordered:
            arrival = self._last[pair] = max(arrival, self._last.get(pair, 0.0))
        return arrival
