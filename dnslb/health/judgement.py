"""From the verdicts of checks to the health of a server; pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dnslb.health.check import Action, Band, Check, CheckGroup
from dnslb.health.pace import Schedule
from dnslb.health.report import CommonCause, Health, State
from dnslb.health.verdict import REFUSED, TIMEOUT, Verdict
from pyvrrp.core.events import IPAddress
from pyvrrp.core.tracking import Tracker

_LEAST = 0.1
"of its weight that a slow server keeps"
_STEP = 0.1
"the most that a latency moves a weight at one time"
_DEAD_BAND = 0.05
"changes of a weight that are not worth a new table"
_EWMA = 0.2
"the part of a new latency in the mean"
_REFUSAL = 5.0
"seconds in which a silence after a refusal says nothing new: a kernel sends one ICMP error a second to one address"


class CheckState:
    """One check: its verdicts under rise and fall, and how fast they came."""

    def __init__(self, schedule: Schedule, band: Band | None = None, before: CheckState | None = None) -> None:
        """`before`: the same question at another pace, until a reload; what it knew is known."""
        self.tracker: Tracker = Tracker(
            "check", "", rise=schedule.rise, fall=schedule.fall, before=before.tracker if before else None
        )
        self.last: Verdict | None = None
        self.good: Verdict | None = None
        "the last good one"
        self.bad: Verdict | None = None
        "the last bad one"
        self.at = 0.0
        "monotonic seconds of the last verdict"
        self.refused_at = -math.inf
        "when it was last said that nothing listens; an answer since then is the end of it"
        self.failing = 0
        "failures in a row up to now"
        self.latency: float | None = None
        "seconds, the moving mean of good answers"
        self.factor = 1.0
        self._band = band
        if before is not None and before.healthy is not None:
            self.tracker.result = schedule.rise + schedule.fall - 1 if before.healthy else 0
            self.last, self.good, self.bad, self.at = before.last, before.good, before.bad, before.at
            self.failing, self.latency = before.failing, before.latency

    @property
    def healthy(self) -> bool | None:
        """None: no result yet."""
        return self.tracker.up

    @property
    def doubt(self) -> bool:
        """The last verdict says otherwise than `healthy`."""
        return self.last is not None and self.last.ok is not self.healthy

    def handle(self, verdict: Verdict, now: float) -> None:
        """Take a verdict; the first one counts at once, then `rise` or `fall` in a row."""
        self.last, self.at = verdict, now
        self.tracker.report(verdict.ok, verdict.detail, now)
        if verdict.cause == REFUSED:
            self.refused_at = now
        if not verdict.ok:
            self.bad = verdict
            self.failing += 1
            return
        self.refused_at = -math.inf
        self.good = verdict
        self.failing = 0
        known = verdict.elapsed if self.latency is None else self.latency
        self.latency = known + (verdict.elapsed - known) * _EWMA
        if self._band is not None:
            self.factor = step(self.factor, in_band(self._band, self.latency))


def in_band(band: Band, latency: float) -> float:
    """The factor that a latency deserves."""
    excess = (latency - band.low) / (band.high - band.low)
    return round(1.0 - (1.0 - _LEAST) * min(max(excess, 0.0), 1.0), 6)


def step(factor: float, wanted: float) -> float:
    """One step from `factor` towards `wanted`; the ends of the scale are reached exactly."""
    if abs(wanted - factor) < _DEAD_BAND and wanted not in (1.0, _LEAST):
        return factor
    return round(factor + min(max(wanted - factor, -_STEP), _STEP), 6)


@dataclass(slots=True)
class _Findings:
    """What the groups of a server have come to so far."""

    failures: dict[Action, list[str]] = field(default_factory=lambda: {action: [] for action in Action})
    waiting: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    factor: float = 1.0

    def add(self, group: CheckGroup, states: Sequence[CheckState]) -> None:
        passed = sum(state.healthy is True for state in states)
        failed = [state.bad.detail for state in states if state.healthy is False and state.bad]
        unknown = [check.label for check, state in zip(group.checks, states, strict=True) if state.healthy is None]
        consequence = group.consequence
        if passed >= group.need:
            self.warnings += failed
        elif passed + len(unknown) < group.need:
            of = f"check_group {group.name} needs {group.need}, {passed} pass: " if group.name else ""
            self.failures[consequence.action].append(of + _joined(failed))
            if consequence.action is Action.DEGRADE:
                self.factor *= consequence.share
        elif consequence.action is Action.DOWN:
            self.waiting += unknown
        for state in states:
            if state.healthy and state.good:
                self.warnings += state.good.remarks
                if state.good.weight is not None:
                    self.weights.append(state.good.weight)

    def outcome(self) -> tuple[State, str]:
        if down := self.failures[Action.DOWN]:
            return State.DOWN, _joined(down)
        if self.waiting:
            return State.UNKNOWN, f"no result yet of {self.waiting[0]}"
        if degraded := self.failures[Action.DEGRADE]:
            return State.DEGRADED, _joined(degraded)
        if self.factor < 1.0:
            return State.DEGRADED, f"it answers slowly, {self.factor:.0%} of its weight is left"
        return State.UP, "all checks that decide pass" if self.warnings else "all checks pass"


def judge_server(groups: Sequence[CheckGroup], state_of: Callable[[Check], CheckState]) -> Health:
    """The health of a server that has to pass all of these groups; the file may well say that there are none."""
    if not groups:
        return Health(state=State.UP, detail="nothing checks it")
    findings = _Findings()
    slowest = 1.0
    for group in groups:
        states = [state_of(check) for check in group.checks]
        findings.add(group, states)
        slowest = min(slowest, *(state.factor for state in states))
    findings.factor *= slowest
    findings.warnings += findings.failures[Action.WARN]
    state, detail = findings.outcome()
    return Health(
        state=state,
        detail=detail,
        factor=findings.factor,
        weights=tuple(findings.weights),
        warnings=tuple(dict.fromkeys(findings.warnings)),
    )


def common_causes(servers: Mapping[IPAddress, Sequence[tuple[str, CheckState]]]) -> tuple[CommonCause, ...]:
    """What none of the servers passes, by their last verdicts, with those that fail for one and the same reason.

    `servers`: of each its checks in the order of the file, with their labels. Checks are the same when they are the
    n-th of their kind: the names and addresses in them may differ. A cause is common to two servers at least.
    """
    by_place = {address: _by_place(checks) for address, checks in servers.items()}
    found = []
    for place in next(iter(by_place.values()), {}):
        verdicts = {address: checks[place][1].last for address, checks in by_place.items() if place in checks}
        if len(verdicts) < len(servers) or any(verdict is None or verdict.ok for verdict in verdicts.values()):
            continue
        causes = {address: _cause(place, checks) for address, checks in by_place.items()}
        for cause in dict.fromkeys(causes.values()):
            having = [address for address, its in causes.items() if its == cause]
            label, state = by_place[having[0]][place]
            if len(having) > 1 and state.last is not None:
                addresses = frozenset(having)
                found.append(CommonCause(check=label, cause=cause, detail=state.last.detail, servers=addresses))
    return tuple(found)


def _cause(place: tuple[str, int], checks: Mapping[tuple[str, int], tuple[str, CheckState]]) -> str:
    """Why a server fails a check: silence where another check, or this one, has just been refused is a refusal too."""
    _, state = checks[place]
    cause = state.last.cause if state.last else ""
    refused = any(state.at - other.refused_at < _REFUSAL for _, other in checks.values())
    return REFUSED if cause == TIMEOUT and refused else cause


def _by_place(checks: Sequence[tuple[str, CheckState]]) -> Mapping[tuple[str, int], tuple[str, CheckState]]:
    places: dict[tuple[str, int], tuple[str, CheckState]] = {}
    for label, state in checks:
        kind = label.partition(" ")[0]
        places[kind, sum(place[0] == kind for place in places)] = (label, state)
    return places


def _joined(sentences: Sequence[str]) -> str:
    return "; ".join(dict.fromkeys(sentences))
