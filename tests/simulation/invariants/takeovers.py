"""Nobody takes over from a MASTER that it has been hearing, unless it may preempt, or was told priority 0."""

from pyvrrp.core.events import Reason
from pyvrrp.core.timers import Timer
from pyvrrp.core.virtual_router import VirtualRouter
from tests.simulation.invariants.circumstances import Circumstances
from tests.simulation.member import Member
from tests.simulation.node import Node, Pause


class Takeovers:
    """keepalived, which knows no lateness, is not judged, and neither is who has to open gates first."""

    def __init__(self, circumstances: Circumstances) -> None:
        self._it = circumstances
        self._cluster = circumstances.cluster
        intervals = {each.advert_int for _, each in circumstances.configured}
        self._slowest, self._mixed = max(intervals), len(intervals) > 1
        self._excused = dict.fromkeys(circumstances.nodes, 0.0)
        "until when a node can't know better than to take over"
        self._since: dict[tuple[str, int], float] = {}
        "when a virtual router came into its state"

    def unsettled(self, node: Node) -> None:
        """Its priority is another one, or it is new."""
        self._excused[node.name] = self._cluster.now + self._it.bounds.listening

    def woke(self, node: Node, what: Pause) -> None:
        """Who slept knows it, unless its clock slept too."""
        now, heard_all = node.local(self._cluster.now), what in (Pause.SPEAKER, Pause.PROCESSES)
        for member in node.members.values():
            if node.traits.keepalived or what is Pause.CLOCK or not self._knows(member.router, now, heard_all):
                self._excused[node.name] = self._cluster.now + self._it.bounds.listening

    def _knows(self, router: VirtualRouter, now: float, heard_all: bool) -> bool:
        """A BACKUP whose timer is late by more than a busy processor explains listens again, for an interval.

        For a tenth of it when it has overslept less than one: then what it missed waits in its socket, if the kernel
        ran. It listens for too short a time when the MASTER is slower than the last one.
        """
        late, interval = now - router.timers.get(Timer.MASTER_DOWN, now), router.master_adver_int
        return late > (interval / 10 if heard_all else interval) and interval >= self._slowest

    def changed(self, member: Member) -> None:
        self._since[member.node.name, member.vrid] = self._cluster.now

    def took_over(self, taker: Member) -> None:
        """Before `changed`."""
        now, node, router = self._cluster.now, taker.node, taker.router
        if node.traits.keepalived or router.parameters.gated or router.reason in (Reason.ADOPTED, Reason.PRIORITY_ZERO):
            return
        long_ago = now - self._it.bounds.listening
        if now < self._excused[node.name] or self._since[node.name, taker.vrid] > long_ago:
            return
        mine, may_preempt = router.effective_priority, not router.parameters.nopreempt
        for other in self._cluster.members(taker.vrid):
            if other is not taker and self._heard(other, node, long_ago):
                theirs = other.router.effective_priority
                if not (may_preempt and mine > theirs):
                    self._it.fail("takeover", f"{node} takes over from {other.node}, which is MASTER with {theirs}")

    def _heard(self, master: Member, by: Node, since: float) -> bool:
        """It has been MASTER, and could be heard, all the time.

        With different intervals a third node that took over by mistake may have taught its own, shorter one.
        """
        node, network = master.node, self._cluster.network
        if not (master.router.claims and node.speaker.awake and node.can_send):
            return False
        trouble = network.last_trouble if self._mixed else self._it.troubled(by, node)
        return max(self._since[node.name, master.vrid], self._it.unsettled[node.name], trouble) <= since
