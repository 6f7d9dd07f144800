"""What a MASTER holds, from taking over until everything is given back: gates, addresses, their announcements."""

from __future__ import annotations

from pyvrrp.core.events import (
    AcquireAddresses,
    Action,
    AnnounceAddresses,
    CloseGates,
    Hindrance,
    OpenGates,
    Phase,
    ReleaseAddresses,
)
from pyvrrp.core.garp_schedule import GarpSchedule
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.timers import Timer, Timers

OVERLAP = 0.02
"""Seconds for which a MASTER that was relieved goes on answering.

The new one's first advertisement comes a millisecond or two before its addresses are up and announced.
"""
_HOLDING = (Phase.SERVING, Phase.HANDING_OVER)


class Tenure:
    """One time as MASTER; it sets the timers GATE and GARP of its router.

    wait --> WAITING <--hindered, begun--> ACQUIRING --serve--> SERVING --release--> RELEASING

    `begin` leaves WAITING out. Without gates it leads to SERVING, and `hand_over` to HANDING_OVER before `release`.
    """

    def __init__(self, parameters: Parameters, timers: Timers) -> None:
        self.gated = parameters.gated
        "as it began: gates that a reload takes away are to be closed all the same"
        self.phase = Phase.RELEASING
        "nothing is held before `begin`"
        self._waits = False
        "it began because nobody was heard"
        self.silent = False
        "nothing has been said yet, or priority 0 has"
        self._hindered: Hindrance | None = None
        self._parameters = parameters
        self._timers = timers
        self._garp = GarpSchedule(parameters)

    def begin(self, now: float) -> list[Action]:
        """Open the gates, which must be answered within gate_timeout; serve at once where there are none."""
        if not self.gated:
            return self.serve(now)
        self.phase = Phase.ACQUIRING
        self._timers[Timer.GATE] = now + self._parameters.gate_timeout
        return [OpenGates()]

    def wait(self, now: float) -> list[Action]:
        """Open the gates, and say nothing before they have begun: they must be opened within gate_timeout from then."""
        actions = self.begin(now)
        self._waits = True
        self.hindered(Hindrance.UNSEEN)
        return actions

    def begun(self, now: float) -> bool:
        """The gates are being acquired; whether there is something to say now that could not be said before."""
        self._hindered = None
        waited = self.phase is Phase.WAITING
        if waited:
            self.phase, self.silent = Phase.ACQUIRING, False
            self._timers[Timer.GATE] = now + self._parameters.gate_timeout
        return waited

    def hindered(self, by: Hindrance) -> None:
        """The gates can't begin: nothing is said, unless a holder is to hear that he is preempted."""
        self._hindered = by
        if self.phase is Phase.ACQUIRING and (self._waits or by is Hindrance.UNSEEN):
            self.phase, self.silent = Phase.WAITING, True
            self._timers.pop(Timer.ADVER, None)

    def waits_on(self, now: float) -> bool:
        """The gates are not open yet; whether they need not be: a holder serves, and may at any moment cease to."""
        on = self.phase is Phase.WAITING and self._hindered is Hindrance.HOLDER
        if on:
            self._timers[Timer.GATE] = now + self._parameters.gate_timeout
        return on

    def adopt(self, now: float) -> list[Action]:
        """Go on holding what another process of ours held: the gates are open, the neighbours know."""
        self.phase = Phase.SERVING
        self._garp.took_over(now)  # a burst of the process before may have been due
        self._arm_garp()
        return [AcquireAddresses()]

    def serve(self, now: float) -> list[Action]:
        """Put the addresses on, and announce them now and later."""
        self.phase = Phase.SERVING
        self._timers.pop(Timer.GATE, None)
        return [AcquireAddresses(), *self._announce(self._garp.took_over(now))]

    def announce_again(self, now: float) -> list[Action]:
        """Somebody else believes to be MASTER, and may have told the neighbours so."""
        return self._announce(self._garp.lower_priority_heard(now)) if self.phase is Phase.SERVING else []

    def announce_due(self, now: float) -> list[Action]:
        """The timer GARP has expired."""
        return self._announce(*self._garp.due(now))

    def hand_over(self, until: float) -> None:
        """Go on answering, silent otherwise, while a successor may come: `until` then."""
        self.phase, self.silent = Phase.HANDING_OVER, True
        self._timers.clear()
        self._timers[Timer.HAND_OVER] = until
        self._garp.stop()

    def resume(self, now: float) -> None:
        """No successor came; a burst that was due when the hand-over began is due again."""
        self.phase, self.silent = Phase.SERVING, False
        self._garp.took_over(now)
        self._arm_garp()

    def release(self, now: float, *, relieved: bool = False) -> list[Action]:
        """Give back what is held; the gates must have been closed within gate_timeout.

        `relieved`: somebody else is MASTER already. Then the addresses may overlap, where nothing stands behind them.
        """
        overlap = OVERLAP if relieved and not self.gated else 0.0
        actions: list[Action] = [ReleaseAddresses(overlap)] if self.phase in _HOLDING else []
        if self.gated and self.phase is not Phase.RELEASING:
            actions.append(CloseGates())
            self._timers[Timer.GATE] = now + self._parameters.gate_timeout
        self.phase = Phase.RELEASING
        self._garp.stop()
        self._arm_garp()
        return actions

    def reconfigure(self, parameters: Parameters, now: float) -> None:
        """Announce by other parameters from now on; whether there are gates is for the next tenure."""
        self._parameters = self._garp.parameters = parameters
        if self.phase is Phase.SERVING:
            self._garp.refresh_from(now)
            self._arm_garp()

    def _announce(self, *rounds: int) -> list[Action]:
        self._arm_garp()
        return [AnnounceAddresses(repeat) for repeat in rounds if repeat > 0]

    def _arm_garp(self) -> None:
        if (when := self._garp.deadline) is None:
            self._timers.pop(Timer.GARP, None)
        else:
            self._timers[Timer.GARP] = when
