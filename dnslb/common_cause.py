"""Whether servers fail for a reason that is not theirs: the probe's own name, the Internet behind all of them; pure."""

from __future__ import annotations

from collections.abc import Sequence

from dnslb.health.report import CommonCausesChanged
from dnslb.health.verdict import REFUSED
from dnslb.member import Member
from dnslb.pool_events import Admin
from pyvrrp.core.events import IPAddress


class CommonCause:
    """No server passes a check, several for the same reason: these are used until one passes again.

    To take them all out would make a failed probe an outage.
    """

    def __init__(self) -> None:
        self.why = ""
        "what all fail; empty: there is no common cause, or somebody is up"
        self.servers: frozenset[IPAddress] = frozenset()
        "that are used although they are down"
        self.until: float | None = None
        "when the others are given up, since one has recovered"
        self._reported = ""
        self._having: frozenset[IPAddress] = frozenset()

    def heard(self, event: CommonCausesChanged) -> None:
        """Remember what the monitor says; `update` draws the conclusion.

        That nothing listens on any of them is the servers' own cause.
        """
        causes = [each for each in event.causes if each.cause != REFUSED]
        self._reported = next((f"{each.check}: {each.detail}" for each in causes), "")
        self._having = frozenset(address for each in causes for address in each.servers)
        for each in event.causes:
            if each.cause == REFUSED:
                self.servers -= each.servers

    def update(self, members: Sequence[Member], patience: float, now: float) -> None:
        """Look at all members; `patience`: seconds that the others have to recover once the first has."""
        failing = [member for member in members if member.down and member.admin is Admin.AUTO and not member.removed]
        down = frozenset(member.server.address for member in failing)
        recovered = any(member.eligible and member.up for member in members)
        if not self.why:
            having = [member for member in failing if member.server.address in self._having]
            if self._reported and not recovered and any(member.eligible for member in having):
                self.why, self.servers = self._reported, down & self._having
            return
        # One that passes, or fails for another reason, leaves it to the others to end this.
        self.servers &= down
        if not recovered:
            self.until = None
        elif self.until is None:
            self.until = now + patience
        if not self.servers or (self.until is not None and now >= self.until):
            self.why, self.servers, self.until = "", frozenset(), None
