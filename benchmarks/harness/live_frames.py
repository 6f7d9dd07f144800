"""Frames made inside the kernel (BPF_PROG_TEST_RUN with live frames, Linux 5.18), millions a second: for data planes.

LiveFrames sends copies of one frame, each from another port, out of an interface or up the stack as if they had come in
by it; Arrivals counts and drops what comes in by an interface, by the last octet of the destination MAC address.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from dnslb.bpf.assembler import assemble
from dnslb.bpf.maps import Map, MapType
from dnslb.bpf.program import Program, Verdict, load
from dnslb.bpf.xdp import Link, Mode

MACS = 12
"octets of a frame that a data plane changes; they are set again each time, for the kernel uses its pages again"
ROWS = 256


class LiveFrames:
    """A generator; as a context manager it gives its program back.

    `port` is where in the frame the source port is: 16 random bits for each. With `into_stack` the frames are received
    by the interface's own stack, which generic XDP, nft and packet sockets see; otherwise they leave by the interface.
    Out of a veth they arrive only where the other end has an XDP program.
    """

    def __init__(self, frame: bytes, port: int, *, into_stack: bool = False) -> None:
        self._frame = frame
        self._program = _generator(frame, port, Verdict.PASS if into_stack else Verdict.TX)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._program.close()

    def send(self, interface: int, count: int) -> float:
        """Send so many by the interface of this index; the seconds that it took. Raises BpfError."""
        began = time.perf_counter()
        self._program.run_live(self._frame, interface, count)
        return time.perf_counter() - began


@dataclass(frozen=True, slots=True)
class Arrived:
    """Frames by the last octet of the destination MAC address."""

    frames: tuple[int, ...]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.frames)


class Arrivals:
    """Counts at an interface, and drops, until it is closed."""

    def __init__(self, interface: int) -> None:
        self._counts = Map.create(MapType.PERCPU_ARRAY, "arrivals", value_size=ROWS * 8)
        with load(assemble(_COUNT), {"counts": self._counts}, "arrivals") as program:
            self._link = Link.attach(program, interface, Mode.NATIVE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._link.close()
        self._counts.close()

    def read(self) -> Arrived:
        """What has arrived until now."""
        values = memoryview(self._counts.lookup(bytes(4)) or b"").cast("Q")
        return Arrived(tuple(sum(values[row::ROWS]) for row in range(ROWS)))


def _generator(frame: bytes, port: int, verdict: Verdict) -> Program:
    macs = "\n".join(
        f"*(u32 *)(r6 + {at}) = {int.from_bytes(frame[at : at + 4], 'little'):#x}" for at in range(0, MACS, 4)
    )
    text = f"""
        r6 = *(u32 *)(r1 + 0)
        r2 = *(u32 *)(r1 + 4)
        r1 = r6
        r1 += {max(MACS, port + 2)}
        if r1 > r2 goto short
        {macs}
        call bpf_get_prandom_u32
        *(u16 *)(r6 + {port}) = r0
        w0 = {verdict:d}
        exit
    short:
        w0 = {Verdict.ABORTED:d}
        exit
    """
    return load(assemble(text), {}, "live_frames")


_COUNT = f"""
    .stack first 4
        r6 = *(u32 *)(r1 + 0)
        r2 = *(u32 *)(r1 + 4)
        r1 = r6
        r1 += 14
        if r1 > r2 goto out
        r6 = *(u8 *)(r6 + 5)
        *(u32 *)(first) = 0
        r2 = &first
        r1 = map[counts]
        call bpf_map_lookup_elem
        if r0 == 0 goto out
        r6 <<= 3
        r0 += r6
        r1 = *(u64 *)(r0 + 0)
        r1 += 1
        *(u64 *)(r0 + 0) = r1
    out:
        w0 = {Verdict.DROP:d}
        exit
"""
