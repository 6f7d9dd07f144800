"""A packet socket that says from which MAC a VRRP packet came: a raw socket has no link-layer header.

Of IPv4 it also hears what the kernel hides from raw sockets: packets with a source address of this host. The kernel
runs the filter for each frame of the family that comes in, on every interface, so it is to be open for moments only.
What this host sends does not come by: the kernel shows that to sockets for all protocols alone.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from ipaddress import IPv6Address

from pyvrrp.core.datagram import PROTOCOL_AH, PROTOCOL_VRRP, Datagram, parse_ipv4
from pyvrrp.core.discard import Discard, DiscardReason
from pyvrrp.core.events import IPAddress
from pyvrrp.host.capabilities import MissingCapability
from pyvrrp.host.netlink_filter import attach

_ETHERTYPES = {4: 0x0800, 6: 0x86DD}
_BATCH = 64
_BUFFER = 8192
_IPV6_HEADER = 40
_MOST_SOURCES = 64
"in a filter; with more of them it lets all VRRP pass"

# Classic BPF opcodes, linux/filter.h.
_LD_W_ABS, _LD_B_ABS, _JEQ, _RET = 0x20, 0x30, 0x15, 0x06
_ALL, _NOTHING = 0xFFFFFFFF, 0


class VrrpTap:
    """Hears the VRRP packets of one family from certain sources, on all interfaces.

    To close one takes the kernel up to some 15 ms (an RCU grace period): not on the event loop.
    """

    def __init__(self, family: int, sources: Collection[IPAddress]) -> None:
        """Raises MissingCapability and OSError."""
        self._ipv4 = family == 4
        try:
            kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
            self._socket = socket.socket(socket.AF_PACKET, kind, socket.htons(_ETHERTYPES[family]))
        except PermissionError as error:
            raise MissingCapability("CAP_NET_RAW") from error
        try:
            self.listen_for(sources)
            # From its creation until here it heard everything.
            with suppress(BlockingIOError):
                while True:
                    self._socket.recv(1)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """For loop.add_reader."""
        return self._socket.fileno()

    def listen_for(self, sources: Collection[IPAddress]) -> None:
        """Hear these sources from now on, and no others."""
        attach(self._socket, tap_filter(4 if self._ipv4 else 6, sources))

    def receive(self) -> Iterator[tuple[str, str, Datagram]]:
        """What has arrived, at most 64: interface, MAC, packet. Raises nothing; what is no packet is left out."""
        for _ in range(_BATCH):
            try:
                packet, (interface, _, kind, _, mac) = self._socket.recvfrom(_BUFFER)
            except OSError:  # nothing more; or an interface is going down, which its own sockets tell
                return
            if kind == socket.PACKET_OTHERHOST:
                continue  # promiscuous: the host itself does not take it
            try:
                datagram = parse_ipv4(packet) if self._ipv4 else _parse_ipv6(packet)
            except Discard:
                continue
            yield interface, mac.hex(":"), datagram

    def close(self) -> None:
        """Close it; slow, see the class."""
        self._socket.close()


def tap_filter(family: int, sources: Collection[IPAddress]) -> bytes:
    """The program, as an array of struct sock_filter: VRRP or AH, from one of the sources; the IP header is at 0."""
    protocol_at, source_at, words = (9, 12, 1) if family == 4 else (6, 8, 4)
    told_apart = len(sources) <= _MOST_SOURCES
    body: list[tuple[int, int, int, int]] = []
    for source in sources if told_apart else ():
        for number in range(words):
            word = int.from_bytes(source.packed[number * 4 : number * 4 + 4])
            to_next_source = 2 * (words - number - 1) + 1
            body += [(_LD_W_ABS, 0, 0, source_at + number * 4), (_JEQ, 0, to_next_source, word)]
        body.append((_RET, 0, 0, _ALL))
    program = [
        (_LD_B_ABS, 0, 0, protocol_at),
        (_JEQ, 2, 0, PROTOCOL_VRRP),
        (_JEQ, 1, 0, PROTOCOL_AH),
        (_RET, 0, 0, _NOTHING),
        *body,
        (_RET, 0, 0, _NOTHING if told_apart else _ALL),
    ]
    return b"".join(struct.pack("@HBBI", *line) for line in program)


def _parse_ipv6(packet: bytes) -> Datagram:
    """The filter has seen that VRRP or AH follows the header at once."""
    end = _IPV6_HEADER + int.from_bytes(packet[4:6])
    if not _IPV6_HEADER <= end <= len(packet):
        raise Discard(DiscardReason.LENGTH, f"{len(packet)} bytes of an IPv6 packet that says {end}")
    source, destination = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
    return Datagram(source, destination, packet[7], packet[6], b"", packet[_IPV6_HEADER:end])
