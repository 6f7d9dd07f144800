"""Asks the link who has the VIPs, and who is behind the default route: the same one should not be both."""

from __future__ import annotations

import socket
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from dnslb.health import socket_filter
from dnslb.health.arp_leak import read_answer
from dnslb.health.arp_leak import who_has as question
from dnslb.real_server.seen import Interface, Seen
from pyvrrp.core.events import IPAddress

_WAIT = 0.4
"seconds for answers"
_ETHERTYPES = {4: 0x0806, 6: 0x86DD}


def who_has(vips: Sequence[IPAddress], seen: Seen) -> Mapping[IPAddress, frozenset[bytes]]:
    """The MAC addresses that answer for the VIPs and for the gateways, on the links of the VIPs.

    Empty where no default route makes it worth asking, or without CAP_NET_RAW. Raises OSError.
    """
    found: dict[IPAddress, set[bytes]] = defaultdict(set)
    for interface in {each.name: each for vip in vips for each in seen.facing(vip)}.values():
        for family, ethertype in _ETHERTYPES.items():
            gateways = [
                route.gateway
                for route in seen.routes
                if (route.interface, route.family) == (interface.name, family) and route.gateway is not None
            ]
            wanted = [vip for vip in vips if vip.version == family]
            if not gateways or not wanted or len(interface.mac) != 6:
                continue
            try:
                for address, mac in _ask(interface, ethertype, [*wanted, *gateways], seen):
                    found[address].add(mac)
            except PermissionError:
                return {}
    return {address: frozenset(macs) for address, macs in found.items()}


def _ask(
    interface: Interface, ethertype: int, wanted: Sequence[IPAddress], seen: Seen
) -> Iterator[tuple[IPAddress, bytes]]:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as tap:
        socket_filter.attach(tap, socket_filter.neighbour_replies(wanted[0].version))
        tap.bind((interface.name, ethertype))
        for address in wanted:
            if (own := _own(interface, address, seen)) is not None:
                tap.send(question(interface.mac, own, address))
        deadline = time.monotonic() + _WAIT
        while (left := deadline - time.monotonic()) > 0:
            tap.settimeout(left)
            try:
                answer = read_answer(tap.recv(2048))
            except TimeoutError:
                return
            if answer is not None and answer[1] != interface.mac:
                yield answer


def _own(interface: Interface, other: IPAddress, seen: Seen) -> IPAddress | None:
    """An address of ours to ask from, of the same kind as the other."""
    for each in seen.addresses:
        alike = (each.address.version, each.address.is_link_local) == (other.version, other.is_link_local)
        if each.interface == interface.name and alike and not each.whole and not each.marked:
            return each.address
    return None
