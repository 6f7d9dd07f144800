"""What the `virtual_server` blocks mean: the model that a file, or a program, makes for the balancer.

Everything is immutable and compares by value, so that a reload is a comparison of two models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from dnslb.forwarding import TABLE_SIZE, Protocol, Spread
from pyvrrp.config.diagnostics import Position
from pyvrrp.config.model import NOWHERE, Command
from pyvrrp.core.events import IPAddress

if TYPE_CHECKING:
    from dnslb.health.check import CheckGroup


DRAIN = 60.0
"seconds: more than DNS clients keep an idle connection (RFC 7766 section 6.2.3 speaks of a few)"


class Engine(Enum):
    """Which data plane is wanted; the interface's own choice is AUTO."""

    AUTO = "auto"
    XDP = "xdp"
    NFT = "nft"
    PACKET = "packet"


class OnEmpty(Enum):
    """What clients get while no real server can be used."""

    SERVFAIL = "servfail"
    "an answer from this node, so that a resolver goes on to its next server at once"
    DROP = "drop"
    SORRY = "sorry"
    "the sorry server's answer"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and port that clients ask, or a server listens on."""

    address: IPAddress
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}" if self.address.version == 4 else f"[{self.address}]:{self.port}"


@dataclass(frozen=True, slots=True)
class MinUp:
    """`min_up N` (servers) or `min_up N%`, of those that are not taken out by hand."""

    amount: float = 0.0
    percent: bool = False

    def servers(self, total: int) -> int:
        """How many of `total` must be up; fewer is a panic."""
        wanted = total * self.amount / 100 if self.percent else self.amount
        return min(math.ceil(wanted), total)

    def __str__(self) -> str:
        return f"{self.amount:g}{'%' if self.percent else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """When checks run, in seconds; a check inherits it from its real_server, that from its virtual_server."""

    delay_loop: float = 1.0
    "from the start of one run to the start of the next (keepalived: 60)"
    fast_interval: float | None = None
    "the same while the verdict is in doubt: after a run that says otherwise, until rise or fall is decided"
    back_off: float | None = None
    "the longest interval while a server is down: it is doubled from delay_loop with each failure; None: no back-off"
    connect_timeout: float | None = None
    "for one run; None: the check's own default"
    retry: int | None = None
    "failures in a row, beyond the first, before the server is down; None: the check's own default"
    delay_before_retry: float | None = None
    "before such a retry; None: the check's own default"
    warmup: float | None = None
    "the first run comes at a random time within it; None: within delay_loop"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckDefaults:
    """What the checks of a real server inherit."""

    owner: str
    "begins each finding: `virtual_server 192.0.2.53 53: real_server 192.0.2.11 53`"
    server: Endpoint
    protocols: frozenset[Protocol]
    "what the virtual server balances"
    pace: Pace = Pace()
    alpha: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RealServer:
    """real_server ADDRESS PORT { }; its address is its identity within a virtual server."""

    address: IPAddress
    port: int
    "that is checked; packets keep the port that the client asked"
    name: str
    "for people: `dnslb drain NAME`; by default the address. One machine may have the same name in several blocks"
    weight: int = 1
    "0: no new flows"
    tier: int = 0
    "servers of tier N are used while the tiers before it have fewer than `tier_min` servers up"
    mac: bytes | None = None
    "6 bytes, instead of what ARP or Neighbor Discovery says"
    inhibit_on_failure: bool = False
    "down: no new flows, but it keeps those that it has"
    alpha: bool = False
    "down until a check has passed; otherwise up until one has failed, as in keepalived"
    slow_start: float = 0.0
    "seconds from a recovery to full weight"
    drain: float = DRAIN
    "seconds that TCP connections get to end before a server that drains counts as drained"
    notify_up: Command | None = None
    notify_down: Command | None = None
    checks: tuple[CheckGroup, ...] = ()
    "all of which it must pass; (): only its MAC address is watched"
    position: Position = field(default=NOWHERE, compare=False)

    @property
    def endpoint(self) -> Endpoint:
        """Where it is checked."""
        return Endpoint(self.address, self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class SorryServer:
    """sorry_server ADDRESS PORT: gets everything while the quorum is lost; it is not checked."""

    address: IPAddress
    "127.0.0.1 or ::1: this node itself"
    inhibit: bool = False
    "sorry_server_inhibit: it keeps its flows when real servers are back"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlapDamping:
    """A server that went down `downs` times stays out until the memory of them, halved each `half_life`, has faded.

    It is let in again when what is left is half of `downs`.
    """

    downs: float = 5.0
    half_life: float = 60.0
    "seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualServer:
    """virtual_server { }: addresses and ports, and the real servers that answer for them."""

    name: str
    "unique; what makes it the same after a reload"
    endpoints: tuple[Endpoint, ...]
    "several with virtual_server_group, IPv4 and IPv6 mixed: only the MAC address of a packet is changed"
    protocols: frozenset[Protocol]
    real_servers: tuple[RealServer, ...] = ()
    "no two with one address"
    spread: Spread = Spread.SOURCE_PORT
    persistence_timeout: float | None = None
    "seconds as written; a client stays at its server by `spread`, for as long as the table is the same"
    sorry_server: SorryServer | None = None
    quorum: int = 1
    "the least sum of the weights of live servers"
    hysteresis: int = 0
    "lost below quorum - hysteresis, gained at quorum + hysteresis"
    quorum_up: Command | None = None
    quorum_down: Command | None = None
    omega: bool = False
    "at the daemon's end notify_down and quorum_down run"
    min_up: MinUp = MinUp()
    "with fewer servers up, their health is ignored"
    tier_min: int = 1
    on_empty: OnEmpty = OnEmpty.SERVFAIL
    flap_damping: FlapDamping | None = FlapDamping()
    keep_flows: bool = True
    "TCP connections stay at their server when the table changes"
    table_size: int = TABLE_SIZE
    "a prime number"
    engine: Engine = Engine.AUTO
    pace: Pace = Pace()
    position: Position = field(default=NOWHERE, compare=False)

    @property
    def balances_tcp(self) -> bool:
        """Whether a server that goes may have connections."""
        return Protocol.TCP in self.protocols
