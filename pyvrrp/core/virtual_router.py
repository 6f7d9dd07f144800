"""The election: one virtual router as a function of (event, now).

RFC 3768 section 6.4 and RFC 9568 section 6.4 with keepalived's additions (FAULT, preempt_delay, weights, sync groups,
gratuitous ARP schedule). The machine never reads a clock: `deadline` says when it wants TimerExpired, `handle` returns
what is to be done, in order. Early or late delivery of a timer is harmless.

    INIT --Startup--> BACKUP --master_down_interval--> MASTER --higher advertisement--> BACKUP
                         any --fault--> FAULT --fault gone--> BACKUP        any --Shutdown--> INIT

A MASTER with gates passes through phases: ACQUIRING (advertises, has no addresses yet), SERVING, RELEASING (addresses
gone, gates being given back, still advertising so that nobody takes over too early).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import assert_never

from pyvrrp.core.advertisement import Advertisement
from pyvrrp.core.events import (
    AcquireAddresses,
    Action,
    AdvertisementReceived,
    AnnounceAddresses,
    CloseGates,
    Event,
    GatesClosed,
    GatesFailed,
    GatesOpened,
    GroupDemoted,
    GroupFault,
    GroupPromoted,
    GroupReasserted,
    IPAddress,
    LowerPriorityHeard,
    OpenGates,
    Phase,
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
    WantMaster,
)
from pyvrrp.core.garp_schedule import GarpSchedule
from pyvrrp.core.owner_conflict import OwnerConflict
from pyvrrp.core.parameters import OWNER, Parameters

Actions = list[Action]


class Timer(Enum):
    """What a virtual router may be waiting for."""

    MASTER_DOWN = "master down"
    ADVER = "advertisement"
    GARP = "announcement"
    GATE = "gate"
    GATE_COOL_DOWN = "gate cool-down"
    STARTUP_DELAY = "startup delay"


class VirtualRouter:
    """One virtual router; feed it events in the order of their monotonic times (seconds)."""

    def __init__(self, parameters: Parameters, source: IPAddress | None = None) -> None:
        self.parameters = parameters
        self.source = source
        self.state = State.INIT
        self.told = State.INIT
        "where the last Transition led: MASTER only from serving on"
        self.phase = Phase.SERVING
        self.since = 0.0
        "when the state was entered"
        self.reason = Reason.STARTUP
        self.detail = ""
        self.tracking = TrackingChanged()
        self.wants_master = False
        "Master_Down_Timer fired in a sync group that has not agreed yet"
        self.master: IPAddress | None = None
        "who was heard last as MASTER, None: nobody or ourselves"
        self.master_priority = 0
        self.master_adver_int = parameters.advert_int
        "seconds; VRRPv3: learnt from the MASTER (RFC 9568: Active_Adver_Interval)"
        self.timers: dict[Timer, float] = {}
        self._started = False
        self._group_faults: tuple[str, ...] = ()
        self._gate_fault = ""
        self._gates_wanted = False
        "OpenGates was the last word to the gates"
        self._lower_since: float | None = None
        "preempt_delay counts from this first lower-priority advertisement"
        self._zero_heard = False
        self._leaving: tuple[State, Reason, str] | None = None
        self._preempting = ""
        "the lower-priority MASTER whose advertisements are being discarded"
        self._owner_conflict = OwnerConflict()
        self._garp = GarpSchedule(parameters)

    # --- what can be asked -------------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """When to deliver TimerExpired; None: no timer runs."""
        return min(self.timers.values(), default=None)

    @property
    def effective_priority(self) -> int:
        """The base priority and the trackers' weights, within 1-254; an address owner stays 255."""
        if self.parameters.priority == OWNER:
            return self._owner_conflict.priority
        return max(1, min(OWNER - 1, self.parameters.priority + self.tracking.weight))

    @property
    def skew_time(self) -> float:
        """Seconds; RFC 3768 section 6.1: (256 - Priority) / 256; RFC 9568 section 6.1: times the MASTER's interval."""
        return self._skew(self.effective_priority)

    @property
    def master_down_interval(self) -> float:
        """Seconds; RFC 3768 section 6.1: 3 * Advertisement_Interval + Skew_Time (3: `down_timer_adverts`)."""
        return self.parameters.down_timer_adverts * self.master_adver_int + self.skew_time

    @property
    def own_faults(self) -> tuple[str, ...]:
        """What keeps this very router in FAULT, a sentence each; the sync group's reasons are not among them."""
        faults = self.tracking.faults
        if self.source is None:
            faults = (*faults, f"the interface has no IPv{self.parameters.family} address to advertise from")
        return (*faults, self._gate_fault) if self._gate_fault else faults

    @property
    def faults(self) -> tuple[str, ...]:
        """All that keeps it in FAULT."""
        return (*self.own_faults, *(f"{member} of the sync group is in FAULT" for member in self._group_faults))

    @property
    def group_faults(self) -> tuple[str, ...]:
        """The other members of the sync group that are in FAULT, as last told."""
        return self._group_faults

    @property
    def serving(self) -> bool:
        """MASTER with the addresses on."""
        return self.state is State.MASTER and self.phase is Phase.SERVING

    # --- what can happen ---------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> Sequence[Action]:
        """Take one event in; return what is to be done, in this order."""
        match event:
            case TimerExpired():
                return self._timers_expired(now)
            case AdvertisementReceived():
                return self._advertisement_received(event.advertisement, event.source, now)
            case Startup():
                return self._startup(now)
            case Shutdown():
                return self._shutdown(now)
            case TrackingChanged():
                return self._tracking_changed(event, now)
            case SourceChanged():
                self.source = event.source
                return self._faults_changed(now)
            case GatesOpened():
                return self._serve(now) if self._in_phase(Phase.ACQUIRING) else ()
            case GatesFailed():
                return self._gate_failed(event.why, now)
            case GatesClosed():
                return self._left(now) if self._in_phase(Phase.RELEASING) else ()
            case GroupPromoted():
                return self._become_master(now) if self.state is State.BACKUP else ()
            case GroupDemoted():
                return self._group_demoted(event.member, now)
            case GroupFault():
                self._group_faults = event.members
                return self._faults_changed(now)
            case GroupReasserted():
                return self._announce_again(now)
            case _:
                assert_never(event)

    def reconfigure(self, parameters: Parameters, now: float) -> Sequence[Action]:
        """Take changed parameters over without leaving the state (reload); VRID, version and family are the same."""
        old_interval, old_skew = self.parameters.advert_int, self.skew_time
        self.parameters = self._garp.parameters = parameters
        if self.state is State.MASTER or parameters.version == 2 or self.master_adver_int == old_interval:
            self.master_adver_int = parameters.advert_int
        if Timer.MASTER_DOWN in self.timers and parameters.advert_int != old_interval:
            self.timers[Timer.MASTER_DOWN] = now + self.master_down_interval
        elif Timer.MASTER_DOWN in self.timers:
            self.timers[Timer.MASTER_DOWN] += self.skew_time - old_skew
        if not parameters.in_sync_group:
            self._group_faults = ()
        if self.state is not State.MASTER:
            return self._faults_changed(now)
        if self.serving:
            self._garp.refresh_from(now)
            self._arm_garp()
        return self._advertise(now)

    # --- timers ------------------------------------------------------------------------------------------------------

    def _timers_expired(self, now: float) -> Actions:
        actions: Actions = []
        due = sorted((when, timer.value, timer) for timer, when in self.timers.items() if when <= now)
        for when, _, timer in due:
            if self.timers.get(timer) != when:  # an earlier one of this batch has cancelled it
                continue
            del self.timers[timer]
            match timer:
                case Timer.MASTER_DOWN:
                    actions += self._master_down(now)
                case Timer.ADVER:
                    actions += self._advertise(now, due=when)
                case Timer.GARP:
                    actions += [AnnounceAddresses(repeat) for repeat in self._garp.due(now)]
                    self._arm_garp()
                case Timer.GATE:
                    actions += self._gate_too_late(now)
                case Timer.GATE_COOL_DOWN:
                    self._gate_fault = ""
                    actions += self._faults_changed(now)
                case Timer.STARTUP_DELAY:
                    actions += self._enter(now, Reason.STARTUP)
                case _:
                    assert_never(timer)
        return actions

    def _master_down(self, now: float) -> Actions:
        # RFC 3768 section 6.4.2: "If the Master_Down_timer fires"
        if not self.parameters.in_sync_group:
            return self._become_master(now)
        self.wants_master = True
        self.timers[Timer.MASTER_DOWN] = now + self.master_down_interval
        return [WantMaster()]

    def _advertise(self, now: float, due: float | None = None) -> Actions:
        """Send now; the next one keeps the cadence of `due`, so that lateness does not add up."""
        following = (now if due is None else due) + self.parameters.advert_int
        self.timers[Timer.ADVER] = following if following > now else now + self.parameters.advert_int
        return [SendAdvertisement(self.effective_priority)]

    def _arm_garp(self) -> None:
        if (when := self._garp.deadline) is None:
            self.timers.pop(Timer.GARP, None)
        else:
            self.timers[Timer.GARP] = when

    def _skew(self, priority: int) -> float:
        scale = 1.0 if self.parameters.version == 2 else self.master_adver_int
        return (256 - priority) / 256 * scale

    # --- INIT and FAULT ----------------------------------------------------------------------------------------------

    def _startup(self, now: float) -> Actions:
        if self._started or self.state is not State.INIT:
            return []
        self._started = True
        self._gate_fault = ""
        if self.parameters.startup_delay > 0:
            self.timers[Timer.STARTUP_DELAY] = now + self.parameters.startup_delay
            return []
        return self._enter(now, Reason.STARTUP)

    def _enter(self, now: float, reason: Reason) -> Actions:
        """Leave INIT or FAULT for BACKUP, if nothing forbids it."""
        if self.faults:
            return self._enter_fault(now)
        if self.tracking.pending:
            self.detail = "; ".join(self.tracking.pending)
            return []
        parameters = self.parameters
        self.master_adver_int = parameters.advert_int
        wait = self.master_down_interval
        if parameters.priority == OWNER and parameters.initial_state is State.MASTER:
            # RFC 3768 section 6.4.1: "If the Priority = 255"
            wait = 0.0
        elif reason is Reason.STARTUP and parameters.initial_state is State.MASTER and parameters.in_sync_group:
            wait = parameters.advert_int + self._skew(1)
        return self._become_backup(now, reason, wait=wait)

    def _enter_fault(self, now: float) -> Actions:
        if self.state is State.FAULT:
            self.detail = "; ".join(self.faults)
            return []
        return self._move(now, State.FAULT, self._fault_reason, "; ".join(self.faults))

    @property
    def _fault_reason(self) -> Reason:
        return Reason.GATE_FAILED if self._gate_fault else Reason.FAULT

    def _tracking_changed(self, event: TrackingChanged, now: float) -> Actions:
        before = self.skew_time
        self.tracking = event
        if Timer.MASTER_DOWN in self.timers:
            self.timers[Timer.MASTER_DOWN] += self.skew_time - before
        return self._faults_changed(now)

    def _faults_changed(self, now: float) -> Actions:
        if not self._started or Timer.STARTUP_DELAY in self.timers:
            return []
        match self.state:
            case State.INIT:
                return self._enter(now, Reason.STARTUP)
            case State.FAULT if self.faults:
                self.detail = "; ".join(self.faults)
                return []
            case State.FAULT:
                return self._enter(now, Reason.RECOVERED)
            case State.BACKUP:
                return self._enter_fault(now) if self.faults else []
            case State.MASTER:
                return self._leave(now, State.FAULT, self._fault_reason, "; ".join(self.faults)) if self.faults else []
            case _:
                assert_never(self.state)

    def _shutdown(self, now: float) -> Actions:
        self._started = False
        if self.state is State.MASTER:
            return self._leave(now, State.INIT, Reason.SHUTDOWN, "")
        if self.state is State.INIT:
            self.timers.clear()
            return []
        return self._move(now, State.INIT, Reason.SHUTDOWN, "")

    # --- BACKUP ------------------------------------------------------------------------------------------------------

    def _become_backup(self, now: float, reason: Reason, detail: str = "", *, wait: float | None = None) -> Actions:
        actions = self._move(now, State.BACKUP, reason, detail)
        self.timers[Timer.MASTER_DOWN] = now + (self.master_down_interval if wait is None else wait)
        return actions

    def _backup_hears(self, advertisement: Advertisement, source: IPAddress, now: float) -> Actions:
        if advertisement.priority == 0:
            # RFC 3768 section 6.4.2: "If the Priority in the ADVERTISEMENT is Zero"
            self.timers[Timer.MASTER_DOWN] = now + self.skew_time
            self._zero_heard = True
            return []
        if advertisement.priority >= self.effective_priority:
            self._lower_since = None
        elif not self.parameters.nopreempt and not self._preempt_delayed(now):
            self._preempting = f"{source} advertises priority {advertisement.priority}"
            return []  # keepalived and both RFCs: discard, the timer goes on
        self._accept(advertisement, source, now)
        return []

    def _preempt_delayed(self, now: float) -> bool:
        """Whether preempt_delay still runs; it starts at the first lower-priority advertisement heard."""
        if self.parameters.preempt_delay <= 0:
            return False
        if self._lower_since is None:
            self._lower_since = now
        return now < self._lower_since + self.parameters.preempt_delay

    def _accept(self, advertisement: Advertisement, source: IPAddress, now: float) -> None:
        self.wants_master = False
        self._zero_heard = False
        self._preempting = ""
        self.master = source
        self.master_priority = advertisement.priority
        if self.parameters.version == 3:
            # RFC 9568 section 6.4.2: Active_Adver_Interval is the one of the ADVERTISEMENT
            self.master_adver_int = advertisement.interval
        self.timers[Timer.MASTER_DOWN] = now + self.master_down_interval

    # --- MASTER ------------------------------------------------------------------------------------------------------

    def _become_master(self, now: float) -> Actions:
        if self.effective_priority == OWNER:
            reason, detail = Reason.OWNER, ""
        elif self._zero_heard:
            reason, detail = Reason.PRIORITY_ZERO, f"{self.master or 'the sender'} left"
        elif self._preempting:
            reason, detail = Reason.PREEMPTION, self._preempting
        else:
            reason, detail = Reason.MASTER_DOWN, f"{self.master_down_interval:.3f} s"
        self._owner_conflict = OwnerConflict()  # the other owner is gone: 255 again
        self._enter_state(now, State.MASTER, reason, detail)
        self.master_adver_int = self.parameters.advert_int
        self.master, self.master_priority = None, 0
        actions = self._advertise(now)
        if self.parameters.gated:
            self.phase = Phase.ACQUIRING
            self._gates_wanted = True
            self.timers[Timer.GATE] = now + self.parameters.gate_timeout
            return [*actions, OpenGates()]
        return [*actions, *self._serve(now)]

    def _serve(self, now: float) -> Actions:
        """Put the addresses on; scripts hear of MASTER only now, when there is something behind it."""
        self.phase = Phase.SERVING
        self.timers.pop(Timer.GATE, None)
        repeat = self._garp.took_over(now)
        self._arm_garp()
        return [
            AcquireAddresses(),
            *([AnnounceAddresses(repeat)] if repeat else []),
            self._tell(),
        ]

    def _master_hears(self, advertisement: Advertisement, source: IPAddress, now: float) -> Actions:
        if self.phase is Phase.RELEASING:
            return []  # already leaving: what the others do changes nothing before the gates are closed
        mine, theirs = self.effective_priority, advertisement.priority
        if theirs == 0:
            # RFC 3768 section 6.4.3: "If the Priority in the ADVERTISEMENT is Zero"
            return self._advertise(now)
        if self.source is not None and theirs == mine and source == self.source:
            return []
        if theirs == mine == OWNER:
            self._owner_conflict.heard(self.parameters.advert_int, advertisement.interval, now)
        mine = self.effective_priority
        higher_address = self.source is not None and int(source) > int(self.source)
        if theirs > mine or (theirs == mine and higher_address):
            return self._yield(advertisement, source, now)
        # RFC 9568 section 6.4.3: advertise at once, so that the other side steps down fast
        actions = [] if self.parameters.lower_prio_no_advert else self._advertise(now)
        return [*actions, *self._announce_again(now), LowerPriorityHeard(source, theirs)]

    def _yield(self, advertisement: Advertisement, source: IPAddress, now: float) -> Actions:
        theirs = advertisement.priority
        reason = Reason.HIGHER_PRIORITY if theirs > self.effective_priority else Reason.HIGHER_ADDRESS
        first: Actions = [SendAdvertisement(self.effective_priority)] if self.parameters.higher_prio_send_advert else []
        actions = self._become_backup(now, reason, f"{source} advertises priority {theirs}")
        self._accept(advertisement, source, now)
        return [*first, *actions]

    def _announce_again(self, now: float) -> Actions:
        if not self.serving:
            return []
        repeat = self._garp.lower_priority_heard(now)
        self._arm_garp()
        return [AnnounceAddresses(repeat)] if repeat else []

    def _group_demoted(self, member: str, now: float) -> Actions:
        if self.state is not State.MASTER or self._in_phase(Phase.RELEASING):
            return []
        return self._become_backup(now, Reason.SYNC_GROUP, f"{member} went BACKUP")

    def _advertisement_received(self, advertisement: Advertisement, source: IPAddress, now: float) -> Actions:
        match self.state:
            case State.BACKUP:
                return self._backup_hears(advertisement, source, now)
            case State.MASTER:
                return self._master_hears(advertisement, source, now)
            case State.INIT | State.FAULT:
                return []
            case _:
                assert_never(self.state)

    # --- gates and leaving -------------------------------------------------------------------------------------------

    def _gate_failed(self, why: str, now: float) -> Actions:
        if not self._in_phase(Phase.ACQUIRING):
            return []
        self._gate_fault = why
        return self._leave(now, State.FAULT, Reason.GATE_FAILED, why)

    def _gate_too_late(self, now: float) -> Actions:
        if self._in_phase(Phase.RELEASING):
            return self._left(now)
        return self._gate_failed(f"the gates did not open within {self.parameters.gate_timeout:g} s", now)

    def _leave(self, now: float, target: State, reason: Reason, detail: str) -> Actions:
        """Give MASTER up by our own will: the peers learn it by priority 0, after the gates are closed."""
        self._leaving = (target, reason, detail)
        if self.phase is Phase.RELEASING:
            return []
        if not self._gates_wanted:
            return self._left(now)
        held: Actions = [ReleaseAddresses()] if self.phase is Phase.SERVING else []
        self.phase = Phase.RELEASING
        self._gates_wanted = False
        self._garp.stop()
        self._arm_garp()
        self.timers[Timer.GATE] = now + self.parameters.gate_timeout
        return [*held, CloseGates()]

    def _left(self, now: float) -> Actions:
        assert self._leaving is not None
        target, reason, detail = self._leaving
        actions: Actions = [SendAdvertisement(0), *self._move(now, target, reason, detail)]
        if target is State.FAULT:
            if self._gate_fault:
                self.timers[Timer.GATE_COOL_DOWN] = now + self.parameters.gate_cool_down
            actions += self._faults_changed(now)  # the fault may have gone while the gates were closing
        return actions

    # --- every change of state goes through here ---------------------------------------------------------------------

    def _move(self, now: float, new: State, reason: Reason, detail: str) -> Actions:
        """Enter any state but MASTER, giving back what a MASTER holds."""
        actions: Actions = [ReleaseAddresses()] if self.serving else []
        if self._gates_wanted:
            self._gates_wanted = False
            actions.append(CloseGates())
        self._enter_state(now, new, reason, detail)
        return [*actions, self._tell()]

    def _tell(self) -> Transition:
        old, self.told = self.told, self.state
        return Transition(old, self.state, self.reason, self.detail)

    def _enter_state(self, now: float, new: State, reason: Reason, detail: str) -> None:
        self.state, self.phase, self.since, self.reason, self.detail = new, Phase.SERVING, now, reason, detail
        self.timers.clear()
        self.wants_master = False
        self._lower_since = None
        self._zero_heard = False
        self._preempting = ""
        self._leaving = None
        self._garp.stop()
        self._owner_conflict.over()

    def _in_phase(self, phase: Phase) -> bool:
        return self.state is State.MASTER and self.phase is phase
