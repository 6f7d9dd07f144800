"""When all faults are over: exactly one MASTER, the best there is, which serves, alone, and stays."""

from pyvrrp.core.events import State, Transition
from tests.simulation.invariants.circumstances import Circumstances
from tests.simulation.invariants.storages import Storages
from tests.simulation.member import Member
from tests.simulation.node import Node


class Rest:
    """Within `settling` of the last disturbance."""

    def __init__(self, circumstances: Circumstances, storages: Storages) -> None:
        self._it = circumstances
        self._cluster = circumstances.cluster
        self._storages = storages

    def changed(self, member: Member, transition: Transition) -> None:
        if self._it.at_rest:
            self._it.fail("peace", f"nothing has happened, and {member.node} becomes {transition.new.value}")

    def master(self, vrid: int) -> Member | None:
        """Who it is, None where nobody runs."""
        members = self._cluster.members(vrid)
        holders = [name for name in self._cluster.holdings.of(vrid) if not _forsaken(self._it.nodes[name])]
        masters = [each for each in members if each.router.state is State.MASTER]
        names = [each.node.name for each in masters]
        if holders != names or len(names) != bool(members):
            self._it.fail("one master", f"MASTER of {vrid}: {names}; the addresses: {holders}")
        if not masters:
            return None
        (master,) = masters
        if not master.router.serving or not self._storages.opened(master):
            self._it.fail("one master", f"{master.node} is MASTER of {vrid} and does not serve")
        for other in members:
            if other is not master:
                self._follows(other, master)
        return master

    def _follows(self, other: Member, master: Member) -> None:
        router, theirs = other.router, master.router.effective_priority
        if router.state is not State.BACKUP:
            self._it.fail("one master", f"{other.node} is {router.state.value} of {other.vrid} without a reason")
        content = router.effective_priority <= theirs or router.parameters.nopreempt or router.yielded
        if not content:
            obeys = f"{other.node}, priority {router.effective_priority}, obeys {master.node} with {theirs}"
            self._it.fail("best", obeys)


def _forsaken(node: Node) -> bool:
    """A keepalived that was killed leaves its addresses until it is started again."""
    return node.traits.keepalived and not node.alive
