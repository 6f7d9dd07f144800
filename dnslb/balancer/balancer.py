"""All virtual servers of a configuration at work; it outlives a reload.

kernel (links, addresses, neighbours), monitor (checks), operator (drain, up, down, auto)
    -> pools -> recipes -> data planes, one for each interface <- which addresses are here (VRRP)
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from pathlib import Path
from typing import Any

from dnslb.balancer.admin import Operator
from dnslb.balancer.composition import compose, servers_of
from dnslb.balancer.continuation import by_interface, close, names
from dnslb.balancer.interface import Interface, Opener, open_engine
from dnslb.balancer.served import Served
from dnslb.balancer.setup import Setup
from dnslb.balancer.surroundings import Surroundings
from dnslb.balancer.watches import Watches
from dnslb.balancer.whereabouts import NoInterface, Place, interface_of, place_of
from dnslb.health.arp_leak import Link
from dnslb.health.arp_watch import Situation
from dnslb.health.monitor import Monitor
from dnslb.health.report import HealthChanged, Report, State
from dnslb.health.vip_path import Hop
from dnslb.model import Engine
from dnslb.pool_events import AdminChanged
from pyvrrp.config.model import Globals
from pyvrrp.core.events import IPAddress

_LOG = logging.getLogger("dnslb")
_TICK = 1.0
"seconds between two questions for those whose MAC address is not known"
_IDLE = 30
"ticks between two questions whether a server is still where it was"
_UNJUDGED = 3.0
"seconds after the start in which what the process before has left goes on, until each server has been checked"
_SAMPLE = 5
"ticks between two looks at the counters, and whether the engine is still there"


class Balancer:
    """Balances what `configure` says; everything is called on the loop."""

    def __init__(
        self,
        opener: Opener = open_engine,
        words: Path | None = None,
        left: Mapping[str, int] | None = None,
        instances: Collection[str] = (),
    ) -> None:
        """`words` is the file with the operator's words; raises OSError when there is no netlink.

        `left` is what `descriptors` of the process before said; `instances` are MASTER here already.
        """
        self.setup = Setup()
        self.served: dict[str, Served] = {}
        "by the names of virtual servers"
        self.interfaces: dict[str, Interface] = {}
        self.operator = Operator(words)
        self.monitor = Monitor(self._heard, self._hop)
        self.surroundings = Surroundings(self.evaluate)
        self.watches = Watches(self._situation)
        self.observers: set[Callable[[], None]] = set()
        "called when a quorum or an engine may have been found or lost"
        self._opener = opener
        self._left = by_interface(left or {})
        self._began = time.monotonic()
        self._instances: frozenset[str] = frozenset(instances)
        "those that are MASTER here"
        self._indexes: dict[str, int] = {}
        "of the interfaces"
        self._told: dict[tuple[str, IPAddress, str], str] = {}
        "what was said last about a server, by kind"
        self._evaluating = False
        self._closing: set[asyncio.Task[None]] = set()
        self._ticking = asyncio.create_task(self._tick(), name="neighbours of the balancer")

    # --- life --------------------------------------------------------------------------------------------------------

    def configure(self, setup: Setup) -> None:
        """Balance these from now on; what was there before keeps its state."""
        held = self.held
        before, self.setup = self.setup.instances, setup
        # An instance that was renamed still holds what it held.
        renamed = (name for name in setup.instances.keys() - before.keys() if setup.instances[name] & held)
        self._instances = (self._instances & setup.instances.keys()).union(renamed)
        old, self.served = (
            self.served,
            {
                server.name: self.served.get(server.name)
                or Served(server, self._settings, self._settled, self.evaluate)
                for server in setup.virtual_servers
            },
        )
        for name, served in self.served.items():
            if name in old:
                served.reconfigure(next(each for each in setup.virtual_servers if each.name == name))
        for name in old.keys() - self.served.keys():
            self._finish(old[name].stop())
        servers = {address for served in self.served.values() for address in servers_of(served.pool)}
        self.surroundings.watch(servers | setup.peers)
        self.monitor.configure(setup.virtual_servers, setup.settings)
        for served in (self.served[name] for name in self.served.keys() - old.keys()):
            for address, word in self.operator.words(served.server):
                served.handle(AdminChanged(address, word))
            served.start()
        self.watches.configure(setup.virtual_servers)
        self.evaluate()

    def hold(self, instance: str, held: bool) -> None:
        """An instance's addresses are about to come up here, or to go."""
        self._instances = self._instances | {instance} if held else self._instances - {instance}
        self._hold()

    def descriptors(self) -> Mapping[str, int]:
        """What the next process needs, and what the one before has left and nobody has used yet."""
        kept = {name: interface.kept() for name, interface in self.interfaces.items()}
        found: dict[str, int] = {}
        for name, left in {**self._left, **kept}.items():
            found |= names(name, left)
        return found

    @property
    def held(self) -> frozenset[IPAddress]:
        """The addresses that are balanced here now."""
        return self.setup.held(self._instances)

    def place(self, served: Served, address: IPAddress) -> Place:
        """Where a server is."""
        member = served.pool.members.get(address)
        mac = None if member is None else member.server.mac
        return place_of(address, mac, served.interface, self.surroundings)

    async def close(self) -> None:
        """Give everything back."""
        self._ticking.cancel()
        self.surroundings.close()
        await self.watches.close()
        await self.monitor.close()
        await asyncio.gather(*(served.stop() for served in self.served.values()))
        await asyncio.gather(*(each.close() for each in self.interfaces.values()))
        if self._closing:
            await asyncio.wait(self._closing)

    # --- what is heard -----------------------------------------------------------------------------------------------

    def _heard(self, report: Report) -> None:
        served = self.served.get(report.virtual_server)
        if served is None:
            return
        served.handle(report)
        if isinstance(report, HealthChanged):
            self._tell(served, report.address, "checks", "; ".join(report.health.warnings), logging.WARNING)

    def _hop(self, address: IPAddress) -> Hop | None:
        """Where a real server is, for those who ask it through the virtual address."""
        for served in self.served.values():
            if address in served.pool.members and served.interface:
                place = self.place(served, address)
                return Hop(served.interface, place.mac, place.local) if place.known else None
        return None

    async def _tick(self) -> None:
        count = 0
        while True:
            idle = count % _IDLE == 0
            for served in self.served.values():
                for address in servers_of(served.pool):
                    place = self.place(served, address)
                    if not place.local and not place.off_link and (idle or place.known is not True):
                        self.surroundings.probe(served.interface, address)
            for peer in self.setup.peers if idle else ():
                for name in self.interfaces:
                    if self.surroundings.on_link(name, peer):
                        self.surroundings.probe(name, peer)
            if count % _SAMPLE == 0:
                await asyncio.gather(*(interface.count() for interface in list(self.interfaces.values())))
            count += 1
            await asyncio.sleep(_TICK)
            self.evaluate()

    # --- what follows ------------------------------------------------------------------------------------------------

    def evaluate(self) -> None:
        """Everything that follows from what is known now: interfaces, neighbours, recipes, held addresses."""
        if self._evaluating or not self.surroundings.complete:
            return
        self._evaluating = True  # what a pool is told may call us again
        try:
            for served in self.served.values():
                self._find_interface(served)
                self._tell_neighbours(served)
            self._open_and_close()
            for interface in self.interfaces.values():
                self._forward(interface)
            self._hold()
        finally:
            self._evaluating = False
        self._observe()

    def _find_interface(self, served: Served) -> None:
        devices = [self.setup.devices.get(endpoint.address, "") for endpoint in served.server.endpoints]
        try:
            served.interface = interface_of(served.server, next(filter(None, devices), ""), self.surroundings)
            served.problem = ""
        except NoInterface as error:
            why = str(error)
            if why != served.problem:
                _LOG.error("%s: it is not balanced: %s", served.server.name, why)
            served.interface, served.problem = "", why

    def _tell_neighbours(self, served: Served) -> None:
        for address in servers_of(served.pool):
            place = self.place(served, address)
            self._tell(served, address, "link", place.why if place.off_link else "", logging.ERROR)
            if place.known is not None:
                served.neighbour(address, place.known, place.why)

    def _tell(self, served: Served, address: IPAddress, kind: str, text: str, level: int) -> None:
        """Log what is wrong with a server, when it is something new."""
        key = (served.server.name, address, kind)
        if self._told.get(key, "") != text:
            self._told[key] = text
            if text:
                _LOG.log(level, "%s: real server %s: %s", served.server.name, address, text)

    def _open_and_close(self) -> None:
        used = {served.interface for served in self.served.values() if served.interface}
        for name in self.interfaces.keys() - used:
            self._finish(self.interfaces.pop(name).close())
        for name in used:
            engine, index = self._engine(name), self.surroundings.links[name].index
            if name not in self.interfaces:
                left = self._left.pop(name, None)
                self.interfaces[name] = Interface(name, engine, self._engine_changed, self._opener, left)
            elif index != self._indexes[name]:
                _LOG.warning("%s: the interface was made anew", name)
                self.interfaces[name].renew()
            self._indexes[name] = index
            self.interfaces[name].use(engine)
        self.watches.on(used)
        while self._left and time.monotonic() > self._began + _UNJUDGED:
            close(self._left.popitem()[1])

    def _engine(self, interface: str) -> Engine:
        wishes = (served.server.engine for served in self._on(interface))
        return next((wish for wish in wishes if wish is not Engine.AUTO), Engine.AUTO)

    def _on(self, interface: str) -> list[Served]:
        return [served for served in self.served.values() if served.interface == interface]

    def _forward(self, interface: Interface) -> None:
        if interface.resuming and time.monotonic() < self._began + _UNJUDGED and not self._judged(interface.name):
            return  # the table of the process before knows more than ours would
        pools = [
            (served.pool, {address: self.place(served, address) for address in servers_of(served.pool)})
            for served in self._on(interface.name)
        ]
        mac = self.surroundings.links[interface.name].mac
        interface.forward(*compose(mac, pools, self._peers(interface.name), interface.claim))

    def _judged(self, interface: str) -> bool:
        """Whether it is known of every server there how it is."""
        return all(
            member.neighbour is not None and (member.health.state is not State.UNKNOWN or not member.server.checks)
            for served in self._on(interface)
            for member in served.pool.members.values()
        )

    def _peers(self, interface: str) -> set[bytes]:
        """The MAC addresses of other balancers, as far as they are known."""
        link = self.surroundings.links.get(interface)
        neighbours = self.surroundings.neighbours
        return {mac for peer in self.setup.peers if link and (mac := neighbours.of(link.index, peer).mac)}

    def _hold(self) -> None:
        for interface in self.interfaces.values():
            served = self._on(interface.name)
            addresses = {endpoint.address for each in served for endpoint in each.server.endpoints}
            interface.hold(self.held & addresses)

    def _situation(self, interface: str) -> Situation:
        """What the watch over ARP has to know of an interface."""
        mine, held = self._on(interface), self.held
        places = [(member.server.name, self.place(served, address))
                  for served in mine for address, member in served.pool.members.items()]  # fmt: skip
        servers = {place.mac: name for name, place in places if place.mac}
        balancers = self._peers(interface)
        if any(place.local for _, place in places):  # a cluster whose nodes are balancers and servers at once
            balancers |= servers.keys()
        own = frozenset(link.mac for link in self.surroundings.links.values() if any(link.mac))
        vips = {endpoint.address: endpoint.address in held for served in mine for endpoint in served.server.endpoints}
        return Situation(vips=vips, link=Link(own=own, balancers=frozenset(balancers), servers=servers))

    def _engine_changed(self) -> None:
        asyncio.get_running_loop().call_soon(self.evaluate)

    def _observe(self) -> None:
        for observer in list(self.observers):
            observer()

    def _settings(self) -> Globals:
        return self.setup.settings

    async def _settled(self, served: Served) -> None:
        """Wait until the data plane does what the pool wants, for a second at most."""
        interface = self.interfaces.get(served.interface)
        if interface is not None:
            await asyncio.wait([asyncio.ensure_future(interface.settled())], timeout=_TICK)

    def _finish(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
