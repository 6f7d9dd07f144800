"""A VIP as the kernel is to hold it: the netlink messages that add, renew and delete it; pure.

Measured on Linux 6.18, IPv4 and IPv6:

- An address with `valid_lft N` goes N seconds after its last renewal, up to 0.25 s late. The kernel looks for expired
  addresses at most once a second in a namespace, and at each renewal: when another lease there was renewed or has run
  out within the last second, it is up to 1 s late.
- RTM_NEWADDR with NLM_F_REPLACE renews it and keeps its place among primaries and secondaries. It also adds an address
  that is gone, with or without NLM_F_CREATE: a renewal that is sent too late brings the address back.
- A renewal costs 1 us for IPv4, and 5 us for IPv6 and 0.3 us more for each multicast group (so, for each address) on
  the interface; and with IPv6 the kernel reports those groups anew (two MLD packets a second at one renewal a second).
- Down takes the IPv6 addresses off (unless keep_addr_on_down), IPv4 addresses stay.
- An IPv4 address that came first takes the others of its prefix along when it expires or is deleted, unless sysctl
  promote_secondaries is 1. A /32 neither takes along nor goes along.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import count

from pyvrrp.config.model import VirtualAddress
from pyvrrp.core.events import IPAddress
from pyvrrp.host.links import (
    IFA_F_HOMEADDRESS,
    IFA_F_MANAGETEMPADDR,
    IFA_F_MCAUTOJOIN,
    IFA_F_NODAD,
    IFA_F_NOPREFIXROUTE,
    Address,
)
from pyvrrp.host.netlink_codec import NetlinkError
from pyvrrp.host.rtnetlink import (
    IFA_ADDRESS,
    IFA_BROADCAST,
    IFA_CACHEINFO,
    IFA_FLAGS,
    IFA_LABEL,
    IFA_LOCAL,
    IFA_PROTO,
    IFADDRMSG,
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_REPLACE,
    NLM_F_REQUEST,
    RTM_DELADDR,
    RTM_NEWADDR,
    UINT32,
    message,
)

PROTO = 18
"marks our addresses (kernel 5.18 and later): RTPROT_KEEPALIVED, the number that keepalived puts there"
FOREVER = 0xFFFFFFFF

_FLAGS = struct.Struct("=H")
_CACHEINFO = struct.Struct("=IIxxxxxxxx")
"struct ifa_cacheinfo: preferred and valid lifetime in seconds, and two times that only the kernel sets"
_FLAGS_AT, _PREFIXLEN_AT, _INDEX_AT = 6, 17, 20
"struct nlmsghdr.nlmsg_flags, struct ifaddrmsg.ifa_prefixlen and .ifa_index"

_numbers = count(1)


@dataclass(frozen=True, slots=True, eq=False)
class Lease:
    """One VIP and how long the kernel keeps it without renewal; compares by identity.

    The bytes are made once; only the interface's index is put in when it is known.
    """

    vip: VirtualAddress
    seconds: int | None
    "None: until it is released"
    number: int = field(init=False)
    "the sequence number of its messages: the kernel's answer names it"
    _add: bytes = field(init=False, repr=False)
    _delete: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.seconds is not None and not 1 <= self.seconds < FOREVER:
            raise ValueError(f"lease of {self.seconds} s for {self.vip.interface}: 1 s or more")
        object.__setattr__(self, "number", next(_numbers) & 0xFFFFFFFF)
        object.__setattr__(self, "_add", _new_address(self))
        object.__setattr__(self, "_delete", _delete_address(self))

    def __str__(self) -> str:
        return f"{self.vip.address}/{self.prefixlen} dev {self.vip.device}"

    @property
    def prefixlen(self) -> int:
        """The kernel's: with a peer, the prefix is the peer's."""
        return (self.vip.peer or self.vip.interface).network.prefixlen

    @property
    def peer(self) -> IPAddress | None:
        """The other end of a point-to-point address."""
        return self.vip.peer.ip if self.vip.peer is not None else None

    def key(self, index: int) -> Hashable:
        """Address.key of this VIP on that interface."""
        return Address(index=index, address=self.vip.address, prefixlen=self.prefixlen, peer=self.peer).key

    def add(self, index: int) -> bytes:
        """RTM_NEWADDR with an acknowledgement; takes over an address that is there already."""
        return _patched(self._add, _INDEX_AT, UINT32.pack(index))

    def renewal(self, index: int) -> bytes:
        """RTM_NEWADDR that is answered only when the kernel refuses it."""
        return _patched(self.add(index), _FLAGS_AT, _FLAGS.pack(NLM_F_REQUEST | NLM_F_REPLACE))

    def delete(self, index: int, prefixlen: int | None = None) -> bytes:
        """RTM_DELADDR; `prefixlen` is the one that the kernel has, where it may differ (IPv6: see `differences`)."""
        message = _patched(self._delete, _INDEX_AT, UINT32.pack(index))
        return message if prefixlen is None else _patched(message, _PREFIXLEN_AT, bytes([prefixlen]))

    def differences(self, found: Address) -> Sequence[str]:
        """How an address that is there already is not what this lease asks for, in the words of `ip address`.

        The kernel takes over the lifetime and the flags, but keeps label, broadcast, scope and (IPv6) prefix length;
        IPv4 has the same address with another prefix length as a second entry, which stays.
        """
        vip, words = self.vip, []
        if found.prefixlen != self.prefixlen:
            words.append(f"prefix length {found.prefixlen}")
        if found.peer != self.peer:
            words.append(f"peer {found.peer}")
        if vip.address.version == 4:
            if vip.label is not None and found.label != vip.label:
                words.append(f"label {found.label}")
            if found.broadcast != vip.broadcast:
                words.append(f"brd {found.broadcast}")
            if found.scope != vip.scope:
                words.append(f"scope {found.scope}")
        if found.permanent and self.seconds is not None:
            words.append("valid_lft forever")
        return words


@dataclass(frozen=True, slots=True)
class LeaseTakenOver:
    """The address was there before, but not as the lease asks for; with another IPv4 prefix length it outlives us."""

    lease: Lease
    found: Address
    differences: Sequence[str]


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """The address of an acquired lease was removed by somebody else, or expired, or went with its interface.

    It is not renewed any more until it is acquired again.
    """

    lease: Lease


@dataclass(frozen=True, slots=True)
class LeaseFailed:
    """The kernel refused a renewal, or another host has the address (IPv6 duplicate address detection)."""

    lease: Lease
    error: NetlinkError


def _new_address(lease: Lease) -> bytes:
    vip = lease.vip
    flags = sum(
        flag
        for flag, wanted in (
            (IFA_F_NODAD, vip.nodad and vip.address.version == 6),
            (IFA_F_HOMEADDRESS, vip.home),
            (IFA_F_MANAGETEMPADDR, vip.mngtmpaddr),
            (IFA_F_NOPREFIXROUTE, vip.noprefixroute),
            (IFA_F_MCAUTOJOIN, vip.autojoin),
        )
        if wanted
    )
    valid = FOREVER if lease.seconds is None else lease.seconds
    if vip.preferred_lft is not None:
        preferred = min(vip.preferred_lft, valid)
    else:
        # keepalived.conf(5): a /128 is not to become a source address by itself.
        preferred = 0 if (vip.address.version, lease.prefixlen) == (6, 128) else valid
    attributes = [
        *_addresses(lease),
        (IFA_FLAGS, UINT32.pack(flags)),
        (IFA_CACHEINFO, _CACHEINFO.pack(preferred, valid)),
        (IFA_PROTO, bytes([PROTO])),
    ]
    if vip.label is not None:
        attributes.append((IFA_LABEL, vip.label.encode() + b"\0"))
    if vip.broadcast is not None:
        attributes.append((IFA_BROADCAST, vip.broadcast.packed))
    return _message(
        lease, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, attributes, ifa_flags=flags & 0xFF, scope=vip.scope
    )


def _delete_address(lease: Lease) -> bytes:
    # Without the label: an address that was taken over keeps its own, and the kernel would not find ours.
    return _message(lease, RTM_DELADDR, 0, _addresses(lease))


def _addresses(lease: Lease) -> list[tuple[int, bytes]]:
    local = lease.vip.address.packed
    return [(IFA_LOCAL, local), (IFA_ADDRESS, local if lease.peer is None else lease.peer.packed)]


def _message(
    lease: Lease, kind: int, flags: int, attributes: list[tuple[int, bytes]], *, ifa_flags: int = 0, scope: int = 0
) -> bytes:
    family = socket.AF_INET if lease.vip.address.version == 4 else socket.AF_INET6
    body = IFADDRMSG.pack(family, lease.prefixlen, ifa_flags, scope, 0)
    return message(kind, NLM_F_REQUEST | NLM_F_ACK | flags, lease.number, body, attributes)


def _patched(message: bytes, offset: int, data: bytes) -> bytes:
    return message[:offset] + data + message[offset + len(data) :]
