"""The neighbours ask the MASTER: who has the addresses was the last one to announce them."""

from pyvrrp.core.events import Reason
from tests.simulation.invariants.circumstances import Circumstances
from tests.simulation.member import Member


class Neighbours:
    """Unless the last word of another MASTER, from which the MASTER would have known of it, got lost."""

    def __init__(self, circumstances: Circumstances) -> None:
        self._it = circumstances
        self._cluster = circumstances.cluster
        self._unheard: dict[tuple[str, int], set[str]] = {}
        "who did not hear the last word of a MASTER that left"

    def announced(self, member: Member) -> None:
        if not member.router.serving and not member.node.traits.keepalived:
            self._it.fail("announcement", f"{member.node} announces {member.vrid} after it was deposed")

    def became_master(self, member: Member) -> None:
        self._unheard.pop((member.node.name, member.vrid), None)

    def left(self, member: Member, reason: Reason) -> None:
        """Who leaves has said that it was MASTER: just now, or before, with priority 0; who slept says nothing."""
        node, vrid = member.node, member.vrid
        earlier = reason in (Reason.LATE, Reason.SWITCHOVER, Reason.SHUTDOWN) or node.last_word.get(vrid) == 0
        self._unheard[node.name, vrid] = self._lost(node.name, since=0.0 if earlier else self._cluster.now)

    def ask(self, vrid: int, master: Member) -> None:
        """At rest, and after the last burst."""
        announcer, node = self._cluster.neighbours[vrid], master.node
        if announcer is node or announcer.traits.keepalived:
            return
        lost = node.name in self._unheard.get((announcer.name, vrid), self._lost(announcer.name))
        if not lost:
            self._it.fail("neighbours", f"the neighbours ask {announcer} for {vrid}, and {node} has it")

    def _lost(self, source: str, since: float = 0.0) -> set[str]:
        """Who did not hear the last packet that the node sent, since then."""
        words = self._cluster.network.last_word.items()
        return {to for (name, to), word in words if name == source and not word.heard and word.time >= since}
