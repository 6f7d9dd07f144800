"""What the plugins run for one configuration."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.model import Config
from pyvrrp.daemon.plugins import (
    Commandable,
    CommandRefused,
    Follower,
    Gate,
    Plugin,
    Service,
    TrackerSpec,
)

_LOG = logging.getLogger("pyvrrp")


class Services:
    """The service of each plugin; another configuration needs others."""

    def __init__(self, plugins: Sequence[Plugin], config: Config) -> None:
        self._services = {plugin.name: plugin.configure(config, Diagnostics()) for plugin in plugins}

    @property
    def by_name(self) -> Mapping[str, Service]:
        """Each by its plugin's name."""
        return self._services

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
                try:
                    service.hold(instance, held)
                except Exception:
                    _LOG.exception("plugin %s: hold(%s, %s) failed", name, instance, held)

    async def command(self, plugin: str, words: Sequence[str]) -> object:
        """Have a plugin carry out a command; raises CommandRefused."""
        service: object = self._services.get(plugin)
        if not isinstance(service, Commandable):
            known = ", ".join(sorted(name for name, each in self._services.items() if isinstance(each, Commandable)))
            raise CommandRefused(f"there is no plugin {plugin!r} that takes commands; there are: {known or 'none'}")
        return await service.command(words)

    async def start(self) -> None:
        """Begin."""
        for service in self._services.values():
            await service.start()

    async def stop(self) -> None:
        """End."""
        for service in self._services.values():
            await service.stop()
