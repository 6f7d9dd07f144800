"""The fast path of the packet engine: the plain frames to one service, forwarded by the batch.

The kernel writes frames into slots of memory that it shares with us (PACKET_RX_RING, TPACKET_V2). Each field that
matters stands at the same place of every slot, so a strided memoryview is that field of a whole batch: the batch is
hashed at once (dnslb.flow_hash), a list turns buckets into addresses of Ethernet headers, and sendmmsg gathers each
frame from such a header and the rest in its slot. Nothing is done in Python frame by frame.

Before every frame is a virtio_net_hdr (PACKET_VNET_HDR), which is sent along: it says what the kernel has still to do,
that is the checksum of a packet from a program on this machine, and to take apart again what GRO had put together.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import socket
import struct
import sys
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import cycle, islice

from dnslb.dataplane.packet_filter import NOTHING, Plain, attach
from dnslb.flow_hash import buckets_of_lanes, every_lane, jhash_lanes
from dnslb.forwarding import MAX_SLOTS, Spread

SOL_PACKET, ETH_P_ALL, TPACKET_V2 = 263, 0x0003, 1
PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION, PACKET_RESERVE = 5, 6, 10, 12
PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 15, 23

POSSIBLE = sys.byteorder == "little" and sys.maxsize > 1 << 32
"whether the words of a lane and the kernel's structures are as they are written here; else all take the slow path"

SLOT, SLOTS, BLOCK, BATCH = 512, 4096, 1 << 16, 256
"octets of a slot; slots of a ring (2 MiB, 13 ms at 300 000 frames per second); octets of a block; frames of a batch"
RESERVE = 2
"octets by which the kernel is told to push frames back, so that the fields of their IP headers are aligned to 4"
IP_AT = 92
"in a slot: TPACKET2_HDRLEN (52) and 16 for the Ethernet header, aligned to 16, RESERVE, and 10 of virtio_net_hdr"
FRAME_AT = IP_AT - 14
VNET_HEADER, MACS, HEADER = 10, 12, 16
"octets of a virtio_net_hdr; of the two MAC addresses that are replaced; from one of Headers to the next"
STATUS_AT, LENGTH_AT = 0, 8
LENGTH_SHIFT = 48
HEADER_MASK = (1 << LENGTH_SHIFT) - 1
"how both are counted at once; addresses of user space are below 2^48"
MESSAGE = 64
"octets of a struct mmsghdr"

_libc = ctypes.CDLL(None, use_errno=True)


class Headers:
    """The Ethernet headers to all slots, at addresses that stay, so that they can be counted by address."""

    def __init__(self) -> None:
        self._memory = ctypes.create_string_buffer(MAX_SLOTS * HEADER)
        self._base = ctypes.addressof(self._memory)

    def write(self, slot: int, destination: bytes, source: bytes) -> None:
        """Set both MAC addresses of what goes to a slot."""
        ctypes.memmove(self.address(slot), destination + source, MACS)

    def address(self, slot: int) -> int:
        """Where the header to a slot is."""
        return self._base + slot * HEADER

    def slot(self, address: int) -> int:
        """The slot of an address."""
        return (address - self._base) // HEADER


class PlainQueue:
    """The plain frames to one service and where they go; takes none until `sort` is called."""

    def __init__(self, interface: str, plain: Plain, spread: Spread) -> None:
        """Raises OSError."""
        self.receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.counted: Counter[int] = Counter()
        "frames by the address of their header, and their length from the bit LENGTH_SHIFT on"
        self.lost = 0
        "frames that could not be sent"
        self._headers: Sequence[int] = ()
        self._turns: Iterator[int] = iter(())
        self._spread = spread
        self._next = 0
        try:
            self._receive_into_ring(interface)
        except OSError:
            self.receiver.close()
            raise
        words = memoryview(self._ring).cast("I")
        source = range(12, 16, 4) if plain.address.version == 4 else range(8, 24, 4)
        self._status, self._length = _field(words, STATUS_AT), _field(words, LENGTH_AT)
        self._source = [_field(words, IP_AT + at) for at in source]
        self._ports = _field(words, IP_AT + (20 if plain.address.version == 4 else 40))
        self._scratch = memoryview(bytearray(8 * BATCH))
        self._prepare_messages()

    def sort(self, program: bytes) -> None:
        """Take the frames that a filter program takes."""
        attach(self.receiver, program)

    def point(self, headers: Sequence[int]) -> None:
        """Send each bucket's frames with the header at that address; () drops them."""
        self._headers = headers
        self._turns = cycle(headers)

    def forward(self, transmitter: int) -> None:
        """Send on the frames that are there, at most a batch, by a packet socket with PACKET_VNET_HDR."""
        first = self._next
        ready = self._status[first : first + BATCH].tobytes()[::4]
        count = ready.find(b"\0")  # the octet with TP_STATUS_USER: the kernel has finished this slot and all before it
        end = first + (count if count >= 0 else len(ready))
        if end > first:
            if self._headers:
                self._send(transmitter, first, end)
            self._status[first:end] = _ALL_KERNEL[: end - first]
            self._next = end % SLOTS

    def close(self) -> None:
        """Take no more; the memory goes with this object."""
        self.receiver.close()

    def _receive_into_ring(self, interface: str) -> None:
        attach(self.receiver, NOTHING)
        self.receiver.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.receiver.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V2)
        self.receiver.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self.receiver.setsockopt(SOL_PACKET, PACKET_RESERVE, RESERVE)
        ring = struct.pack("IIII", BLOCK, SLOTS * SLOT // BLOCK, SLOT, SLOTS)
        self.receiver.setsockopt(SOL_PACKET, PACKET_RX_RING, ring)
        self._ring = mmap.mmap(self.receiver.fileno(), SLOTS * SLOT)
        self.receiver.bind((interface, ETH_P_ALL))

    def _prepare_messages(self) -> None:
        """One struct mmsghdr for each slot, of three pieces: the virtio_net_hdr, the MAC addresses, the rest."""
        slots = ctypes.addressof(ctypes.c_char.from_buffer(self._ring)) + FRAME_AT
        self._pieces, self._messages = array("Q"), array("Q")
        for frame in range(slots, slots + SLOTS * SLOT, SLOT):
            self._pieces.extend((frame - VNET_HEADER, VNET_HEADER, 0, MACS, frame + MACS, 0))
        pieces, _ = self._pieces.buffer_info()
        for piece in range(pieces, pieces + SLOTS * 48, 48):
            self._messages.extend((0, 0, piece, 3, 0, 0, 0, 0))
        self._message, _ = self._messages.buffer_info()
        self._header_of, self._rest_of = memoryview(self._pieces)[2::6], memoryview(self._pieces)[5::6]

    def _send(self, transmitter: int, first: int, end: int) -> None:
        count = end - first
        headers = self._choose(first, end, count)
        lengths = self._lanes(self._length[first:end])
        rest = lengths - every_lane(MACS, count)
        self._header_of[first:end] = memoryview(headers)
        self._rest_of[first:end] = memoryview(rest.to_bytes(8 * count, "little")).cast("Q")
        what = int.from_bytes(headers, "little") | lengths << LENGTH_SHIFT
        counted = memoryview(what.to_bytes(8 * count, "little")).cast("Q")
        self.counted.update(counted)
        done = 0
        while done < count:
            message = ctypes.c_void_p(self._message + (first + done) * MESSAGE)
            sent = _libc.sendmmsg(transmitter, message, count - done, 0)
            if sent <= 0:
                sent = count - done if ctypes.get_errno() == errno.EAGAIN else 1
                self.counted.subtract(counted[done : done + sent])
                self.lost += sent
            done += sent

    def _choose(self, first: int, end: int, count: int) -> array[int]:
        """The addresses of the headers that a batch leaves with."""
        if self._spread is Spread.PACKET:
            return array("Q", islice(self._turns, count))
        words = [self._lanes(word[first:end]) for word in self._source]
        length = 4 * len(words)
        if self._spread is Spread.SOURCE_PORT:
            words.append(self._lanes(self._ports[first:end]) & every_lane(0xFFFF, count))
            length += 4
        words += [0] * (-len(words) % 3)
        buckets = buckets_of_lanes(jhash_lanes(words, length, count), len(self._headers), count)
        in_order = memoryview(buckets.to_bytes(8 * count, "little")).cast("Q")
        return array("Q", map(self._headers.__getitem__, in_order))

    def _lanes(self, field: memoryview) -> int:
        """A field of a batch as lanes of 64 bits."""
        lanes = self._scratch[: 8 * len(field)]
        lanes.cast("I")[::2] = field
        return int.from_bytes(lanes, "little")


def kernel_drops(receiver: socket.socket) -> int:
    """How many frames a packet socket had no room for since this was asked last."""
    drops: int = struct.unpack("II", receiver.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
    return drops


_ALL_KERNEL = memoryview(array("I", bytes(4 * BATCH)))
"TP_STATUS_KERNEL, that is 0, for every slot of a batch"


def _field(words: memoryview, at: int) -> memoryview:
    """The 32-bit word at an octet of every slot."""
    return words[at // 4 :: SLOT // 4]
