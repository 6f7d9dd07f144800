"""Carries a rehearsal out: there, a while of standing by, and back; each way timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from drbdctl.rehearsal.check import hindrances, instance_of, storage_of
from drbdctl.rehearsal.probe import Answer, Gap, gap

_POLL = 0.2
_TAKEOVER = 90.0
"seconds from the request until the other node serves"
_READY = 180.0
"seconds until a node that has given up may take the role back: fail_back_delay, and a resync"


class NodeFailed(Exception):
    """A node does not answer, or refuses; one line."""


class Node(Protocol):
    """What a rehearsal asks of a node; everything raises NodeFailed."""

    name: str

    def status(self) -> dict[str, Any]:
        """As `pyvrrp status --json` has it."""

    def after_move(self, storage: str) -> dict[str, Any]:
        """The daemon's answer to `after-move`."""

    def move(self, storage: str, instance: str) -> None:
        """Begin to give the role away."""


class Probing(Protocol):
    """What drbdctl.rehearsal.probe.Probe has."""

    answers: list[tuple[float, Answer]]


@dataclass(frozen=True, slots=True)
class Way:
    """One hand-over."""

    giver: str
    taker: str
    given: tuple[Mapping[str, Any], ...]
    "the steps of who gave, in their order: step, seconds, failure"
    taken: tuple[Mapping[str, Any], ...]
    seconds: float
    "from the request until the other one served"
    gap: Gap


class Rehearsal:
    """One storage, between two nodes."""

    def __init__(
        self,
        name: str,
        here: Node,
        there: Node,
        probe: Callable[[str], AbstractContextManager[Probing]],
        tell: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`probe` makes what asks an address."""
        self.name = name
        self.here = here
        self.there = there
        self._probe = probe
        self._tell = tell
        self._clock = clock
        self._sleep = sleep

    def check(self) -> list[str]:
        """Why not to begin; raises NodeFailed."""
        status, ours = self.here.status(), self.here.after_move(self.name)
        asked = self._clock()
        theirs = self.there.after_move(self.name)
        found = list(hindrances(self.name, status, ours, theirs, self.there.name, self._clock() - asked))
        if not found and not self._addresses(status):
            found.append(f"here: vrrp_instance {self._instance(status)} has no address")
        return found

    def run(self) -> list[Way]:
        """There and back; raises NodeFailed, whose text says where it serves now."""
        try:
            self._tell(f"{self.name}: to {self.there.name} ...")
            ways = [self._hand_over(self.here, self.there)]
            took = f"{self.there.name} serves after {ways[0].seconds:.1f} s"
            self._tell(f"{self.name}: {took}; waiting until it may go back")
            self._until(lambda: self._stands_by(self.here), _READY, "does not become fit to take it back")
            self._tell(f"{self.name}: back ...")
            ways.append(self._hand_over(self.there, self.here))
        except NodeFailed as failed:
            raise NodeFailed(f"{failed}; look where {self.name} serves: `pyvrrp status` on both nodes") from None
        return ways

    def _hand_over(self, giver: Node, taker: Node) -> Way:
        before = giver.status()
        numbers = [_last(each, self.name) for each in (before, taker.status())]
        instance, (address, *_) = self._instance(before), self._addresses(before)
        with self._probe(address) as probe:
            began = self._clock()
            giver.move(self.name, instance)
            self._until(lambda: self._serves(taker), _TAKEOVER, f"does not take over from {giver.name}", taker)
            ended = self._clock()
            self._sleep(1.0)  # the last answers
        done = zip((giver.status(), taker.status()), numbers, strict=True)
        given, taken = (_steps(status, self.name, last) for status, last in done)
        return Way(giver.name, taker.name, given, taken, ended - began, gap(probe.answers, self._clock()))

    def _until(self, holds: Callable[[], bool], seconds: float, what: str, node: Node | None = None) -> None:
        deadline = self._clock() + seconds
        while not holds():
            if self._clock() > deadline:
                raise NodeFailed(f"{(node or self.here).name} {what} within {seconds:g} s")
            self._sleep(_POLL)

    def _serves(self, node: Node) -> bool:
        status = node.status()
        found = storage_of(status, self.name)
        return found.get("phase") == "primary" and instance_of(status, found["vrrp_instance"]).get("state") == "MASTER"

    def _stands_by(self, node: Node) -> bool:
        found = storage_of(node.status(), self.name)
        return found.get("phase") == "secondary" and not found["faults"]

    def _instance(self, status: Mapping[str, Any]) -> str:
        return str(storage_of(status, self.name)["vrrp_instance"])

    def _addresses(self, status: Mapping[str, Any]) -> Sequence[str]:
        found = instance_of(status, self._instance(status)).get("addresses", ())
        return [str(each["address"]).partition("/")[0] for each in found]


def _last(status: Mapping[str, Any], name: str) -> int:
    return max((int(each["number"]) for each in storage_of(status, name).get("steps", ())), default=0)


def _steps(status: Mapping[str, Any], name: str, last: int) -> tuple[Mapping[str, Any], ...]:
    return tuple(each for each in storage_of(status, name).get("steps", ()) if int(each["number"]) > last)
