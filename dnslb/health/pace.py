"""When a check runs next; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

_ROUNDING = 0.01
"of an interval: a timer may fire a little early, and the run that it has begun is not made twice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The pace of a check, all in seconds from the start of a run to the start of the next, but for retry_delay."""

    interval: float = 1.0
    fast_interval: float = 0.25
    "while the verdict is in doubt: after a run that says otherwise, until rise or fall is decided"
    retry_delay: float | None = None
    "delay_before_retry: from the end of a failed run to the next, instead of fast_interval"
    longest: float = 1.0
    "while it has failed, the interval is doubled up to this"
    rise: int = 2
    fall: int = 2
    "the first result of all counts at once"
    warmup: float = 1.0
    "the first run comes at a random time within it"

    def first(self, now: float, chance: float) -> float:
        """When the first run starts; `chance` in 0-1."""
        return now + self.warmup * chance

    def next(self, started: float, ended: float, *, doubt: bool, failing: int, phase: float) -> float:
        """When the run after one from `started` to `ended` starts: never before that ended.

        `doubt`: rise or fall is not decided; `failing`: failed runs in a row up to now. In peace runs start whole
        intervals from `phase`, so that the checks of one server, which have different phases, stay apart.
        """
        if not doubt:
            # 2.0**60 seconds are longer than anything in `longest`.
            slowed = self.interval * 2.0 ** min(max(failing - self.fall, 0), 60)
            latest = started + min(slowed, max(self.longest, self.interval))
            return max(phase + math.floor((latest - phase) / self.interval + _ROUNDING) * self.interval, ended)
        if failing and self.retry_delay is not None:
            return ended + self.retry_delay
        return max(started + min(self.fast_interval, self.interval), ended)
