"""Who answers ARP or Neighbor Solicitations for a VIP, and who of them must not; pure.

A real server holds the VIP on its loopback for its own use: when it tells its neighbours so, the router sends it the
packets of all clients.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from pyvrrp.core.datagram import internet_checksum, pseudo_header
from pyvrrp.core.events import IPAddress

_BROADCAST = b"\xff" * 6
_ARP, _IPV6 = b"\x08\x06", b"\x86\xdd"
_ARP_ETHERNET_IPV4 = struct.pack("!HHBB", 1, 0x0800, 6, 4)
_REQUEST, _REPLY = 1, 2
_ICMPV6, _SOLICITATION, _ADVERTISEMENT = 58, 135, 136
_SOURCE_LINK_LAYER, _TARGET_LINK_LAYER = 1, 2
_VIRTUAL_ROUTER = (bytes.fromhex("00005e0001"), bytes.fromhex("00005e0002"))
"the virtual MAC addresses of VRRP (RFC 9568 section 7.3)"


def who_has(mac: bytes, own: IPAddress, vip: IPAddress) -> bytes:
    """The frame that asks who has `vip`, from an address of ours of the same family."""
    if isinstance(vip, IPv4Address) and isinstance(own, IPv4Address):
        arp = _ARP_ETHERNET_IPV4 + struct.pack("!H", _REQUEST) + mac + own.packed + bytes(6) + vip.packed
        return _BROADCAST + mac + _ARP + arp
    # To the solicited-node address of the VIP (RFC 4291 section 2.7.1).
    group = IPv6Address(bytes.fromhex("ff0200000000000000000001ff") + vip.packed[13:])
    body = bytes(4) + vip.packed + bytes((_SOURCE_LINK_LAYER, 1)) + mac
    unsummed = struct.pack("!BBH", _SOLICITATION, 0, 0) + body
    checksum = internet_checksum(pseudo_header(own, group, len(unsummed), _ICMPV6) + unsummed)
    icmp = struct.pack("!BBH", _SOLICITATION, 0, checksum) + body
    header = struct.pack("!IHBB", 6 << 28, len(icmp), _ICMPV6, 255) + own.packed + group.packed
    return b"\x33\x33" + group.packed[12:] + mac + _IPV6 + header + icmp


def read_answer(frame: bytes) -> tuple[IPAddress, bytes] | None:
    """The address and the MAC address that an ARP reply or a Neighbor Advertisement says belong together."""
    if frame[12:14] == _ARP:
        if len(frame) < 42 or frame[14:20] != _ARP_ETHERNET_IPV4 or frame[20:22] != _REPLY.to_bytes(2, "big"):
            return None
        return IPv4Address(frame[28:32]), frame[22:28]
    if frame[12:14] != _IPV6 or len(frame) < 78 or frame[20] != _ICMPV6 or frame[54] != _ADVERTISEMENT:
        return None
    target = IPv6Address(frame[62:78])
    if frame[78:80] == bytes((_TARGET_LINK_LAYER, 1)) and len(frame) >= 86:
        return target, frame[80:86]
    return target, frame[6:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What is known of a link when the answers are judged."""

    own: frozenset[bytes]
    "MAC addresses of this node"
    balancers: frozenset[bytes] = frozenset()
    "of the other nodes that may hold the VIPs"
    servers: Mapping[bytes, str]
    "by the MAC addresses of the real servers their names"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """Somebody answers for a VIP who must not."""

    vip: IPAddress
    mac: bytes
    server: str = ""
    "the real server that it belongs to; empty: none that is known"

    @property
    def sentence(self) -> str:
        """What it is, and what to do."""
        what = "ARP" if self.vip.version == 4 else "Neighbor Discovery"
        if not self.server:
            who, advice = (
                f"{self.mac.hex(':')}, no node that is known,",
                "find it, or another node has the same address",
            )
        elif self.vip.version == 4:
            who = f"real server {self.server} ({self.mac.hex(':')})"
            advice = "set net.ipv4.conf.all.arp_ignore=1 there, and have the address on its loopback alone"
        else:
            who = f"real server {self.server} ({self.mac.hex(':')})"
            advice = "have the address on its loopback alone"
        return f"{who} answers {what} for {self.vip} and takes clients' packets away: {advice}"


def leaks(vip: IPAddress, answers: Collection[bytes], link: Link, *, held: bool) -> tuple[Leak, ...]:
    """Who answered for a VIP and must not; `held`: it is ours now.

    While it is another node's, that node may answer: a balancer that is known, one with a virtual MAC address, or the
    only one that answers, unless it is a real server.
    """
    others = [mac for mac in answers if mac not in link.own]
    if held:
        wrong = others
    else:
        wrong = [mac for mac in others if mac not in link.balancers and mac[:5] not in _VIRTUAL_ROUTER]
        if len(others) == 1:
            wrong = [mac for mac in wrong if mac in link.servers]
    return tuple(Leak(vip=vip, mac=mac, server=link.servers.get(mac, "")) for mac in sorted(wrong))
