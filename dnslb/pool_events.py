"""What a pool hears (Event, with dnslb.health.report) and what it asks for (Action).

Both unions are closed and frozen: a recording of events is a test case. The order of the returned actions is the order
in which they are to be carried out: packets stop going to a dead server before anybody is told about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from dnslb.health.report import CommonCausesChanged, HealthChanged
from dnslb.model import RealServer
from pyvrrp.core.events import IPAddress


class Admin(Enum):
    """What the operator says; kept apart from health, which goes on being checked."""

    AUTO = "auto"
    "as its health says"
    UP = "up"
    "used whatever its checks say"
    DRAIN = "drain"
    "no new flows; it keeps its TCP connections"
    DOWN = "down"
    "nothing more, from now on"


# --- events ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Startup:
    """The balancer is ready for the first table."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The daemon ends."""


@dataclass(frozen=True, slots=True)
class TimerExpired:
    """`Pool.deadline` has come; early or late delivery is harmless."""


@dataclass(frozen=True, slots=True)
class NeighbourChanged:
    """Whether the MAC address of a server is known: of a real server or the sorry server; this node's own always is."""

    server: IPAddress
    known: bool
    why: str = ""
    "when it is not"


@dataclass(frozen=True, slots=True)
class AdminChanged:
    """The operator's word about a server."""

    server: IPAddress
    admin: Admin


Event = Startup | Shutdown | TimerExpired | HealthChanged | CommonCausesChanged | NeighbourChanged | AdminChanged

# --- actions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TableWanted:
    """Spread new flows by these weights from now on."""

    weights: Mapping[IPAddress, int]
    "all above 0; empty: there is no server, `on_empty` says what becomes of packets. May name the sorry server"
    usual: Mapping[IPAddress, int]
    "on a day when all is well, so that the table of a bad day differs from it as little as it can"
    keeping: frozenset[IPAddress]
    "servers that keep the TCP connections they have; all of `weights` are among them"


@dataclass(frozen=True, slots=True)
class ServerUp:
    """Run notify_up."""

    server: RealServer
    why: str


@dataclass(frozen=True, slots=True)
class ServerDown:
    """Run notify_down."""

    server: RealServer
    why: str


@dataclass(frozen=True, slots=True)
class QuorumGained:
    """Run quorum_up."""

    why: str


@dataclass(frozen=True, slots=True)
class QuorumLost:
    """Run quorum_down."""

    why: str


@dataclass(frozen=True, slots=True)
class PanicStarted:
    """Servers that are down are used: be loud. Told again when it goes on for another reason."""

    why: str


@dataclass(frozen=True, slots=True)
class PanicEnded:
    """Health counts again."""


@dataclass(frozen=True, slots=True)
class SorryStarted:
    """The sorry server gets all new flows."""

    why: str


@dataclass(frozen=True, slots=True)
class SorryEnded:
    """Real servers get the new flows again."""


@dataclass(frozen=True, slots=True)
class Drained:
    """A server that the operator drains has had the time for its connections to end: it may be stopped."""

    server: RealServer


@dataclass(frozen=True, slots=True)
class Removed:
    """A server that is configured no more is done with: forget it, its slot is free."""

    server: RealServer


Action = (
    TableWanted
    | ServerUp
    | ServerDown
    | QuorumGained
    | QuorumLost
    | PanicStarted
    | PanicEnded
    | SorryStarted
    | SorryEnded
    | Drained
    | Removed
)
