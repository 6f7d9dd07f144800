"""A tap on the lab's wire: every frame with its time, and the few fields that a timeline needs.

This is no decoder to test one against: tests that ask what is right on the wire use tcpdump or scapy.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from threading import Condition, Thread

from pyvrrp.demo.namespaces import LabError, Namespace

ETH_P_ALL = 0x0003
SO_TIMESTAMPNS = 35
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 263, 1, 1
IPPROTO_UDP, IPPROTO_VRRP, IPPROTO_AH, IPPROTO_ICMPV6 = 17, 112, 51, 58
NEIGHBOR_ADVERTISEMENT = 136


@dataclass(frozen=True, slots=True)
class Advertised:
    """The head of a VRRP advertisement."""

    source: IPv4Address | IPv6Address
    version: int
    vrid: int
    priority: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What tells one DNS query from another."""

    source: IPv4Address | IPv6Address
    port: int
    number: int
    server: IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Frame:
    """An Ethernet frame and when the kernel saw it (time.monotonic)."""

    time: float
    data: bytes

    @property
    def advertised(self) -> Advertised | None:
        """What it advertises, when it is a VRRP advertisement; AH is skipped unverified."""
        data, vrrp, source = self.data, 0, b""
        match data[12:14]:
            case b"\x08\x00" if len(data) >= 34:
                source, protocol, vrrp = data[26:30], data[23], 14 + (data[14] & 15) * 4
                if protocol == IPPROTO_AH and len(data) > vrrp + 1:
                    protocol, vrrp = data[vrrp], vrrp + (data[vrrp + 1] + 2) * 4
            case b"\x86\xdd" if len(data) >= 54:
                source, protocol, vrrp = data[22:38], data[20], 54
            case _:
                return None
        if protocol != IPPROTO_VRRP or len(data) < vrrp + 8:
            return None
        address = IPv4Address(source) if len(source) == 4 else IPv6Address(source)
        return Advertised(address, data[vrrp] >> 4, data[vrrp + 1], data[vrrp + 2])

    @property
    def asked(self) -> Asked | None:
        """What it asks, when it is a DNS query over UDP, without IP options and extension headers."""
        data = self.data
        source: IPv4Address | IPv6Address
        server: IPv4Address | IPv6Address
        if data[12:15] == b"\x08\x00\x45" and len(data) >= 54:
            protocol, udp = data[23], 34
            source, server = IPv4Address(data[26:30]), IPv4Address(data[30:34])
        elif data[12:14] == b"\x86\xdd" and len(data) >= 74:
            protocol, udp = data[20], 54
            source, server = IPv6Address(data[22:38]), IPv6Address(data[38:54])
        else:
            return None
        if protocol != IPPROTO_UDP or data[udp + 2 : udp + 4] != b"\0\x35":
            return None
        port, number = int.from_bytes(data[udp : udp + 2]), int.from_bytes(data[udp + 8 : udp + 10])
        return Asked(source, port, number, server)

    @property
    def announced(self) -> IPv4Address | IPv6Address | None:
        """The address that it announces, when it is a gratuitous ARP or an unsolicited Neighbor Advertisement."""
        data = self.data
        if data[12:14] == b"\x08\x06" and len(data) >= 42 and data[28:32] == data[38:42]:
            return IPv4Address(data[28:32])
        is_na = data[12:14] == b"\x86\xdd" and len(data) >= 78 and data[20] == IPPROTO_ICMPV6
        if is_na and data[54] == NEIGHBOR_ADVERTISEMENT and not data[58] & 0x40:
            return IPv6Address(data[62:78])
        return None


class Capture:
    """Listens on an interface until it is closed, at the latest with its lab."""

    def __init__(self, namespace: Namespace, interface: str) -> None:
        self._frames: list[Frame] = []
        self._arrived = Condition()
        self._closed = False
        self._socket = namespace.call(lambda: _packet_socket(interface))
        self._thread = Thread(target=self._listen, name=f"capture {namespace.namespace} {interface}", daemon=True)
        self._thread.start()
        namespace.listeners.append(self)

    def __iter__(self) -> Iterator[Frame]:
        """The frames seen so far."""
        with self._arrived:
            return iter(self._frames.copy())

    def close(self) -> None:
        """Stop to listen; what was heard remains."""
        if not self._closed:
            self._closed = True
            self._thread.join()
            self._socket.close()

    def advertisements(self, vrid: int) -> list[tuple[float, Advertised]]:
        """The advertisements of one virtual router, with their times."""
        found = ((frame.time, frame.advertised) for frame in self)
        return [(at, advertised) for at, advertised in found if advertised and advertised.vrid == vrid]

    def wait(self, wanted: Callable[[Frame], bool], what: str, timeout: float = 10.0, since: float = 0.0) -> Frame:
        """The first frame at or after `since` that is wanted; LabError when none comes within `timeout` seconds."""
        end = time.monotonic() + timeout
        looked_at = 0
        while True:
            with self._arrived:
                if looked_at == len(self._frames) and not self._arrived.wait(end - time.monotonic()):
                    raise LabError(f"{what}: not seen on the wire within {timeout:g} s")
                new = self._frames[looked_at:]
            looked_at += len(new)
            for frame in new:
                if frame.time >= since and wanted(frame):
                    return frame

    def _listen(self) -> None:
        while not self._closed:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(65535, 64)
            except TimeoutError:
                continue
            except OSError:  # the interface went down or away; it may come back
                time.sleep(0.01)
                continue
            with self._arrived:
                self._frames.append(Frame(_monotonic(ancillary), data))
                self._arrived.notify_all()


def _packet_socket(interface: str) -> socket.socket:
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    tap.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    promiscuous = struct.pack("iHH8s", socket.if_nametoindex(interface), PACKET_MR_PROMISC, 0, b"")
    tap.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, promiscuous)
    tap.bind((interface, ETH_P_ALL))
    tap.settimeout(0.1)  # so that close() is noticed
    return tap


def _monotonic(ancillary: list[tuple[int, int, bytes]]) -> float:
    """The kernel's time of arrival (wall clock) as monotonic time: how long we took to come here does not count."""
    now, wall = time.monotonic(), time.time_ns()
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("qq", data[:16])
            return now - (wall - int(seconds) * 1_000_000_000 - int(nanoseconds)) / 1e9
    return now
