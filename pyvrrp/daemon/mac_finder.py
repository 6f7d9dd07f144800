"""Finds the MACs behind senders that are to be told of, and whoever sends from an address of ours.

The next packet of a sender shows its MAC to a tap, which is open only while somebody is sought. Where none comes (a
router that hears what it refuses may fall silent) the kernel asks the network who has the address. Every five minutes
the tap is open for a moment to look for our own addresses: over IPv4 the kernel hides packets that carry them, so two
hosts with one address never hear each other, and both are MASTER.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from pyvrrp.core.datagram import Datagram
from pyvrrp.core.events import IPAddress
from pyvrrp.core.senders import Register, Sender
from pyvrrp.daemon.timers import Deadline, Timers
from pyvrrp.host.capabilities import MissingCapability
from pyvrrp.host.vrrp_tap import VrrpTap

LOOK_AGAIN = 300.0
"seconds between two searches for our own addresses"
LOOK_AFTER = 2.0
"seconds from becoming MASTER to the first search: it has better things to do just then"
_QUESTIONS = 8
"asked of the network at one time, a second each at the most"
_LOG = logging.getLogger("pyvrrp")


class Teller(Protocol):
    """Who has a register, and can say what is in it."""

    register: Register

    @property
    def interface(self) -> str:
        """Where it hears them."""

    def tell(self, sender: Sender) -> None:
        """Log one line about a sender."""


class Segment(Protocol):
    """An interface, as far as frames are concerned."""

    @property
    def own_sources(self) -> Mapping[IPAddress, float]:
        """The addresses that we advertise from, each with the longest advert_int, in seconds."""

    def saw(self, mac: str, datagram: Datagram) -> None:
        """A VRRP packet of a sender that is sought, or from an address of ours, came from this MAC."""


class MacFinder:
    """One for all interfaces."""

    def __init__(self, segments: Mapping[str, Segment], timers: Timers, clock: Callable[[], float]) -> None:
        self._segments = segments
        self._timers = timers
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._tellers: set[Teller] = set()
        self._taps: dict[int, tuple[VrrpTap, set[IPAddress]]] = {}
        self._patience = Deadline(self._look)
        self._own = Deadline(self._look_for_ourselves)
        self._own_until = 0.0
        self._thread = ThreadPoolExecutor(2, "neighbours")
        self._asking: dict[tuple[str, IPAddress], asyncio.Future[str]] = {}
        self._told = ""

    def attend(self, teller: Teller) -> None:
        """Its register has something to tell, once the MAC is known."""
        self._tellers.add(teller)
        self._look_soon()

    def look_for_ourselves(self) -> None:
        """Look soon whether somebody else sends from our addresses."""
        when = self._clock() + LOOK_AFTER
        if self._own.when is None or self._own.when > when:
            self._timers.set(self._own, when)

    def close(self) -> None:
        """Find nothing any more; it may take some 15 ms for each tap."""
        self._tellers.clear()
        for tap, _ in self._taps.values():
            self._loop.remove_reader(tap)
            tap.close()
        self._taps.clear()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _look_for_ourselves(self, now: float) -> None:
        self._own_until = now + min(30.0, 2.5 * max(self._own_sources().values(), default=0.0))
        self._timers.set(self._own, now + LOOK_AGAIN)
        self._look(now)

    def _look_soon(self) -> None:
        """Once for all that has come in: hundreds of virtual routers may have found the same fault."""
        self._timers.set(self._patience, self._clock())

    def _look(self, now: float) -> None:
        """Tell what can be told, and listen for what can't yet."""
        deadlines = [self._own_until] if self._own_until > now else []
        sought: set[IPAddress] = set()
        for teller in list(self._tellers):
            for sender in teller.register.due(now):
                if sender.macs or not self._ask(teller, sender):
                    teller.tell(sender)
            if (deadline := teller.register.deadline) is None:
                self._tellers.discard(teller)
            else:
                deadlines.append(deadline)
                sought |= teller.register.sought
        if self._own_until > now:
            sought |= {source for source in self._own_sources() if source.version == 4}
        for family in (4, 6):
            self._listen(family, {source for source in sought if source.version == family})
        self._timers.set(self._patience, min(deadlines, default=None))

    def _ask(self, teller: Teller, sender: Sender) -> bool:
        """Nothing came again: have the kernel ask the network, and tell then; False: there is nobody to ask."""
        if sender.source in self._own_sources():
            return False
        place = (teller.interface, sender.source)
        asking = self._asking.get(place)
        if asking is None:
            if len(self._asking) >= _QUESTIONS:
                return False
            asking = self._asking[place] = self._loop.run_in_executor(self._thread, _mac_of, *place)

        def answered(answer: asyncio.Future[str]) -> None:
            self._asking.pop(place, None)
            if answer.cancelled():
                return
            if (mac := answer.result()) and not sender.macs:
                sender.macs[mac] = self._clock()
            teller.tell(sender)

        asking.add_done_callback(answered)
        return True

    def _own_sources(self) -> dict[IPAddress, float]:
        own: dict[IPAddress, float] = {}
        for segment in self._segments.values():
            own |= segment.own_sources
        return own

    def _listen(self, family: int, sources: set[IPAddress]) -> None:
        opened = self._taps.get(family)
        if opened is not None and opened[1] == sources:
            return
        if opened is not None and not sources:
            del self._taps[family]
            self._loop.remove_reader(opened[0])
            self._loop.run_in_executor(self._thread, opened[0].close)
        elif sources:
            try:
                if opened is None:
                    tap = VrrpTap(family, sources)
                    self._loop.add_reader(tap, self._readable, tap)
                else:
                    tap = opened[0]
                    tap.listen_for(sources)
                self._taps[family] = (tap, sources)
            except (OSError, MissingCapability) as error:
                self._tell(error)

    def _tell(self, error: OSError | MissingCapability) -> None:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        if why != self._told:
            self._told = why
            _LOG.warning("can't find out the MACs of other routers: %s", why)

    def _readable(self, tap: VrrpTap) -> None:
        for interface, mac, datagram in tap.receive():
            if (segment := self._segments.get(interface)) is not None:
                segment.saw(mac, datagram)
        self._look_soon()


def _mac_of(interface: str, address: IPAddress) -> str:
    """On a thread: it waits for the network, and loads pyroute2, which most daemons never need."""
    from pyvrrp.host.neighbours import mac_of

    return mac_of(interface, address)
