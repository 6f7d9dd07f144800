"""Asks the link from time to time who has the VIPs, and remembers who must not have answered."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dnslb.health import socket_filter
from dnslb.health.arp_leak import Leak, Link, leaks, read_answer, who_has
from dnslb.health.own_address import own_address
from dnslb.health.rounds import rounds
from dnslb.health.tap import ETH_P_ARP, ETH_P_IPV6, Tap
from pyvrrp.core.events import IPAddress

_LOG = logging.getLogger("dnslb")
INTERVAL = 30.0
"seconds between two questions"
WAIT = 1.0
"seconds for answers"
_ETHERTYPES = {4: ETH_P_ARP, 6: ETH_P_IPV6}


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """The VIPs of a link, and who is on it."""

    vips: Mapping[IPAddress, bool]
    "whether each is held by this node"
    link: Link


class ArpWatch:
    """Watches one interface."""

    def __init__(self, interface: str, situation: Callable[[], Situation]) -> None:
        self._interface = interface
        self._situation = situation
        self._answers: dict[IPAddress, set[bytes]] = {}
        self._at: float | None = None
        self.leaks: tuple[Leak, ...] = ()
        "what the last round found"
        self.failed = ""
        "why the last round could not be made"

    async def run(self) -> None:
        """Ask until cancelled; each leak is logged when it begins and when it ends."""
        await rounds(self.ask, INTERVAL, f"the watch for ARP leaks on {self._interface}")

    async def ask(self) -> tuple[Leak, ...]:
        """Ask once for every VIP and wait for answers; raises nothing but CancelledError."""
        situation = self._situation()
        taps: dict[int, Tap] = {}
        self._answers = {}
        self.failed = ""
        try:
            for vip in situation.vips:
                self._send(vip, situation, taps)
            await asyncio.sleep(WAIT)
        except OSError as error:
            self.failed = f"can't ask on {self._interface} who has the VIPs: {error.strerror or error}"
            return self.leaks
        finally:
            for tap in taps.values():
                tap.close()
        # Those that became ours while we waited are judged as ours next time.
        now = self._situation()
        found = tuple(
            leak
            for vip, answers in self._answers.items()
            if now.vips.get(vip) is situation.vips.get(vip)
            for leak in leaks(vip, answers, now.link, held=situation.vips[vip])
        )
        for leak in found:
            if leak not in self.leaks:
                _LOG.warning("%s", leak.sentence)
        for leak in self.leaks:
            if leak not in found:
                _LOG.info("%s answers for %s no more", leak.server or leak.mac.hex(":"), leak.vip)
        self.leaks, self._at = found, time.monotonic()
        return found

    def status(self) -> Mapping[str, object]:
        """JSON-ready: the leaks in sentences, and how long ago they were looked for."""
        return {
            "interface": self._interface,
            "leaks": [leak.sentence for leak in self.leaks],
            "age": self._at and round(time.monotonic() - self._at, 3),
            "failed": self.failed,
        }

    def _send(self, vip: IPAddress, situation: Situation, taps: dict[int, Tap]) -> None:
        family = vip.version
        own = own_address(family, self._interface, vip, situation.vips)
        if own is None:
            self.failed = f"{self._interface} has no address of its own to ask from for {vip}"
            return
        if family not in taps:
            program = socket_filter.neighbour_replies(family)
            taps[family] = Tap(self._interface, _ETHERTYPES[family], program, self._heard)
        taps[family].send(who_has(taps[family].mac, own, vip))

    def _heard(self, frame: bytes) -> None:
        answer = read_answer(frame)
        if answer is not None and answer[0] in self._situation().vips:
            self._answers.setdefault(answer[0], set()).add(answer[1])
