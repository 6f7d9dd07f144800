"""Runs the fail-over of one storage: looks for it, takes its steps, keeps its timer, and is its gate.

drbdctl.failover.machine decides and this acts; nothing here is slow on the event loop, and nothing is waited for there.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import assert_never

from drbdctl.daemon.clients import Clients
from drbdctl.daemon.document import LastSteps, Tally, described
from drbdctl.daemon.eyes import Eyes
from drbdctl.daemon.intent import Intent
from drbdctl.daemon.peer_watch import PeerWatch
from drbdctl.daemon.questions import answer
from drbdctl.daemon.recipe import recipe
from drbdctl.failover.events import (
    Acknowledge,
    Alarm,
    Closed,
    Event,
    GaveUp,
    Kill,
    Look,
    Opened,
    Override,
    Reboot,
    Run,
    StepDone,
    StepFailed,
    Tell,
    TimerExpired,
    WantPrimary,
    WantSecondary,
)
from drbdctl.failover.exits import Failure
from drbdctl.failover.machine import Failover, Phase, Wish
from drbdctl.failover.plan import Demote, Planned, UnmountVolume
from drbdctl.settings import Nfs, Storage
from drbdctl.steps import command, nfs, self_fence, transaction
from drbdctl.steps.effect import Run as Runs
from drbdctl.steps.effect import StepFailed as EffectFailed
from drbdctl.steps.hands import Hands
from pyvrrp.config.model import VrrpInstance
from pyvrrp.daemon.plugins import GateFailed, Hindrance, Report

_LOG = logging.getLogger("pyvrrp.drbdctl")
_IDLE = 1.0
"seconds between two looks when nothing happens"
_CHECK = 60.0
"seconds between two looks at programs, drivers and configuration"
_STALE = 15.0
"seconds after which a look tells nothing any more"


class StorageRunner:
    """One storage at work; it lives on over a reload, and takes another configuration over when it holds nothing."""

    def __init__(self, storage: Storage, instances: Sequence[VrrpInstance], run: Runs = command.run) -> None:
        self.name = f"storage {storage.name}"
        self.storage = storage
        self.alarm = ""
        "what somebody should come and look at"
        self.tally = Tally()
        self.hindered: Callable[[Hindrance | None], None] = lambda _: None
        "see pyvrrp.daemon.plugins.Contested"
        self._lost = ""
        "why it does not serve although the addresses are up: a process that took the role over found it so"
        self._instances = tuple(instances)
        self._next: tuple[Storage, tuple[VrrpInstance, ...]] | None = None
        self._run = run
        self._intent = Intent(storage.name)
        self._opening: asyncio.Future[None] | None = None
        self._closing: asyncio.Future[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._watching: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._steps = LastSteps()
        self._hindered_since: float | None = None
        "the peer holds it, and is not heard"
        self._refused = False
        "somebody kept us from unmounting or demoting just now"
        self._set_up()

    def _set_up(self) -> None:
        storage = self.storage
        self.machine = Failover(storage.group, ours=self._intent.ours)
        self.watch = PeerWatch(
            self._instances, storage.witness, storage.group.policy.dead_interval, self._tidings, self._run
        )
        self._eyes = Eyes(storage, self.watch, self._run)
        self._hands = Hands(storage, self._eyes.status, self._run)
        self._clients = [Clients(each, self._run) for each in storage.services if isinstance(each, Nfs)]

    # --- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to watch; the loop is running."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._keep_watching(), name=self.name)

    async def stop(self) -> None:
        """End; what it holds has been given back before, or is meant to be kept."""
        for task in (self._watching, *self._tasks):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        self._watching = None
        if self._timer is not None:
            self._timer.cancel()

    def take(self, storage: Storage, instances: Sequence[VrrpInstance]) -> None:
        """Another configuration: at once, or when nothing is held."""
        same = (storage, tuple(instances)) == (self.storage, self._instances)
        self._next = None if same else (storage, tuple(instances))
        self._take_next()

    def _take_next(self) -> None:
        if self._next is None or self.machine.phase not in (Phase.UNKNOWN, Phase.SECONDARY) or self._opening:
            return
        (self.storage, self._instances), self._next = self._next, None
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        self._set_up()
        self.start()

    async def _keep_watching(self) -> None:
        """Only a mistake of ours ends a watch: it is told once, and looks go on, which a demotion needs."""
        told = ""
        while True:
            try:
                await self._watch()
            except Exception as error:
                if repr(error) != told:
                    told = repr(error)
                    _LOG.exception("%s: watching it failed, and goes on; please report it", self.name)
            await asyncio.sleep(_IDLE)

    async def _watch(self) -> None:
        watching = asyncio.create_task(self.watch.run())
        checking = asyncio.create_task(self._keep_checking())
        try:
            await self._prepare()
            while not watching.done():
                self._news.clear()
                self._deliver(await self._eyes.look(self._hands.stuck, self._intent.problem))
                for clients in self._clients if self.machine.phase is Phase.PRIMARY else ():
                    self._spawn(clients.save())
                with suppress(TimeoutError):
                    async with asyncio.timeout(_IDLE):
                        await self._news.wait()
            await watching
        finally:
            watching.cancel()
            checking.cancel()

    def _tidings(self) -> None:
        """DRBD says something new: a reason to look, but for what a step of ours changes; after that comes a look."""
        if self.machine.running is None:
            self._news.set()

    async def _keep_checking(self) -> None:
        """What keeps this node from ever promoting is told when it is found, not when it is needed."""
        while True:
            for refusal in await self._eyes.check():
                _LOG.warning("%s: it could not be promoted here: %s", self.name, refusal)
                self._news.set()
            await asyncio.sleep(_CHECK)

    async def _prepare(self) -> None:
        """What takes its time and needs no volume is done before anybody waits for it."""
        for service in self.storage.services:
            if isinstance(service, Nfs):
                try:
                    await nfs.prepare(self._run)
                except EffectFailed as failed:
                    _LOG.warning("%s: %s", self.name, failed)

    # --- the gate ----------------------------------------------------------------------------------------------------

    @property
    def undo(self) -> Sequence[Sequence[str]]:
        """For the guard of a daemon that was killed; nothing is done by it where nothing is held."""
        return [[sys.executable, "-m", "drbdctl", "demote", "--undo", recipe(self.storage)]]

    async def acquire(self) -> None:
        """See pyvrrp.daemon.plugins.Gate."""
        self._opening, self._lost = asyncio.get_running_loop().create_future(), ""
        try:
            self._deliver(WantPrimary())
            await self._opening
        finally:
            self._opening = None

    async def release(self) -> None:
        """See pyvrrp.daemon.plugins.Gate."""
        self._closing = asyncio.get_running_loop().create_future()
        try:
            self._deliver(WantSecondary())
            await self._closing
        finally:
            self._closing = None
        self._lost = ""
        self._intent.forget()
        self._take_next()

    def hold(self) -> None:
        """The addresses come up: it serves, though perhaps a process before this one has acquired the gate."""
        if self._opening is None:
            self._deliver(WantPrimary())
        addresses = [str(vip.address) for each in self._instances[:1] for vip in each.virtual_addresses]
        for clients in self._clients:
            self._spawn(clients.recall(addresses))

    def heard(self, instance: str) -> None:
        """The peer advertises."""
        self.watch.heard(instance, time.monotonic())

    def said(self, instance: str, priority: int) -> None:
        """We advertise."""
        self.watch.said(instance, priority, time.monotonic())

    # --- the machine -------------------------------------------------------------------------------------------------

    def _deliver(self, event: Event) -> None:
        before, actions = self.machine.phase, self.machine.handle(event, now := time.monotonic())
        self.tally.takeovers += (before, self.machine.phase) == (Phase.PROMOTING, Phase.PRIMARY)
        for action in actions:
            match action:
                case Look() if self._refused:
                    self._spawn(self._look_for_users())
                case Look():
                    self._news.set()
                case Run(planned, intent):
                    self._spawn(self._step(planned, intent))
                case Kill():
                    pass  # its commands have the same deadline, and nobody can end what hangs in the kernel
                case Opened():
                    self.alarm = ""
                    self._answer(self._opening)
                case GaveUp(why):
                    self.tally.gave_up += 1
                    self._answer(self._opening, why)
                    if self._opening is None:
                        _LOG.error("%s: %s", self.name, why)
                        self._lost = why
                case Closed():
                    self.alarm = ""
                    self._answer(self._closing)
                case Alarm(why):
                    self.alarm = why
                    self.tally.alarms += 1
                    _LOG.critical("%s: %s", self.name, why)
                    if self.machine.phase is Phase.HELD:
                        self._answer(self._closing, why)
                case Reboot(why):
                    self_fence.go_down(f"{self.name}: {why}")
                case Tell(what):
                    _LOG.warning("%s: %s", self.name, what)
                case _:
                    assert_never(action)
        hindered = self.machine.hindered
        self._hindered_since = (self._hindered_since or now) if hindered is Hindrance.HOLDER else None
        if self._opening is not None and self.machine.wish is Wish.PRIMARY:  # who gives up is to be as silent as before
            self.hindered(hindered)
        self._arm()

    def _answer(self, waiting: asyncio.Future[None] | None, why: str = "") -> None:
        if waiting is not None and not waiting.done():
            waiting.set_exception(GateFailed(why)) if why else waiting.set_result(None)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        deadline = self.machine.deadline
        delay = None if deadline is None else max(0.0, deadline - time.monotonic())
        loop = asyncio.get_running_loop()
        self._timer = None if delay is None else loop.call_later(delay, lambda: self._deliver(TimerExpired()))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("%s: a mistake of ours; please report it", self.name, exc_info=error)

    async def _look_for_users(self) -> None:
        """Beside the others: what is asked of a process that hangs may not come back."""
        self._deliver(await self._eyes.look(self._hands.stuck, self._intent.problem, users=True))

    async def _step(self, planned: Planned, intent: str) -> None:
        _LOG.info("%s: %s", self.name, intent)
        began = time.monotonic()
        try:
            with transaction.exclusive(self.storage.name):
                self._intent.write(planned.step, intent)
                failure = await self._hands.do(planned)
        except transaction.Busy as busy:
            failure = Failure(str(busy))
        except OSError as error:
            failure = Failure(f"{planned.step}: {error.strerror or error}")
        except Exception as error:
            _LOG.exception("%s: %s", self.name, planned.step)
            failure = Failure(f"{planned.step}: unexpected {type(error).__name__}: {error}; please report it")
        seconds = time.monotonic() - began
        self.tally.steps_failed += failure is not None
        _LOG.log(
            logging.INFO if failure is None else logging.WARNING,
            "%s: %s: %s after %.2f s",
            self.name,
            planned.step,
            failure or "done",
            seconds,
        )
        self._steps.add(str(planned.step), seconds, str(failure or ""))
        # To find out who holds what means to look at every process: only where it is needed.
        self._refused = failure is not None and isinstance(planned.step, UnmountVolume | Demote)
        self._deliver(StepDone(planned.step) if failure is None else StepFailed(planned.step, failure))

    # --- what can be asked -------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Nothing is held, and nothing is being done."""
        return self.machine.phase in (Phase.UNKNOWN, Phase.SECONDARY) and self._opening is None and not self._tasks

    def command(self, words: Sequence[str]) -> object:
        """What `drbdctl` asks of the daemon; raises CommandRefused."""
        match words:
            case ["acknowledge", user]:
                self._deliver(Acknowledge(user))
                return {}
            case ["accept", user, reason, *rules] if all(rule.isdecimal() for rule in rules):
                self._deliver(Override(frozenset(map(int, rules)), user, reason))
                return {}
            case _:
                return answer(self.machine, self.storage, words)

    async def report(self, report: Report) -> None:
        """The tracker: whether this node is fit for the role that it has or may get."""
        while True:
            fitness, seen = self.machine.fitness, self.machine.seen
            if self._lost:
                report(False, self._lost)
            elif seen is not None and self.idle and time.monotonic() - seen.at > _STALE:
                report(False, f"it could not be looked at for {time.monotonic() - seen.at:.0f} s")
            elif fitness is not None:
                what = "; ".join(map(str, fitness.faults)) or "; ".join(fitness.degraded) or self.machine.phase.value
                report(not fitness.faults, what)
            await asyncio.sleep(_IDLE / 2)

    async def report_role(self, report: Report) -> None:
        """The other tracker: whether this node serves, or has not let go yet: then it must be heard above all."""
        while True:
            phase = self.machine.phase
            report(phase in (Phase.PRIMARY, Phase.DEMOTING, Phase.HELD), phase.value)
            await asyncio.sleep(_IDLE / 2)

    @property
    def problems(self) -> list[str]:
        """What somebody should come and look at, a sentence each."""
        fitness = self.machine.fitness
        found = (self.alarm, self._lost, self._kept_waiting(), *map(str, fitness.faults if fitness else ()))
        return [f"{self.name}: {each}" for each in dict.fromkeys(found) if each]

    def _kept_waiting(self) -> str:
        """That the peer is Primary and has been for long, although this node was to take over."""
        if self._hindered_since is None or (lasts := time.monotonic() - self._hindered_since) <= _STALE:
            return ""
        why = "; ".join(map(str, self.machine.plan.refusals))
        hint = "look whether pyvrrp runs there, and at the networks between both"
        return f"it was to take over and has waited for {lasts:.0f} s: {why}; {hint}"

    def status(self) -> Mapping[str, object]:
        """JSON-ready."""
        return {
            **described(self.machine, self.storage, time.monotonic()),
            "tally": asdict(self.tally),
            "alarm": self.alarm,
            "stuck": list(self._hands.stuck),
            "steps": self._steps.documents,
        }
