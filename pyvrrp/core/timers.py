"""What a virtual router may be waiting for, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum


class Timer(Enum):
    """The timers of RFC 3768 section 6.2, and ours."""

    MASTER_DOWN = "master down"
    ADVER = "advertisement"
    GARP = "announcement"
    HAND_OVER = "successor"
    GATE = "gate"
    GATE_COOL_DOWN = "gate cool-down"
    STARTUP_DELAY = "startup delay"


class Timers(dict[Timer, float]):
    """The timers that run, with their times (monotonic seconds)."""

    @property
    def deadline(self) -> float | None:
        """The earliest time; None: no timer runs."""
        return min(self.values(), default=None)

    def due(self, now: float) -> Iterator[tuple[Timer, float]]:
        """Stop and yield each that is due, in order of time; handling one may cancel or move those after it."""
        for when, _, timer in sorted((when, timer.value, timer) for timer, when in self.items() if when <= now):
            if self.get(timer) == when:
                del self[timer]
                yield timer, when
