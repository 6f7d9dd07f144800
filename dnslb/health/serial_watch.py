"""Which checks compare their serials, and with what."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from dnslb.health.check import Check, DnsProbe
from dnslb.health.query import Binding
from dnslb.health.runner import Job, Runner
from dnslb.health.serial import SerialJudge
from dnslb.health.verdict import Verdict


@dataclass(slots=True)
class _Comparison:
    judge: SerialJudge
    others: set[Runner] = field(default_factory=set)
    primary: Runner | None = None


class SerialWatch:
    """The serials that every check with `serial_lag` is compared with."""

    def __init__(self) -> None:
        self._comparisons: dict[Job, _Comparison] = {}

    def configure(self, pools: Iterable[Sequence[Runner]], runner_of: Callable[[Job], Runner]) -> None:
        """`pools`: the runners of each virtual server; `runner_of` gives the one that asks a primary."""
        before, self._comparisons = self._comparisons, {}
        for runners in pools:
            alike: dict[object, set[Runner]] = {}
            for runner in runners:
                probe = runner.job.check.probe
                if isinstance(probe, DnsProbe) and probe.serial is not None:
                    alike.setdefault((probe.questions[0].name, probe.serial), set()).add(runner)
                    old = before.get(runner.job)
                    made = _Comparison(old.judge if old else SerialJudge(probe.serial))
                    comparison = self._comparisons.setdefault(runner.job, made)
                    if primary := _primary_job(runner.job.check, probe):
                        comparison.primary = runner_of(primary)
            for together in alike.values():
                for runner in together:
                    self._comparisons[runner.job].others |= together - {runner}

    def judge(self, runner: Runner, verdict: Verdict) -> Verdict:
        """The verdict, with its serial taken into account."""
        comparison = self._comparisons.get(runner.job)
        if comparison is None:
            return verdict
        others = [serial for other in comparison.others if (serial := _serial(other)) is not None]
        primary = _serial(comparison.primary) if comparison.primary else None
        return comparison.judge.judge(verdict, others, primary, time.monotonic())


def _serial(runner: Runner) -> int | None:
    return runner.state.last.serial if runner.state.last else None


def _primary_job(check: Check, probe: DnsProbe) -> Job | None:
    if probe.serial is None or probe.serial.primary is None:
        return None
    primary = probe.serial.primary
    question = replace(
        probe.questions[0],
        server=primary.address,
        port=primary.port,
        nsid=None,
        rrsig_days=None,
        binding=Binding(),
    )
    return Job(Check(probe=DnsProbe((question,)), schedule=check.schedule))
