"""Time in a simulation: what is still to happen, and clocks that tick differently."""

import heapq
from collections.abc import Callable
from itertools import count
from random import Random

from tests.simulation.timeline import Timeline

_BUSY = 1000
"events at one instant that are taken for an endless loop"


class World:
    """An agenda in seconds since the beginning; everything random comes out of `seed`."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.now = 0.0
        self.random = Random(seed)
        self.timeline = Timeline()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, time: float, act: Callable[[], None]) -> None:
        """Do something later, after all that is to be done at the same time already."""
        heapq.heappush(self._agenda, (time, next(self._order), act))

    def run(
        self, until: float, each: Callable[[], None] = lambda: None, before: Callable[[float], None] = lambda _: None
    ) -> None:
        """Let time pass.

        `each` is called after each instant at which something happens, `before` with the time of the next one: until
        then all stays as it is.
        """
        agenda, busy = self._agenda, 0
        while agenda and agenda[0][0] <= until:
            time, _, act = heapq.heappop(agenda)
            if time > self.now:
                before(time)
                self.now, busy = time, 0
            busy += 1
            self.expect(busy < _BUSY, f"an end of what is to be done at {self.now}")
            act()
            if not agenda or agenda[0][0] > self.now:
                each()
        if until > self.now:
            before(until)
            self.now = until

    def expect(self, condition: bool, sentence: str) -> None:
        """Fail with the timeline unless it is so."""
        if not condition:
            raise AssertionError(f"expected at {self.now:.4f}: {sentence}\n{self.timeline}")


class Clock:
    """A machine's monotonic clock."""

    def __init__(self, shows: float, rate: float) -> None:
        self.shows = shows
        "at the beginning of the world"
        self.rate = rate
        "its seconds per second of the world"

    def local(self, world: float) -> float:
        """What it shows then."""
        return self.shows + world * self.rate

    def world(self, local: float) -> float:
        """When it shows that."""
        return (local - self.shows) / self.rate

    def stood_still(self, seconds: float) -> None:
        """It did not tick for so many seconds of the world."""
        self.shows -= seconds * self.rate
