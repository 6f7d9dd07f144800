"""One virtual server at work: its pool with a clock, and what comes of the pool's actions."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import assert_never

from dnslb.balancer.scripts import Scripts
from dnslb.model import VirtualServer
from dnslb.pool import Pool
from dnslb.pool_events import (
    Action,
    Drained,
    Event,
    NeighbourChanged,
    PanicEnded,
    PanicStarted,
    QuorumGained,
    QuorumLost,
    Removed,
    ServerDown,
    ServerUp,
    Shutdown,
    SorryEnded,
    SorryStarted,
    Startup,
    TableWanted,
    TimerExpired,
)
from pyvrrp.config.model import Globals
from pyvrrp.core.events import IPAddress

_LOG = logging.getLogger("dnslb")


class Served:
    """A virtual server, its pool, its scripts."""

    def __init__(
        self,
        server: VirtualServer,
        settings: Callable[[], Globals],
        settled: Callable[[Served], Awaitable[None]],
        changed: Callable[[], None],
    ) -> None:
        """`changed` is called when the table or the quorum is another one; `settled`: see Scripts."""
        self.pool = Pool(server)
        self.scripts = Scripts(server.name, settings, lambda: settled(self))
        self.interface = ""
        self.problem = ""
        "why it has no interface"
        self.changes: Counter[tuple[IPAddress, bool]] = Counter()
        "how often a server came up (True) or went down"
        self._changed = changed
        self._timer: asyncio.TimerHandle | None = None
        self._neighbours: dict[IPAddress, tuple[bool, str]] = {}
        "what the pool was told"

    @property
    def server(self) -> VirtualServer:
        """As it is configured."""
        return self.pool.server

    def start(self) -> None:
        """Ready for the first table."""
        self.handle(Startup())

    def handle(self, event: Event) -> None:
        """Let the pool hear of something."""
        self._perform(self.pool.handle(event, time.monotonic()))

    def neighbour(self, address: IPAddress, known: bool, why: str = "") -> None:
        """Whether the MAC address of one of its servers is known; told once."""
        if self._neighbours.get(address) != (known, why):
            self._neighbours[address] = (known, why)
            self.handle(NeighbourChanged(address, known, why))

    def reconfigure(self, server: VirtualServer) -> None:
        """Take a changed configuration over."""
        kept = {real.address for real in server.real_servers}
        if server.sorry_server is not None:
            kept.add(server.sorry_server.address)
        self._neighbours = {address: told for address, told in self._neighbours.items() if address in kept}
        self._perform(self.pool.reconfigure(server, time.monotonic()))

    async def stop(self) -> None:
        """The end: with omega the scripts tell of it."""
        self.handle(Shutdown())
        await self.scripts.drain()

    def _perform(self, actions: Iterable[Action]) -> None:
        name = self.server.name
        changed = False
        for action in actions:
            match action:
                case TableWanted() | Removed():
                    changed = True
                case ServerUp():
                    self.changes[action.server.address, True] += 1
                    _LOG.info("%s: %s is up: %s", name, action.server.name, action.why)
                    self.scripts.run("notify_up", action.server.notify_up)
                case ServerDown():
                    self.changes[action.server.address, False] += 1
                    _LOG.warning("%s: %s is down: %s", name, action.server.name, action.why)
                    self.scripts.run("notify_down", action.server.notify_down)
                case QuorumGained():
                    changed = True
                    _LOG.info("%s: the quorum is gained: %s", name, action.why)
                    self.scripts.run("quorum_up", self.server.quorum_up)
                case QuorumLost():
                    changed = True
                    _LOG.warning("%s: the quorum is lost: %s", name, action.why)
                    self.scripts.run("quorum_down", self.server.quorum_down)
                case PanicStarted():
                    _LOG.error("%s: %s", name, action.why)
                case PanicEnded():
                    _LOG.info("%s: the health of its servers counts again", name)
                case SorryStarted():
                    _LOG.warning("%s: the sorry server takes over: %s", name, action.why)
                case SorryEnded():
                    _LOG.info("%s: real servers are back, the sorry server gets no new flows", name)
                case Drained():
                    _LOG.info("%s: %s is drained: it may be stopped", name, action.server.name)
                case _:
                    assert_never(action)
        self._arm()
        if changed:
            self._changed()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.pool.deadline is not None:
            left = max(self.pool.deadline - time.monotonic(), 0.001)
            self._timer = asyncio.get_running_loop().call_later(left, self.handle, TimerExpired())
