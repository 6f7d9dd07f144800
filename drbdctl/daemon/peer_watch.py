"""Watches the peer while it can be seen, for drbdctl.failover.evidence: DRBD's events, VRRP, the witness."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from drbdctl.backup.holder import LEASED
from drbdctl.failover import evidence
from drbdctl.failover.evidence import Network, Sight, Witness, Word
from drbdctl.status.ask import EVENTS_COMMAND, NOT_LOADED, PROC
from drbdctl.status.events2 import Feed
from drbdctl.status.generation import Generation
from drbdctl.status.state import Status
from drbdctl.steps import command
from drbdctl.steps.effect import Run
from pyvrrp.config.model import VrrpInstance

_LOG = logging.getLogger("pyvrrp.drbdctl")
_TICK = 0.5
"seconds between two looks at the interfaces"
_AGAIN = 1.0
"seconds until a feed that has ended is begun anew"
_SIOCGIFFLAGS = 0x8913
_UP_AND_RUNNING = 0x1 | 0x40
_IFREQ = struct.Struct("16sH22x")
_WORDS = {0: Word.PEER_ALIVE, 1: Word.PEER_DEAD, 2: Word.REACHED}
"by exit status of a witness command"


class PeerWatch:
    """What is remembered of the peer of one storage."""

    def __init__(
        self,
        instances: Sequence[VrrpInstance],
        witness: Sequence[str],
        dead_interval: float,
        changed: Callable[[], None],
        run: Run = command.run,
    ) -> None:
        """`instances` are those that the peer is heard by; `changed` is called when DRBD says something new."""
        now = time.monotonic()
        self.sights: Mapping[str, Sight] = {}
        self.told: Status | None = None
        "what the feed says, whole; None: it says nothing now"
        self.witness = Witness() if witness else None
        self._interfaces = {each.name: each.interface for each in instances}
        self._networks = {
            each.name: Network(each.interface, _is_up(each.interface), now, advert_int=each.parameters.advert_int)
            for each in instances
        }
        self._witness_argv = tuple(witness)
        self._dead_interval = dead_interval
        self._changed = changed
        self._run = run

    @property
    def networks(self) -> tuple[Network, ...]:
        """Where the peer is listened for."""
        return tuple(self._networks.values())

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._watch_interfaces())
            if self._witness_argv:
                tasks.create_task(self._ask_witness())

    def heard(self, instance: str, now: float) -> None:
        """The peer advertises."""
        if instance in self._networks:
            self._networks[instance] = self._networks[instance].heard_at(now)

    def said(self, instance: str, priority: int, now: float) -> None:
        """We advertise."""
        if instance in self._networks:
            self._networks[instance] = self._networks[instance].said_at(now, priority)

    def saw(self, status: Status, generations: Mapping[str, tuple[Generation, ...]], now: float) -> None:
        """A look, beside the events."""
        self.sights = evidence.watched(self.sights, status, generations, now)

    # --- DRBD ------------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        told = ""
        while True:
            why = await self._follow_once()
            self.told = None
            self.sights = evidence.broken(self.sights)
            if why != told:
                _LOG.warning("what DRBD does is not followed: %s", why)
                told = why
            self._changed()
            await asyncio.sleep(_AGAIN)

    async def _follow_once(self) -> str:
        """Until the feed ends or has a gap; why it did."""
        if not _is_loaded():
            return NOT_LOADED  # drbdsetup would load it
        try:
            process = await asyncio.create_subprocess_exec(
                *LEASED,
                *EVENTS_COMMAND,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            return f"{LEASED[0]}: {error.strerror or error}"
        assert process.stdout is not None
        feed = Feed()
        try:
            while (line := await process.stdout.readline()).endswith(b"\n"):
                feed = feed.after(line.decode(errors="replace"))
                if feed.gap:
                    return f"drbdsetup events2: {feed.gap}; it is begun anew"
                self._follow_line(feed)
            return f"drbdsetup events2 has ended{await _said(process)}; it is begun anew"
        except ValueError:
            return "drbdsetup events2: a line without end; it is begun anew"
        finally:
            with suppress(ProcessLookupError, TimeoutError):
                process.terminate()
                async with asyncio.timeout(1.0):  # in D state it ends when the kernel lets it
                    await process.wait()

    def _follow_line(self, feed: Feed) -> None:
        if feed.helper is not None:
            name = feed.helper.resource
            self.sights = {**self.sights, name: self.sights.get(name, Sight()).told(feed.helper)}
        if feed.complete:
            before, self.told = self.sights, feed.status
            self.sights = evidence.watched(before, feed.status, {}, time.monotonic())
            self._changed()

    # --- networks, witness -------------------------------------------------------------------------------------------

    async def _watch_interfaces(self) -> None:
        while True:
            now = time.monotonic()
            for name, interface in self._interfaces.items():
                self._networks[name] = self._networks[name].went(_is_up(interface), now)
            await asyncio.sleep(_TICK)

    async def _ask_witness(self) -> None:
        assert self.witness is not None
        kind, *rest = self._witness_argv
        pause = max(self._dead_interval / 3, 0.5)
        argv = ["ping", "-n", "-c", "1", "-W", "1", *rest] if kind == "ping" else rest
        while True:
            outcome = await self._run(argv, max(2.0, pause))
            if kind == "ping":
                word = Word.REACHED if outcome.ok else Word.UNREACHABLE
            else:
                word = _WORDS.get(-1 if outcome.status is None else outcome.status, Word.UNREACHABLE)
            self.witness = self.witness.said(word, time.monotonic())
            await asyncio.sleep(pause)


def _is_loaded() -> bool:
    """Whether the kernel has DRBD."""
    return os.path.exists(PROC)


async def _said(process: asyncio.subprocess.Process) -> str:
    """The last line of its complaint."""
    assert process.stderr is not None
    with suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            lines = (await process.stderr.read(4096)).decode(errors="replace").split("\n")
            return f": {last}" if (last := next((each for each in reversed(lines) if each.strip()), "")) else ""
    return ""


def _is_up(interface: str) -> bool:
    """Whether it is up and has a carrier; asked in the network namespace that we are in."""
    request = _IFREQ.pack(interface.encode()[:15], 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            _, flags = _IFREQ.unpack(fcntl.ioctl(asking, _SIOCGIFFLAGS, request))
        except OSError:
            return False
    return bool(flags & _UP_AND_RUNNING == _UP_AND_RUNNING)
