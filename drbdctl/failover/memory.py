"""What the fail-over of a storage group remembers beyond one attempt, and adds to what is seen."""

from __future__ import annotations

from dataclasses import replace

from drbdctl.failover.evidence import Network
from drbdctl.failover.group import Group
from drbdctl.failover.seen import Seen

OVERRIDE_LASTS = 600.0
"seconds in which an operator's word for the next promotion counts"


class Memory:
    """Monotonic seconds."""

    def __init__(self, ours: bool) -> None:
        self.ours = ours
        "what is up was brought up by us, or by the daemon before us"
        self.claimed: float | None = None
        "since when Primary is wanted"
        self._contacts: dict[str, float] = {}
        "when the peer of a resource was known to live although nobody heard it on VRRP"
        self._accepted: frozenset[int] = frozenset()
        self._until = 0.0

    def completed(self, seen: Seen, group: Group) -> Seen:
        """With what only we know.

        A peer that was heard until just before we advertised may have yielded, to us, and not died: silence that begins
        so says nothing, and goes on saying nothing until the peer is heard again.
        """
        last = max((each for each in seen.networks if each.heard is not None), key=_heard, default=None)
        if self.claimed is not None and last is not None and last.may_have_yielded(seen.at):
            self._contacts.update(dict.fromkeys((each.name for each in group.resources), _heard(last)))
        return replace(seen, claimed=self.claimed, ours=self.ours, contacts=dict(self._contacts))

    def met(self, resource: str, now: float) -> None:
        """DRBD has refused a promotion because the peer lives and is Primary."""
        self._contacts[resource] = now

    def override(self, rules: frozenset[int], now: float) -> None:
        """An operator sets these rules aside for the next promotion."""
        self._accepted, self._until = rules, now + OVERRIDE_LASTS

    def accepted(self, now: float) -> frozenset[int]:
        """The rules that are set aside."""
        return self._accepted if now < self._until else frozenset()


def _heard(network: Network) -> float:
    return network.heard or 0.0


def identifiers(seen: Seen | None) -> str:
    """Current and bitmap UUID of each volume, for the log."""
    if seen is None:
        return "identifiers not read"
    return ", ".join(
        f"{name}/{number} {each.current:016X}:{each.bitmap:016X}"
        for name, volumes in sorted(seen.generations.items())
        for number, each in enumerate(volumes)
    )
