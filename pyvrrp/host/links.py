"""The network interfaces and addresses of this host as netlink tells them; pure."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from types import MappingProxyType
from typing import assert_never

from pyvrrp.core.events import IPAddress

IFF_UP, IFF_RUNNING, IFF_LOWER_UP = 0x1, 0x40, 0x10000

IFA_F_SECONDARY, IFA_F_NODAD, IFA_F_DADFAILED, IFA_F_HOMEADDRESS = 0x01, 0x02, 0x08, 0x10
IFA_F_TENTATIVE, IFA_F_PERMANENT, IFA_F_MANAGETEMPADDR = 0x40, 0x80, 0x100
IFA_F_NOPREFIXROUTE, IFA_F_MCAUTOJOIN = 0x200, 0x400

RT_SCOPE_HOST = 254


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A network interface."""

    index: int
    name: str
    flags: int = 0
    "IFF_*"
    mtu: int = 1500
    mac: bytes = b""
    "the link-layer address; 6 bytes on Ethernet, empty where there is none"
    arp_type: int = 1
    "ARPHRD_*: 1 Ethernet, 772 loopback, 65534 none"
    kind: str | None = None
    "macvlan, veth, bridge ..., None for hardware"
    parent: int | None = None
    "index of the interface below (macvlan, VLAN) in this namespace"
    master: int | None = None
    "index of the bridge, bond or VRF it belongs to"

    @property
    def up(self) -> bool:
        """Administratively up."""
        return bool(self.flags & IFF_UP)

    @property
    def running(self) -> bool:
        """Up with a carrier: both, because the kernel clears IFF_RUNNING some time after the carrier is lost."""
        wanted = IFF_UP | IFF_RUNNING | IFF_LOWER_UP
        return self.flags & wanted == wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address on an interface; lifetimes are left out, they change without meaning."""

    index: int
    "of the interface"
    address: IPAddress
    prefixlen: int
    flags: int = 0
    "IFA_F_*"
    scope: int = 0
    label: str | None = None
    broadcast: IPv4Address | None = None
    peer: IPAddress | None = None
    proto: int = 0
    "IFA_PROTO; 0 also where the kernel (before 5.18) has none"

    @property
    def key(self) -> Hashable:
        """What makes it the same address for the kernel: an interface has an IPv6 address once, whatever its prefix."""
        if self.address.version == 6:
            return (self.index, self.address)
        return (self.index, self.address, self.prefixlen, self.peer)

    @property
    def usable(self) -> bool:
        """Not waiting for duplicate address detection, nor refused by it."""
        return not self.flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)

    @property
    def permanent(self) -> bool:
        """Without an end: nobody's lease."""
        return bool(self.flags & IFA_F_PERMANENT)

    def __str__(self) -> str:
        return f"{self.address}/{self.prefixlen}"


@dataclass(frozen=True, slots=True)
class Gone:
    """The kernel says that it was removed."""

    subject: Link | Address


Fact = Link | Address | Gone
"one message of the kernel: an interface or address as it is now, or its end"


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """An interface appeared (`old` is None) or changed; a rename is LinkGone and then LinkChanged(None, ...)."""

    old: Link | None
    new: Link


@dataclass(frozen=True, slots=True)
class LinkGone:
    """No interface of this name any more."""

    link: Link


@dataclass(frozen=True, slots=True)
class AddressChanged:
    """An address appeared (`old` is None) or changed, for instance when duplicate address detection ended."""

    old: Address | None
    new: Address


@dataclass(frozen=True, slots=True)
class AddressGone:
    """An address was removed, or expired, or went with its interface."""

    address: Address


LinkChange = LinkChanged | LinkGone | AddressChanged | AddressGone


@dataclass(slots=True)
class Links:
    """The current state; `apply` and `replace` return what changed, in order."""

    _links: dict[int, Link] = field(default_factory=dict)
    _names: dict[str, Link] = field(default_factory=dict)
    _addresses: dict[int, dict[Hashable, Address]] = field(default_factory=dict)
    _places: dict[IPAddress, dict[Hashable, Address]] = field(default_factory=dict)
    "the same ones by what they are: thousands are asked for one by one"

    @property
    def by_name(self) -> Mapping[str, Link]:
        """The interfaces, by name; a view."""
        return MappingProxyType(self._names)

    def addresses(self, index: int) -> tuple[Address, ...]:
        """The addresses of an interface, in the order in which they were seen."""
        return tuple(self._addresses.get(index, {}).values())

    def get(self, index: int, key: Hashable) -> Address | None:
        """The address with this `key` on an interface."""
        return self._addresses.get(index, {}).get(key)

    def find(self, address: IPAddress) -> tuple[Address, ...]:
        """Wherever on this host the address is."""
        return tuple(self._places.get(address, {}).values())

    def apply(self, fact: Fact) -> list[LinkChange]:
        """Take one message of the kernel; what is known already changes nothing."""
        match fact:
            case Link():
                return self._link(fact)
            case Address():
                old = self._addresses.setdefault(fact.index, {}).get(fact.key)
                self._addresses[fact.index][fact.key] = fact
                self._places.setdefault(fact.address, {})[fact.key] = fact
                return [] if old == fact else [AddressChanged(old, fact)]
            case Gone():
                return self._gone(fact.subject)
            case _:
                assert_never(fact)

    def replace(self, facts: Iterable[Link | Address]) -> list[LinkChange]:
        """Take a whole dump: what it does not contain is gone."""
        facts = list(facts)
        links = {fact.index for fact in facts if isinstance(fact, Link)}
        keys = {fact.key for fact in facts if isinstance(fact, Address)}
        changes = [change for index in self._links.keys() - links for change in self._link_gone(index)]
        known = [address for entries in self._addresses.values() for address in entries.values()]
        for address in known:
            if address.key not in keys:
                changes += self.apply(Gone(address))
        for fact in facts:
            changes += self.apply(fact)
        return changes

    def _link(self, link: Link) -> list[LinkChange]:
        old = self._links.get(link.index)
        if old == link:
            return []
        changes: list[LinkChange] = []
        if old is not None and old.name != link.name:
            # Two renames may cross (a <-> b in a dump): the name may have a new owner already.
            if self._names.get(old.name) is old:
                del self._names[old.name]
            changes.append(LinkGone(old))
            old = None
        self._links[link.index] = self._names[link.name] = link
        return [*changes, LinkChanged(old, link)]

    def _gone(self, subject: Link | Address) -> list[LinkChange]:
        if isinstance(subject, Link):
            return self._link_gone(subject.index)
        # Told also when it was unknown: IPv6 announces an address some time after it was added, and not at all when it
        # was removed before that. Told as in the last message: its flags say IFA_F_DADFAILED.
        self._addresses.get(subject.index, {}).pop(subject.key, None)
        self._forget(subject)
        return [AddressGone(subject)]

    def _link_gone(self, index: int) -> list[LinkChange]:
        gone = list(self._addresses.pop(index, {}).values())
        for address in gone:
            self._forget(address)
        changes: list[LinkChange] = [AddressGone(address) for address in gone]
        link = self._links.pop(index, None)
        if link is not None:
            if self._names.get(link.name) is link:
                del self._names[link.name]
            changes.append(LinkGone(link))
        return changes

    def _forget(self, address: Address) -> None:
        places = self._places.get(address.address, {})
        places.pop(address.key, None)
        if not places:
            self._places.pop(address.address, None)


def primary_address(addresses: Iterable[Address], family: int, exclude: Collection[IPAddress] = ()) -> IPAddress | None:
    """The source of advertisements (RFC 3768 section 1.3, RFC 9568 section 1.6), None when there is none.

    IPv4: the widest scope first, primaries before secondaries, then the kernel's order. IPv6: a link-local address that
    is neither tentative nor a failed duplicate. `exclude` holds the VIPs.
    """
    candidates = [
        entry
        for entry in addresses
        if entry.address.version == family and entry.address not in exclude and entry.scope < RT_SCOPE_HOST
    ]
    if family == 6:
        candidates = [entry for entry in candidates if entry.address.is_link_local and entry.usable]
    candidates.sort(key=lambda entry: (entry.scope, entry.flags & IFA_F_SECONDARY))
    return candidates[0].address if candidates else None
