"""Looks again and again: what is slow to ask is asked again only when it may have changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from drbdctl.daemon.peer_watch import PeerWatch
from drbdctl.daemon.self_check import self_check
from drbdctl.daemon.world import look, state
from drbdctl.failover.refusal import Refusal
from drbdctl.failover.seen import Seen
from drbdctl.settings import Storage
from drbdctl.status import ask
from drbdctl.status.agreement import disagreement
from drbdctl.status.generation import Generation
from drbdctl.status.state import Status
from drbdctl.steps import command
from drbdctl.steps.effect import Run

_LASTING = 1.0
"seconds for which feed and status have to differ"


class Eyes:
    """The eyes of one storage."""

    def __init__(self, storage: Storage, watch: PeerWatch, run: Run = command.run) -> None:
        self._storage = storage
        self._watch = watch
        self._run = run
        self._known: Mapping[str, tuple[object, tuple[Generation, ...]]] = {}
        "the identifiers by resource, with the state that they were read in"
        self._checks: tuple[Refusal, ...] = ()
        self._differs = ("", 0.0)
        "what the feed and the last status say differently, and since when"

    async def check(self) -> Sequence[Refusal]:
        """Look at the machine, for all looks from now on; what is new in it."""
        before, self._checks = self._checks, await self_check(self._storage, self._run)
        return [each for each in self._checks if each not in before]

    def status(self) -> Status:
        """The kernel's word now; raises Unreadable. It blocks for milliseconds: off the event loop."""
        return ask.node_status().status

    def _lasting(self, differs: str, now: float) -> str:
        """A difference between feed and status; the feed is read a moment after the kernel has changed."""
        before, since = self._differs
        self._differs = (differs, since if differs == before else now)
        return differs if now - self._differs[1] >= _LASTING else ""

    async def look(self, stuck: Sequence[str], journal: str, *, users: bool = False) -> Seen:
        """See drbdctl.daemon.world.look."""
        watch = self._watch
        told = watch.told
        seen = await look(
            self._storage,
            known={} if users else self._known,
            networks=watch.networks,
            witness=watch.witness,
            stuck=stuck,
            checks=self._checks,
            journal=journal,
            users=users,
            run=self._run,
        )
        self._known = {name: (state(seen.status.resource(name)), found) for name, found in seen.generations.items()}
        if told is not None and not seen.gap:
            seen = replace(seen, gap=self._lasting(disagreement(told, seen.status), seen.at))
        if seen.trusted:
            watch.saw(seen.status, seen.generations, seen.at)
        return replace(seen, sights=watch.sights, networks=watch.networks, witness=watch.witness)
