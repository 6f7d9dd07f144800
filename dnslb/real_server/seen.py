"""What a node looks like to the checks of its real-server side; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from types import MappingProxyType

from dnslb.forwarding import Protocol
from pyvrrp.core.events import IPAddress

LOOPBACK = "lo"
RT_SCOPE_HOST = 254


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """A network interface."""

    index: int
    name: str
    up: bool = True
    mac: bytes = b""
    resolves: bool = True
    "it speaks ARP and Neighbor Discovery: neither a loopback nor a dummy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address on an interface."""

    interface: str
    address: IPAddress
    prefixlen: int
    scope: int = 0
    leased: bool = False
    "it goes by itself when nobody renews it"
    marked: bool = False
    """By us or, on other interfaces than lo, by a VRRP speaker (pyvrrp, newer keepalived): IFA_PROTO, which Linux has
    since 5.18, or our label."""

    @property
    def whole(self) -> bool:
        """A /32 or /128."""
        return self.prefixlen == self.address.max_prefixlen

    def reaches(self, other: IPAddress) -> bool:
        """Whether `other` is in the subnet of this address; a whole address has none."""
        if self.whole or self.address.version != other.version:
            return False
        return other in ip_network((self.address, self.prefixlen), strict=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultRoute:
    """A next hop of a default route with the lowest metric of its family."""

    interface: str
    family: int
    "4 or 6"
    gateway: IPAddress | None = None


@dataclass(frozen=True, slots=True)
class Listener:
    """A UDP socket without a peer, or a TCP socket that takes connections."""

    protocol: Protocol
    address: IPAddress
    port: int

    def covers(self, address: IPAddress) -> bool:
        """Whether it hears what is sent to `address`; one on `::` is taken to hear IPv4 too."""
        if self.address == address:
            return True
        return self.address.is_unspecified and (self.address.version == 6 or address.version == 4)

    def __str__(self) -> str:
        shown = "*" if self.address.is_unspecified and self.address.version == 4 else str(self.address)
        return shown if self.address.version == 4 else f"[{shown}]"


@dataclass(frozen=True, slots=True)
class Conntrack:
    """How full the table of tracked connections is."""

    count: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One look at a network namespace."""

    interfaces: Mapping[str, Interface] = field(default_factory=lambda: MappingProxyType({}))
    addresses: tuple[Address, ...] = ()
    routes: tuple[DefaultRoute, ...] = ()
    sysctls: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    "by name as in `net.ipv4.conf.all.arp_ignore`; what can't be read is not there"
    listeners: tuple[Listener, ...] = ()
    redirected: frozenset[tuple[IPAddress, int]] = frozenset()
    "addresses and ports that an nft rule of ours redirects to this node"
    macs: Mapping[IPAddress, frozenset[bytes]] = field(default_factory=lambda: MappingProxyType({}))
    "of VIPs and gateways: who on the link says that he has it"
    conntrack: Conntrack | None = None

    def of(self, address: IPAddress) -> list[Address]:
        """Wherever on this node it is."""
        return [found for found in self.addresses if found.address == address]

    def hidden(self, address: IPAddress) -> list[Address]:
        """Where it is without being found by neighbours: on lo, or on a dummy interface."""
        return [found for found in self.of(address) if not self._resolves(found.interface)]

    def marked(self) -> list[Address]:
        """What we put on lo: `dnslb realserver add` for good, a daemon as leases."""
        return [each for each in self.addresses if each.interface == LOOPBACK and each.whole and each.marked]

    def exposed(self, address: IPAddress) -> list[Address]:
        """Where it is and answers ARP or Neighbor Discovery."""
        return [found for found in self.of(address) if self._resolves(found.interface)]

    def resolving(self) -> Iterator[Interface]:
        """The interfaces that are up and answer neighbours."""
        return (each for each in self.interfaces.values() if each.up and each.resolves)

    def facing(self, address: IPAddress) -> list[Interface]:
        """The interfaces by which packets for `address` come in: those with its subnet, or all where none has it."""
        every = list(self.resolving())
        near = {found.interface for found in self.addresses if found.reaches(address)}
        return [each for each in every if each.name in near] or every

    def effective(self, setting: str, interface: str) -> int:
        """An IPv4 setting as the kernel applies it to an interface: the greater of `all` and its own."""
        return max(self.sysctls.get(conf(name, setting), 0) for name in ("all", interface))

    def _resolves(self, interface: str) -> bool:
        return interface not in self.interfaces or self.interfaces[interface].resolves


def conf(interface: str, setting: str) -> str:
    """The name of an interface's IPv4 setting; `/` stands for a dot in the interface's name, as in sysctl(8)."""
    return f"net.ipv4.conf.{interface.replace('.', '/')}.{setting}"
