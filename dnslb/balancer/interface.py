"""One interface at work: its data plane, called in a thread of its own, never by two at a time, the latest wish first.

An engine that fails is replaced by the next one that can be used; when none is left, all are tried again, at longer and
longer intervals.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TypeVar

from dnslb.balancer.continuation import SLOTS, Left, SlotBook, close, kept_of_engine, of_engine
from dnslb.balancer.counts import Counts
from dnslb.balancer.recipe import Recipe, Tables, services_of
from dnslb.balancer.servfail import Answerer, Asked
from dnslb.dataplane import DataPlane, DataPlaneError
from dnslb.dataplane.select import AUTO, ENGINES, Open, choose
from dnslb.forwarding import Service
from dnslb.model import Engine
from dnslb.slots import Slots
from pyvrrp.core.events import IPAddress

_LOG = logging.getLogger("dnslb")
_BACK_OFF = (1.0, 30.0)
"seconds until engines are tried again: at first, at most"

Result = TypeVar("Result")
Opener = Callable[[str, str, Iterable[Service], Mapping[str, str]], tuple[DataPlane, str]]
"engine, interface, services, and why some engines are not to be tried -> as select.choose"


def open_engine(
    engine: str, interface: str, services: Iterable[Service], failed: Mapping[str, str]
) -> tuple[DataPlane, str]:
    """Open the best engine but those that have failed; raises DataPlaneError."""

    def opener(name: str) -> Open:
        def open(interface: str) -> DataPlane:
            if name in failed:
                raise DataPlaneError(failed[name])
            plane: DataPlane = import_module(f"dnslb.dataplane.{name}").open(interface)
            return plane

        return open

    return choose(engine, interface, services, {name: opener(name) for name in ENGINES})


def resume_engine(engine: str, interface: str, descriptors: Mapping[str, int]) -> DataPlane:
    """Take over what the process before had; the descriptors are used up. Raises DataPlaneError."""
    plane: DataPlane = import_module(f"dnslb.dataplane.{engine}").resume(interface, descriptors)
    return plane


class Interface:
    """What is balanced on one interface."""

    def __init__(
        self,
        name: str,
        engine: Engine,
        changed: Callable[[], None],
        opener: Opener = open_engine,
        left: Left | None = None,
    ) -> None:
        """`changed` is called on the loop when an engine, or what `kept` says, is another one.

        `left`: what the process before had here, ours from now on.
        """
        self.name = name
        self.plane: DataPlane | None = None
        self.chosen = ""
        "the engine, and why this one"
        self.problem = ""
        "why there is none; empty while there is one, or has not been time for one"
        self.recipe: Recipe | None = None
        self.held: frozenset[IPAddress] = frozenset()
        self.counts = Counts()
        self.sampled = False
        "somebody looks at its queries"
        self.installed = 0
        "how often an engine was given something else to do: the number of what it does now"
        self._engine = engine
        self._changed = changed
        self._open = opener
        self._left: Left = left or {}
        self._resuming = bool(of_engine(self._left)[0])
        self._book = SlotBook(self._left.get(SLOTS))
        self._slots = Slots(taken=self._book.read())
        self._kept: dict[str, int] = {}
        self._tables = Tables()
        self._answerer = Answerer()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"dnslb {name}")
        self._failed: dict[str, str] = {}
        self._pause = _BACK_OFF[0]
        self._again = 0.0
        self._reopen = False
        self._installed: Recipe | None = None
        self._holding: frozenset[IPAddress] | None = None
        "None: perhaps what the process before held"
        self._wanted_answers: frozenset[Asked] = frozenset()
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._worker = asyncio.create_task(self._work(), name=f"data plane of {name}")

    def forward(self, recipe: Recipe, answers: frozenset[Asked]) -> None:
        """Forward by this from now on; `answers`: where SERVFAIL is said as long as the address is held."""
        if recipe != self.recipe or answers != self._wanted_answers:
            self.recipe, self._wanted_answers = recipe, answers
            self._go()

    def claim(self, servers: Collection[Hashable]) -> Mapping[Hashable, int]:
        """The slots of these servers; a server that is none of them gives its slot back."""
        before = dict(self._slots.taken)
        for gone in before.keys() - set(servers):
            self._slots.release(gone)
        claimed = {server: self._slots.claim(server) for server in servers}
        if claimed != before:
            self._book.write(claimed)
        return claimed

    def slot(self, server: Hashable) -> int | None:
        """The slot that a server has."""
        return self._slots.taken.get(server)

    @property
    def resuming(self) -> bool:
        """It goes on by what the process before wanted."""
        return self._resuming and self._installed is None

    def kept(self) -> Mapping[str, int]:
        """What the next process needs, by the names that `left` has."""
        return self._kept or self._left

    def hold(self, addresses: frozenset[IPAddress]) -> None:
        """Balance these addresses from now on; goes ahead of what waits."""
        if addresses != self.held:
            self.held = addresses
            self._go()

    def use(self, engine: Engine) -> None:
        """The engine that is wanted from now on."""
        if engine is not self._engine:
            self._engine = engine
            self.renew()

    def renew(self) -> None:
        """Choose an engine anew, those that have failed included: the interface is another one, or the wish."""
        self._failed.clear()
        self._again, self._reopen = 0.0, True
        self._go()

    async def settled(self) -> None:
        """Wait until the data plane does what is wanted, or can't."""
        await self._settled.wait()

    async def count(self) -> None:
        """Ask for the counters; those that were there before stay when there is no answer."""
        plane = self.plane
        if plane is not None:
            try:
                self.counts.take(await self.do(plane.counters), time.monotonic())
            except DataPlaneError as error:
                self._lost(plane, str(error))

    def do(self, function: Callable[[], Result]) -> asyncio.Future[Result]:
        """What `function` returns in the thread that alone calls the engine."""
        return asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def close(self) -> None:
        """Detach; what comes then passes."""
        self._worker.cancel()
        await asyncio.wait([self._worker])
        await self._answerer.cover(frozenset())
        await self.do(lambda: _shut(self.plane))
        close(of_engine(self._left)[1])
        self._book.close()
        self._kept = {}
        self._thread.shutdown(wait=False)

    # --- the work ----------------------------------------------------------------------------------------------------

    def _go(self) -> None:
        self._settled.clear()
        self._wake.set()

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            try:
                while await self._step():
                    pass
            except Exception as error:  # of an engine's own: the other engines may still work
                _LOG.exception("%s: the data plane failed", self.name)
                if self.plane is not None:
                    self._lost(self.plane, f"{type(error).__name__}: {error}")
            if not self._wake.is_set():
                self._settled.set()
            left = None if self.plane is not None or self.recipe is None else self._again - time.monotonic()
            try:
                async with asyncio.timeout(left):
                    await self._wake.wait()
            except TimeoutError:
                self._failed.clear()

    async def _step(self) -> bool:
        """Do the most urgent thing; whether anything was to be done."""
        recipe, held, plane = self.recipe, self.held, self.plane
        if plane is None or self._reopen:
            return (recipe is not None or bool(self._left)) and await self._choose()
        try:
            if held != self._holding:
                await self.do(lambda: plane.hold(held))
                self._holding = held
                await self._answer(self._wanted_answers)
                return True
            if recipe is not None and recipe != self._installed:
                await self._answer(self._wanted_answers & self._answerer.covered)
                await self.do(lambda: plane.install(self._tables.forwarding(recipe)))
                self._installed, self._pause = recipe, _BACK_OFF[0]
                self.installed += 1
                self._keep()
                await self._answer(self._wanted_answers)
                return True
        except DataPlaneError as error:
            self._lost(plane, str(error))
            return True
        await self._answer(self._wanted_answers)
        return False

    async def _choose(self) -> bool:
        if time.monotonic() < self._again:
            return False
        before, self._reopen = self.plane, False
        left, self._left = self._left, {}
        if before is not None:  # it is closed now, and the next one may have the same descriptors' numbers
            self.plane = None
            self._keep()
        portions = () if self.recipe is None else self.recipe.portions
        services = [each for portion in portions for each in services_of(portion.server)]
        engine, failed = self._engine.value, dict(self._failed)
        try:
            plane, chosen = await self.do(lambda: self._opened(before, left, engine, services, failed))
        except DataPlaneError as error:
            self._without(str(error))
            return False
        self.plane, self._installed, self._holding = plane, None, None
        self.counts.begin_anew()
        self._keep()
        if chosen != self.chosen or self.problem:
            _LOG.info("%s: engine %s", self.name, chosen)
        self.chosen, self.problem = chosen, ""
        self._changed()
        return True

    def _opened(
        self, before: DataPlane | None, left: Left, engine: str, services: list[Service], failed: Mapping[str, str]
    ) -> tuple[DataPlane, str]:
        """In the thread. An interface has room for one program or table of ours: the one before goes first."""
        _shut(before)
        was, descriptors = of_engine(left)
        if was and engine in (AUTO, was):
            try:
                plane = resume_engine(was, self.name, descriptors)
            except DataPlaneError as error:
                _LOG.warning("%s: engine %s can't be taken over: %s", self.name, was, error)
            else:
                told = f"{plane.name} {plane.mode}".rstrip()
                return plane, f"{told} on {self.name}, taken over from the process before"
        else:
            close(descriptors)
        self._resuming = False
        return self._open(engine, self.name, services, failed)

    def _keep(self) -> None:
        """See what the next process needs."""
        descriptors: Mapping[str, int] = getattr(self.plane, "descriptors", dict)()
        kept = kept_of_engine(self.plane.name, descriptors) if self.plane is not None else {}
        kept = {SLOTS: self._book.descriptor, **kept} if kept else {}
        if kept != self._kept:
            self._kept = kept
            self._changed()

    def _lost(self, plane: DataPlane, why: str) -> None:
        if self.plane is not plane:
            return
        why = why.removeprefix(f"{self.name}: ")
        _LOG.error("%s: engine %s failed: %s", self.name, plane.name, why)
        self._failed[plane.name] = f"it failed: {why}"
        self._reopen = True
        self._go()

    def _without(self, why: str) -> None:
        if why != self.problem:
            _LOG.error("%s: nothing is balanced: %s; trying again", self.name, why)
        self.plane, self.problem = None, why
        self._keep()
        self._again = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _BACK_OFF[1])
        self._changed()

    async def _answer(self, wanted: frozenset[Asked]) -> None:
        await self._answerer.cover(frozenset(asked for asked in wanted if asked[0].address in self.held))


def _shut(plane: DataPlane | None) -> None:
    if plane is not None:
        try:
            plane.close()
        except DataPlaneError as error:
            _LOG.error("engine %s: %s", plane.name, error)
