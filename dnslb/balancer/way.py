"""Which server a client's packets go to, and by which hash: `dnslb explain`."""

from __future__ import annotations

import time
from collections.abc import Iterator

from dnslb.balancer.balancer import Balancer
from dnslb.balancer.composition import name_of
from dnslb.balancer.recipe import Portion, table_of
from dnslb.balancer.served import Served
from dnslb.explanation import explain
from dnslb.flow_hash import bucket_of_name, bucket_of_source, bucket_of_source_port
from dnslb.forwarding import Protocol, Spread
from pyvrrp.core.events import IPAddress
from pyvrrp.daemon.plugins import CommandRefused


def way_of(
    balancer: Balancer, served: Served, client: IPAddress, port: int | None, name: str | None
) -> Iterator[dict[str, object]]:
    """The way of this client's packets to a virtual server, for each protocol that goes a way of its own."""
    server = served.server
    endpoints = [str(each) for each in server.endpoints if each.address.version == client.version]
    if not endpoints:
        return
    addresses = list(served.pool.members)
    if server.sorry_server is not None:
        addresses.append(server.sorry_server.address)
    slots = {address: number for number, address in enumerate(dict.fromkeys(addresses))}
    portion = Portion(server=server, wanted=served.pool.table, slots=slots, destinations={})
    table = [addresses[slot] for slot in table_of(portion)]
    for spread, protocols in _spreads(server.spread, server.protocols).items():
        yield {
            "virtual_server": server.name,
            "to": endpoints,
            "protocols": [protocol.name for protocol in protocols],
            "here": any(each.address in balancer.held for each in server.endpoints),
            **_way(served, table, spread, client, port, name),
        }


def _spreads(spread: Spread, protocols: frozenset[Protocol]) -> dict[Spread, list[Protocol]]:
    found: dict[Spread, list[Protocol]] = {}
    for protocol in sorted(protocols, reverse=True):
        per_packet = spread in (Spread.PACKET, Spread.QNAME) and protocol is Protocol.TCP
        found.setdefault(Spread.SOURCE_PORT if per_packet else spread, []).append(protocol)
    return found


def _way(
    served: Served, table: list[IPAddress], spread: Spread, client: IPAddress, port: int | None, name: str | None
) -> dict[str, object]:
    size, pool = len(table), served.pool
    if not size:
        return {"hash": "", "bucket": None, "server": None, "why": f"no server is left: {pool.server.on_empty.value}"}
    match spread:
        case Spread.PACKET:
            return {"hash": "each packet by itself", "bucket": None, "server": None, "why": "the next one in turn"}
        case Spread.SOURCE:
            hashed, bucket = f"jhash({client})", bucket_of_source(client.packed, size)
        case Spread.QNAME if name is not None:
            hashed, bucket = f"jhash({name.lower()})", bucket_of_name(_wire(name), size)
        case Spread.QNAME:
            return {"hash": "by the name", "bucket": None, "server": None, "why": "say which name is asked for"}
        case _ if port is None:
            return {"hash": "by address and port", "bucket": None, "server": None, "why": "say the client's port"}
        case _:
            hashed, bucket = f"jhash({client}, {port})", bucket_of_source_port(client.packed, port, size)
    member = pool.members.get(table[bucket])
    why = "the sorry server has taken over" if member is None else explain(pool, member, time.monotonic()).sentence
    return {
        "hash": f"{hashed} mod {size}",
        "bucket": bucket,
        "server": name_of(pool, table[bucket]),
        "address": str(table[bucket]),
        "why": why,
    }


def _wire(name: str) -> bytes:
    """A name as it is in a packet, without its final zero octet; raises CommandRefused."""
    import dns.exception
    import dns.name

    try:
        wire = dns.name.from_text(name).to_wire() or b""
        return wire[:-1]
    except dns.exception.DNSException as error:
        raise CommandRefused(f"{name} is no domain name: {error}") from None
