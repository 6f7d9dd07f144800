"""What the services of one daemon hold together: at a reload, the new one has begun before the old one ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from dnslb.real_server import operations
from dnslb.real_server.redirect import Redirect, Rule
from pyvrrp.core.events import IPAddress

LEASE = 10
"seconds that a VIP stays on lo when nobody renews it: longer than a daemon takes to be started again"

NOTHING: frozenset[IPAddress] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one service says about its VIPs."""

    wanted: frozenset[IPAddress] = NOTHING
    undecided: frozenset[IPAddress] = NOTHING
    "what is on lo stays until its lease ends, nothing is put there"
    withdrawn: frozenset[IPAddress] = NOTHING
    redirects: frozenset[Rule] = frozenset()
    undecided_redirects: frozenset[Rule] = frozenset()

    @property
    def every(self) -> frozenset[IPAddress]:
        """All VIPs that are, were or may come on lo."""
        return self.wanted | self.undecided | self.withdrawn


class Holdings:
    """One per daemon; used on its loop, works in threads."""

    def __init__(self) -> None:
        self._claims: dict[object, Claim] = {}
        self._redirect = Redirect()
        self._lock = asyncio.Lock()

    async def tend(self, owner: object, claim: Claim) -> list[str]:
        """Do what the claims say, and renew the leases; a line for each thing that changed. Raises OSError."""
        async with self._lock:
            self._claims[owner] = claim
            wanted, undecided = self._all("wanted"), self._all("undecided")
            withdrawn = self._all("withdrawn") - wanted - undecided
            lines = await asyncio.to_thread(lambda: list(self._redirected()))
            if wanted or undecided or withdrawn:
                lines += await asyncio.to_thread(operations.tend, wanted, undecided, withdrawn, LEASE)
            return lines

    async def leave(self, owner: object) -> list[str]:
        """Give back what this owner alone has claimed; a line for each thing that changed. Raises OSError."""
        async with self._lock:
            claim = self._claims.pop(owner, Claim())
            alone = claim.every - self._all("every")
            lines = await asyncio.to_thread(lambda: list(self._redirected()))
            return lines + await asyncio.to_thread(operations.leave, alone) if alone else lines

    def _redirected(self) -> Iterator[str]:
        before = self._redirect.rules
        claims = self._claims.values()
        rules = frozenset(rule for claim in claims for rule in claim.redirects | claim.undecided_redirects & before)
        if self._redirect.hold(rules):
            for rule in sorted(rules ^ before, key=str):
                how = "is redirected to this node now" if rule in rules else "is not redirected any more"
                yield f"{rule[0]} port {rule[1]} {how}"
        if not self._claims:
            self._redirect.close()

    def _all(self, part: str) -> frozenset[IPAddress]:
        return NOTHING.union(*(getattr(claim, part) for claim in self._claims.values()))
