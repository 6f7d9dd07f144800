"""The machine as its virtual routers see it: clock, timers, links, sockets, leases, announcements."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from pathlib import Path

from pyvrrp.config.model import Globals, VirtualAddress
from pyvrrp.core.announcement import Announcer, Frame, announcement
from pyvrrp.daemon.journal import Journal
from pyvrrp.daemon.mac_finder import MacFinder
from pyvrrp.daemon.timers import Deadline, Timers
from pyvrrp.daemon.wire import Wire
from pyvrrp.host.netlink import Change, Netlink

ARPHRD_ETHER = 1
_LOG = logging.getLogger("pyvrrp")


class Node:
    """What the instances share; made on the running loop by `open`."""

    def __init__(self, settings: Globals, netlink: Netlink, clock: Callable[[], float]) -> None:
        self.settings = settings
        self.netlink = netlink
        self.clock = clock
        self.timers = Timers(clock)
        self.wires: dict[str, Wire] = {}
        self.finder = MacFinder(self.wires, self.timers, clock)
        self.journal = Journal()
        self._tasks: set[asyncio.Task[None]] = set()
        self._announcers: dict[str, tuple[Announcer, Deadline]] = {}

    @classmethod
    async def open(cls, settings: Globals, on_change: Callable[[Change], None], clock: Callable[[], float]) -> Node:
        """Start listening to the kernel; raises NetlinkError."""
        return cls(settings, await Netlink.open(on_change), clock)

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run something beside; it ends with the node."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("a task failed", exc_info=error)

    async def close(self) -> None:
        """Let go of everything."""
        for task in self._tasks:
            task.cancel()
        self.timers.close()
        self.finder.close()
        for wire in self.wires.values():
            wire.close()
        self.wires.clear()
        await self.netlink.close()

    def wire(self, interface: str) -> Wire | None:
        """The interface's sockets, opened anew when its index has changed; None while there is no such interface."""
        link = self.netlink.links.get(interface)
        wire = self.wires.get(interface)
        if wire is not None and (link is None or link.index != wire.index):
            wire.close()
            del self.wires[interface]
            wire = None
        if wire is None and link is not None:
            own_mac = partial(self._mac, interface)
            wire = self.wires[interface] = Wire(interface, link.index, self.finder, self.clock, own_mac)
        return wire

    def _mac(self, interface: str) -> str:
        link = self.netlink.links.get(interface)
        return link.mac.hex(":") if link is not None else ""

    def announce(self, instance: str, addresses: Iterable[VirtualAddress], repeat: int) -> None:
        """Queue gratuitous ARP and Neighbor Advertisements for the addresses, at the pace of their interfaces."""
        frames: dict[str, list[Frame]] = {}
        for address in addresses:
            link = self.netlink.links.get(address.device)
            if link is None or link.arp_type != ARPHRD_ETHER:
                continue  # loopback and tunnels have no neighbours to tell
            router = address.address.version == 6 and _forwards(address.device)
            frame = announcement(address.device, link.mac, address.address, router=router)
            frames.setdefault(address.device, []).append(frame)
        for interface, of_interface in frames.items():
            announcer, deadline = self._announcer(interface)
            announcer.announce(instance, of_interface, repeat, self.clock())
            self.timers.set(deadline, announcer.deadline)

    def withdraw(self, instance: str) -> None:
        """Announce nothing of this instance any more."""
        for announcer, deadline in self._announcers.values():
            announcer.withdraw(instance)
            self.timers.set(deadline, announcer.deadline)

    def _announcer(self, interface: str) -> tuple[Announcer, Deadline]:
        if interface not in self._announcers:
            settings = self.settings
            intervals = settings.garp_intervals.get(interface, (settings.garp_interval, settings.gna_interval))
            announcer = Announcer(*intervals)
            deadline = Deadline(lambda now: self._send_announcements(announcer, deadline, now))
            self._announcers[interface] = (announcer, deadline)
        return self._announcers[interface]

    def _send_announcements(self, announcer: Announcer, deadline: Deadline, now: float) -> None:
        by_interface: dict[str, list[Frame]] = {}
        for frame in announcer.due(now):
            by_interface.setdefault(frame.interface, []).append(frame)
        for interface, frames in by_interface.items():
            if (wire := self.wire(interface)) is not None:
                wire.announce(frames)
        self.timers.set(deadline, announcer.deadline)


def _forwards(interface: str) -> bool:
    """Whether the Router flag of a Neighbor Advertisement is true (RFC 4861 section 4.4)."""
    try:
        return Path(f"/proc/sys/net/ipv6/conf/{interface}/forwarding").read_text().strip() == "1"
    except OSError:
        return False
