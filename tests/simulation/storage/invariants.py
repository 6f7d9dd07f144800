"""What must hold at every instant of a history, whatever fails."""

import re
from collections.abc import Iterable

from drbdctl.failover.events import GaveUp
from drbdctl.failover.refusal import Refusal
from pyvrrp.core.events import Reason
from tests.simulation.storage.cluster import StorageCluster, Watch
from tests.simulation.storage.drbd import Pair, Replica
from tests.simulation.storage.host import Host

PATIENCE = 120.0
"""Seconds from the end of the last fault until exactly one node serves, where one has good data: the stated time.

A machine boots (3 s and 12 s), DRBD connects and resyncs (2 s, 4 s), a gate that could not be closed times out (60 s),
a failed promotion waits and cools down (30 s, 5 s).
"""
SETTLED = 6.0
"seconds for which that has to stay so"
RULES = range(1, 28)
HANDS_OVER = 3
"the rule that a peer which is Primary hands over first"
_OPERATOR = 3.0
"seconds until somebody has ended a split brain"


class Violation(AssertionError):
    """An invariant that does not hold: which, when, how; and the timeline."""

    def __init__(self, rule: str, cluster: StorageCluster, sentence: str) -> None:
        again = f"reproduce: python -m tests.simulation.storage --seed {cluster.seed}"
        super().__init__(f"{rule}: at {cluster.now:.4f}: {sentence}\n{cluster.timeline}\n{again}")
        self.rule = rule
        self.sentence = sentence


class Invariants(Watch):
    """Watches a cluster; raises Violation."""

    def __init__(self, cluster: StorageCluster) -> None:
        self.cluster = cluster
        self.promotions = 0
        self._parted: set[Pair] = set()
        "pairs whose split brain an operator is about to end"
        self.recovery = 0.0
        "seconds from the end of the last fault until one node served"
        self.refused: dict[int, int] = {}
        "by rule: how often it was named"
        cluster.watch = self

    def promoted(self, replica: Replica, volume: int) -> None:
        """Never two Primaries, and never one without what was acknowledged.

        A Primary that has lost all data, its own disk and its peer's, is none: DRBD answers its I/O with errors.
        """
        self.promotions += 1
        name, host = f"{replica.pair.resource.name}/{volume}", replica.host
        if replica.peer.can_write(volume):
            self._fail("two Primaries", f"{host} promotes {name}, which is Primary on {replica.peer.host}")
        if lost := self.cluster.lost(replica, volume):
            self._fail(
                "stale data", f"{host} promotes {name} without {len(lost)} acknowledged writes: {sorted(lost)[:5]}"
            )

    def gave_up(self, host: Host, action: GaveUp) -> None:
        """Every refusal names its rule, what it is about, and a way out."""
        for each in action.refusals:
            self.refused[each.rule] = self.refused.get(each.rule, 0) + 1
            self._name(host, each)
        if not action.refusals and not re.search(r"\(rule \d+\)|: ", action.why):
            self._fail("refusal", f"{host} gives up and does not say at what: {action.why}")

    def gave_way(self, host: Host, faults: Iterable[Refusal]) -> None:
        """Who serves lets go for what is known to be broken, never for what is not known (rule 23)."""
        for each in faults:
            self._name(host, each)
            of_drbd = each.about.partition("/")[0] in {replica.pair.resource.name for replica in host.replicas}
            if each.rule in (22, 23) or (of_drbd and host.blind in ("no answer", "unknown words")):
                self._fail("known", f"{host} serves, and lets go for what it does not know: {each}")

    def deposed(self, host: Host) -> None:
        """Who serves gives way to who could take over, but for what it holds itself."""
        other = self.cluster.other(host)
        if other.daemon is None:
            return
        wants_it = other.daemon.router.reason is Reason.PREEMPTION
        hinders = [each for each in other.daemon.failover.plan.refusals if not (wants_it and each.rule == HANDS_OVER)]
        if hinders:
            sentences = "; ".join(map(str, hinders))
            self._fail("deposed", f"{host} serves, and gives way to {other}, which is kept from serving: {sentences}")

    def settled(self) -> None:
        """After each instant."""
        for pair in self.cluster.pairs:
            one, other = pair.replicas
            for volume in range(len(one.disks)):
                if one.can_write(volume) and other.can_write(volume):
                    self._fail("two Primaries", f"both can write to {pair.resource.name}/{volume}")
        for host in self.cluster.hosts:
            if host.vip and not self._behind(host):
                self._fail("address", f"{host} has the address; mounts: {sorted(host.mounts)}")
        for pair in self.cluster.pairs:
            if pair.split_brain and pair not in self._parted:
                self._judge_split_brain(pair)

    def _judge_split_brain(self, pair: Pair) -> None:
        """Never has each side what the other lacks.

        A Primary that was cut off may have begun writes that nobody was told are safe: with a witness in place of
        fencing nothing keeps them from its disk. Then both sides part, the node that serves goes on, and an operator
        discards the other one.
        """
        needed = [
            each
            for each in pair.replicas
            if any(self.cluster.lost_by(each.peer, volume) for volume in range(len(each.disks)))
        ]
        if self.cluster.setting.guarantee != "witness" or len(needed) > 1:
            self._fail("split brain", f"both sides of {pair.resource.name} have what the other lacks")
        self._parted.add(pair)
        self.cluster.timeline.add(self.cluster.now, "*", f"{pair.resource.name}: an operator is on the way")
        self.cluster.at(self.cluster.now + _OPERATOR, lambda: self._discard(pair, needed))

    def _discard(self, pair: Pair, needed: list[Replica]) -> None:
        serving = [each for each in pair.replicas if each in needed or any(each.primary)]
        victim = (serving or pair.replicas)[0].peer
        if any(victim.primary) or not all(each.host.running and each.up for each in pair.replicas):
            self.cluster.at(self.cluster.now + _OPERATOR, lambda: self._discard(pair, needed))
            return
        victim.host.tell(f"{pair.resource.name}: what was written here alone is discarded")
        self._parted.discard(pair)
        pair.discard(victim)

    def _name(self, host: Host, refusal: Refusal) -> None:
        if refusal.rule not in RULES or not refusal.why or not refusal.hint:
            self._fail("refusal", f"{host} refuses without a rule: {refusal}")

    def _behind(self, host: Host) -> bool:
        mounted = len(host.mounts) == len(host.group.mounts)
        return mounted and all(all(each.primary) for each in host.replicas)

    def rest(self) -> bool:
        """Exactly one node serves, with everything that was ever acknowledged; the other one is connected to it."""
        serving = self.cluster.serving
        if len(serving) != 1 or serving[0].daemon is None or not serving[0].daemon.serving:
            return False
        for each in serving[0].replicas:
            for volume in range(len(each.disks)):
                if lost := self.cluster.lost(each, volume):
                    self._fail("lost writes", f"{serving[0]} serves without {len(lost)} acknowledged writes")
        return True

    def _fail(self, rule: str, sentence: str) -> None:
        raise Violation(rule, self.cluster, sentence)
