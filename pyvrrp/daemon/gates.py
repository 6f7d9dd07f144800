"""Runs the gates of one virtual router: acquires them before its addresses come up, releases them after."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from pyvrrp.core.events import Event, GatesBegun, GatesClosed, GatesFailed, GatesHindered, GatesOpened
from pyvrrp.daemon.plugins import Contested, Gate, GateFailed, Hindrance, Undoable

_LOG = logging.getLogger("pyvrrp")
_UNKNOWN = object()
"the first gate has not said yet what hinders it"
_RETRY = 1.0
"seconds between two attempts to release a gate that refuses"


class GateRunner:
    """Level-triggered: it holds one wish, open or closed; the latest counts and stale work is cancelled.

    Answers with GatesOpened, GatesFailed (after undoing what it had acquired) or GatesClosed, each once per wish;
    before GatesOpened with GatesBegun, and GatesHindered while the first gate waits for somebody else to let go.
    """

    def __init__(self, instance: str, gates: Sequence[Gate], deliver: Callable[[Event], None]) -> None:
        self._instance = instance
        self._gates = self._next_gates = tuple(gates)
        self._deliver = deliver
        self._held: list[Gate] = []
        self._wish = False
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._hindered: Hindrance | object | None = _UNKNOWN
        "why none is acquired; None: they have begun"
        self.problem = ""
        "why a gate can't be released, in the gate's words"

    @property
    def held(self) -> list[str]:
        """The names of the gates that are acquired, perhaps partly."""
        return [gate.name for gate in self._held]

    @property
    def names(self) -> list[str]:
        """The names of all gates, in the order of acquisition."""
        return [gate.name for gate in self._gates]

    @property
    def undo(self) -> list[tuple[str, ...]]:
        """The commands that give back what is or may be held, should the daemon die."""
        gates = self._gates if self._wish or self._held else ()
        return [tuple(argv) for gate in reversed(gates) if isinstance(gate, Undoable) for argv in gate.undo]

    def adopt(self) -> None:
        """The process before has acquired all gates for us."""
        self._wish, self._held = True, list(self._gates)

    def open(self) -> None:
        """Wish for all gates to be acquired, in order."""
        self._want(True)

    def close(self) -> None:
        """Wish for all gates to be released, in reverse order."""
        self._want(False)

    def replace(self, gates: Sequence[Gate]) -> None:
        """Take other gates over (reload): at once, or when those that are held have been released."""
        self._next_gates = tuple(gates)
        self._take_next()

    def _take_next(self) -> None:
        if not self._held and self._task is None:
            self._gates = self._next_gates

    async def wait_closed(self) -> None:
        """Wait until nothing is held and nothing is being done."""
        while self._task is not None:
            await asyncio.wait([self._task])

    def _want(self, wish: bool) -> None:
        if self._task is not None and wish is self._wish:
            return
        self._wish = wish
        self._changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"gates of {self._instance}")

    async def _run(self) -> None:
        try:
            while self._changed.is_set():
                self._changed.clear()
                if self._wish:
                    await self._open()
                else:
                    await self._close()
        finally:
            self._task = None
            self._take_next()

    async def _open(self) -> None:
        self._hindered = _UNKNOWN
        for number, gate in enumerate(self._gates):
            if isinstance(gate, Contested):
                gate.hindered = self._is_hindered if number == 0 else lambda _: None
            if number > 0 or not isinstance(gate, Contested):
                self._is_hindered(None)  # what is held must be heard of
            if gate not in self._held:
                self._held.append(gate)  # also while it is being acquired: release is idempotent
            # One that is held already too: its release may have been tried, and have come half way.
            why = await self._attempt(gate, "acquire")
            if self._changed.is_set() and not self._wish:
                return
            if why is not None:
                _LOG.error("%s: gate %s can't be acquired: %s", self._instance, gate.name, why)
                await self._close_held()
                if not self._changed.is_set():
                    self._deliver(GatesFailed(f"gate {gate.name}: {why}"))
                return
        self._is_hindered(None)
        self._deliver(GatesOpened())

    def _is_hindered(self, by: Hindrance | None) -> None:
        if by is not self._hindered and self._wish:
            self._hindered = by
            self._deliver(GatesBegun() if by is None else GatesHindered(by))

    async def _close(self) -> None:
        if await self._close_held():
            self._deliver(GatesClosed())

    async def _close_held(self) -> bool:
        """Release what is held; False when the wish changed to open meanwhile."""
        while self._held:
            gate = self._held[-1]
            why = await self._attempt(gate, "release")
            if why is None:
                self._held.pop()
                self.problem = ""
                continue
            if self._changed.is_set() and self._wish:
                return False
            if why != self.problem:
                _LOG.error("%s: gate %s can't be released: %s; trying again", self._instance, gate.name, why)
            self.problem = why
            await self._pause(_RETRY)
        return True

    async def _attempt(self, gate: Gate, what: str) -> str | None:
        """Acquire or release; an acquisition is cancelled when the wish changes. Returns why it failed, or None."""
        task = asyncio.ensure_future(gate.acquire() if what == "acquire" else gate.release())
        if what == "acquire":
            await self._until_done_or_unwanted(task)
        else:
            await asyncio.wait({task})
        if task.cancelled():
            return "cancelled"
        match task.exception():
            case None:
                return None
            case GateFailed() as refused:
                return str(refused)
            case unexpected:
                return f"{type(unexpected).__name__}: {unexpected}"

    async def _until_done_or_unwanted(self, task: asyncio.Future[None]) -> None:
        while not task.done():
            change = asyncio.ensure_future(self._changed.wait())
            both: set[asyncio.Future[Any]] = {task, change}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            change.cancel()
            if self._wish and self._changed.is_set():
                self._changed.clear()  # closed and opened again meanwhile: this attempt still counts
                if self._hindered is None:
                    self._deliver(GatesBegun())
            elif not self._wish:
                task.cancel()
                await asyncio.wait({task})

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass
