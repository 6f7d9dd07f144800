"""Rule 26: how often automation may act before it asks for a human. Immutable; monotonic seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from drbdctl.failover.group import Limits
from drbdctl.failover.refusal import Refusal, Until, Verdict, verdict

_LONGEST = 300.0
"seconds: a back-off is not doubled beyond them"


@dataclass(frozen=True, slots=True)
class Budget:
    """What was done of late."""

    limits: Limits = field(default_factory=Limits)
    promotions: tuple[float, ...] = ()
    "when, within the period"
    failures: int = 0
    "in a row"
    last_failure: float = 0.0

    def promoted(self, now: float) -> Budget:
        """The group became Primary and serves."""
        kept = tuple(each for each in self.promotions if now - each < self.limits.period)
        return replace(self, promotions=(*kept, now), failures=0)

    def failed(self, now: float) -> Budget:
        """A promotion that was allowed has failed."""
        return replace(self, failures=self.failures + 1, last_failure=now)

    def acknowledged(self) -> Budget:
        """An operator has looked at it: everything is forgotten."""
        return Budget(self.limits)

    def verdict(self, now: float) -> Verdict:
        """Rule 26: whether one more promotion is within the limits."""
        return verdict(26, self._exceeded(now))

    def _exceeded(self, now: float) -> Iterator[Refusal]:
        limits, since = self.limits, now - self.last_failure
        recent = [each for each in self.promotions if now - each < limits.period]
        if limits.takeovers and len(recent) >= limits.takeovers:
            left = limits.period - (now - min(recent[-limits.takeovers :]))
            why = f"it was promoted {len(recent)} times within {limits.period:g} s"
            hint = f"look why, then `drbdctl acknowledge`; by itself it goes on in {left:.0f} s"
            yield Refusal(26, "", why, hint, Until.OPERATOR)
        if limits.failures and self.failures >= limits.failures and since < limits.period:
            why = f"{self.failures} promotions in a row have failed, the last one {since:.0f} s ago"
            hint = f"look why, then `drbdctl acknowledge`; by itself it goes on in {limits.period - since:.0f} s"
            yield Refusal(26, "", why, hint, Until.OPERATOR)
        elif self.failures and since < (pause := self.back_off):
            why = f"a promotion failed {since:.1f} s ago"
            yield Refusal(26, "", why, f"it is tried again in {pause - since:.1f} s", Until.TIME)

    @property
    def back_off(self) -> float:
        """Seconds from the last failure to the next attempt."""
        doubled: float = self.limits.back_off * 2.0 ** min(max(self.failures - 1, 0), 20)
        return min(doubled, _LONGEST)
