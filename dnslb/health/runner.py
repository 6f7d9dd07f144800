"""One check of one server that goes on at its pace."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from dnslb.health.check import Check
from dnslb.health.judgement import CheckState
from dnslb.health.verdict import Verdict
from dnslb.model import Endpoint

_LOG = logging.getLogger("dnslb")


@dataclass(frozen=True, slots=True)
class Job:
    """What a runner does; equal jobs are run once, however many virtual servers have them."""

    check: Check
    vips: tuple[Endpoint, ...] = ()
    "that a VIP_CHECK asks on"


class Runner:
    """Runs a job until it is stopped; runs never overlap."""

    def __init__(
        self,
        job: Job,
        perform: Callable[[], Awaitable[Verdict]],
        heard: Callable[[Runner, Verdict], Verdict],
        before: CheckState | None = None,
    ) -> None:
        """`heard` is told of each verdict before it counts, and may pass a severer one."""
        self.job = job
        self.label = job.check.label
        self.state = CheckState(job.check.schedule, job.check.latency, before)
        self.broken = 0
        "runs that ended in a mistake of our own"
        self._perform = perform
        self._heard = heard
        self._asked: list[asyncio.Future[None]] = []
        self._answering: list[asyncio.Future[None]] = []
        "those that asked for the run that is on"
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, chance: float, changed: Callable[[Runner], None]) -> None:
        """Begin; `changed` is called after each run.

        `chance`, in 0-1, is the place of the first run in the warm-up, and that of all runs in the interval.
        """
        schedule, now = self.job.check.schedule, time.monotonic()
        running = self._run(schedule.first(now, chance), now + schedule.interval * chance, changed)
        self._task = asyncio.create_task(running, name=f"dnslb {self.label}")

    async def stop(self) -> None:
        """End it, in the middle of a run if need be."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        for waiting in (*self._asked, *self._answering):
            waiting.cancel()

    def now(self) -> asyncio.Future[None]:
        """Run at once, or again after the run that is on; the future is done when that run has been judged."""
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.append(asked)
        self._wake.set()
        return asked

    def status(self) -> Mapping[str, object]:
        """JSON-ready; latency and age in seconds."""
        state, last = self.state, self.state.last
        return {
            "check": self.label,
            "healthy": state.healthy,
            "detail": last.detail if last else "no result yet",
            "latency": last and round(last.elapsed, 6),
            "mean_latency": state.latency and round(state.latency, 6),
            "age": last and round(time.monotonic() - state.at, 3),
            "passed": state.tracker.successes,
            "failed": state.tracker.failures,
            "failing": state.failing,
            "broken": self.broken,
            "last_failure": state.bad.detail if state.bad else None,
            "nsid": last.nsid if last else "",
            "serial": last and last.serial,
        }

    async def _run(self, due: float, phase: float, changed: Callable[[Runner], None]) -> None:
        schedule = self.job.check.schedule
        while True:
            await self._pause(due)
            self._answering, self._asked = self._asked, []
            now = time.monotonic()
            started = due if due <= now < due + schedule.interval else now
            verdict = await self._once()
            now = time.monotonic()
            self.state.handle(verdict, now)
            due = schedule.next(started, now, doubt=self.state.doubt, failing=self.state.failing, phase=phase)
            try:
                changed(self)
            except Exception as error:
                self._mistake(f"what {self.label} found could not be told", error)
            for waiting in self._answering:
                if not waiting.done():
                    waiting.set_result(None)

    async def _once(self) -> Verdict:
        try:
            return self._heard(self, await self._perform())
        except Exception as error:
            # One check that is broken must not end the watch over all servers; its server is not healthy for it.
            detail = self._mistake(f"{self.label} could not be made", error)
            return Verdict(False, detail, 0.0, cause="broken")

    def _mistake(self, what: str, error: Exception) -> str:
        """Count a mistake of our own, and log the first; return its sentence."""
        self.broken += 1
        sentence = f"{what}: {type(error).__name__}: {error}"
        if self.broken == 1:
            _LOG.error("%s", sentence, exc_info=_LOG.isEnabledFor(logging.DEBUG))
        return sentence

    async def _pause(self, due: float) -> None:
        self._wake.clear()
        if self._asked:
            return
        try:
            async with asyncio.timeout(max(due - time.monotonic(), 0.0)):
                await self._wake.wait()
        except TimeoutError:
            pass
