"""The watch over the real servers of all virtual servers: runs their checks, tells what they come to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import assert_never

from dnslb.health.check import Check, DnsProbe, MiscProbe, TcpProbe, VipProbe
from dnslb.health.judgement import CheckState, common_causes, judge_server
from dnslb.health.probe import probe_all
from dnslb.health.report import CommonCause, CommonCausesChanged, Health, HealthChanged, Report
from dnslb.health.runner import Job, Runner
from dnslb.health.script import Script
from dnslb.health.serial_watch import SerialWatch
from dnslb.health.tcp import connect
from dnslb.health.verdict import Verdict
from dnslb.health.vip_path import Neighbours, VipPath
from dnslb.model import RealServer, VirtualServer
from pyvrrp.config.model import Globals
from pyvrrp.core.events import IPAddress


@dataclass(slots=True)
class _Watched:
    """One real server of one virtual server."""

    virtual_server: str
    server: RealServer
    runners: Mapping[Check, Runner]
    health: Health | None = None


@dataclass(slots=True)
class _Pool:
    """The real servers of one virtual server."""

    watched: Mapping[IPAddress, _Watched]
    causes: tuple[CommonCause, ...] = ()


class Monitor:
    """Runs the checks of all real servers, each check once, and reports health and common causes.

    `report` is called in the loop: first at `configure` for each server, then after each run that changed something.
    The causes that all servers of a virtual server have in common come before the health that follows from them.
    """

    def __init__(self, report: Callable[[Report], None], neighbours: Neighbours) -> None:
        """`neighbours` finds real servers on the link, for VIP_CHECK."""
        self._report = report
        self._path = VipPath(neighbours)
        self._settings = Globals()
        self._runners: dict[Job, Runner] = {}
        self._pools: dict[str, _Pool] = {}
        self._users: dict[Job, list[_Watched]] = {}
        self._serials = SerialWatch()
        self._stopping: set[asyncio.Task[None]] = set()

    def configure(self, virtual_servers: Sequence[VirtualServer], settings: Globals) -> None:
        """Watch these, now and after a reload; a check that was there goes on, with all that it knows.

        `settings` say who runs scripts.
        """
        self._settings = settings
        before = self._runners
        known = {(runner.job.check.probe, runner.job.vips): runner.state for runner in before.values()}
        self._runners, self._users = {}, {}
        fresh: list[tuple[Runner, float]] = []

        def runner(job: Job, chance: float) -> Runner:
            if job in before:
                return self._runners.setdefault(job, before[job])
            if job not in self._runners:
                state = known.get((job.check.probe, job.vips))
                self._runners[job] = made = Runner(job, self._performer(job), self._serials.judge, state)
                fresh.append((made, chance))
            return self._runners[job]

        pools, self._pools = self._pools, {}
        for virtual in virtual_servers:
            old = pools.get(virtual.name, _Pool({}))
            watched = {real.address: _watch(virtual, real, runner) for real in virtual.real_servers}
            for address, each in watched.items():
                if address in old.watched:
                    each.health = old.watched[address].health
                for one in each.runners.values():
                    self._users.setdefault(one.job, []).append(each)
            self._pools[virtual.name] = _Pool(watched, old.causes)
        self._serials.configure(map(_runners, self._pools.values()), lambda job: runner(job, 0.0))
        for job in before.keys() - self._runners.keys():
            task = asyncio.create_task(before[job].stop())
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)
        for each in self._all():
            self._tell(each)
        for made, chance in fresh:
            made.start(chance, self._changed)

    async def close(self) -> None:
        """Stop all checks; nothing is reported any more."""
        runners, self._runners, self._users, self._pools = self._runners, {}, {}, {}
        await asyncio.gather(*(runner.stop() for runner in runners.values()), *self._stopping)
        self._path.close()

    async def check_now(self, address: IPAddress | None = None) -> int:
        """Run the checks of one real server, or of all, at once, and wait for what they find; how many there were."""
        asked = [each for each in self._all() if address is None or each.server.address == address]
        runners = {runner for each in asked for runner in each.runners.values()}
        if runners:
            await asyncio.wait([runner.now() for runner in runners])
        return len(runners)

    def status(self) -> Mapping[str, object]:
        """JSON-ready: by virtual server what its servers have in common, and each with its checks."""
        return {
            name: {
                "common_causes": [asdict(cause) for cause in pool.causes],
                "servers": {str(address): _status(each) for address, each in pool.watched.items()},
            }
            for name, pool in self._pools.items()
        }

    def _all(self) -> Iterator[_Watched]:
        return (each for pool in self._pools.values() for each in pool.watched.values())

    def _performer(self, job: Job) -> Callable[[], Awaitable[Verdict]]:
        match job.check.probe:
            case DnsProbe(questions=questions):
                return lambda: probe_all(questions)
            case TcpProbe() as tcp:
                return lambda: connect(tcp)
            case MiscProbe() as misc:
                script = Script(misc)
                return lambda: script.run(self._settings)
            case VipProbe() as vip:
                return lambda: self._path.probe(vip, job.vips)
            case _ as never:
                assert_never(never)

    def _changed(self, runner: Runner) -> None:
        users = self._users.get(runner.job, ())
        for name in dict.fromkeys(each.virtual_server for each in users):
            pool = self._pools[name]
            causes = common_causes({address: _checks(each) for address, each in pool.watched.items()})
            if causes != pool.causes:
                pool.causes = causes
                self._report(CommonCausesChanged(name, causes))
        for each in users:
            self._tell(each)

    def _tell(self, watched: _Watched) -> None:
        health = judge_server(watched.server.checks, lambda check: watched.runners[check].state)
        if health != watched.health:
            watched.health = health
            self._report(HealthChanged(watched.virtual_server, watched.server.address, health))


def _watch(virtual: VirtualServer, real: RealServer, runner_of: Callable[[Job, float], Runner]) -> _Watched:
    """The runners of one real server; the first runs of its checks are spread over the warm-up."""
    checks = list(dict.fromkeys(check for group in real.checks for check in group.checks))
    begin = random.random()
    runners = {}
    for number, check in enumerate(checks):
        job = Job(check, virtual.endpoints if isinstance(check.probe, VipProbe) else ())
        runners[check] = runner_of(job, (begin + number / len(checks)) % 1.0)
    return _Watched(virtual.name, real, runners)


def _runners(pool: _Pool) -> list[Runner]:
    return [runner for each in pool.watched.values() for runner in each.runners.values()]


def _checks(watched: _Watched) -> list[tuple[str, CheckState]]:
    return [(runner.label, runner.state) for runner in watched.runners.values()]


def _status(watched: _Watched) -> Mapping[str, object]:
    health = watched.health
    return {
        "state": health.state.value if health else "unknown",
        "detail": health.detail if health else "",
        "factor": health.factor if health else 1.0,
        "warnings": list(health.warnings) if health else [],
        "checks": [runner.status() for runner in watched.runners.values()],
    }
