"""From the tables that pools want to the Forwarding of one interface; pure, and worked out beside the loop.

A table of 4093 buckets takes some 5 ms, one of 65537 a hundred: that of a virtual server that has not changed is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dnslb.forwarding import Destination, Forwarding, OnEmpty, Service
from dnslb.maglev import maglev_table
from dnslb.model import OnEmpty as Empty
from dnslb.model import VirtualServer
from dnslb.pool_events import TableWanted
from pyvrrp.core.events import IPAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """One virtual server on an interface."""

    server: VirtualServer
    wanted: TableWanted
    slots: Mapping[IPAddress, int]
    destinations: Mapping[IPAddress, Destination]
    "by the address of each server that new flows or old connections may go to, and whose MAC address is known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that a Forwarding is made of."""

    mac: bytes
    portions: Sequence[Portion]
    peers: frozenset[bytes]


class Tables:
    """The tables that were made last, by virtual server."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[object, tuple[int, ...]]] = {}

    def forwarding(self, recipe: Recipe) -> Forwarding:
        """What the data plane is to do."""
        made, self._made = self._made, {}
        services: list[Service] = []
        destinations: dict[int, Destination] = {}
        for portion in recipe.portions:
            server = portion.server
            key = (portion.wanted.weights, portion.wanted.usual, portion.slots, server.table_size)
            kept = made.get(server.name)
            table = kept[1] if kept is not None and kept[0] == key else table_of(portion)
            self._made[server.name] = (key, table)
            services += services_of(server, table)
            destinations |= {portion.slots[address]: each for address, each in portion.destinations.items()}
        return Forwarding(mac=recipe.mac, services=services, destinations=destinations, peers=recipe.peers)


def table_of(portion: Portion) -> tuple[int, ...]:
    """Bucket to slot; servers are named by their addresses, which are the same on every node."""
    weights = {str(address): weight for address, weight in portion.wanted.weights.items()}
    usual = {str(address): weight for address, weight in portion.wanted.usual.items()}
    slots = {str(address): slot for address, slot in portion.slots.items()}
    return tuple(slots[name] for name in maglev_table(weights, usual, portion.server.table_size))


def services_of(server: VirtualServer, table: Sequence[int] = ()) -> list[Service]:
    """A virtual server's services, one for each of its addresses with a port."""
    return [
        Service(
            address=endpoint.address,
            port=endpoint.port,
            protocols=server.protocols,
            spread=server.spread,
            table=table,
            on_empty=OnEmpty.DROP if server.on_empty is Empty.DROP else OnEmpty.PASS,
            keep_flows=server.keep_flows,
        )
        for endpoint in server.endpoints
    ]
