"""A data plane's interface and the far end of its cable, in the caller's network namespace: what becomes of frames.

What the data plane lets pass is read where the local stack would get it: by packet sockets for single protocols, which
the kernel serves behind the ingress hooks.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from isolated import ip

INTERFACE, FAR_END = "eth0", "cable"
ETH_P_ALL, ETH_P_IP, ETH_P_IPV6, ETH_P_8021Q, ETH_P_8021AD = 0x0003, 0x0800, 0x86DD, 0x8100, 0x88A8
ETH_P_LAST = 0x88B5
"for experiments (IEEE 802): the frame that ends a batch"
SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING = 263, 8, 4
TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 0x10, 0x40
BATCH = 64
DEADLINE = 5.0
"seconds"


@dataclass(slots=True)
class Fate:
    """What became of a frame; neither: it was dropped, or it is of a protocol that nobody here reads."""

    sent: bytes | None = None
    "what came out of the interface, with its VLAN tags"
    passed: bytes | None = None
    "what the local stack got, without the outermost VLAN tag, which the kernel takes off"


class Cable:
    """The cable, with sockets at both ends; the interface has the MAC address `mac`."""

    def __init__(self, mac: bytes) -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # frames of two CPUs would overtake each other
        ip(f"link add {INTERFACE} address {mac.hex(':')} type veth peer name {FAR_END}")
        for name in (INTERFACE, FAR_END):
            Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
            ip(f"link set {name} up")
        self._mac = mac
        self.far = packet_socket(FAR_END, ETH_P_ALL)
        stack = (ETH_P_IP, ETH_P_IPV6, ETH_P_8021Q, ETH_P_8021AD)
        self._stack = [packet_socket(INTERFACE, protocol) for protocol in stack]
        self._last = packet_socket(INTERFACE, ETH_P_LAST)

    def fates(self, frames: Sequence[bytes]) -> list[Fate]:
        """Send frames into the far end, one after the other; frames of one batch that are alike may be mixed up."""
        return [fate for at in range(0, len(frames), BATCH) for fate in self._batch(frames[at : at + BATCH])]

    def _batch(self, frames: Sequence[bytes]) -> list[Fate]:
        fates = [Fate() for _ in frames]
        received(self.far)
        for frame in frames:
            self.far.send(frame)
        self.far.send(self._mac + bytes(6) + ETH_P_LAST.to_bytes(2) + bytes(46))
        end = time.monotonic() + DEADLINE
        while not received(self._last):
            assert time.monotonic() < end, "the frame that ends a batch did not pass"
        inputs = list(zip(fates, frames, strict=True))
        for sent in received(self.far):
            fate = next(fate for fate, frame in inputs if fate.sent is None and frame[12:] == sent[12:])
            fate.sent = sent
        for tap in self._stack:
            for passed in received(tap):
                fate = next(
                    fate for fate, frame in inputs if fate.passed is None and untagged(frame)[12:] == passed[12:]
                )
                fate.passed = passed
        return fates


def untagged(frame: bytes) -> bytes:
    """A frame without its outermost VLAN tag."""
    is_tagged = frame[12:14] in (b"\x81\x00", b"\x88\xa8")
    return frame[:12] + frame[16:] if is_tagged else frame


def packet_socket(interface: str, protocol: int) -> socket.socket:
    """A non-blocking socket for the frames of one protocol, with all the room that it may have."""
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    tap.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    tap.bind((interface, protocol))
    tap.setblocking(False)
    return tap


def received(tap: socket.socket) -> list[bytes]:
    """The frames that came in so far."""
    frames = []
    while True:
        try:
            data, ancillary, _, address = tap.recvmsg(65535, 64)
        except BlockingIOError:
            return frames
        if address[2] != PACKET_OUTGOING:
            frames.append(data[:12] + _tag(ancillary) + data[12:])


def _tag(ancillary: list[tuple[int, int, bytes]]) -> bytes:
    """The VLAN tag that the kernel took off."""
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", data)
            if status & TP_STATUS_VLAN_VALID:
                return struct.pack("!HH", tpid if status & TP_STATUS_VLAN_TPID_VALID else ETH_P_8021Q, tci)
    return b""
