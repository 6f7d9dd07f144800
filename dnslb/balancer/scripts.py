"""notify_up, notify_down, quorum_up, quorum_down: one after the other, each with a deadline and an outcome."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from dnslb.health.check import MiscProbe
from dnslb.health.script import Script
from dnslb.model import Endpoint
from pyvrrp.config.model import Command, Globals

_LOG = logging.getLogger("dnslb")
_REMEMBERED = 10
_NOBODY = Endpoint(ip_address("0.0.0.0"), 0)
"a script of this kind is about no server that is checked"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a script."""

    keyword: str
    ok: bool
    detail: str
    at: float
    "monotonic seconds"
    seconds: float


class Scripts:
    """The scripts of one virtual server, in the order of what they tell."""

    def __init__(self, name: str, settings: Callable[[], Globals], settled: Callable[[], Awaitable[None]]) -> None:
        """`settled` ends when the data plane does what the scripts are about to tell."""
        self.outcomes: deque[Outcome] = deque(maxlen=_REMEMBERED)
        self._name = name
        self._settings = settings
        self._settled = settled
        self._waiting: deque[tuple[str, Command]] = deque()
        self._worker: asyncio.Task[None] | None = None

    def run(self, keyword: str, command: Command | None) -> None:
        """Run it when those before it have ended."""
        if command is None:
            return
        self._waiting.append((keyword, command))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name=f"scripts of {self._name}")

    async def drain(self) -> None:
        """Wait until all have run, for as long as one may take; then what still runs is killed, and told."""
        if self._worker is None:
            return
        _, late = await asyncio.wait([self._worker], timeout=self._settings().notify_timeout)
        for worker in late:
            _LOG.error("%s: no time left for %d more scripts", self._name, len(self._waiting))
            worker.cancel()
            await asyncio.wait([worker])

    def status(self, now: float) -> list[Mapping[str, object]]:
        """JSON-ready: the last ones."""
        return [
            {
                "script": each.keyword,
                "ok": each.ok,
                "detail": each.detail,
                "age": round(now - each.at, 3),
                "seconds": round(each.seconds, 3),
            }
            for each in self.outcomes
        ]

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._settled()
                await self._run(*self._waiting.popleft())
        finally:
            self._worker = None

    async def _run(self, keyword: str, command: Command) -> None:
        settings, started = self._settings(), time.monotonic()
        script = Script(MiscProbe(server=_NOBODY, command=command, timeout=settings.notify_timeout, dynamic=False))
        verdict = await script.run(settings)
        now = time.monotonic()
        self.outcomes.append(Outcome(keyword, verdict.ok, verdict.detail, now, now - started))
        if not verdict.ok:
            _LOG.warning("%s: %s: %s", self._name, keyword, verdict.detail)
