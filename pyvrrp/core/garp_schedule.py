"""When a MASTER announces its addresses: the bursts of garp_master_* and garp_lower_prio_* (keepalived.conf(5))."""

from __future__ import annotations

from enum import Enum

from pyvrrp.core.parameters import Parameters


class Burst(Enum):
    """What a burst of gratuitous ARP is sent for, after the one at the event itself."""

    AFTER_TAKEOVER = "garp_master_delay"
    AFTER_LOWER_PRIORITY = "garp_lower_prio_delay"
    REFRESH = "garp_master_refresh"


class GarpSchedule:
    """The bursts still to come; empty unless the router is MASTER and has its addresses on."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self._due: dict[Burst, float] = {}

    @property
    def deadline(self) -> float | None:
        """When the next burst is due."""
        return min(self._due.values(), default=None)

    def took_over(self, now: float) -> int:
        """The addresses came up: how many rounds now; the second burst and the refreshes are scheduled."""
        parameters = self.parameters
        self._due.clear()
        if parameters.garp_master_delay > 0 and parameters.garp_master_repeat > 0:
            self._due[Burst.AFTER_TAKEOVER] = now + parameters.garp_master_delay
        self.refresh_from(now + parameters.garp_master_delay)
        return parameters.garp_master_repeat

    def lower_priority_heard(self, now: float) -> int:
        """Somebody else believes to be MASTER: how many rounds now; the second burst is scheduled."""
        parameters = self.parameters
        if parameters.garp_lower_prio_delay > 0 and parameters.garp_lower_prio_repeat > 0:
            self._due[Burst.AFTER_LOWER_PRIORITY] = now + parameters.garp_lower_prio_delay
        return parameters.garp_lower_prio_repeat

    def refresh_from(self, now: float) -> None:
        """Count the next refresh from `now`; 0 in the parameters means none."""
        if self.parameters.garp_master_refresh > 0:
            self._due[Burst.REFRESH] = now + self.parameters.garp_master_refresh
        else:
            self._due.pop(Burst.REFRESH, None)

    def stop(self) -> None:
        """The addresses went down."""
        self._due.clear()

    def due(self, now: float) -> list[int]:
        """The rounds of every burst that is due, in order of their times."""
        rounds: list[int] = []
        for burst, when in sorted(self._due.items(), key=lambda item: item[1]):
            if when > now:
                break
            del self._due[burst]
            match burst:
                case Burst.AFTER_TAKEOVER:
                    rounds.append(self.parameters.garp_master_repeat)
                case Burst.AFTER_LOWER_PRIORITY:
                    rounds.append(self.parameters.garp_lower_prio_repeat)
                case Burst.REFRESH:
                    rounds.append(self.parameters.garp_master_refresh_repeat)
                    self.refresh_from(now)
        return rounds
