"""What the plugins run for one configuration."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.model import Config
from pyvrrp.daemon.continuity import Continuity
from pyvrrp.daemon.journal import Commands, Journal
from pyvrrp.daemon.plugins import (
    Commandable,
    CommandRefused,
    Follower,
    Gate,
    Listener,
    Measured,
    Plugin,
    Reported,
    Service,
    TrackerSpec,
    Undoable,
)

if TYPE_CHECKING:
    from pyvrrp.core.metrics import Family
    from pyvrrp.core.report import Entry

_LOG = logging.getLogger("pyvrrp")


class Services:
    """The service of each plugin; another configuration needs others."""

    def __init__(
        self,
        plugins: Sequence[Plugin],
        config: Config,
        continuity: Continuity | None = None,
        journal: Journal | None = None,
    ) -> None:
        """`continuity`: what goes on from the process before, and in the next one; `journal`: for who must undo it."""
        self._journal = journal or Journal()
        self._continuity = continuity or Continuity()
        self._services = {plugin.name: plugin.configure(config, Diagnostics()) for plugin in plugins}
        self._listeners = [(name, each) for name, each in self._services.items() if isinstance(each, Listener)]

    @property
    def by_name(self) -> Mapping[str, Service]:
        """Each by its plugin's name."""
        return self._services

    @property
    def undo(self) -> Mapping[str, Commands]:
        """By name, what ends each of them when the daemon can't."""
        return {
            name: tuple(map(tuple, service.undo)) if isinstance(service, Undoable) else ()
            for name, service in self._services.items()
        }

    @property
    def trackers(self) -> list[TrackerSpec]:
        """The checks of all of them."""
        return [spec for service in self._services.values() for spec in service.trackers]

    def gates(self, instance: str) -> list[Gate]:
        """The gates of a vrrp_instance, in the order of acquisition."""
        return [gate for service in self._services.values() for gate in service.gates(instance)]

    def hold(self, instance: str, held: bool) -> None:
        """Tell those that follow where the addresses are."""
        for name, service in self._services.items():
            if isinstance(service, Follower):
                _tell(name, service.hold, instance, held)

    def heard(self, instance: str, priority: int) -> None:
        """Tell those that listen that the peer has spoken."""
        for name, listener in self._listeners:
            _tell(name, listener.heard, instance, priority)

    def said(self, instance: str, priority: int) -> None:
        """Tell those that listen that we have spoken."""
        for name, listener in self._listeners:
            _tell(name, listener.said, instance, priority)

    def status(self) -> dict[str, Mapping[str, object]]:
        """The part of each plugin; of one that fails, that it does."""
        found: dict[str, Mapping[str, object]] = {}
        for name, service in self._services.items():
            try:
                found[name] = service.status()
            except Exception as error:
                _LOG.exception("plugin %s: status failed", name)
                found[name] = {"problems": [f"its status failed: {type(error).__name__}: {error}; please report it"]}
        return found

    def families(self, status: Mapping[str, Mapping[str, object]]) -> Iterator[Family]:
        """The metrics of each plugin, made from its part of the snapshot; one that fails has none, and is told."""
        for name, service in self._services.items():
            if isinstance(service, Measured):
                try:
                    yield from list(service.metrics(status.get(name, {})))
                except Exception:
                    _LOG.exception("plugin %s: metrics failed", name)

    def report(self, status: Mapping[str, Mapping[str, object]]) -> dict[str, Sequence[Entry]]:
        """What each plugin says on the status page, made from its part of the snapshot."""
        found: dict[str, Sequence[Entry]] = {}
        for name, service in self._services.items():
            if isinstance(service, Reported):
                try:
                    found[name] = list(service.report(status.get(name, {})))
                except Exception:
                    _LOG.exception("plugin %s: report failed", name)
        return {name: entries for name, entries in found.items() if entries}

    async def command(self, plugin: str, words: Sequence[str]) -> object:
        """Have a plugin carry out a command; raises CommandRefused."""
        service: object = self._services.get(plugin)
        if not isinstance(service, Commandable):
            known = ", ".join(sorted(name for name, each in self._services.items() if isinstance(each, Commandable)))
            raise CommandRefused(f"there is no plugin {plugin!r} that takes commands; there are: {known or 'none'}")
        return await service.command(words)

    async def start(self, instances: Collection[str]) -> None:
        """Begin, or go on; `instances` are those whose addresses are here."""
        self._continuity.begin(self._services, instances)
        for name, commands in self.undo.items():
            self._journal.note_service(name, commands)
        for service in self._services.values():
            await service.start()
        self._continuity.update()

    async def stop(self) -> None:
        """End."""
        for service in self._services.values():
            await service.stop()


def _tell(plugin: str, hears: Callable[[str, Any], None], instance: str, what: object) -> None:
    """A mistake of a plugin costs a line in the log, and never an advertisement."""
    try:
        hears(instance, what)
    except Exception:
        _LOG.exception("plugin %s: %s(%s, %s) failed", plugin, hears.__name__, instance, what)
