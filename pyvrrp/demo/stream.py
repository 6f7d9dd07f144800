"""A stream of questions to one address or several: every gap in the answers is seen, who gave them, who got none."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import time
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from threading import Event, Thread
from typing import cast

import dns.edns
import dns.exception
import dns.message
import dns.rcode

from pyvrrp.demo.lab import eventually
from pyvrrp.demo.namespaces import Namespace


@dataclass(slots=True)
class Question:
    """One question and what became of it; times are time.monotonic."""

    asked: float
    answered: float | None = None
    by: str = ""
    "the server's name for itself, its NSID (RFC 5001)"
    client: int = 0
    "the number of the client, which has a port of its own"


@dataclass(frozen=True, slots=True)
class Gap:
    """What a client felt of a failure."""

    seconds: float
    "the longest time between two answers"
    asked: int
    lost: int
    "questions that had no answer"
    by: str
    "who gave the last answer"


class Stream:
    """Asks for `names` in turn every `interval` seconds, whether or not the questions before were answered.

    It is one client, or several that ask one after the other; each has one port for all its questions, and one of the
    `servers`: they take turns.
    """

    PATIENCE = 1.0
    "seconds; a question without an answer by then is lost"

    def __init__(
        self,
        namespace: Namespace,
        servers: tuple[str, ...],
        names: tuple[str, ...],
        interval: float = 0.02,
        clients: int = 1,
    ) -> None:
        self._interval = interval
        self._queries = [query(name) for name in names]
        self._questions: list[Question] = []
        self._stop = Event()
        asked = [servers[client % len(servers)] for client in range(clients)]
        self._servers = [(server, 53) for server in asked]
        self._sockets = namespace.call(lambda: [_socket(server) for server in asked])
        self._selector = selectors.DefaultSelector()
        for each in self._sockets:
            self._selector.register(each, selectors.EVENT_READ)
        self._thread = Thread(target=self._run, name=f"stream to {' and '.join(servers)}", daemon=True)
        self._thread.start()
        namespace.listeners.append(self)

    def close(self) -> None:
        """Ask no more."""
        self._stop.set()
        self._thread.join()
        self._selector.close()
        for each in self._sockets:
            each.close()

    def questions(self, since: float, until: float) -> list[Question]:
        """What was asked in this time."""
        first, end = (bisect_left(self._questions, at, key=lambda each: each.asked) for at in (since, until))
        return self._questions[first:end]

    def answering(self, within: float = 0.2) -> str:
        """Who answered last, if it was not longer ago than this; else empty."""
        now = time.monotonic()
        answers = [question for question in self.questions(now - within, now) if question.answered]
        return answers[-1].by if answers else ""

    def gap(self, since: float, until: float) -> Gap:
        """The longest silence in a time that is over since PATIENCE seconds."""
        asked = self.questions(since, until)
        answers = sorted((question.answered, question.by) for question in asked if question.answered is not None)
        times = [since, *(at for at, _ in answers), until]
        longest = max(later - earlier for earlier, later in pairwise(times))
        return Gap(longest, len(asked), len(asked) - len(answers), answers[-1][1] if answers else "")

    def lost(self, since: float, until: float) -> list[Question]:
        """The questions of a time that is over since PATIENCE seconds, that had no answer."""
        return [question for question in self.questions(since, until) if question.answered is None]

    def servers(self, since: float, until: float) -> dict[int, str]:
        """Who answered each client last, of the questions of this time."""
        return {each.client: each.by for each in self.questions(since, until) if each.answered is not None}

    def round(self) -> dict[int, str]:
        """Wait until each client has asked once more: who answered it."""
        began, first = time.monotonic(), len(self._questions)
        eventually(lambda: len(self._questions) > first + len(self._sockets), "every client asks", 30)
        time.sleep(0.1)
        return self.servers(began, time.monotonic())

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            number = len(self._questions)
            query, client = self._queries[number % len(self._queries)], number % len(self._sockets)
            self._questions.append(Question(time.monotonic(), client=client))
            with contextlib.suppress(OSError):  # no neighbour, no route: the question is lost
                wire = struct.pack("!H", number & 0xFFFF) + query
                self._sockets[client].sendto(wire, self._servers[client])
            due = max(due + self._interval, time.monotonic())
            left = 0.0
            while left >= 0:  # once at least: who is late must hear all the same
                for key, _ in self._selector.select(left):
                    with contextlib.suppress(OSError):
                        self._note(cast(socket.socket, key.fileobj).recv(4096))
                left = due - time.monotonic()

    def _note(self, wire: bytes) -> None:
        """Match an answer to its question; a late, a foreign or a useless one is none."""
        now = time.monotonic()
        with contextlib.suppress(dns.exception.DNSException):
            message = dns.message.from_wire(wire)
            number = len(self._questions) - 1
            number -= (number - message.id) & 0xFFFF
            if number < 0 or message.rcode() != dns.rcode.NOERROR or not message.answer:
                return
            question = self._questions[number]
            if now - question.asked <= self.PATIENCE and question.answered is None:
                nsid = [option.nsid.decode() for option in message.options if isinstance(option, dns.edns.NSIDOption)]
                question.answered, question.by = now, nsid[0] if nsid else "?"


def _socket(server: str) -> socket.socket:
    asking = socket.socket(family(server), socket.SOCK_DGRAM)
    asking.setblocking(False)
    return asking


def family(address: str) -> socket.AddressFamily:
    """Of an address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def query(name: str) -> bytes:
    """A question for `name` that asks for the server's NSID, without the two bytes of its id."""
    nsid = dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")
    return dns.message.make_query(name, "A", use_edns=0, options=[nsid]).to_wire()[2:]
