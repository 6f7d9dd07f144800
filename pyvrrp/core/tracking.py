"""Trackers: what checks say about this node, with hysteresis, and what that does to a virtual router."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pyvrrp.core.events import TrackingChanged


class Tracker:
    """The results of one check under keepalived's rise/fall hysteresis.

    One counter, `result`, runs from 0 to rise + fall - 1. It starts at rise - 1, so that the first result counts at
    once in either direction; from then on `rise` successes in a row bring the tracker up and `fall` failures down.
    """

    __slots__ = ("broken", "detail", "failures", "fall", "kind", "name", "result", "rise", "since", "successes", "up")

    def __init__(
        self,
        kind: str,
        name: str,
        *,
        rise: int = 1,
        fall: int = 1,
        init_fail: bool = False,
        before: Tracker | None = None,
    ) -> None:
        self.kind = kind
        self.name = name
        self.rise = rise
        self.fall = fall
        self.result = rise - 1
        self.up: bool | None = before.up if before else False if init_fail else None
        "None: not reported yet; `before` is the tracker of that name until a reload changed it"
        self.broken: bool = before.broken if before else False
        "the last failure was no answer at all: the check could not be made"
        self.since: float | None = before.since if before else None
        "monotonic seconds: when `up` or `broken` last changed"
        self.detail: str = before.detail if before else "no result yet"
        "what the last result was, one sentence"
        self.successes = 0
        self.failures = 0

    def report(self, ok: bool, detail: str, now: float, *, broken: bool = False) -> bool:
        """Take a result; True when it changes what the tracker says, to those that track it plainly or in reverse."""
        before = (self.healthy(reverse=False), self.healthy(reverse=True))
        self.detail = detail
        self.broken = broken
        if ok:
            self.successes += 1
            self._succeeded()
        else:
            self.failures += 1
            self._failed()
        changed = before != (self.healthy(reverse=False), self.healthy(reverse=True))
        if changed:
            self.since = now
        return changed

    def _succeeded(self) -> None:
        if self.result < self.rise - 1:
            self.result += 1
        else:
            self.result = self.rise + self.fall - 1
            self.up = True

    def _failed(self) -> None:
        if self.result > self.rise:
            self.result -= 1
        else:
            self.result = 0
            self.up = False

    def healthy(self, *, reverse: bool) -> bool | None:
        """What it says to an instance; None: nothing yet. A check that can't be made is bad, in reverse too."""
        if self.up is None:
            return None
        if self.broken and not self.up:
            return False
        return self.up != reverse


@dataclass(frozen=True, slots=True)
class Tracked:
    """A tracker as one instance or sync group names it."""

    tracker: Tracker
    weight: int = 0
    "-253 to 253; 0: not healthy is a FAULT"
    reverse: bool = False

    @property
    def contribution(self) -> int:
        """What it adds to the priority now; a tracker that has not reported contributes nothing, as in keepalived."""
        match self.tracker.healthy(reverse=self.reverse):
            case True:
                return max(self.weight, 0)
            case False:
                return min(self.weight, 0)
            case None:
                return 0

    @property
    def sentence(self) -> str:
        """What it found, for a person."""
        tracker = self.tracker
        reverse = " (tracked in reverse)" if self.reverse else ""
        return f"{tracker.kind} {tracker.name}{reverse}: {tracker.detail}"


def in_sync_group(own: Sequence[Tracked], group: Sequence[Tracked], *, tracking_weight: bool) -> list[Tracked]:
    """The trackers that count for a member of a sync group.

    `tracking_weight` is sync_group_tracking_weight: without it the member's own weighted trackers are ignored. A
    tracker that the group names too counts once, as the group has it.
    """
    named = {tracked.tracker for tracked in group}
    return [*group, *(each for each in own if each.tracker not in named and (tracking_weight or each.weight == 0))]


def tracking(tracks: Iterable[Tracked]) -> TrackingChanged:
    """The sum of the weights, and what the trackers without weight forbid."""
    weight, faults, pending = 0, [], []
    for tracked in tracks:
        weight += tracked.contribution
        if tracked.weight == 0:
            match tracked.tracker.healthy(reverse=tracked.reverse):
                case False:
                    faults.append(tracked.sentence)
                case None:
                    pending.append(tracked.sentence)
    return TrackingChanged(weight, tuple(faults), tuple(pending))
