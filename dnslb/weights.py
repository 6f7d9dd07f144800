"""How much of its weight a server has: slow start, and the memory of flaps; pure."""

from __future__ import annotations

import math

from dnslb.model import FlapDamping

PARTS = 100
"in which a weight of 1 is counted, so that a part of it is a whole number too: the same on every node"

_MOST_STEPS = 20
"of a slow start, and one a second at most: each one is a new table, and moves flows"
_FIRST = 0.1
"of the weight, at which a slow start begins"
_MOST_DOWNS = 2.0
"times `downs` are remembered at most, so that a server is held back two half-lives at most"


def parts(weight: float, started: float) -> int:
    """A weight in PARTS; 0 only when it is 0."""
    return max(round(weight * PARTS * started), 1) if weight else 0


class SlowStart:
    """The way of one server from a recovery to its full weight."""

    def __init__(self, began: float, seconds: float) -> None:
        self.began = began
        self.seconds = seconds
        self._steps = max(min(int(seconds), _MOST_STEPS), 1)

    def share(self, now: float) -> float:
        """0.1 to 1, in steps."""
        return max(self._step(now) / self._steps, _FIRST)

    def next_step(self, now: float) -> float | None:
        """When the share changes next; None: it is 1."""
        step = max(self._step(now), int(_FIRST * self._steps))
        return None if step >= self._steps else self.began + self.seconds * (step + 1) / self._steps

    def _step(self, now: float) -> int:
        # A timer for a step fires at that very moment: the rounding of began + n * length must not miss it.
        return min(math.floor((now - self.began) / self.seconds * self._steps + 1e-6), self._steps)


class FlapMemory:
    """How often a server went down lately: each time counts 1, half as much after each half-life."""

    def __init__(self) -> None:
        self._amount = 0.0
        self._at = 0.0
        self.held = False

    def went_down(self, damping: FlapDamping | None, now: float) -> None:
        """Remember that it went down; the `downs`-th time in short order, hold it back."""
        if damping is None:
            return
        self._amount = min(self._left(damping, now) + 1.0, damping.downs * _MOST_DOWNS)
        self._at = now
        self.held = self.held or self._amount > damping.downs - 1

    def until(self, damping: FlapDamping | None) -> float | None:
        """When it is held back no longer; None: it is not held back."""
        if damping is None or not self.held:
            return None
        return self._at + damping.half_life * math.log2(self._amount / (damping.downs / 2))

    def update(self, damping: FlapDamping | None, now: float) -> None:
        """Let it go when enough has faded."""
        until = self.until(damping)
        self.held = until is not None and now < until

    def _left(self, damping: FlapDamping, now: float) -> float:
        return self._amount * math.exp2((self._at - now) / damping.half_life)
