"""The balancer of the daemon, whose services come and go: at a reload the new one has begun before the old one ends."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from dnslb.balancer import tracker
from dnslb.balancer.balancer import Balancer
from dnslb.balancer.commands import carry_out
from dnslb.balancer.setup import Setup
from dnslb.balancer.status import status, summary
from pyvrrp.daemon.plugins import CommandRefused, Report, TrackerSpec


class Running:
    """At most one balancer, for the service that took it last."""

    def __init__(self) -> None:
        self._balancer: Balancer | None = None
        self._owner: object = None
        self._left: Mapping[str, int] = {}
        self._told: Mapping[str, int] = {}
        self._instances: Collection[str] = ()
        self._changed: Callable[[], None] = lambda: None

    def take_over(self, left: Mapping[str, int], instances: Collection[str], changed: Callable[[], None]) -> None:
        """See pyvrrp.daemon.plugins.Continued; the balancer is made by the first `take`."""
        self._changed = changed
        if self._balancer is None:
            self._left, self._instances = left, instances

    def descriptors(self) -> Mapping[str, int]:
        """What the next process needs."""
        return self._left if self._balancer is None else self._balancer.descriptors()

    def take(self, owner: object, setup: Setup) -> None:
        """Balance this from now on, for this service; raises OSError when there is no netlink."""
        if self._balancer is None:
            left, self._left = self._left, {}
            self._balancer = Balancer(left=left, instances=self._instances)
            self._balancer.observers.add(self._tell)
        self._owner = owner
        self._balancer.configure(setup)

    async def leave(self, owner: object) -> None:
        """The service ends; with the last one all is given back."""
        if owner is self._owner and self._balancer is not None:
            balancer, self._balancer = self._balancer, None
            await balancer.close()

    def hold(self, instance: str, held: bool) -> None:
        """See Balancer.hold."""
        if self._balancer is not None:
            self._balancer.hold(instance, held)

    def tracker(self, name: str) -> TrackerSpec:
        """What `track_virtual_server` names."""
        return TrackerSpec(kind="virtual_server", name=name, run=partial(self._track, name))

    async def command(self, words: Sequence[str]) -> object:
        """See dnslb.balancer.commands."""
        if self._balancer is None:
            raise CommandRefused("the balancer does not run yet; ask again")
        return await carry_out(self._balancer, words)

    def status(self) -> Mapping[str, object]:
        """JSON-ready; see dnslb.balancer.status."""
        return {} if self._balancer is None else status(self._balancer)

    def _tell(self) -> None:
        """The descriptors, if they are others now."""
        if self._balancer is not None and (now := self._balancer.descriptors()) != self._told:
            self._told = now
            self._changed()

    def summary(self) -> list[str]:
        """A sentence for each virtual server."""
        return [] if self._balancer is None else summary(self._balancer)

    async def _track(self, name: str, report: Report) -> None:
        if self._balancer is None:
            report(False, "the balancer does not run")
            return
        await tracker.watch(self._balancer, name, report)
