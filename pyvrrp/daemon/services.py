"""What the plugins run for one configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.model import Config
from pyvrrp.daemon.plugins import Gate, Plugin, Service, TrackerSpec


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

    async def start(self) -> None:
        """Begin."""
        for service in self._services.values():
            await service.start()

    async def stop(self) -> None:
        """End."""
        for service in self._services.values():
            await service.stop()
