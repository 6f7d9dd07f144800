"""Ask a VIP all the time who answers: how long nobody did is what a client feels of a failover."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import pairwise
from threading import Thread

from pyvrrp.demo.lab import Host

PORT = 4660


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: when it came (time.monotonic) and from which host."""

    time: float
    host: str


@dataclass(frozen=True, slots=True)
class Outage:
    """A time without answers."""

    begin: float
    "the last answer before"
    end: float
    "the first answer after"

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.end - self.begin


class _Loop:
    """A thread around one socket; ends with close(), at the latest with the lab."""

    def __init__(self, host: Host, inside: socket.socket, name: str) -> None:
        self._socket = inside
        self._closed = False
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        host.listeners.append(self)

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._closed:
            with contextlib.suppress(OSError):  # timeouts, ICMP errors and interfaces that go away are what we measure
                self._step()

    def _step(self) -> None:
        raise NotImplementedError


class Responder(_Loop):
    """Answers probes at every address of a host, from the address that was asked, with the host's name."""

    def __init__(self, host: Host) -> None:
        self._name = host.name.encode()
        answering = host.call(lambda: pktinfo_socket(PORT))
        answering.settimeout(0.1)  # so that close() is noticed
        super().__init__(host, answering, f"responder {host.name}")

    def _step(self) -> None:
        data, ancillary, _, client = self._socket.recvmsg(512, 256)
        self._socket.sendmsg([data[:8] + self._name], as_source(ancillary), 0, client)


class Probe(_Loop):
    """Asks a VIP every `interval` seconds from a host on the same segment."""

    def __init__(self, host: Host, vip: str, interval: float = 0.002) -> None:
        self._target = (vip, PORT)
        self._interval = interval
        self._asked = 0
        self.answers: list[Answer] = []
        family = socket.AF_INET6 if ip_address(vip).version == 6 else socket.AF_INET
        inside = host.call(lambda: socket.socket(family, socket.SOCK_DGRAM))
        inside.settimeout(interval)
        super().__init__(host, inside, f"probe {vip}")

    @property
    def asked(self) -> int:
        """Questions sent."""
        return self._asked

    def outages(self, longer_than: float = 0.05, since: float = 0.0) -> list[Outage]:
        """The gaps between answers that are longer than so many seconds."""
        times = [answer.time for answer in self.answers if answer.time >= since]
        return [Outage(begin, end) for begin, end in pairwise(times) if end - begin > longer_than]

    def answering(self, within: float = 0.05) -> str | None:
        """The host that answered last, if it was not longer ago than this."""
        last = self.answers[-1] if self.answers else None
        return last.host if last and time.monotonic() - last.time <= within else None

    def _step(self) -> None:
        next_at = time.monotonic() + self._interval
        self._asked += 1
        with contextlib.suppress(OSError):  # no neighbour, no route
            self._socket.sendto(struct.pack("!Q", self._asked), self._target)
        while (left := next_at - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(512)
            except TimeoutError:
                return
            except OSError:
                continue
            self.answers.append(Answer(time.monotonic(), data[8:].decode()))


def pktinfo_socket(port: int) -> socket.socket:
    """A UDP socket on every address, IPv4 and IPv6, that tells with each packet where it was sent to."""
    answering = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    answering.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    answering.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    answering.bind(("::", port))
    return answering


def as_source(ancillary: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """Where a packet was sent to, as the source of its answer, by whatever interface the route says (in6_pktinfo)."""
    return [
        (level, kind, data[:16] + struct.pack("I", 0)) for level, kind, data in ancillary if kind == socket.IPV6_PKTINFO
    ]
