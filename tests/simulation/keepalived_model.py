"""keepalived's rules as a peer, as far as its neighbours can tell: what it hears, says and holds, and when.

It knows no lateness, no leases, no handing over: a timer that is late counts like any other, what it holds stays until
it removes it, and priority 0 and silence come together. Left out: sync groups, and two owners of one address.
"""

from collections.abc import Sequence

from pyvrrp.core.advertisement import Advertisement
from pyvrrp.core.events import (
    AcquireAddresses,
    Action,
    AdvertisementReceived,
    AnnounceAddresses,
    Event,
    IPAddress,
    Reason,
    ReleaseAddresses,
    SendAdvertisement,
    Shutdown,
    SourceChanged,
    Startup,
    State,
    TimerExpired,
    TrackingChanged,
    Transition,
)
from pyvrrp.core.parameters import OWNER, Parameters

_GARP_REPEAT, _GARP_DELAY = 5, 5.0
"garp_master_repeat, garp_master_delay, and what they are for a lower priority: the defaults"


class Keepalived:
    """One vrrp_instance; the shape is that of VirtualRouter, which it stands in for."""

    def __init__(self, parameters: Parameters, source: IPAddress) -> None:
        self.parameters = parameters
        self.source = source
        self.state = State.INIT
        self.reason = Reason.STARTUP
        self.master: IPAddress | None = None
        self.master_adver_int = parameters.advert_int
        self.tracking = TrackingChanged()
        self._started = False
        self._timer: float | None = None
        "Master_Down_Timer or Adver_Timer"
        self._garp: float | None = None
        "the second burst"
        self._lower_since: float | None = None
        "the first lower-priority advertisement in this time as BACKUP"

    @property
    def deadline(self) -> float | None:
        return min((when for when in (self._timer, self._garp) if when is not None), default=None)

    @property
    def effective_priority(self) -> int:
        if self.parameters.priority == OWNER:
            return OWNER
        return max(1, min(OWNER - 1, self.parameters.priority + self.tracking.weight))

    @property
    def skew_time(self) -> float:
        """Version 2: it does not scale with the interval."""
        share = (256 - self.effective_priority) / 256
        return share if self.parameters.version == 2 else share * self.master_adver_int

    @property
    def master_down_interval(self) -> float:
        return self.parameters.down_timer_adverts * self.master_adver_int + self.skew_time

    @property
    def faults(self) -> tuple[str, ...]:
        return self.tracking.faults

    @property
    def serving(self) -> bool:
        return self.state is State.MASTER

    claims = serving
    yielded = False

    def handle(self, event: Event, now: float) -> Sequence[Action]:
        match event:
            case Startup() if self.state is State.INIT and not self._started:
                self._started = True
                return self._start(now)
            case Shutdown():
                self._started = False
                return self._leave(State.INIT, Reason.SHUTDOWN)
            case TrackingChanged():
                self.tracking = event
                return self._trackers_changed(now)
            case TimerExpired():
                return self._timers_expired(now)
            case AdvertisementReceived(advertisement, source) if self.state is State.BACKUP:
                self._backup_hears(advertisement, source, now)
            case AdvertisementReceived(advertisement, source) if self.state is State.MASTER:
                return self._master_hears(advertisement, source, now)
            case SourceChanged() | _:
                pass  # a switchover is unknown to it
        return []

    def reconfigure(self, parameters: Parameters, now: float) -> Sequence[Action]:
        """SIGHUP: who is MASTER advertises, and all keep their states."""
        self.parameters = parameters
        return self._advertise(now) if self.state is State.MASTER else []

    # --- transitions -------------------------------------------------------------------------------------------------

    def _start(self, now: float) -> list[Action]:
        """Everybody begins as BACKUP, `state MASTER` or not; an owner that wants to be MASTER waits no time."""
        if self.tracking.pending:
            return []
        if self.faults:
            return self._enter(State.FAULT, Reason.FAULT)
        self.master_adver_int = self.parameters.advert_int
        actions = self._become_backup(now, Reason.STARTUP)
        if self.parameters.priority == OWNER and self.parameters.initial_state is State.MASTER:
            self._timer = now
        return actions

    def _trackers_changed(self, now: float) -> list[Action]:
        if not self._started:
            return []
        if self.faults and self.state is not State.FAULT:
            return self._leave(State.FAULT, Reason.FAULT)
        return self._start(now) if self.state in (State.FAULT, State.INIT) and not self.faults else []

    def _become_backup(self, now: float, reason: Reason) -> list[Action]:
        self._timer, self._garp, self._lower_since = now + self.master_down_interval, None, None
        return self._enter(State.BACKUP, reason)

    def _become_master(self, now: float) -> list[Action]:
        self._garp = now + _GARP_DELAY
        first = [*self._advertise(now), AcquireAddresses(), AnnounceAddresses(_GARP_REPEAT)]
        return [*first, *self._enter(State.MASTER, Reason.MASTER_DOWN)]

    def _leave(self, state: State, reason: Reason) -> list[Action]:
        """To FAULT or INIT: a MASTER says priority 0 and drops the addresses."""
        first: list[Action] = [SendAdvertisement(0), ReleaseAddresses()] if self.state is State.MASTER else []
        self._timer = self._garp = None
        return [*first, *self._enter(state, reason)]

    def _enter(self, state: State, reason: Reason) -> list[Action]:
        if state is self.state:
            return []
        old, self.state, self.reason = self.state, state, reason
        return [Transition(old, state, reason)]

    # --- what it hears -----------------------------------------------------------------------------------------------

    def _timers_expired(self, now: float) -> list[Action]:
        actions: list[Action] = []
        if self._timer is not None and self._timer <= now:
            actions += self._become_master(now) if self.state is State.BACKUP else self._advertise(now)
        if self._garp is not None and self._garp <= now:
            self._garp = None
            actions.append(AnnounceAddresses(_GARP_REPEAT))
        return actions

    def _backup_hears(self, advertisement: Advertisement, source: IPAddress, now: float) -> None:
        priority = advertisement.priority
        if priority == 0:
            self._timer = now + self.skew_time
            return
        if priority >= self.effective_priority:
            self._lower_since = None
        elif not self.parameters.nopreempt:
            if self._lower_since is None:
                self._lower_since = now
            if now >= self._lower_since + self.parameters.preempt_delay:
                return  # discarded: the timer goes on
        self._accept(advertisement, source, now)

    def _accept(self, advertisement: Advertisement, source: IPAddress, now: float) -> None:
        self.master = source
        if self.parameters.version == 3:
            self.master_adver_int = advertisement.interval
        self._timer = now + self.master_down_interval

    def _master_hears(self, advertisement: Advertisement, source: IPAddress, now: float) -> list[Action]:
        """Neither nopreempt nor preempt_delay is looked at."""
        mine, theirs = self.effective_priority, advertisement.priority
        if theirs == 0:
            return self._advertise(now)
        if theirs == mine and source == self.source:
            return []
        if theirs > mine or (theirs == mine and int(source) > int(self.source)):
            actions = [ReleaseAddresses(), *self._become_backup(now, Reason.HIGHER_PRIORITY)]
            self._accept(advertisement, source, now)
            return actions
        self._garp = now + _GARP_DELAY
        first = [] if self.parameters.lower_prio_no_advert else self._advertise(now)
        return [*first, AnnounceAddresses(_GARP_REPEAT)]

    def _advertise(self, now: float) -> list[Action]:
        self._timer = now + self.parameters.advert_int
        return [SendAdvertisement(self.effective_priority)]
