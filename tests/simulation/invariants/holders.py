"""At most one effective holder; no advertisement without lease, no lease without advertisement."""

from collections.abc import Mapping
from itertools import combinations

from pyvrrp.core.timers import Timer
from tests.simulation.bounds import lease_bound
from tests.simulation.invariants.circumstances import Circumstances
from tests.simulation.member import Member
from tests.simulation.node import Node

_ROUNDING = 1e-6


class Holders:
    """An effective holder: a kernel that runs, has the addresses, and can be reached by its neighbours."""

    def __init__(self, circumstances: Circumstances) -> None:
        self.worst_contention = 0.0
        "seconds for which two nodes that run and hear each other had the addresses"
        self.worst_lease_overlap = 0.0
        "the same, while one of them was dead or stood still, and its lease ran"
        self.worst_gap = 0.0
        "seconds for which nobody had them, while no fault was at work"
        self._it = circumstances
        self._cluster = circumstances.cluster
        self._leases = {(node.name, each.vrid): lease_bound(node, each) for node, each in circumstances.configured}
        self._apart: dict[tuple[str, ...], float] = {}
        "until when two nodes did not hear each other, and both had the addresses"
        self._spoke: list[Member] = []

    def before(self, time: float) -> None:
        """All has been as it is until `time`."""
        for vrid in self._it.vrids:
            holders = self._cluster.holdings.of(vrid)
            if len(holders) > 1:
                self._overlap(vrid, holders, time)
            elif not holders and not self._it.faults:
                since = max(self._it.disturbed, self._cluster.holdings.last_end.get(vrid, 0.0))
                self.worst_gap = max(self.worst_gap, time - since)
            for name in holders:
                self._lease(self._it.nodes[name], vrid, time)

    def _overlap(self, vrid: int, holders: Mapping[str, float], time: float) -> None:
        for pair in combinations(sorted(holders), 2):
            a, b = (self._it.nodes[name] for name in pair)
            began = max(holders[a.name], holders[b.name], self._it.troubled(a, b))
            if not self._in_touch(a, b, vrid):
                self._apart[pair] = time
                asleep = [each for each in (a, b) if not each.speaker.awake]
                if asleep and not asleep[0].traits.keepalived and not self._cluster.network.severed(*pair):
                    self.worst_lease_overlap = max(self.worst_lease_overlap, time - began)
                continue
            settled = max(self._it.unsettled[a.name], self._it.unsettled[b.name], self._apart.get(pair, 0.0))
            seconds, limit = time - max(began, settled), self._it.bounds.contention
            self.worst_contention = max(self.worst_contention, seconds)
            if seconds > limit:
                both = f"{a} and {b} run, hear each other and have both held {vrid}"
                self._it.fail("one holder", f"{both} for {seconds:.3f} s, more than {limit:.3f} s")

    def _in_touch(self, a: Node, b: Node, vrid: int) -> bool:
        """What one says the other hears; two that hand over both say nothing, until they give that up."""
        if not (a.speaker.awake and b.speaker.awake and a.can_send and b.can_send):
            return False
        silent = all(not each.router.claims for each in self._cluster.members(vrid) if each.node in (a, b))
        return not silent and not self._cluster.network.severed(a.name, b.name)

    def _lease(self, node: Node, vrid: int, time: float) -> None:
        if node.traits.keepalived:
            return
        limit, now, last = self._leases[node.name, vrid], node.local(time), node.last_sent.get(vrid, float("-inf"))
        if now <= last + limit + _ROUNDING or now <= node.kernel.resumed + node.traits.lateness[1]:
            return
        after = f"{now - last:.3f} s after its last advertisement, more than {limit:.3f} s"
        self._it.fail("lease", f"{node} holds {vrid} {after}")

    # --- what a node has to do ---------------------------------------------------------------------------------------

    def advertised(self, member: Member) -> None:
        self._spoke.append(member)

    def settled(self) -> None:
        for member in self._spoke:
            if member.router.serving and not member.busy and not member.node.kernel.has(member.vrid):
                self._it.fail("advertisement", f"{member.node} advertises {member.vrid} as if it held it")
        self._spoke.clear()

    def woke(self, node: Node) -> None:
        """A MASTER that slept for too long knows that it was deposed."""
        now = node.local(self._cluster.now)
        for member in node.members.values():
            router = member.router
            if node.traits.keepalived or not router.claims:
                continue
            if now - router.timers.get(Timer.ADVER, now) > router.master_down_interval:
                self.must_let_go(member, "late")

    def must_let_go(self, member: Member, rule: str = "letting go") -> None:
        """It is no longer MASTER; unless it stands still meanwhile, or takes over again."""
        node, began = member.node, self._cluster.now
        local = node.local(began)

        def check() -> None:
            held = node.kernel.has(member.vrid) and node.kernel.since[member.vrid] <= local
            if held and node.speaker.awake and self._it.slept[node.name] <= began:
                self._it.fail(rule, f"{node} still holds {member.vrid}, which it had to let go of at {began:.4f}")

        self._cluster.at(began + self._it.bounds.letting_go, check)
