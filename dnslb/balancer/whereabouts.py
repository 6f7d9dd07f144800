"""Where the servers of a virtual server are: on which interface it is balanced, and which of them can be reached there.

With DR only the Ethernet addresses of a packet change, so all servers must be on the link of the virtual address.
"""

from __future__ import annotations

from dataclasses import dataclass

from dnslb.balancer.surroundings import Surroundings
from dnslb.model import VirtualServer
from pyvrrp.core.events import IPAddress


@dataclass(frozen=True, slots=True)
class Place:
    """A server as it is seen from an interface."""

    known: bool | None
    "whether frames can be sent to it; None: nobody has said yet"
    mac: bytes = b""
    local: bool = False
    "this node itself"
    why: str = ""
    "when it is not known"
    off_link: bool = False


class NoInterface(Exception):
    """A virtual server can't be balanced now; the text says why."""


def interface_of(server: VirtualServer, device: str, surroundings: Surroundings) -> str:
    """Where its packets come in: `device`, that of its address, or where its real servers are; raises NoInterface."""
    if device:
        if device not in surroundings.links:
            raise NoInterface(f"there is no interface {device}")
        return device
    for real in server.real_servers:
        route = surroundings.route(real.address)
        if route is not None and route.gateway is None and not route.local:
            return surroundings.interface(route.index)
    raise NoInterface("no vrrp_instance has its address, and no real server is on a link of this node")


def place_of(address: IPAddress, mac: bytes | None, interface: str, surroundings: Surroundings) -> Place:
    """Where a server is; `mac` is that of the file."""
    if surroundings.is_own(address):
        return Place(True, local=True)
    if mac is not None:
        return Place(True, mac)
    link = surroundings.links.get(interface)
    if link is None:
        return Place(False, why=f"there is no interface {interface}")
    entry = surroundings.neighbours.of(link.index, address)
    if entry.known:
        return Place(True, entry.mac)
    if not surroundings.on_link(interface, address) and (why := _elsewhere(address, interface, surroundings)):
        return Place(False, why=why, off_link=True)
    asked = "ARP" if address.version == 4 else "Neighbor Discovery"
    return Place(entry.known, why=f"it does not answer {asked} on {interface}" if entry.known is False else "")


def _elsewhere(address: IPAddress, interface: str, surroundings: Surroundings) -> str:
    """Where it is, if not on the interface's link."""
    route = surroundings.route(address)
    if route is None:
        return f"there is no route to it: with DR it has to be on the link of {interface}"
    there = surroundings.interface(route.index)
    if route.gateway is not None:
        return f"it is behind {route.gateway} on {there}: with DR it has to be on the link of {interface}"
    return "" if there == interface else f"it is on {there}: with DR it has to be on the link of {interface}"
