"""One attempt of a storage group to fulfil one wish: its timers, what it has tried, what it has said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import Enum

from drbdctl.failover.plan import Step
from drbdctl.failover.refusal import Refusal

_PAUSES = (0.25, 0.5, 1.0, 2.0)
"seconds before the second, third, ... try of a step"


class Timer(Enum):
    """What is waited for."""

    STEP = "the end of the step"
    KILL = "the end of the step that was killed"
    LOOK = "a look"
    RETRY = "the time of the next try"
    OVERALL = "the end of all patience"


class Attempt:
    """Made anew with each wish; a step that runs goes on from the attempt before."""

    def __init__(self, now: float = 0.0, within: float = 0.0, before: Attempt | None = None) -> None:
        self.timers: dict[Timer, float] = {} if before is None else before.of_the_step()
        if within:
            self.timers[Timer.OVERALL] = now + within
        self.look_from = now
        "only what was seen from then on counts"
        self.verified = False
        self.ran = False
        "a step was begun"
        self._done: Counter[Step] = Counter()
        self._failed: Counter[Step] = Counter()
        self._said: set[tuple[int, str]] = set()

    def of_the_step(self) -> dict[Timer, float]:
        """The timers of the step that runs."""
        return {timer: when for timer, when in self.timers.items() if timer in (Timer.STEP, Timer.KILL)}

    def done(self, step: Step) -> int:
        """A step has ended well: so many times now."""
        self._done[step] += 1
        return self._done[step]

    def failed(self, step: Step) -> int:
        """A step has failed: so many times now."""
        self._failed[step] += 1
        return self._failed[step]

    def pause(self, step: Step) -> float:
        """Seconds until it may be tried again."""
        return _PAUSES[min(self._failed[step], len(_PAUSES)) - 1]

    def news(self, refusals: Iterable[Refusal]) -> bool:
        """Whether one of them has not been said in this attempt; from now on they all have."""
        keys = {(each.rule, each.about) for each in refusals}
        new = not keys <= self._said
        self._said |= keys
        return new
