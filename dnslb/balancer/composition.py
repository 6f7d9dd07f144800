"""From the virtual servers on one interface, and where their servers are, to the recipe of its data plane; pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence

from dnslb.balancer.recipe import Portion, Recipe
from dnslb.balancer.servfail import Asked
from dnslb.balancer.whereabouts import Place
from dnslb.forwarding import MAX_SLOTS, Destination
from dnslb.model import OnEmpty, VirtualServer
from dnslb.pool import Pool
from pyvrrp.core.events import IPAddress

Places = Mapping[IPAddress, Place]
"by the addresses of a pool's servers, the sorry server included"
ClaimSlots = Callable[[Collection[Hashable]], Mapping[Hashable, int]]


def servers_of(pool: Pool) -> list[IPAddress]:
    """The real servers, those that are removed and drain last, and the sorry server."""
    sorry = pool.server.sorry_server
    return [*pool.members, *([sorry.address] if sorry is not None else ())]


def compose(
    mac: bytes, pools: Iterable[tuple[Pool, Places]], peers: Iterable[bytes], claim: ClaimSlots
) -> tuple[Recipe, frozenset[Asked]]:
    """The recipe, and where this node says SERVFAIL; `mac` is the interface's, `peers` are those of other balancers."""
    balanced = list(pools)
    slots = claim(_keys([pool for pool, _ in balanced]))
    macs = {place.mac for _, places in balanced for place in places.values() if place.mac}
    portions = tuple(_portion(pool, places, slots) for pool, places in balanced)
    answers = frozenset(
        (endpoint, protocol)
        for pool, places in balanced
        if not pool.table.weights and _answers_itself(pool.server, places.values())
        for endpoint in pool.server.endpoints
        for protocol in pool.server.protocols
    )
    return Recipe(mac=mac, portions=portions, peers=frozenset(macs.union(peers))), answers


def name_of(pool: Pool, address: IPAddress) -> str:
    """What people call a server."""
    member = pool.members.get(address)
    return str(address) if member is None else member.server.name


def _keys(pools: Sequence[Pool]) -> list[Hashable]:
    """Who is to have a slot; where there is no room for all, those that only drain go without."""
    keys: list[Hashable] = [(pool.server.name, address) for pool in pools for address in servers_of(pool)]
    removed = {
        (pool.server.name, address) for pool in pools for address, member in pool.members.items() if member.removed
    }
    return sorted(keys, key=removed.__contains__)[:MAX_SLOTS]


def _portion(pool: Pool, places: Places, slots: Mapping[Hashable, int]) -> Portion:
    name = pool.server.name
    mine = {address: slots[name, address] for address in servers_of(pool) if (name, address) in slots}
    destinations = {
        address: Destination(name=name_of(pool, address), mac=place.mac or bytes(6), local=place.local)
        for address, place in places.items()
        if address in pool.table.keeping and address in mine and place.known
    }
    return Portion(server=pool.server, wanted=pool.table, slots=mine, destinations=destinations)


def _answers_itself(server: VirtualServer, places: Iterable[Place]) -> bool:
    """Not where a server on this node is to have the port: it must be able to bind it, and to pass its checks."""
    return server.on_empty is not OnEmpty.DROP and not any(place.local for place in places)
