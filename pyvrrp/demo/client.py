"""The mail client of the demo: it looks names up by the rules that make a dead server so dear."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.rdatatype

from pyvrrp.demo.namespaces import Namespace

NAMES = ("mx1.example.net", "mx2.example.net")
"what is looked up for each mail"


class NoAnswer(Exception):
    """No name server answered within all attempts."""


@dataclass(frozen=True, slots=True)
class StubResolver:
    """How glibc asks (resolv.conf(5)): each server in its turn for `timeout` seconds, the round `attempts` times.

    It remembers nothing of a dead server from one lookup to the next.
    """

    nameservers: tuple[str, ...]
    timeout: float = 5.0
    "seconds for each question"
    attempts: int = 2

    @classmethod
    def read(cls, resolv_conf: Path) -> StubResolver:
        """The `nameserver` lines of a file (glibc looks at three) and its options `timeout:` and `attempts:`."""
        servers: list[str] = []
        options: dict[str, str] = {}
        for line in resolv_conf.read_text().splitlines():
            match line.split():
                case ["nameserver", server, *_]:
                    servers.append(server)
                case ["options", *words]:
                    options.update((name, value) for name, _, value in (word.partition(":") for word in words))
        return cls(tuple(servers[:3]), float(options.get("timeout") or 5), int(options.get("attempts") or 2))

    def lookup(self, name: str) -> None:
        """Ask until a server answers; raises NoAnswer. After an ICMP error glibc asks the next one at once."""
        for _ in range(self.attempts):
            for server in self.nameservers:
                with contextlib.suppress(OSError):
                    _ask(server, name, self.timeout)
                    return
        raise NoAnswer(name)


class Mailer:
    """Sends mails, one every `pace` seconds, or as soon as the lookups for the one before are done."""

    def __init__(self, namespace: Namespace, resolver: StubResolver, mails: int, pace: float = 3.6) -> None:
        self._resolver = resolver
        self._mails = mails
        self._pace = pace
        self.lookups: list[float] = []
        "for each mail, how many seconds its lookups took"
        self.unresolved = 0
        self._thread = namespace.thread(self._send)

    def wait(self) -> None:
        """Wait until all mails are sent."""
        while self._thread.is_alive():
            self._thread.join(0.2)  # in small steps: Ctrl-C gets through

    @property
    def per_hour(self) -> float:
        """The mails of an hour that goes on like the measured time."""
        return 3600 * len(self.lookups) / sum(max(self._pace, seconds) for seconds in self.lookups)

    def _send(self) -> None:
        for _ in range(self._mails):
            began = time.monotonic()
            for name in NAMES:
                try:
                    self._resolver.lookup(name)
                except NoAnswer:
                    self.unresolved += 1
            self.lookups.append(time.monotonic() - began)
            time.sleep(max(0.0, self._pace - self.lookups[-1]))


def _ask(server: str, name: str, timeout: float) -> None:
    """Return when the server has answered; raises TimeoutError, or OSError for an ICMP error."""
    query = dns.message.make_query(name, dns.rdatatype.A)
    end = time.monotonic() + timeout
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect((server, 53))
        asking.send(query.to_wire())
        while (left := end - time.monotonic()) > 0:
            asking.settimeout(left)
            with contextlib.suppress(dns.exception.DNSException):  # somebody else's noise: go on listening
                if query.is_response(dns.message.from_wire(asking.recv(4096))):
                    return
    raise TimeoutError
