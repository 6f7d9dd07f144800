"""What a BACKUP makes of a MASTER with a lower priority: nopreempt, preempt_delay (keepalived.conf(5))."""

from __future__ import annotations

from pyvrrp.core.events import IPAddress
from pyvrrp.core.parameters import Parameters


class Preemption:
    """What is remembered of lower-priority advertisements between becoming BACKUP and leaving it."""

    def __init__(self) -> None:
        self.detail = ""
        "whom we are about to preempt; empty: nobody"
        self.forbidden = False
        "after a switchover: not before the successor is gone"
        self._lower_since: float | None = None

    def discards(self, priority: int, source: IPAddress, parameters: Parameters, now: float) -> bool:
        """Whether a lower-priority advertisement is discarded, so that Master_Down_Timer goes on until we take over.

        Otherwise it is accepted like any other; preempt_delay runs from the first one heard.
        """
        if parameters.nopreempt or self.forbidden:
            return False
        if self._lower_since is None:
            self._lower_since = now
        if now < self._lower_since + parameters.preempt_delay:
            return False
        self.detail = f"{source} advertises priority {priority}"
        return True

    def higher_heard(self) -> None:
        """An equal or higher priority was heard: preempt_delay starts anew with the next lower one."""
        self._lower_since = None
