"""One real server in a pool: what is known of it, and what follows from that alone; pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from dnslb.health.report import Health, State
from dnslb.model import FlapDamping, RealServer
from dnslb.pool_events import Admin
from dnslb.weights import FlapMemory, SlowStart, parts

_UNCHECKED = Health(state=State.UNKNOWN, detail="it has not been checked yet")


@dataclass(slots=True)
class Member:
    """A real server, what its checks, its neighbour entry and the operator say, and its past."""

    server: RealServer
    health: Health = _UNCHECKED
    since: float | None = None
    "when its health came to this state"
    neighbour: bool | None = None
    "its MAC address is known; None: nobody has said yet"
    neighbour_why: str = "nobody has answered for its address yet"
    admin: Admin = Admin.AUTO
    warm: bool = False
    "it was at work before we came: no slow start at its first use"
    slow_start: SlowStart | None = None
    flaps: FlapMemory = field(default_factory=FlapMemory)
    was_sound: bool = False
    told_up: bool = False
    "what the last notify script said, or would have said"
    in_use: bool = False
    "it gets new flows"
    removed: bool = False
    "it is configured no more, and stays for its connections"
    drain_until: float | None = None
    drained: bool = False

    def __post_init__(self) -> None:
        if self.server.mac is not None:
            self.neighbour = True
        self.was_sound = self.told_up = self.sound

    @property
    def sound(self) -> bool:
        """Nothing speaks against it: its checks, as far as they have run, and its neighbour entry."""
        if self.neighbour is False:
            return False
        if self.admin is Admin.UP:
            return True
        if self.down:
            return False
        unknown = self.health.state is State.UNKNOWN or self.neighbour is None
        return not (unknown and self.server.alpha)

    @property
    def down(self) -> bool:
        """Its checks say so."""
        return self.health.state is State.DOWN

    def knows_better(self, health: Health) -> bool:
        """A reload changed its checks: until they have run, what was known before them stands."""
        was_known = self.health.state is not State.UNKNOWN and bool(self.server.checks)
        return health.state is State.UNKNOWN and was_known

    @property
    def perhaps_up(self) -> bool:
        """Nothing says that it is down."""
        return self.neighbour is not False and (not self.down or self.admin is Admin.UP)

    @property
    def unchecked(self) -> bool:
        """Nothing says that it is up, and that is needed first."""
        return self.health.state is State.UNKNOWN and self.server.alpha and self.admin is not Admin.UP

    @property
    def up(self) -> bool:
        """Sound, and not held back for its flaps."""
        return self.sound and not self.held

    @property
    def held(self) -> bool:
        """Held back for its flaps; not against the operator's word."""
        return self.flaps.held and self.admin is not Admin.UP

    @property
    def reachable(self) -> bool:
        """Frames can be sent to it."""
        return self.neighbour is True

    @property
    def taken_out(self) -> bool:
        """By hand or by the configuration: no new flows whatever its health."""
        return self.removed or self.admin in (Admin.DRAIN, Admin.DOWN)

    @property
    def eligible(self) -> bool:
        """It may get new flows, if its health allows it."""
        return self.reachable and not self.taken_out and self._weight > 0

    @property
    def keeps_flows(self) -> bool:
        """Its connections may go on, whether or not it gets new ones."""
        alive = self.sound or self.server.inhibit_on_failure
        return self.in_use or (self.reachable and alive and self.admin is not Admin.DOWN)

    @property
    def may_have_flows(self) -> bool:
        """Nothing says that its connections have ended; not yet, when we have just come."""
        return self.keeps_flows or (self.perhaps_up and self.admin is not Admin.DOWN)

    @property
    def reason(self) -> str:
        """The sentence that says why it is up or not."""
        if self.neighbour is False:
            return f"its MAC address is not known: {self.neighbour_why}"
        if self.admin is Admin.UP:
            return f"used by the operator's word, whatever its checks say: {self.health.detail}"
        held = "held back, it went down too often lately: " if self.held and self.sound else ""
        return held + self.health.detail

    def configure(self, server: RealServer) -> None:
        """Take its changed configuration over."""
        self.server = server
        self.removed = False
        if server.mac is not None:
            self.neighbour = True

    def update(self, damping: FlapDamping | None, now: float) -> None:
        """Take what has changed into its past."""
        if self.was_sound and not self.sound:
            self.flaps.went_down(damping, now)
            self.warm = False
        self.was_sound = self.sound
        self.flaps.update(damping, now)
        if self.slow_start is not None and self.slow_start.next_step(now) is None:
            self.slow_start = None

    def use(self, *, alone: bool, now: float) -> None:
        """Give it new flows from now on; alone: there is nobody who could take its part while it starts slowly."""
        if self.in_use:
            return
        self.in_use = True
        slowly = self.server.slow_start > 0 and not self.warm and not alone
        self.slow_start = SlowStart(now, self.server.slow_start) if slowly else None

    def rest(self) -> None:
        """Give it no new flows from now on."""
        if self.in_use:
            self.in_use = self.warm = False
            self.slow_start = None

    def live_weight(self) -> int:
        """What it counts for the quorum, in PARTS; a slow start doesn't lessen it."""
        return parts(self._weight, 1.0) if self.up and not self.taken_out else 0

    def weight(self, now: float) -> int:
        """What it is given, in PARTS, while it is in use."""
        started = 1.0 if self.slow_start is None else self.slow_start.share(now)
        return parts(self._weight, started)

    @property
    def _weight(self) -> float:
        """As its checks leave it."""
        return self.health.weight(self.server.weight) if self.server.weight else 0.0
