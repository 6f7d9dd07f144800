"""Telling the link who holds a VIP now: gratuitous ARP, unsolicited Neighbor Advertisements, and their pacing."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from pyvrrp.core.datagram import internet_checksum, pseudo_header
from pyvrrp.core.events import IPAddress

_BROADCAST = b"\xff" * 6
_ALL_NODES = IPv6Address("ff02::1")
_ALL_NODES_MAC = bytes.fromhex("333300000001")

_ETHERTYPE_ARP = b"\x08\x06"
_ETHERTYPE_IPV6 = b"\x86\xdd"
_ARP_REQUEST_ETHERNET_IPV4 = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)

_ICMPV6 = 58
_NEIGHBOR_ADVERTISEMENT = 136
_ROUTER, _OVERRIDE = 0x80, 0x20
_TARGET_LINK_LAYER_OPTION = b"\x02\x01"

_BATCH = 256
"frames that one call of `due` returns at most, so that thousands of VIPs can't hold up an advertisement"


@dataclass(frozen=True, slots=True)
class Frame:
    """One Ethernet frame that announces one address on one interface."""

    interface: str
    address: IPAddress
    data: bytes
    "from the destination MAC on, without padding and frame check sequence"


def announcement(interface: str, mac: bytes, address: IPAddress, *, router: bool) -> Frame:
    """The frame for a VIP of either family; `router` matters for IPv6 only."""
    if isinstance(address, IPv4Address):
        return Frame(interface, address, gratuitous_arp(mac, address))
    return Frame(interface, address, unsolicited_na(mac, address, router=router))


def gratuitous_arp(mac: bytes, address: IPv4Address) -> bytes:
    """A broadcast ARP request by and for `address` (RFC 5227 section 3: a request, which every host takes up).

    The target MAC is all ones, as keepalived sends it. Raises ValueError when `mac` is not 6 bytes.
    """
    _check_mac(mac)
    arp = _ARP_REQUEST_ETHERNET_IPV4 + mac + address.packed + _BROADCAST + address.packed
    return _BROADCAST + mac + _ETHERTYPE_ARP + arp


def unsolicited_na(mac: bytes, address: IPv6Address, *, router: bool) -> bytes:
    """A Neighbor Advertisement from `address` to all nodes (RFC 4861 section 7.2.6, RFC 9568 section 6.4.1).

    Override is set, so that neighbours replace the MAC they know; `router` says whether this host forwards on the
    interface. Raises ValueError when `mac` is not 6 bytes.
    """
    _check_mac(mac)
    flags = _OVERRIDE | (_ROUTER if router else 0)
    body = struct.pack("!B3x16s", flags, address.packed) + _TARGET_LINK_LAYER_OPTION + mac
    length = 4 + len(body)
    unsummed = struct.pack("!BBH", _NEIGHBOR_ADVERTISEMENT, 0, 0) + body
    checksum = internet_checksum(pseudo_header(address, _ALL_NODES, length, _ICMPV6) + unsummed)
    ipv6 = struct.pack("!IHBB16s16s", 6 << 28, length, _ICMPV6, 255, address.packed, _ALL_NODES.packed)
    icmpv6 = struct.pack("!BBH", _NEIGHBOR_ADVERTISEMENT, 0, checksum) + body
    return _ALL_NODES_MAC + mac + _ETHERTYPE_IPV6 + ipv6 + icmpv6


def _check_mac(mac: bytes) -> None:
    if len(mac) != 6:
        raise ValueError(f"{mac.hex(':') or 'an empty MAC'} is no Ethernet MAC (6 bytes)")


@dataclass(slots=True)
class _Pending:
    """A frame and how often it is still to be sent."""

    frame: Frame
    rounds: int


@dataclass(slots=True)
class _Lane:
    """The frames of one kind (ARP or NA) that are waiting."""

    interval: float
    ready: float = float("-inf")
    "the earliest time for the next frame; outlives an empty queue, so that bursts keep their distance too"
    queues: OrderedDict[str, OrderedDict[tuple[str, IPAddress], _Pending]] = field(default_factory=OrderedDict)
    "by key, then by interface and address; the next one to send first"

    def add(self, key: str, frame: Frame, rounds: int) -> None:
        queue = self.queues.setdefault(key, OrderedDict())
        place = (frame.interface, frame.address)
        if place in queue:
            rounds = max(rounds, queue[place].rounds)
        queue[place] = _Pending(frame, rounds)

    def take(self) -> Frame:
        key, queue = next(iter(self.queues.items()))
        place, pending = next(iter(queue.items()))
        pending.rounds -= 1
        if pending.rounds:
            queue.move_to_end(place)
        else:
            del queue[place]
        if queue:
            self.queues.move_to_end(key)
        else:
            del self.queues[key]
        return pending.frame


class Announcer:
    """Paces the announcements of one interface, or of the interfaces of one garp_group.

    Keys are the instances; they take turns frame by frame. Within a key every address is sent once before any is sent
    again.
    """

    def __init__(self, garp_interval: float = 0.0, gna_interval: float = 0.0) -> None:
        """Intervals in seconds between two gratuitous ARPs, and between two NAs; 0: no pacing."""
        self._lanes = {4: _Lane(garp_interval), 6: _Lane(gna_interval)}

    def announce(self, key: str, frames: Sequence[Frame], repeat: int, now: float) -> None:
        """Have each of the frames sent `repeat` more times from `now` on.

        An address that is still waiting is not queued twice: the newer frame takes the place of the older one, with
        the larger number of rounds, so that a burst in every advertisement interval can't pile up behind the pacing.
        """
        if repeat < 1:
            return
        for frame in frames:
            lane = self._lanes[frame.address.version]
            if not lane.queues:
                lane.ready = max(lane.ready, now)
            lane.add(key, frame, repeat)

    def withdraw(self, key: str) -> None:
        """Drop what is waiting: the instance holds its addresses no longer."""
        for lane in self._lanes.values():
            lane.queues.pop(key, None)

    @property
    def deadline(self) -> float | None:
        """When to call `due` next, None while nothing is waiting."""
        return min((lane.ready for lane in self._lanes.values() if lane.queues), default=None)

    def due(self, now: float) -> Sequence[Frame]:
        """The frames to send now, in this order; empty when called early.

        A bounded batch: when more is due, `deadline` has come already.
        """
        frames: list[Frame] = []
        for lane in self._lanes.values():
            while lane.queues and lane.ready <= now and len(frames) < _BATCH:
                frames.append(lane.take())
                if lane.interval > 0:
                    lane.ready = now + lane.interval
        return frames
