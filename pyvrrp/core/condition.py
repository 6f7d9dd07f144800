"""How a virtual router is at a moment, and what follows from it: priority, times, faults, whether it slept.

What changes it, and what is then to be done, is in pyvrrp.core.virtual_router.
"""

from __future__ import annotations

from pyvrrp.core.events import IPAddress, Phase, Reason, State, TrackingChanged
from pyvrrp.core.owner_conflict import OwnerConflict
from pyvrrp.core.parameters import OWNER, Parameters
from pyvrrp.core.preemption import Preemption
from pyvrrp.core.tenure import Tenure
from pyvrrp.core.timers import Timer, Timers


class Condition:
    """State, timers, what was heard of others and of the trackers."""

    def __init__(self, parameters: Parameters, source: IPAddress | None = None) -> None:
        self.parameters = parameters
        self.source = source
        self.state = State.INIT
        self.told = State.INIT
        "where the last Transition led: MASTER only from serving on"
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
        self.timers = Timers()
        self._started = False
        self.group_faults: tuple[str, ...] = ()
        "the other members of the sync group that are in FAULT, as last told"
        self._gate_fault = ""
        self._zero_heard = False
        self._listens_again = False
        "after a late timer, once"
        self._leaving: tuple[State, Reason, str] | None = None
        self._preemption = Preemption()
        self._owner_conflict = OwnerConflict()
        self._tenure = Tenure(parameters, self.timers)
        "this time as MASTER; outside MASTER the last one"

    @property
    def deadline(self) -> float | None:
        """When to deliver TimerExpired; None: no timer runs."""
        return self.timers.deadline

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

    def first_wait(self, reason: Reason) -> float:
        """Seconds that a BACKUP which comes from INIT or FAULT listens before it takes over."""
        parameters = self.parameters
        if parameters.initial_state is State.MASTER and parameters.priority == OWNER:
            return 0.0  # RFC 3768 section 6.4.1: "If the Priority = 255"
        if parameters.initial_state is State.MASTER and parameters.in_sync_group and reason is Reason.STARTUP:
            return parameters.advert_int + self._skew(1)
        return self.master_down_interval

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
        return (*self.own_faults, *(f"{member} of the sync group is in FAULT" for member in self.group_faults))

    @property
    def phase(self) -> Phase:
        """How far a MASTER has come; without meaning in any other state."""
        return self._tenure.phase

    @property
    def serving(self) -> bool:
        """MASTER with the addresses on."""
        return self._in_phase(Phase.SERVING)

    @property
    def yielded(self) -> bool:
        """BACKUP after a switchover: it does not preempt, whatever the priorities, before its successor is gone."""
        return self.state is State.BACKUP and self._preemption.forbidden

    @property
    def claims(self) -> bool:
        """MASTER and not leaving; who is leaving goes through with it, whatever the others do meanwhile."""
        return self._in_phase(Phase.WAITING, Phase.ACQUIRING, Phase.SERVING)

    @property
    def _fault(self) -> tuple[Reason, str]:
        return Reason.GATE_FAILED if self._gate_fault else Reason.FAULT, "; ".join(self.faults)

    @property
    def why_master(self) -> tuple[Reason, str]:
        """Why a BACKUP takes over now, and in which words."""
        if self.effective_priority == OWNER:
            return Reason.OWNER, ""
        if self._zero_heard:
            return Reason.PRIORITY_ZERO, f"{self.master or 'the sender'} left"
        if self._preemption.detail:
            return Reason.PREEMPTION, self._preemption.detail
        return Reason.MASTER_DOWN, f"{self.master_down_interval:.3f} s"

    def yields_to(self, priority: int, source: IPAddress) -> Reason | None:
        """Why a MASTER steps down when it hears another one; None: it does not."""
        if self._in_phase(Phase.WAITING):
            return Reason.HEARD
        if priority > self.effective_priority:
            return Reason.HIGHER_PRIORITY
        higher_address = self.source is not None and int(source) > int(self.source)
        return Reason.HIGHER_ADDRESS if priority == self.effective_priority and higher_address else None

    def _skew(self, priority: int) -> float:
        scale = 1.0 if self.parameters.version == 2 else self.master_adver_int
        return (256 - priority) / 256 * scale

    def _in_phase(self, *phases: Phase) -> bool:
        return self.state is State.MASTER and self.phase in phases

    # --- it slept: a paused machine, a starved processor -------------------------------------------------------------

    def overdue(self, now: float) -> float:
        """Seconds by which the next advertisement is late."""
        return now - self.timers.get(Timer.ADVER, now)

    def was_deposed(self, now: float) -> bool:
        """It claims to be MASTER, and was silent for so long that somebody else has taken over by now."""
        return self.claims and self.overdue(now) > self.master_down_interval

    def listens_on(self, late: float) -> float | None:
        """For how many seconds a BACKUP listens before it takes over, when its timer fired so `late`; None: not at all.

        What the MASTER said meanwhile may not be read yet. After a long sleep the MASTER has one interval to be heard,
        each time; after a short one what lies there is read, once.
        """
        if late > self.master_adver_int:
            return self.master_adver_int + self.skew_time
        if late > self.master_adver_int / 10 and not self._listens_again:
            return self.master_adver_int / 10
        return None

    # --- the one change ----------------------------------------------------------------------------------------------

    def _enter_state(self, now: float, new: State, reason: Reason, detail: str) -> None:
        """Begin a state, with nothing left of the one before but what the sync group and the trackers said."""
        self.state, self.since, self.reason, self.detail = new, now, reason, detail
        self.timers.clear()
        self.wants_master = False
        self._preemption = Preemption()
        self._zero_heard = False
        self._listens_again = False
        self._leaving = None
        self._owner_conflict.over()
