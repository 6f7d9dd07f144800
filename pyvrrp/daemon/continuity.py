"""What services go on with in another process: handed to them at the start, and to the guard after each change."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from functools import partial

from pyvrrp.daemon.fd_store import Sets, close, misfit
from pyvrrp.daemon.plugins import Continued, Service

_LOG = logging.getLogger("pyvrrp")

Store = Callable[[str, Mapping[str, int]], None]
"keeps an owner's descriptors, and no others of it; raises OSError, BlockingIOError when it has to be tried again"


class Continuity:
    """The descriptors of the services that run, as the guard has them; without a guard nothing is kept."""

    def __init__(self, store: Store | None = None, left: Sets | None = None) -> None:
        """`left`: what was kept from the process before, ours from now on."""
        self._store = store
        self._left = dict(left or {})
        self._services: Mapping[str, Continued] = {}
        self._kept: dict[str, int] = dict.fromkeys(self._left, 0)
        "by owner: how many descriptors the store has"
        self._pending = set(self._left)
        "owners whose set in the store may be out of date"
        self._told: dict[str, str] = {}
        "what was said last about an owner's set"

    def begin(self, services: Mapping[str, Service], instances: Collection[str]) -> None:
        """Have these go on with what is left, before they start; what none of them takes is closed."""
        self._services = {name: each for name, each in services.items() if isinstance(each, Continued)}
        left, self._left = self._left, {}
        for name, service in self._services.items():
            try:
                service.take_over(left.pop(name, {}), instances, partial(self._changed, name, service))
            except Exception:
                _LOG.exception("plugin %s: what the process before has left can't be taken over", name)
        for name, descriptors in left.items():
            _LOG.warning("left by the process before: %d descriptors of plugin %s, closed", len(descriptors), name)
            close(descriptors.values())
        self._pending |= self._services.keys() | self._kept.keys()

    def update(self) -> None:
        """Bring the store up to date; what it can't take now waits for the next call."""
        if self._store is None:
            return
        for owner in list(self._pending):
            descriptors = self._descriptors(owner)
            others = sum(count for each, count in self._kept.items() if each != owner)
            if why := misfit(owner, descriptors, others):
                descriptors = {}
            try:
                why = self._replace(self._store, owner, descriptors) or why
            except BlockingIOError:
                continue
            self._pending.discard(owner)
            if why and why != self._told.get(owner):
                _LOG.error("plugin %s: it can't go on over a restart: its descriptors are not kept: %s", owner, why)
            self._told[owner] = why

    def end(self) -> None:
        """The services have ended: keep nothing."""
        self._services = {}
        self._pending |= self._kept.keys()
        self.update()

    def _changed(self, owner: str, service: Continued) -> None:
        if self._services.get(owner) is service:
            self._pending.add(owner)
            self.update()

    def _replace(self, store: Store, owner: str, descriptors: Mapping[str, int]) -> str:
        """Why it can't be done, and nothing is kept instead; raises BlockingIOError."""
        why = ""
        try:
            store(owner, descriptors)
        except BlockingIOError:
            raise
        except OSError as error:
            why, descriptors = error.strerror or str(error), {}
            try:
                store(owner, descriptors)
            except BlockingIOError:
                raise
            except OSError:
                pass  # the guard is gone, and all that it kept
        self._kept.pop(owner, None)
        if descriptors:
            self._kept[owner] = len(descriptors)
        return why

    def _descriptors(self, owner: str) -> Mapping[str, int]:
        service = self._services.get(owner)
        if service is None:
            return {}
        try:
            return service.descriptors()
        except Exception:
            _LOG.exception("plugin %s: it does not say what it goes on with", owner)
            return {}
