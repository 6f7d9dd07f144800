"""TCP connections that stay open and are asked again and again: whether any of them breaks, and who is at its end."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from functools import partial
from threading import Event

import dns.edns
import dns.exception
import dns.message

from pyvrrp.demo.lab import eventually
from pyvrrp.demo.namespaces import LabError, Namespace
from pyvrrp.demo.stream import family, query

PATIENCE = 15.0
"seconds for an answer: TCP sends again for longer than any failover takes"


class Connections:
    """So many connections to DNS servers at these addresses in turn, each asked for `name` every `interval` seconds."""

    def __init__(
        self, namespace: Namespace, servers: tuple[str, ...], name: str, count: int, interval: float = 0.2
    ) -> None:
        """Returns when each has had its first answer; raises LabError."""
        self._servers = [servers[number % len(servers)] for number in range(count)]
        self._interval = interval
        self._query = query(name)
        self._stop = Event()
        self.servers = [""] * count
        "who answered each of them last"
        self.answers = [0] * count
        "how many answers each has had"
        self.broken: list[str] = []
        "what became of those that are no more"
        self.longest = 0.0
        "seconds from a question to its answer, at most"
        self._streams: list[socket.socket] = []
        self._threads = [namespace.thread(partial(self._keep, number)) for number in range(count)]
        namespace.listeners.append(self)
        what = f"{count} TCP connections to {' and '.join(servers)}"
        eventually(lambda: all(self.answers) or bool(self.broken), what, PATIENCE)
        if self.broken:
            raise LabError(f"{what}: {self.broken[0]}")

    def go_on(self) -> None:
        """Wait until each has had another answer, but those that broke; raises LabError."""
        before = self.answers.copy()

        def answered() -> bool:
            more = sum(now > then for now, then in zip(self.answers, before, strict=True))
            return more + len(self.broken) >= len(before)

        eventually(answered, "the TCP connections go on", PATIENCE)

    def close(self) -> None:
        """Close them all."""
        self._stop.set()
        for stream in self._streams.copy():
            with contextlib.suppress(OSError):  # it is broken, or closed already
                stream.shutdown(socket.SHUT_RDWR)  # nobody waits on
        for thread in self._threads:
            thread.join()

    def _keep(self, number: int) -> None:
        try:
            server = self._servers[number]
            with socket.socket(family(server), socket.SOCK_STREAM) as stream:
                stream.settimeout(PATIENCE)
                self._streams.append(stream)
                stream.connect((server, 53))
                while not self._stop.is_set():
                    asked = time.monotonic()
                    self._ask(stream, number)
                    self.longest = max(self.longest, time.monotonic() - asked)
                    self._stop.wait(self._interval)
        except (OSError, dns.exception.DNSException) as error:
            if not self._stop.is_set():
                self.broken.append(str(error) or type(error).__name__)

    def _ask(self, stream: socket.socket, number: int) -> None:
        wire = struct.pack("!H", self.answers[number] & 0xFFFF) + self._query
        stream.sendall(struct.pack("!H", len(wire)) + wire)
        (size,) = struct.unpack("!H", _exactly(stream, 2))
        answer = dns.message.from_wire(_exactly(stream, size))
        nsid = [option.nsid.decode() for option in answer.options if isinstance(option, dns.edns.NSIDOption)]
        self.servers[number] = nsid[0] if nsid else "?"
        self.answers[number] += 1


def _exactly(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = stream.recv(size - len(data))
        if not more:
            raise ConnectionError("closed by the server")
        data += more
    return data
