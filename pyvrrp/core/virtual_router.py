"""The election: one virtual router as a function of (event, now).

RFC 3768 section 6.4 and RFC 9568 section 6.4 with keepalived's additions (FAULT, preempt_delay, weights, sync groups,
gratuitous ARP schedule). The machine never reads a clock: `deadline` says when it wants TimerExpired, `handle` returns
what is to be done, in order. Early or late delivery of a timer is harmless.

    INIT --Startup--> BACKUP --master_down_interval--> MASTER --higher advertisement--> BACKUP
                         any --fault--> FAULT --fault gone--> BACKUP        any --Shutdown--> INIT

A MASTER with gates passes through phases: ACQUIRING (advertises, has no addresses yet), SERVING, RELEASING (addresses
gone, gates being given back, still advertising so that nobody takes over too early). Who heard nobody is WAITING first,
silent while its gates are hindered: who is out of earshot may serve, and must not be deposed by one that can't. Without
gates it leaves by HANDING_OVER: it has said priority 0 and answers until its successor is heard.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import assert_never

from pyvrrp.core.advertisement import Advertisement
from pyvrrp.core.condition import Condition
from pyvrrp.core.events import (
    Action,
    Adopted,
    AdvertisementReceived,
    Event,
    GatesBegun,
    GatesClosed,
    GatesFailed,
    GatesHindered,
    GatesOpened,
    GroupDemoted,
    GroupFault,
    GroupPromoted,
    GroupReasserted,
    IPAddress,
    LowerPriorityHeard,
    Phase,
    Reason,
    SendAdvertisement,
    Shutdown,
    SourceChanged,
    Startup,
    State,
    Switchover,
    TimerExpired,
    TrackingChanged,
    Transition,
    WantMaster,
)
from pyvrrp.core.owner_conflict import OwnerConflict
from pyvrrp.core.parameters import OWNER, Parameters
from pyvrrp.core.tenure import Tenure
from pyvrrp.core.timers import Timer

Actions = list[Action]


class VirtualRouter(Condition):
    """One virtual router; feed it events in the order of their monotonic times (seconds)."""

    # --- what can happen ---------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> Sequence[Action]:
        """Take one event in; return what is to be done, in this order."""
        if self.was_deposed(now):
            # Addresses off before anything is said or announced, then listen.
            detail = f"an advertisement was due {self.overdue(now):.3f} s ago"
            return [*self._become_backup(now, Reason.LATE, detail), *self._handle(event, now)]
        return self._handle(event, now)

    def _handle(self, event: Event, now: float) -> Sequence[Action]:
        match event:
            case TimerExpired():
                return self._timers_expired(now)
            case AdvertisementReceived():
                if self.state is State.BACKUP:
                    return self._backup_hears(event.advertisement, event.source, now)
                return self._master_hears(event.advertisement, event.source, now) if self.state is State.MASTER else []
            case Startup() | Adopted() if self._started or self.state is not State.INIT:
                return []
            case Startup():
                return self._startup(now)
            case Adopted():
                return self._adopted(event, now)
            case Shutdown():
                return self._shutdown(now)
            case Switchover():
                return self._leave(now, State.BACKUP, Reason.SWITCHOVER, "") if self.serving else []
            case TrackingChanged():
                return self._tracking_changed(event, now)
            case SourceChanged():
                self.source = event.source
                return self._faults_changed(now)
            case GatesBegun():
                return self._advertise(now) if self._tenure.begun(now) else []
            case GatesHindered():
                self._tenure.hindered(event.by)
                return []
            case GatesOpened():
                return [*self._tenure.serve(now), self._tell()] if self._in_phase(Phase.ACQUIRING) else []
            case GatesFailed():
                return self._gate_failed(event.why, now)
            case GatesClosed():
                return self._left(now) if self._in_phase(Phase.RELEASING) else []
            case GroupPromoted():
                return self._become_master(now) if self.state is State.BACKUP else []
            case GroupDemoted():
                if self._in_phase(Phase.HANDING_OVER):
                    return self._left(now, relieved=True)
                return self._become_backup(now, Reason.SYNC_GROUP, f"{event.member} left") if self.claims else []
            case GroupFault():
                self.group_faults = event.members
                return self._faults_changed(now)
            case GroupReasserted():
                return self._tenure.announce_again(now)
            case _:
                assert_never(event)

    def reconfigure(self, parameters: Parameters, now: float) -> Sequence[Action]:
        """Take changed parameters over without leaving the state (reload); VRID, version and family are the same."""
        old_interval, old_skew = self.parameters.advert_int, self.skew_time
        self.parameters = parameters
        self._tenure.reconfigure(parameters, now)
        if self.state is State.MASTER or parameters.version == 2 or self.master_adver_int == old_interval:
            self.master_adver_int = parameters.advert_int
        if Timer.MASTER_DOWN in self.timers and parameters.advert_int != old_interval:
            self.timers[Timer.MASTER_DOWN] = now + self.master_down_interval
        elif Timer.MASTER_DOWN in self.timers:
            self.timers[Timer.MASTER_DOWN] += self.skew_time - old_skew
        if not parameters.in_sync_group:
            self.group_faults = ()
        if self.state is not State.MASTER:
            return self._faults_changed(now)
        return [] if self._tenure.silent else self._advertise(now)

    # --- timers ------------------------------------------------------------------------------------------------------

    def _timers_expired(self, now: float) -> Actions:
        actions: Actions = []
        for timer, when in self.timers.due(now):
            match timer:
                case Timer.MASTER_DOWN:
                    actions += self._master_down(now, late=now - when)
                case Timer.ADVER:
                    actions += self._advertise(now)
                case Timer.HAND_OVER:
                    actions += self._nobody_took_over(now)
                case Timer.GARP:
                    actions += self._tenure.announce_due(now)
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

    def _master_down(self, now: float, late: float) -> Actions:
        # RFC 3768 section 6.4.2: "If the Master_Down_timer fires"
        if (wait := self.listens_on(late)) is not None:
            self._listens_again = True
            self.timers[Timer.MASTER_DOWN] = now + wait
            return []
        if not self.parameters.in_sync_group:
            return self._become_master(now)
        self.wants_master = True
        self.timers[Timer.MASTER_DOWN] = now + self.master_down_interval
        return [WantMaster()]

    def _advertise(self, now: float) -> Actions:
        """Send now, and next at a multiple of the interval.

        So lateness does not add up, and all virtual routers of a node advertise, and renew their leases, together: the
        kernel looks for expired addresses once a second at most, and finds them all in one look.
        """
        interval = self.parameters.advert_int
        self.timers[Timer.ADVER] = (math.floor(now / interval + 1e-6) + 1) * interval
        return [SendAdvertisement(self.effective_priority)]

    # --- INIT and FAULT ----------------------------------------------------------------------------------------------

    def _startup(self, now: float) -> Actions:
        self._started = True
        self._gate_fault = ""
        if self.parameters.startup_delay > 0:
            self.timers[Timer.STARTUP_DELAY] = now + self.parameters.startup_delay
            return []
        return self._enter(now, Reason.STARTUP)

    def _adopted(self, event: Adopted, now: float) -> Actions:
        """Go on where another process of ours was; what it would have had to leave for is looked at afterwards."""
        self._started = True
        if event.state is State.MASTER:
            self._enter_state(now, State.MASTER, Reason.ADOPTED, "")
            self._tenure = Tenure(self.parameters, self.timers)
            actions = [*self._advertise(now), *self._tenure.adopt(now), self._tell()]
        else:
            actions = self._become_backup(now, Reason.ADOPTED)
            self._preemption.forbidden = event.yielded
        return [*actions, *self._faults_changed(now)]

    def _enter(self, now: float, reason: Reason) -> Actions:
        """Leave INIT or FAULT for BACKUP, if nothing forbids it."""
        if self.faults:
            return self._enter_fault(now)
        if self.tracking.pending:
            self.detail = "; ".join(self.tracking.pending)
            return []
        self.master_adver_int = self.parameters.advert_int
        return self._become_backup(now, reason, wait=self.first_wait(reason))

    def _enter_fault(self, now: float) -> Actions:
        if self.state is State.FAULT:
            self.detail = "; ".join(self.faults)
            return []
        return self._move(now, State.FAULT, *self._fault)

    def _tracking_changed(self, event: TrackingChanged, now: float) -> Actions:
        before = self.skew_time
        self.tracking = event
        if Timer.MASTER_DOWN in self.timers:
            self.timers[Timer.MASTER_DOWN] += self.skew_time - before
        return self._faults_changed(now)

    def _faults_changed(self, now: float) -> Actions:
        if self.faults and self._in_phase(Phase.HANDING_OVER) and not self._started:
            return self._left(now)  # it ends, and would not hear its successor any more
        if not self._started or Timer.STARTUP_DELAY in self.timers:
            return []
        match self.state:
            case State.INIT:
                return self._enter(now, Reason.STARTUP)
            case State.FAULT:
                return self._enter(now, Reason.RECOVERED)
            case State.BACKUP:
                return self._enter_fault(now) if self.faults else []
            case State.MASTER:
                return self._leave(now, State.FAULT, *self._fault) if self.faults else []
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

    def _become_backup(
        self, now: float, reason: Reason, detail: str = "", *, wait: float | None = None, relieved: bool = False
    ) -> Actions:
        actions = self._move(now, State.BACKUP, reason, detail, relieved=relieved)
        self.timers[Timer.MASTER_DOWN] = now + (self.master_down_interval if wait is None else wait)
        return actions

    def _backup_hears(self, advertisement: Advertisement, source: IPAddress, now: float) -> Actions:
        if advertisement.priority == 0:
            # RFC 3768 section 6.4.2: "If the Priority in the ADVERTISEMENT is Zero"
            self.timers[Timer.MASTER_DOWN] = now + self.skew_time
            self._zero_heard = True
            return []
        if advertisement.priority >= self.effective_priority:
            self._preemption.higher_heard()
        elif self._preemption.discards(advertisement.priority, source, self.parameters, now):
            return []
        self._accept(advertisement, source, now)
        return []

    def _accept(self, advertisement: Advertisement, source: IPAddress, now: float) -> None:
        self.wants_master = False
        self._zero_heard = False
        self._listens_again = False
        self._preemption.detail = ""
        self.master = source
        self.master_priority = advertisement.priority
        if self.parameters.version == 3:
            # RFC 9568 section 6.4.2: Active_Adver_Interval is the one of the ADVERTISEMENT
            self.master_adver_int = advertisement.interval
        self.timers[Timer.MASTER_DOWN] = now + self.master_down_interval

    # --- MASTER ------------------------------------------------------------------------------------------------------

    def _become_master(self, now: float) -> Actions:
        reason, detail = self.why_master
        self._owner_conflict = OwnerConflict()  # the other owner is gone: 255 again
        self._enter_state(now, State.MASTER, reason, detail)
        self.master_adver_int = self.parameters.advert_int
        self.master, self.master_priority = None, 0
        self._tenure = Tenure(self.parameters, self.timers)
        if self._tenure.gated and reason is Reason.MASTER_DOWN:
            return self._tenure.wait(now)
        # Scripts hear of MASTER when there is something behind it: not before the gates are open.
        actions = [*self._advertise(now), *self._tenure.begin(now)]
        return [*actions, self._tell()] if self.serving else actions

    def _master_hears(self, advertisement: Advertisement, source: IPAddress, now: float) -> Actions:
        mine, theirs = self.effective_priority, advertisement.priority
        if self._in_phase(Phase.HANDING_OVER) and theirs > 0:
            actions = self._left(now, relieved=True)
            if self.state is State.BACKUP:
                self._accept(advertisement, source, now)
            return actions
        if not self.claims or (theirs == 0 and self._tenure.silent):
            return []
        if theirs == 0:
            # RFC 3768 section 6.4.3: "If the Priority in the ADVERTISEMENT is Zero". It was MASTER beside us, so the
            # neighbours may ask it.
            return [*self._advertise(now), *self._tenure.announce_again(now)]
        if self.source is not None and theirs == mine and source == self.source:
            return []
        if theirs == mine == OWNER:
            self._owner_conflict.heard(self.parameters.advert_int, advertisement.interval, now)
        if (reason := self.yields_to(theirs, source)) is not None:
            return self._yield(advertisement, source, reason, now)
        # RFC 9568 section 6.4.3: advertise at once, so that the other side steps down fast
        actions = [] if self.parameters.lower_prio_no_advert else self._advertise(now)
        return [*actions, *self._tenure.announce_again(now), LowerPriorityHeard(source, theirs)]

    def _yield(self, advertisement: Advertisement, source: IPAddress, reason: Reason, now: float) -> Actions:
        says_so = self.serving and self.parameters.higher_prio_send_advert
        last: Actions = [SendAdvertisement(self.effective_priority)] if says_so else []
        detail = f"{source} advertises priority {advertisement.priority}"
        actions = self._become_backup(now, reason, detail, relieved=True)
        self._accept(advertisement, source, now)
        return [*last, *actions]

    # --- gates and leaving -------------------------------------------------------------------------------------------

    def _gate_failed(self, why: str, now: float) -> Actions:
        if not self._in_phase(Phase.WAITING, Phase.ACQUIRING):
            return []
        self._gate_fault = why
        return self._leave(now, State.FAULT, Reason.GATE_FAILED, why)

    def _gate_too_late(self, now: float) -> Actions:
        if self._in_phase(Phase.RELEASING):
            return self._left(now)
        too_late = f"the gates did not open within {self.parameters.gate_timeout:g} s"
        return [] if self._tenure.waits_on(now) else self._gate_failed(too_late, now)

    def _leave(self, now: float, target: State, reason: Reason, detail: str) -> Actions:
        """Give MASTER up by our own will.

        With gates: break before make, they are closed while we still advertise, then priority 0. Without, and in good
        health: make before break, priority 0 and then answering until the successor is heard.
        """
        self._leaving = (target, reason, detail)
        if self.phase is Phase.RELEASING:
            return []
        if self._tenure.gated:
            return self._tenure.release(now)
        if not self.serving or target is State.FAULT:
            return self._left(now)
        # The successor comes within its skew time, which is longest for priority 1.
        self._tenure.hand_over(until=now + self._skew(1) + self.parameters.advert_int)
        return [SendAdvertisement(0)]

    def _nobody_took_over(self, now: float) -> Actions:
        if self._leaving is not None and self._leaving[0] is not State.BACKUP:
            return self._left(now)
        self._leaving = None
        self._tenure.resume(now)
        return self._advertise(now)

    def _left(self, now: float, *, relieved: bool = False) -> Actions:
        assert self._leaving is not None
        target, reason, detail = self._leaving
        actions: Actions = [] if self._tenure.silent else [SendAdvertisement(0)]
        if target is State.BACKUP:
            actions += self._become_backup(now, reason, detail, relieved=relieved)
            self._preemption.forbidden = True  # the successor is to stay
            return actions
        actions += self._move(now, target, reason, detail, relieved=relieved)
        if target is State.FAULT:
            if self._gate_fault:
                self.timers[Timer.GATE_COOL_DOWN] = now + self.parameters.gate_cool_down
            actions += self._faults_changed(now)  # the fault may have gone while the gates were closing
        return actions

    # --- every change of state goes through here ---------------------------------------------------------------------

    def _move(self, now: float, new: State, reason: Reason, detail: str, *, relieved: bool = False) -> Actions:
        """Enter any state but MASTER, giving back what a MASTER holds."""
        actions = self._tenure.release(now, relieved=relieved)
        self._enter_state(now, new, reason, detail)
        return [*actions, self._tell()]

    def _tell(self) -> Transition:
        old, self.told = self.told, self.state
        return Transition(old, self.state, self.reason, self.detail)
