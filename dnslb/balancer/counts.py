"""What a data plane has counted, and how much of it lately; pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TypeVar

from dnslb.forwarding import Counters, Passed

_APART = 1.0
"seconds between two samples that are kept"
_KEPT = 6

_Key = TypeVar("_Key")


class Counts:
    """The counters of one interface. Another engine begins at 0: what was counted before is added."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, Counters]] = deque(maxlen=_KEPT)
        self._last = Counters()
        self._before = Counters()

    def take(self, counters: Counters, now: float) -> None:
        """They were asked for."""
        self._last = counters
        if not self._samples or now >= self._samples[-1][0] + _APART:
            self._samples.append((now, counters))

    def begin_anew(self) -> None:
        """Another engine counts from now on."""
        self._before = _sum(self._before, self._last)
        self._last = Counters()
        self._samples.clear()

    def packets(self, slot: int | None) -> int:
        """All packets of a slot."""
        return 0 if slot is None else self._before.packets.get(slot, 0) + self._last.packets.get(slot, 0)

    def octets(self, slot: int | None) -> int:
        """All octets of a slot."""
        return 0 if slot is None else self._before.octets.get(slot, 0) + self._last.octets.get(slot, 0)

    @property
    def passed(self) -> Mapping[Passed, int]:
        """Packets that were not sent on, by reason."""
        return _sum(self._before, self._last).passed

    @property
    def lost(self) -> int:
        """Frames that an engine was too slow for, or could not send."""
        return self._before.lost + self._last.lost

    def rate(self, slot: int | None, now: float) -> float:
        """Packets per second over the last samples."""
        if slot is None or not self._samples or now <= self._samples[0][0]:
            return 0.0
        at, then = self._samples[0]
        return max(self._last.packets.get(slot, 0) - then.packets.get(slot, 0), 0) / (now - at)


def _sum(one: Counters, other: Counters) -> Counters:
    return Counters(
        packets=_added(one.packets, other.packets),
        octets=_added(one.octets, other.octets),
        passed=_added(one.passed, other.passed),
        lost=one.lost + other.lost,
    )


def _added(one: Mapping[_Key, int], other: Mapping[_Key, int]) -> Mapping[_Key, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in {*one, *other}}
