"""The slow path of the packet engine: each frame that is not plain is decided on by dnslb.decision."""

from __future__ import annotations

import socket
import struct
from collections import Counter
from collections.abc import Iterable

from dnslb.dataplane.packet_filter import NOTHING, attach
from dnslb.dataplane.packet_ring import (
    ETH_P_ALL,
    PACKET_IGNORE_OUTGOING,
    PACKET_VNET_HDR,
    SOL_PACKET,
    VNET_HEADER,
)
from dnslb.decision import Decider, Memory, Verdict
from dnslb.forwarding import Passed

PACKET_AUXDATA = 8
TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 0x10, 0x40
VLAN_TAG = 4
NEEDS_CHECKSUM = 1
"virtio_net_hdr.flags"
LARGEST = 0x10000 + 64
"octets of a frame; GRO may have put a TCP super-packet together"
RECEIVE_BUFFER = 4 << 20
BUDGET = 64
"frames in one go, so that the fast path has its turn"


class OtherFrames:
    """The frames to held addresses that are not plain."""

    def __init__(self, interface: str) -> None:
        """Raises OSError."""
        self.packets: Counter[int] = Counter()
        self.octets: Counter[int] = Counter()
        self.passed: Counter[Passed] = Counter()
        self.lost = 0
        self.receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._decider: Decider | None = None
        self._memory = Memory()
        self._buffer = bytearray(VNET_HEADER + LARGEST)
        try:
            attach(self.receiver, NOTHING)
            self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            self.receiver.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            self.receiver.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            self.receiver.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
            self.receiver.bind((interface, ETH_P_ALL))
        except OSError:
            self.receiver.close()
            raise

    def decide_by(self, decider: Decider, program: bytes) -> None:
        """Take the frames that a filter program takes, and decide on them by this."""
        self._decider = decider
        attach(self.receiver, program)

    def forward(self, transmitter: socket.socket) -> None:
        """Decide on what is there, at most BUDGET frames."""
        for _ in range(BUDGET):
            try:
                size, ancillary, flags, _ = self.receiver.recvmsg_into([self._buffer], 64, socket.MSG_DONTWAIT)
            except OSError:  # no more; an error of the interface is for whoever watches the socket
                return
            if flags & socket.MSG_TRUNC:
                self.lost += 1
            elif self._decider is not None:
                self._forward_one(self._decider, size, _vlan_tag(ancillary), transmitter)

    def _forward_one(self, decider: Decider, size: int, tag: bytes, transmitter: socket.socket) -> None:
        header, frame = bytes(self._buffer[:VNET_HEADER]), bytes(self._buffer[VNET_HEADER:size])
        if tag:
            header, frame = _shifted(header), frame[:12] + tag + frame[12:]
        decision = decider.decide(frame, self._memory)
        if decision.passed is not None:
            self.passed[decision.passed] += 1
        if decision.verdict is Verdict.TX and decision.slot is not None:
            try:
                transmitter.send(header + decision.frame)
            except OSError:
                self.lost += 1
            else:
                self.packets[decision.slot] += 1
                self.octets[decision.slot] += len(frame)


def _vlan_tag(ancillary: Iterable[tuple[int, int, bytes]]) -> bytes:
    """The outer VLAN tag, which the kernel took out of the frame."""
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, control, identifier = struct.unpack("IIIHHHH", data[:20])
            if status & TP_STATUS_VLAN_VALID:
                return struct.pack("!HH", identifier if status & TP_STATUS_VLAN_TPID_VALID else 0x8100, control)
    return b""


def _shifted(header: bytes) -> bytes:
    """A virtio_net_hdr for a frame that a VLAN tag was put into: what it counts from the frame's head is further on."""
    flags, segments, length, segment, start, offset = struct.unpack("=BBHHHH", header)
    length += VLAN_TAG if segments else 0
    start += VLAN_TAG if flags & NEEDS_CHECKSUM else 0
    return struct.pack("=BBHHHH", flags, segments, length, segment, start, offset)
