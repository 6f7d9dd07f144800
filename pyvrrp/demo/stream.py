"""A stream of questions to one address: every gap in the answers is seen, and who gave them."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from dataclasses import dataclass
from itertools import pairwise
from threading import Event, Thread

import dns.edns
import dns.exception
import dns.message
import dns.rcode

from pyvrrp.demo.namespaces import Namespace


@dataclass(slots=True)
class Question:
    """One question and what became of it; times are time.monotonic."""

    asked: float
    answered: float | None = None
    by: str = ""
    "the server's name for itself, its NSID (RFC 5001)"


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
    """Asks for `names` in turn every `interval` seconds, whether or not the questions before were answered."""

    PATIENCE = 1.0
    "seconds; a question without an answer by then is lost"

    def __init__(self, namespace: Namespace, server: str, names: tuple[str, ...], interval: float = 0.02) -> None:
        self._server = (server, 53)
        self._interval = interval
        self._queries = [_query(name) for name in names]
        self._questions: list[Question] = []
        self._stop = Event()
        self._socket = namespace.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._thread = Thread(target=self._run, name=f"stream to {server}", daemon=True)
        self._thread.start()
        namespace.listeners.append(self)

    def close(self) -> None:
        """Ask no more."""
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def questions(self, since: float, until: float) -> list[Question]:
        """What was asked in this time."""
        return [question for question in self._questions if since <= question.asked < until]

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

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            number = len(self._questions)
            query = self._queries[number % len(self._queries)]
            self._questions.append(Question(time.monotonic()))
            with contextlib.suppress(OSError):  # no neighbour, no route: the question is lost
                self._socket.sendto(struct.pack("!H", number & 0xFFFF) + query, self._server)
            due = max(due + self._interval, time.monotonic())
            while (left := due - time.monotonic()) > 0:
                self._socket.settimeout(left)
                with contextlib.suppress(OSError):
                    self._note(self._socket.recv(4096))

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


def _query(name: str) -> bytes:
    """A question for `name` that asks for the server's NSID, without the two bytes of its id."""
    nsid = dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")
    return dns.message.make_query(name, "A", use_edns=0, options=[nsid]).to_wire()[2:]
