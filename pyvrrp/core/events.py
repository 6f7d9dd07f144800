"""What a virtual router hears (Event) and what it asks for (Action).

Both unions are closed and frozen: a recording of events is a test case, and the order of the returned actions is the
order in which they are to be carried out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyvrrp.core.advertisement import Advertisement

IPAddress = IPv4Address | IPv6Address


class State(Enum):
    """The states of RFC 3768 section 6.3, and keepalived's FAULT."""

    INIT = "INIT"
    BACKUP = "BACKUP"
    MASTER = "MASTER"
    FAULT = "FAULT"


class Phase(Enum):
    """How far a MASTER with gates has come; without gates it is SERVING at once."""

    WAITING = "waiting"
    "its gates are hindered by whom it has not heard, or can't see: it says nothing, and yields to whomever it hears"
    ACQUIRING = "acquiring"
    SERVING = "serving"
    HANDING_OVER = "handing over"
    "said priority 0, and answers until the successor is heard: make before break"
    RELEASING = "releasing"


class Reason(Enum):
    """Why a virtual router changed its state."""

    STARTUP = "startup"
    OWNER = "address owner"
    MASTER_DOWN = "no advertisement for master_down_interval"
    PRIORITY_ZERO = "the master gave up (priority 0)"
    PREEMPTION = "a lower-priority router is MASTER"
    HIGHER_PRIORITY = "advertisement with a higher priority"
    HIGHER_ADDRESS = "advertisement with equal priority and a higher address"
    HEARD = "an advertisement, while its gates were hindered"
    SYNC_GROUP = "sync group"
    FAULT = "fault"
    RECOVERED = "fault cleared"
    GATE_FAILED = "gate failed"
    LATE = "we were not scheduled in time"
    ADOPTED = "taken over from the process before"
    SWITCHOVER = "switchover"
    SHUTDOWN = "shutdown"


# --- events ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Startup:
    """The daemon is ready: leave INIT."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """In place of Startup: until a moment ago another process of ours did this, and nobody can have missed it."""

    state: State
    "MASTER, with its addresses on and its gates open, or BACKUP"
    yielded: bool = False
    "BACKUP after a switchover: see VirtualRouter.yielded"


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Leave for good: a MASTER says priority 0 and releases what it holds."""


@dataclass(frozen=True, slots=True)
class Switchover:
    """Give MASTER to whoever takes it, and do not want it back before that one is gone."""


@dataclass(frozen=True, slots=True)
class TimerExpired:
    """`VirtualRouter.deadline` has come; early or late delivery is harmless."""


@dataclass(frozen=True, slots=True)
class AdvertisementReceived:
    """A valid advertisement for this VRID from another router."""

    advertisement: Advertisement
    source: IPAddress


@dataclass(frozen=True, slots=True)
class TrackingChanged:
    """The sum of the trackers' weights, and what they forbid."""

    weight: int = 0
    "added to the base priority (keepalived: effective = clamp(base + sum of weights, 1, 254))"
    faults: tuple[str, ...] = ()
    "one sentence each; any of them means FAULT"
    pending: tuple[str, ...] = ()
    "trackers with weight 0 that have not reported yet: unknown is not healthy, the router stays INIT"


@dataclass(frozen=True, slots=True)
class SourceChanged:
    """The primary address of the interface (the source of our advertisements), None when it has none."""

    source: IPAddress | None


@dataclass(frozen=True, slots=True)
class GatesBegun:
    """Nothing hinders the gates: they are being acquired."""


class Hindrance(Enum):
    """What keeps gates of which nothing is acquired yet from it."""

    HOLDER = "somebody else holds what is behind them, and lets go when he hears of us"
    UNSEEN = "somebody else may hold it, and can't be seen"


@dataclass(frozen=True, slots=True)
class GatesHindered:
    """The gates can't begin; so it is until GatesBegun."""

    by: Hindrance


@dataclass(frozen=True, slots=True)
class GatesOpened:
    """Every gate is acquired: the addresses may come up."""


@dataclass(frozen=True, slots=True)
class GatesFailed:
    """A gate refused or was too late; the runner undoes what it had acquired."""

    why: str


@dataclass(frozen=True, slots=True)
class GatesClosed:
    """Every gate is released: nothing is held behind the addresses any more."""


@dataclass(frozen=True, slots=True)
class GroupPromoted:
    """Every member of the sync group wants MASTER: go."""


@dataclass(frozen=True, slots=True)
class GroupDemoted:
    """A member of the sync group went BACKUP: follow it."""

    member: str


@dataclass(frozen=True, slots=True)
class GroupFault:
    """Members of the sync group that are in FAULT themselves (empty: none any more)."""

    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupReasserted:
    """Another MASTER of the sync group heard a lower-priority advertisement: announce our addresses again too."""


Event = (
    Startup
    | Adopted
    | Shutdown
    | Switchover
    | TimerExpired
    | AdvertisementReceived
    | TrackingChanged
    | SourceChanged
    | GatesBegun
    | GatesHindered
    | GatesOpened
    | GatesFailed
    | GatesClosed
    | GroupPromoted
    | GroupDemoted
    | GroupFault
    | GroupReasserted
)

# --- actions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SendAdvertisement:
    """Advertise with this priority; a priority above 0 renews the leases of the addresses that are held."""

    priority: int


@dataclass(frozen=True, slots=True)
class AcquireAddresses:
    """Put the VIPs on, as leases."""


@dataclass(frozen=True, slots=True)
class ReleaseAddresses:
    """Take the VIPs off."""

    after: float = 0.0
    "seconds to go on answering, so that the successor's announcement comes before the silence"


@dataclass(frozen=True, slots=True)
class AnnounceAddresses:
    """Send `repeat` rounds of gratuitous ARP or unsolicited Neighbor Advertisements over all VIPs."""

    repeat: int


@dataclass(frozen=True, slots=True)
class OpenGates:
    """Run the gates' acquire, off the loop; answer with GatesBegun, then GatesOpened or GatesFailed."""


@dataclass(frozen=True, slots=True)
class CloseGates:
    """Run the gates' release in reverse order, off the loop; answer with GatesClosed."""


@dataclass(frozen=True, slots=True)
class WantMaster:
    """Master_Down_Timer fired in a member of a sync group: the group decides."""


@dataclass(frozen=True, slots=True)
class LowerPriorityHeard:
    """A MASTER heard a lower-priority advertisement (keepalived: notify_master_rx_lower_pri)."""

    source: IPAddress
    priority: int


@dataclass(frozen=True, slots=True)
class Transition:
    """The state changed; notify scripts and plugins follow, they can't delay what came before."""

    old: State
    "the `new` of the one before; the same again when a MASTER gives up before it serves"
    new: State
    reason: Reason
    detail: str = ""
    "what exactly: the fault's sentence, the other router's address and priority"


Action = (
    SendAdvertisement
    | AcquireAddresses
    | ReleaseAddresses
    | AnnounceAddresses
    | OpenGates
    | CloseGates
    | WantMaster
    | LowerPriorityHeard
    | Transition
)
