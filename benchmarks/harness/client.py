"""A client that asks a VIP every 2 ms: from when to when nobody answered, and who did otherwise.

It asks by ICMP echo, because the kernel answers that at once: no program on a node can be late with an answer, and the
TTL of the answer says which node gave it. An outage lasts from the first question that got no answer in time to the
arrival (the kernel's time stamp) of the next answer. A pause in which this client asked nothing, because the machine
had no processor for it, is thus no outage; such pauses are told apart in `stalls`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections import deque
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from threading import Lock, Thread

from pyvrrp.demo.lab import Host

INTERVAL = 0.002
LATE = 0.02
"seconds; a later answer had been kept somewhere, until an address was resolved for instance: nobody was there"
STALL = 0.02
"seconds between two questions"
SO_TIMESTAMPNS = 35
ECHO, ECHO_REPLY = 8, 0
_FIRST_TTL = 200
_HEAD = struct.Struct("!BBHHH")


@dataclass(frozen=True, slots=True)
class Outage:
    """A time without answers; monotonic seconds."""

    begin: float
    end: float
    "infinite while it lasts"
    before: str
    "who had answered"
    after: str
    "who answers now"

    @property
    def seconds(self) -> float:
        return self.end - self.begin


class Client:
    """Asks until it is closed; keeps outages and changes of who answers, not every answer."""

    def __init__(self, host: Host, vip: str) -> None:
        self.changes: list[tuple[float, str]] = []
        "when another host began to answer"
        self.stalls: list[tuple[float, float]] = []
        self.asked = 0
        self._target = (vip, 0)
        self._vip = IPv4Address(vip).packed
        self._identifier = os.getpid() & 0xFFFF
        self._names: dict[int, str] = {}
        self._outages: list[Outage] = []
        self._pending: deque[tuple[int, float]] = deque()
        self._lost_since: float | None = None
        self._last = ("", 0.0)
        self._lock = Lock()
        self._closed = False
        self._socket = host.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._thread = Thread(target=self._run, name=f"client of {vip}", daemon=True)
        self._thread.start()

    def recognise(self, host: Host) -> None:
        """Have this host answer with a TTL of its own."""
        ttl = _FIRST_TTL + len(self._names)
        host.call(lambda: Path("/proc/sys/net/ipv4/ip_default_ttl").write_text(str(ttl)))
        self._names[ttl] = host.name

    def close(self) -> None:
        """Ask no more."""
        self._closed = True
        self._thread.join()
        self._socket.close()

    def outages(self, since: float = 0.0) -> list[Outage]:
        """Those that began at `since` or later, the one that lasts too."""
        with self._lock:
            found = list(self._outages)
            begin = self._lost_since
            if begin is None and self._pending and time.monotonic() - self._pending[0][1] > LATE:
                begin = self._pending[0][1]
        if begin is not None:
            found.append(Outage(begin, float("inf"), self._last[0], ""))
        return [outage for outage in found if outage.begin >= since]

    def answering(self) -> str:
        """Who answers; empty when nobody did for the last 0.05 s."""
        host, at = self._last
        return host if time.monotonic() - at < 0.05 else ""

    def _run(self) -> None:
        next_at = last_at = time.monotonic()
        while not self._closed:
            self._ask()
            asked_at = self._pending[-1][1]
            if asked_at - last_at > STALL:
                self.stalls.append((last_at, asked_at))
            last_at = asked_at
            next_at = max(next_at + INTERVAL, asked_at)
            self._listen_until(next_at)

    def _ask(self) -> None:
        sequence = self.asked & 0xFFFF
        total = (ECHO << 8) + self._identifier + sequence
        total = (total & 0xFFFF) + (total >> 16)
        message = _HEAD.pack(ECHO, 0, ~(total + (total >> 16)) & 0xFFFF, self._identifier, sequence)
        with contextlib.suppress(OSError):  # no route, no neighbour: an unanswered question like others
            self._socket.sendto(message, self._target)
        with self._lock:
            self._pending.append((self.asked, time.monotonic()))
            if len(self._pending) > 2000:
                self._lose()
        self.asked += 1

    def _listen_until(self, next_at: float) -> None:
        while (left := next_at - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                packet, ancillary, _, _ = self._socket.recvmsg(256, 64)
            except TimeoutError:
                return
            except OSError:  # ICMP errors, an interface that goes away
                continue
            kind, _, _, identifier, sequence = _HEAD.unpack_from(packet, (packet[0] & 15) * 4)
            if (kind, identifier, packet[12:16]) == (ECHO_REPLY, self._identifier, self._vip):
                last = self.asked - 1
                self._answered(last - ((last - sequence) & 0xFFFF), arrival(ancillary), self._names[packet[8]])

    def _answered(self, number: int, at: float, host: str) -> None:
        with self._lock:
            while self._pending and self._pending[0][0] < number:
                self._lose()
            if not self._pending or self._pending[0][0] != number:
                return  # a second answer, or to a question that is counted as lost
            if at - self._pending[0][1] > LATE:
                self._lose()
            else:
                self._pending.popleft()
            before = self._last[0]
            if self._lost_since is not None:
                self._end_outage(Outage(self._lost_since, at, before, host))
        if host != before:
            self.changes.append((at, host))
        self._last = (host, at)

    def _lose(self) -> None:
        _, at = self._pending.popleft()
        if self._lost_since is None:
            self._lost_since = at

    def _end_outage(self, outage: Outage) -> None:
        self._lost_since = None
        if not outage.before:
            return  # nobody had answered yet
        if self._outages and outage.begin <= self._outages[-1].end:
            earlier = self._outages.pop()
            outage = Outage(earlier.begin, max(earlier.end, outage.end), earlier.before, outage.after)
        self._outages.append(outage)


def arrival(ancillary: list[tuple[int, int, bytes]]) -> float:
    """The kernel's time stamp of a packet (wall clock) as monotonic time."""
    now, wall = time.monotonic(), time.time_ns()
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = struct.unpack("qq", data[:16])
            return now - (wall - int(seconds) * 1_000_000_000 - int(nanoseconds)) / 1e9
    return now
