"""A Forwarding as the content of an nftables table; pure.

A frame to our MAC address and a held address shows by its shape (nft_views) in which map to look for its service; that
gives the chain that says how the service is spread, its table the number of a slot, and the chain of that sends it:

    ingress -> ipv4 -> services4-192.0.2.53-53-tcp-udp, with table-192.0.2.53-53-tcp-udp -> slot-1

The number of a slot is in the frame for a moment, as its destination MAC address: what nft finds in one map, it looks
up in another only by way of the frame. It was our own address before, so it can be put back. (Tables that name chains
would be faster to use, by a tenth; but at each change the kernel checks all their elements, once for each rule.)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import lru_cache

from dnslb.dataplane.nft_ruleset import Chain, Ruleset, Set
from dnslb.dataplane.nft_spread import COUNTERS, NO_OWNER, by_rules, keeps_flows, name, shown
from dnslb.dataplane.nft_views import VIEWS, literal
from dnslb.forwarding import MAX_FLOWS, MAX_SERVICES, MAX_SLOTS, Destination, Forwarding, Passed
from pyvrrp.core.events import IPAddress

PRIORITY = 100
"of the ingress hook: after the operator's own filters there (0), so that what they drop is not sent on"
FLOW_TIMEOUT = "5m"
"a flow is forgotten when nothing of it was heard for so long"

_HOOK = 'type filter hook ingress device "{}" priority {}; policy accept'
_FLOW_TYPE = {4: "@nh,96,32 . @th,0,32", 6: "@nh,96,96 . @th,0,32"}


def empty(interface: str) -> Ruleset:
    """What is there before the first `content`: a hook that lets all pass."""
    chains = {"ingress": Chain((), _HOOK.format(interface, PRIORITY))}
    return Ruleset(chains=chains, counters=frozenset(COUNTERS.values()))


def content(interface: str, forwarding: Forwarding, held: Collection[IPAddress]) -> Ruleset:
    """The whole content, for the addresses that are held."""
    own = _mac(forwarding.mac)
    tables = dict(_tables(forwarding))
    sets = dict(_sets(forwarding, held)) | dict(tables.values())
    chains = dict(_chains(interface, own, forwarding))
    for view in VIEWS:
        elements: dict[str, str] = {}
        for service, protocols in shown(view, forwarding.services):
            table = tables[name(service)][0] if service.table else ""
            for alike, rules in by_rules(view, service, protocols, table, own):
                chain = f"{view.name}-{name(service, alike)}" if rules != NO_OWNER else "no-owner"
                chains[chain] = Chain(rules)
                if service.address in held:
                    elements |= {view.key_of(service, protocol): f"goto {chain}" for protocol in alike}
        sets[view.name] = Set(f"typeof {view.key} : verdict; size {2 * MAX_SERVICES}", elements)
        before = chains[view.chain].rules if view.chain in chains else ()
        chains[view.chain] = Chain((*before, f"{view.condition} {view.key} vmap @{view.name}"))
    counters = frozenset(f"slot-{slot}" for slot in forwarding.destinations)
    return Ruleset(chains=chains, sets=sets, counters=counters | empty(interface).counters)


def _chains(interface: str, own: str, forwarding: Forwarding) -> Iterator[tuple[str, Chain]]:
    """The way in, and the ways out."""
    ingress = (
        f"ether daddr != {own} accept",
        "ip daddr @held4 goto ipv4",
        "ip6 daddr @held6 goto ipv6",
        "meta protocol { 8021q, 8021ad } goto two-tags",
    )
    yield "ingress", Chain(ingress, empty(interface).chains["ingress"].declaration)
    for slot, destination in forwarding.destinations.items():
        yield f"slot-{slot}", Chain((_send(interface, own, slot, destination),))


def _send(interface: str, own: str, slot: int, destination: Destination) -> str:
    if destination.local:
        act = f'counter name "{COUNTERS[Passed.LOCAL]}" ether daddr set {own} accept'
    else:
        act = f'ether saddr set {own} ether daddr set {_mac(destination.mac)} fwd to "{interface}"'
    return f'counter name "slot-{slot}" {act} comment "{_remark(destination.name)}"'


def _tables(forwarding: Forwarding) -> Iterator[tuple[str, tuple[str, Set]]]:
    """By name of a service: the name and the content of its table; those with the same buckets have one."""
    known: dict[tuple[int, ...], tuple[str, Set]] = {}
    for service in forwarding.services:
        table = tuple(service.table)
        if table and table not in known:
            known[table] = f"table-{name(service)}", _table(table, frozenset(forwarding.destinations))
        if table:
            yield name(service), known[table]


@lru_cache(maxsize=MAX_SERVICES)
def _table(table: tuple[int, ...], slots: frozenset[int]) -> Set:
    numbers = {slot: _number(slot) for slot in slots}
    elements = {str(bucket): numbers[slot] for bucket, slot in enumerate(table) if slot in numbers}
    return Set(f"typeof numgen inc mod {len(table)} : ether daddr; size {len(table)}", elements)


def _sets(forwarding: Forwarding, held: Collection[IPAddress]) -> Iterator[tuple[str, Set]]:
    served = {service.address for service in forwarding.services if service.address in held}
    for version, kind in ((4, "ipv4_addr"), (6, "ipv6_addr")):
        addresses = (literal(each) for each in served if each.version == version)
        yield f"held{version}", Set(f"type {kind}; size {MAX_SERVICES}", dict.fromkeys(addresses, ""), is_map=False)
    yield "peers", Set("type ether_addr", dict.fromkeys(map(_mac, forwarding.peers), ""), is_map=False)
    numbers = {_number(slot): f"goto slot-{slot}" for slot in forwarding.destinations}
    yield "slots", Set(f"type ether_addr : verdict; size {MAX_SLOTS}", numbers)
    for service in filter(keeps_flows, forwarding.services):
        kind = f"typeof {_FLOW_TYPE[service.address.version]} : ether daddr"
        yield f"flows-{name(service)}", Set(f"{kind}; flags dynamic,timeout; timeout {FLOW_TIMEOUT}; size {MAX_FLOWS}")


def _number(slot: int) -> str:
    """A slot in the form of a MAC address, and none that an interface can have: a multicast one."""
    return _mac(bytes((3, 0, 0, 0, slot >> 8, slot & 255)))


def _mac(octets: bytes) -> str:
    return octets.hex(":")


def _remark(text: str) -> str:
    """What can stand in a comment of nft."""
    return re.sub(r"[^\w .:/()@-]", "?", text, flags=re.ASCII)[:100]
