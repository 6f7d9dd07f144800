"""What is looked for from time to time: real servers that answer ARP for a VIP, servers that are not alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from dnslb.health.arp_watch import ArpWatch, Situation
from dnslb.health.survey import Survey
from dnslb.model import VirtualServer


class Watches:
    """The watch over ARP on each interface, and the survey of all servers."""

    def __init__(self, situation: Callable[[str], Situation]) -> None:
        """`situation` tells who is on an interface."""
        self._situation = situation
        self._survey = Survey()
        self._arp: dict[str, tuple[ArpWatch, asyncio.Task[None]]] = {}
        self._surveying = asyncio.create_task(self._survey.run(), name="survey of real servers")

    def configure(self, virtual_servers: Sequence[VirtualServer]) -> None:
        """Survey these."""
        self._survey.configure(virtual_servers)

    def on(self, interfaces: Iterable[str]) -> None:
        """Watch ARP on these interfaces."""
        wanted = set(interfaces)
        for name in self._arp.keys() - wanted:
            self._arp.pop(name)[1].cancel()
        for name in wanted - self._arp.keys():
            watch = ArpWatch(name, partial(self._situation, name))
            self._arp[name] = watch, asyncio.create_task(watch.run(), name=f"ARP watch on {name}")

    async def close(self) -> None:
        """Look no more."""
        tasks = [self._surveying, *(task for _, task in self._arp.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def arp(self, interface: str) -> Mapping[str, object]:
        """JSON-ready: what the watch on an interface found."""
        return self._arp[interface][0].status() if interface in self._arp else {}

    def findings(self, virtual_server: str) -> Sequence[str]:
        """What the survey of a virtual server's servers found."""
        return self._survey.findings.get(virtual_server, ())
