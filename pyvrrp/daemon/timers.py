"""One timer of the event loop for every deadline of the daemon."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count


class Deadline:
    """A place in the schedule whose time may be moved at any moment."""

    __slots__ = ("expired", "queued", "when")

    def __init__(self, expired: Callable[[float], None]) -> None:
        self.expired = expired
        "called with the time now, at or after `when`"
        self.when: float | None = None
        self.queued: float | None = None
        "the earliest heap entry that stands for it"


class Timers:
    """Deadlines by a monotonic clock in seconds; moving one later costs nothing until its old time comes.

    The loop's own timers may fire up to a millisecond early (uvloop counts in milliseconds), so the clock decides.
    Everything that is due by then is delivered in one go, which lets a herd of virtual routers share its wake-ups.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._heap: list[tuple[float, int, Deadline]] = []
        self._order = count()
        self._handle: asyncio.TimerHandle | None = None
        self._armed = float("inf")
        self.lateness = 0.0
        "seconds by which the last deadline was met late"
        self.worst_lateness = 0.0

    def set(self, deadline: Deadline, when: float | None) -> None:
        """Have `deadline` expire at `when` (None: not at all), whatever was set before."""
        deadline.when = when
        if when is None or (deadline.queued is not None and deadline.queued <= when):
            return
        deadline.queued = when
        heapq.heappush(self._heap, (when, next(self._order), deadline))
        if when < self._armed:
            self._arm()

    def close(self) -> None:
        """Deliver nothing any more."""
        self._heap.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._armed = self._heap[0][0] if self._heap else float("inf")
        if self._heap:
            self._handle = self._loop.call_later(max(0.0, self._armed - self._clock()), self._fire)

    def _fire(self) -> None:
        now = self._clock()
        try:
            while self._heap and self._heap[0][0] <= now:
                queued, _, deadline = heapq.heappop(self._heap)
                if deadline.queued == queued:
                    deadline.queued = None
                if deadline.when is None:
                    continue
                if deadline.when > now:
                    self.set(deadline, deadline.when)
                    continue
                self.lateness = now - deadline.when
                self.worst_lateness = max(self.worst_lateness, self.lateness)
                deadline.when = None
                deadline.expired(now)
        finally:
            self._arm()
