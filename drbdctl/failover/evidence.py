"""What is remembered of the peer while it is seen, and is evidence when it is not: its last state, who heard it, when.

    sights = watched(sights, status, generations, now)      # after each line of events2, and each look
    sights = witnessed(sights, witness)                     # after each answer of the witness
    network = network.heard_at(now, priority)               # after each advertisement

Nothing here outlives the process: who was not watching does not know (a cold start). Monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from drbdctl.status.events2 import Helper
from drbdctl.status.generation import Generation
from drbdctl.status.peers import compared, connected, data_peers, peer_is_primary, receives
from drbdctl.status.state import Resource, Status
from drbdctl.status.words import ConnectionState, Role

MISSED = 2
"advertisements that a living peer may lose on the way"
_SIGNED = 8
"a helper's raw wait status carries its exit status from this bit on"


class Link(Enum):
    """What this process knows of the connection to the peer."""

    NEVER = "not watched"
    "since this process began, or since the watch was broken, the peer was not connected"
    CONNECTED = "connected"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Sight:
    """The last sight of the peer of one resource."""

    link: Link = Link.NEVER
    at: float = 0.0
    "when it was last seen connected; LOST: when that was missed first"
    peer_role: Role = Role.UNKNOWN
    "then"
    complete: frozenset[int] = frozenset()
    """The volumes that had everything then: UpToDate here, getting each write, and compared with the peer's disk at
    some time of that connection."""
    steady_since: float | None = None
    "since when all volumes are so without a break"
    in_order: bool = False
    "the peer took the connection down by itself; it was not lost"
    current: tuple[int, ...] = ()
    "the current UUIDs then, of both sides"
    cut_off: bool = False
    "since then the witness was out of reach: the peer may have taken over without our hearing it"
    fence: int | None = None
    "exit status of the fence-peer handler since; None: it has not answered"
    fencing: bool = False
    "the handler is at work"
    split_brain: bool = False
    "DRBD called the handler for it, and has not connected since"

    def after(self, resource: Resource | None, generations: tuple[Generation, ...], now: float) -> Sight:
        """With what DRBD says now; None: it does not know the resource, which ends the watch."""
        if resource is None:
            return Sight(split_brain=self.split_brain)
        if connected(resource):
            before = self.complete if self.link is Link.CONNECTED else frozenset()
            volumes = frozenset(each.volume for each in resource.devices)
            complete = frozenset(
                each for each in volumes if receives(resource, each) and (each in before or compared(resource, each))
            )
            steady = now if self.steady_since is None else self.steady_since
            return Sight(
                Link.CONNECTED,
                now,
                Role.PRIMARY if peer_is_primary(resource) else Role.SECONDARY,
                complete,
                steady if complete == volumes else None,
                current=tuple(each.current & ~1 for each in generations) or self.current,
            )
        if self.link is not Link.CONNECTED:
            return self
        links = data_peers(resource)
        in_order = bool(links) and all(link.connection is ConnectionState.TEAR_DOWN for link in links)
        return replace(self, link=Link.LOST, at=now, steady_since=None, in_order=in_order)

    def told(self, helper: Helper) -> Sight:
        """With a handler that DRBD calls, or that has ended."""
        match helper.name:
            case "fence-peer":
                status = helper.status
                return replace(self, fencing=status is None, fence=self.fence if status is None else status >> _SIGNED)
            case "split-brain" | "initial-split-brain":
                return replace(self, split_brain=True)
            case _:
                return self


def watched(
    sights: Mapping[str, Sight], status: Status, generations: Mapping[str, tuple[Generation, ...]], now: float
) -> dict[str, Sight]:
    """The sights after one more status that is to be trusted."""
    names = dict.fromkeys((*sights, *(each.name for each in status.resources)))
    return {
        name: sights.get(name, Sight()).after(status.resource(name), generations.get(name, ()), now) for name in names
    }


def witnessed(sights: Mapping[str, Sight], witness: Witness) -> dict[str, Sight]:
    """The sights after one more answer of the witness, or none."""
    out_of_reach = witness.word is Word.UNREACHABLE
    return {
        name: replace(each, cut_off=True) if out_of_reach and each.link is Link.LOST else each
        for name, each in sights.items()
    }


def broken(sights: Mapping[str, Sight]) -> dict[str, Sight]:
    """The sights after a gap in the watch: what was seen before it proves nothing any more."""
    return {name: Sight(split_brain=each.split_brain) for name, each in sights.items()}


@dataclass(frozen=True, slots=True)
class Network:
    """A network on which the peer's advertisements are listened for."""

    name: str
    up: bool = False
    "our interface is up and has a carrier: silence means something"
    since: float = 0.0
    "it has been up, and listened to, since then"
    heard: float | None = None
    "the last advertisement of the peer; None: none since this process began"
    advert_int: float = 1.0
    "seconds between two of them"

    said: float | None = None
    "since when we have advertised there without a break; None: never, or we have said priority 0"
    said_last: float = 0.0

    @property
    def patience(self) -> float:
        """Seconds of silence that say something: a living peer may lose some advertisements on the way."""
        return (MISSED + 1) * self.advert_int

    def heard_at(self, now: float) -> Network:
        """The peer advertises, with whatever priority."""
        return replace(self, heard=now)

    def said_at(self, now: float, priority: int) -> Network:
        """We advertise."""
        if priority == 0:
            return replace(self, said=None)
        goes_on = self.said is not None and now - self.said_last <= self.patience
        return replace(self, said=self.said if goes_on else now, said_last=now)

    def may_have_yielded(self, now: float) -> bool:
        """The peer was heard there until just before we began to advertise: it may have fallen silent for that."""
        if self.said is None or self.heard is None or now - self.said_last > self.patience:
            return False
        return self.heard > self.said - MISSED * self.advert_int

    def went(self, up: bool, now: float) -> Network:
        """The interface came up or went down."""
        return replace(self, up=up, since=now) if up is not self.up else self


class Word(Enum):
    """What a witness says."""

    UNKNOWN = "has not answered yet"
    UNREACHABLE = "can't be reached"
    REACHED = "can be reached"
    "nothing more: a ping"
    PEER_ALIVE = "says that the peer is alive"
    PEER_DEAD = "says that the peer is off, or is kept from the data"
    "it knows: a power switch, a lock that only one node can hold"


@dataclass(frozen=True, slots=True)
class Witness:
    """Somebody else's opinion: a command's, or a ping's."""

    word: Word = Word.UNKNOWN
    at: float = 0.0
    "when it was asked"
    reached: float | None = None
    "when it could last be reached; None: never by this process"

    def said(self, word: Word, now: float) -> Witness:
        """It was asked at `now`."""
        answered = word not in (Word.UNKNOWN, Word.UNREACHABLE)
        return Witness(word, now, now if answered else self.reached)
