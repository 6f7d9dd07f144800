"""How a service's packets are spread, as rules of nftables; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from dnslb.dataplane.nft_views import View
from dnslb.forwarding import SEED, OnEmpty, Passed, Protocol, Service, Spread
from pyvrrp.core.events import IPAddress

COUNTERS = {Passed.PEER: "peer", Passed.LOCAL: "local", Passed.EMPTY: "empty", Passed.NO_OWNER: "no-owner"}
"the names of the counters; that of a slot is slot-N"

Rules = tuple[str, ...]

_FROM_PEER = f'ether saddr @peers counter name "{COUNTERS[Passed.PEER]}" accept'
_TO_SLOT = "ether daddr vmap @slots"
_SEGMENT = "tcp flags >= 0 "
"one that ends before its flags passes"
NO_OWNER: Rules = (_FROM_PEER, f'counter name "{COUNTERS[Passed.NO_OWNER]}" accept')
"for an ICMP error that no bucket can be derived for"


def shown(view: View, services: Iterable[Service]) -> Iterator[tuple[Service, Sequence[Protocol]]]:
    """The services that packets of a shape can be for, and by which protocols.

    Where there is no port, an address and protocol mean the first service that has both.
    """
    taken: set[tuple[IPAddress, Protocol]] = set()
    for service in services:
        if service.address.version == view.version:
            claims = {(service.address, protocol): protocol for protocol in sorted(service.protocols)}
            protocols = [protocol for claim, protocol in claims.items() if view.port or claim not in taken]
            taken |= claims.keys()
            if protocols:
                yield service, protocols


def by_rules(
    view: View, service: Service, protocols: Iterable[Protocol], table: str, own: str
) -> Iterator[tuple[Sequence[Protocol], Rules]]:
    """The rules of a service, once for the protocols that have the same ones.

    `table` is the name of the map from bucket to chain, empty when there is no bucket; `own` our MAC address.
    """
    found: dict[Rules, list[Protocol]] = {}
    for protocol in protocols:
        found.setdefault(_rules(view, service, protocol, table, own), []).append(protocol)
    return ((alike, rules) for rules, alike in found.items())


def keeps_flows(service: Service) -> bool:
    """Whether any packet of the service is sent where its flow went."""
    return service.keep_flows and Protocol.TCP in service.protocols


def name(service: Service, protocols: Iterable[Protocol] = ()) -> str:
    """A word for a service (or for some of its protocols) that nft takes as part of a name."""
    words = "-".join(protocol.name.lower() for protocol in sorted(protocols or service.protocols))
    return f"{service.address}-{service.port}-{words}".replace(":", "_").replace("%", "_")


def _rules(view: View, service: Service, protocol: Protocol, table: str, own: str) -> Rules:
    per_packet = service.spread is Spread.PACKET and protocol is Protocol.UDP
    if view.error and (per_packet or not view.port):
        return NO_OWNER
    follows = keeps_flows(service) and protocol is Protocol.TCP and view.flow != ""
    opens = follows and not view.error
    rules = [_FROM_PEER]
    flows = f"@flows-{name(service)}"
    note = f"{flows} {{ {view.flow} : ether daddr }}"
    if opens:
        rules.append(f"tcp flags syn delete {note}")  # `update` would leave the slot as it was
    if follows:
        segment = "tcp flags ! syn " if opens else ""
        rules += [f"{segment}ether daddr set {view.flow} map {flows} {_TO_SLOT}", f"ether daddr set {own}"]
    if table:
        choice = f"ether daddr set {_bucket(view, service, per_packet)} map @{table}"
        if opens:
            rules.append(f"{view.protocol}tcp flags syn {choice} update {note} {_TO_SLOT}")
        rules.append(f"{view.protocol}{_SEGMENT if opens else ''}{choice} {_TO_SLOT}")
    verdict = "drop" if service.on_empty is OnEmpty.DROP else "accept"
    return (*rules, f'{_SEGMENT if opens else ""}counter name "{COUNTERS[Passed.EMPTY]}" {verdict}')


def _bucket(view: View, service: Service, per_packet: bool) -> str:
    size = len(service.table)
    if per_packet and view.port:
        return f"numgen inc mod {size}"
    by_port = view.port and service.spread is not Spread.SOURCE
    client = f"{view.address} . {view.port}" if by_port else view.address
    return f"jhash {client} mod {size} seed {SEED:#x}"
