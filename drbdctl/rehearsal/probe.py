"""Asks an address again and again, as a client would, and says how long it did not answer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

_EVERY = 0.02
"seconds between two questions"
_PATIENCE = 0.25
"seconds for an answer"


class Answer(IntEnum):
    """What came back from a connection that was tried."""

    NONE = 0
    REFUSED = 1
    "the address answers, the service does not"
    ACCEPTED = 2


@dataclass(frozen=True, slots=True)
class Gap:
    """The longest time without an answer, seconds; None: it never answered at all."""

    address: float | None
    service: float | None


def gap(answers: Iterable[tuple[float, Answer]], until: float) -> Gap:
    """The longest time between two good answers, the last one may be missing: then until the end."""
    found = sorted(answers)
    return Gap(_longest(found, Answer.REFUSED, until), _longest(found, Answer.ACCEPTED, until))


def _longest(answers: list[tuple[float, Answer]], least: Answer, until: float) -> float | None:
    good = [when for when, answer in answers if answer >= least]
    if not good:
        return None
    return max(after - before for before, after in zip(good, [*good[1:], max(until, good[-1])], strict=True))


class Probe:
    """Probes an address and a TCP port from a thread of its own.

    with Probe("192.0.2.100", 2049) as probe:
        ...
    probe.answers
    """

    def __init__(self, address: str, port: int) -> None:
        self.answers: list[tuple[float, Answer]] = []
        "when it was asked, and what came back; monotonic"
        self._target = (address, port)
        self._family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, daemon=True)

    def __enter__(self) -> Probe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(2 * _PATIENCE)

    def _ask_on(self) -> None:
        while not self._end.wait(_EVERY):
            self.answers.append((time.monotonic(), self._ask()))

    def _ask(self) -> Answer:
        with socket.socket(self._family, socket.SOCK_STREAM) as asking:
            asking.settimeout(_PATIENCE)
            try:
                asking.connect(self._target)
            except ConnectionRefusedError:
                return Answer.REFUSED
            except OSError:
                return Answer.NONE
        return Answer.ACCEPTED
