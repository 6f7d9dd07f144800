"""Where nftables finds the service and the client in a packet: one view for each shape that a packet can have.

Offsets are in bits, from the network header (@nh) or from what is behind the IP header (@th): RFC 791, 792, 4443, 8200.
An expression that reaches beyond the packet breaks off its rule, so `>= 0` asks whether the field is there at all.
The kernel takes the outermost VLAN tag off before the ingress hook; a second one is where it expects the IP header.
"""

from __future__ import annotations

from dataclasses import dataclass

from dnslb.forwarding import Protocol, Service
from pyvrrp.core.events import IPAddress

_WHOLE4, _WHOLE6 = "ip frag-off & 0x3fff == 0", "exthdr frag missing"
_ERROR4 = f"{_WHOLE4} icmp type {{ destination-unreachable, time-exceeded, parameter-problem }}"
_ERROR6 = f"{_WHOLE6} icmpv6 type {{ destination-unreachable, packet-too-big, time-exceeded, parameter-problem }}"
_TWO_TAGS = "meta protocol { 8021q, 8021ad }"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How a packet of one shape shows its service and its client."""

    name: str
    "of the map from service to chain; also in these chains' names"
    version: int
    "of IP"
    chain: str
    "where it is looked for"
    condition: str
    "tells this shape, before the service is looked up"
    key: str
    "of the map"
    element: str
    "the key of a service as a format string of address, number (the same as a number), protocol and port"
    address: str
    "the client's"
    protocol: str = ""
    """Said where `address` has a name. Otherwise libnftables adds, behind an `ether`, that the frame's type is IP; but
    of a frame with a tag that is VLAN."""
    port: str = ""
    "the client's; empty in fragments, which have none"
    flow: str = ""
    """What the client's flows are remembered by, empty where they are not: its address (IPv6: without the first 32
    bits, libnftables 1.0.6 has no room for them) and port. Nameless, so that it is of the same type in all views."""
    error: bool = False
    "it is an ICMP error about an answer to the client"

    def key_of(self, service: Service, protocol: Protocol) -> str:
        """The key of a service in its map."""
        number = hex(int(service.address))
        return self.element.format(
            address=literal(service.address), number=number, protocol=int(protocol), port=service.port
        )


def literal(address: IPAddress) -> str:
    """An address as nft reads it: without the %scope that one of IPv6 may have."""
    return str(address).partition("%")[0]


VIEWS = (
    View(
        name="services4",
        version=4,
        chain="ipv4",
        condition=_WHOLE4,
        key="ip daddr . meta l4proto . th dport",
        element="{address} . {protocol} . {port}",
        address="ip saddr",
        protocol="meta protocol ip ",
        port="th sport",
        flow="@nh,96,32 . (@th,0,32 & 0xffff0000)",
    ),
    View(
        name="fragments4",
        version=4,
        chain="ipv4",
        condition="ip frag-off & 0x3fff != 0",
        key="ip daddr . meta l4proto",
        element="{address} . {protocol}",
        address="ip saddr",
        protocol="meta protocol ip ",
    ),
    View(
        name="errors4",
        version=4,
        chain="ipv4",
        condition=f"{_ERROR4} @th,64,8 0x45 @th,112,16 & 0x1fff == 0 @th,240,16 >= 0",
        key="ip daddr . @th,160,32 . @th,136,8 . @th,224,16",
        element="{address} . {number} . {protocol} . {port}",
        address="@th,192,32",
        port="@th,240,16",
        flow="@th,192,32 . (@th,240,32 & 0xffff0000)",
        error=True,
    ),
    View(
        name="piece-errors4",
        version=4,
        chain="ipv4",
        condition=f"{_ERROR4} @th,64,8 0x45-0x4f @th,112,16 & 0x1fff != 0",
        key="ip daddr . @th,160,32 . @th,136,8",
        element="{address} . {number} . {protocol}",
        address="@th,192,32",
        error=True,
    ),
    View(
        name="services6",
        version=6,
        chain="ipv6",
        condition=_WHOLE6,
        key="ip6 daddr . meta l4proto . th dport",
        element="{address} . {protocol} . {port}",
        address="ip6 saddr",
        protocol="meta protocol ip6 ",
        port="th sport",
        flow="@nh,96,96 . (@th,0,32 & 0xffff0000)",
    ),
    View(
        name="fragments6",
        version=6,
        chain="ipv6",
        condition="frag id >= 0 meta l4proto { tcp, udp }",
        key="ip6 daddr . frag nexthdr",
        element="{address} . {protocol}",
        address="ip6 saddr",
        protocol="meta protocol ip6 ",
    ),
    View(
        name="errors6",
        version=6,
        chain="ipv6",
        condition=f"{_ERROR6} @th,64,4 6 @th,400,16 >= 0",
        key="ip6 daddr . @th,128,128 . @th,112,8 . @th,384,16",
        element="{address} . {number} . {protocol} . {port}",
        address="@th,256,128",
        port="@th,400,16",
        flow="@th,288,96 . (@th,400,32 & 0xffff0000)",
        error=True,
    ),
    View(
        name="fragment-errors6",
        version=6,
        chain="ipv6",
        condition=f"{_ERROR6} @th,64,4 6 @th,112,8 44 @th,400,16 & 0xfff8 == 0 @th,464,16 >= 0",
        key="ip6 daddr . @th,128,128 . @th,384,8 . @th,448,16",
        element="{address} . {number} . {protocol} . {port}",
        address="@th,256,128",
        port="@th,464,16",
        flow="@th,288,96 . (@th,464,32 & 0xffff0000)",
        error=True,
    ),
    View(
        name="piece-errors6",
        version=6,
        chain="ipv6",
        condition=f"{_ERROR6} @th,64,4 6 @th,112,8 44 @th,400,16 & 0xfff8 != 0",
        key="ip6 daddr . @th,128,128 . @th,384,8",
        element="{address} . {number} . {protocol}",
        address="@th,256,128",
        error=True,
    ),
    View(
        name="tagged4",
        version=4,
        chain="two-tags",
        condition=f"{_TWO_TAGS} @nh,16,16 0x0800 @nh,32,8 0x45 @nh,80,16 & 0x3fff == 0",
        key="@nh,160,32 . @nh,104,8 . @nh,208,16",
        element="{number} . {protocol} . {port}",
        address="@nh,128,32",
        port="@nh,192,16",
    ),
    View(
        name="tagged6",
        version=6,
        chain="two-tags",
        condition=f"{_TWO_TAGS} @nh,16,16 0x86dd @nh,32,4 6",
        key="@nh,224,128 . @nh,80,8 . @nh,368,16",
        element="{number} . {protocol} . {port}",
        address="@nh,96,128",
        port="@nh,352,16",
    ),
)
"in each chain the most frequent first"
