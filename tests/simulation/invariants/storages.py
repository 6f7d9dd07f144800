"""Never two with a storage gate open, and no address before a closed one."""

from tests.simulation.invariants.circumstances import Circumstances
from tests.simulation.member import Member


class Storages:
    def __init__(self, circumstances: Circumstances) -> None:
        self._it = circumstances
        self._cluster = circumstances.cluster
        self._gated = any(each.gated for _, each in circumstances.configured)

    def settled(self) -> None:
        for vrid in self._it.vrids if self._gated else ():
            opened = self._cluster.storage(vrid).open
            if len(opened) > 1:
                self._it.fail("storage", f"{' and '.join(opened)} both have the storage of {vrid} open")
            for member in self._cluster.members(vrid):
                if member.node.name in self._cluster.holdings.of(vrid) and not self.opened(member):
                    self._it.fail("storage", f"{member.node} holds {vrid} before a closed storage")

    def opened(self, member: Member) -> bool:
        """Its gate is open; true where there is none."""
        return not self._gated or member.node.name in self._cluster.storage(member.vrid).open
