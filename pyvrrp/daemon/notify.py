"""Notify scripts: every transition is told, one script after another, and never makes anybody wait."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections import Counter, deque

from pyvrrp.config.model import Command, Notify
from pyvrrp.host.scripts import Launcher, Outcome

_LOG = logging.getLogger("pyvrrp")
_REMEMBERED = 20


class NotifyQueue:
    """The notify scripts of one instance or group, in the order of its transitions, none lost, none in parallel."""

    def __init__(self, name: str, kind: str, notify: Notify, launcher: Launcher, timeout: float) -> None:
        self.name = name
        self.kind = kind
        "INSTANCE or GROUP"
        self.notify = notify
        self.timeout = timeout
        "seconds until a script is killed"
        self.outcomes: deque[tuple[str, Outcome]] = deque(maxlen=_REMEMBERED)
        "the last ones, with the keyword (notify_master, notify, ...)"
        self.runs: Counter[str] = Counter()
        "how often the script of each keyword has run"
        self.failures: Counter[str] = Counter()
        self._launcher = launcher
        self._waiting: deque[tuple[str, Command]] = deque()
        self._worker: asyncio.Task[None] | None = None

    @property
    def backlog(self) -> int:
        """How many scripts wait for the one that runs."""
        return len(self._waiting)

    def transition(self, state: str, priority: int) -> None:
        """Tell of MASTER, BACKUP, FAULT, STOP or DELETED: the script of that state, then `notify`.

        As in keepalived the first gets no arguments but its own, a group's priority is 0, and without notify_deleted a
        deleted instance tells `notify` of FAULT, while notify_fault is not run.
        """
        notify = self.notify
        match state:
            case "MASTER":
                specific = notify.master
            case "BACKUP":
                specific = notify.backup
            case "FAULT":
                specific = notify.fault
            case "STOP":
                specific = notify.stop
            case "DELETED":
                specific = notify.deleted
                state = "DELETED" if specific is not None else "FAULT"
            case _:
                raise ValueError(f"no notify script is for {state}")
        self._enqueue(f"notify_{state.lower()}", specific)
        if notify.any is not None:
            told = (self.kind, self.name, state, str(0 if self.kind == "GROUP" else priority))
            self._enqueue("notify", dataclasses.replace(notify.any, argv=(*notify.any.argv, *told)))

    def lower_priority(self) -> None:
        """Tell that a MASTER heard a lower-priority advertisement: notify_master_rx_lower_pri, and nothing else."""
        self._enqueue("notify_master_rx_lower_pri", self.notify.master_rx_lower_pri)

    async def drain(self, seconds: float) -> None:
        """Wait until every script has run; those that have not by then are killed or dropped, and told."""
        if self._worker is None:
            return
        _, late = await asyncio.wait([self._worker], timeout=seconds)
        if not late:
            return
        dropped = [f"{keyword} ({' '.join(command.argv)})" for keyword, command in self._waiting]
        self._waiting.clear()
        self._worker.cancel()
        await asyncio.wait([self._worker])
        self._worker = None
        if dropped:
            _LOG.error("%s: no time left to run %s", self.name, ", ".join(dropped))

    def _enqueue(self, keyword: str, command: Command | None) -> None:
        if command is None:
            return
        self._waiting.append((keyword, command))
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work(), name=f"notify scripts of {self.name}")

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._run(*self._waiting.popleft())
        finally:
            self._worker = None

    async def _run(self, keyword: str, command: Command) -> None:
        run = self._launcher.run(command, self.timeout)
        try:
            outcome = await run.outcome
            self.outcomes.append((keyword, outcome))
            self.runs[keyword] += 1
            self.failures[keyword] += not outcome.ok
            if not outcome.ok:
                _LOG.warning("%s: %s (%s) failed: %s", self.name, keyword, outcome.command, outcome.sentence)
            # After its SIGKILL it may sit in the kernel (a file system that hangs), but it does nothing any more.
            await asyncio.wait([run.gone], timeout=self._launcher.kill_grace + 1.0)
        except asyncio.CancelledError:
            run.kill()
            _LOG.error("%s: %s (%s) killed: the daemon leaves", self.name, keyword, run.command)
            raise
