"""A configuration made fit for DRBD 8.4 or 9: what that version lacks is taken out, and each loss is told."""

from __future__ import annotations

from dataclasses import replace

from drbdctl.drbd_conf.keywords import SECTIONS, Version
from drbdctl.drbd_conf.model import Config, Connection, Host, Naming, Option, Options, Resource, Settings, Volume
from pyvrrp.config.diagnostics import Diagnostics, Position


def fit(config: Config, version: Version, diagnostics: Diagnostics) -> Config:
    """The configuration as `version` can say it; errors where it can't be said at all."""
    fitter = _Fitter(version, diagnostics)
    return Config(
        tuple(fitter.resource(each) for each in config.resources),
        fitter.settings(config.common),
        fitter.options("global", config.general),
        config.requirements if version is Version.V9 else (),
    )


class _Fitter:
    def __init__(self, version: Version, diagnostics: Diagnostics) -> None:
        self._version = version
        self._diagnostics = diagnostics

    def resource(self, resource: Resource) -> Resource:
        changed = replace(
            resource,
            settings=self.settings(resource.settings),
            hosts=tuple(self._host(each) for each in resource.hosts),
            connections=tuple(self._connection(each) for each in resource.connections),
        )
        return self._with_node_ids(changed) if self._version is Version.V9 else self._for_two(changed)

    def settings(self, settings: Settings) -> Settings:
        return Settings(
            self.options("net", settings.net),
            self.options("disk", settings.disk),
            self.options("options", settings.options),
            self.options("startup", settings.startup),
            self.options("handlers", settings.handlers),
            settings.proxy,
        )

    def options(self, section: str, options: Options) -> Options:
        return Options(tuple(each for each in options if self._keeps(section, each)))

    def _keeps(self, section: str, option: Option) -> bool:
        kept = self._version in SECTIONS[section][option.name].versions
        if not kept:
            self._lost(option.position, f"{section} {{ {option.name} {option.value}; }}")
        return kept

    def _lost(self, at: Position, what: str) -> None:
        self._diagnostics.warning(
            at, "not-in-version", f"DRBD {self._version.value} has no {what}", "it is left out: see whether you need it"
        )

    def _host(self, host: Host) -> Host:
        if self._version is Version.V9 and host.alternate_link_address:
            self._lost(host.origin.position, "alternate-link-address")
            host = replace(host, alternate_link_address="")
        volumes = tuple(self._volume(each) for each in host.volumes)
        return replace(host, volumes=volumes, settings=self.settings(host.settings))

    def _volume(self, volume: Volume) -> Volume:
        if volume.tiebreaker and self._version is Version.V84:
            self._lost(volume.origin.position, f"tiebreaker {volume.tiebreaker}")
            volume = replace(volume, tiebreaker="")
        return replace(volume, options=self.options("disk", volume.options))

    def _connection(self, connection: Connection) -> Connection:
        volumes = tuple((number, self.options("disk", options)) for number, options in connection.volumes)
        return replace(connection, settings=self.settings(connection.settings), volumes=volumes)

    def _with_node_ids(self, resource: Resource) -> Resource:
        """9 knows its nodes by number; an old file has none."""
        if any(host.node_id is not None for host in resource.hosts):
            return resource
        if any(host.naming is Naming.STACKED for host in resource.hosts):
            self._diagnostics.warning(
                resource.origin.position,
                "stacked-in-9",
                f"{resource.name}: DRBD 9 replaces stacking by a third host",
                "consider three hosts in one resource in place of two resources",
            )
        self._diagnostics.warning(
            resource.origin.position,
            "node-ids-given",
            f"{resource.name}: node-id 0, 1, ... in the order of the hosts",
            "if drbdadm 9 has written meta data for this file before, take the ids that `drbdadm dump` shows",
        )
        return replace(resource, hosts=tuple(replace(host, node_id=at) for at, host in enumerate(resource.hosts)))

    def _for_two(self, resource: Resource) -> Resource:
        """8.4 has two hosts, one connection between them and no node-id."""
        at = resource.origin.position
        if len(resource.hosts) > 2:
            self._diagnostics.error(
                at, "too-many-hosts", f"{resource.name} has {len(resource.hosts)} hosts, 8.4 has two", "stay with 9"
            )
        for host in resource.hosts:
            if host.node_id is not None:
                self._lost(host.origin.position, f"node-id {host.node_id}")
        hosts = tuple(replace(host, node_id=None) for host in resource.hosts)
        if len(resource.connections) == 1:
            return self._without_connection(replace(resource, hosts=hosts), resource.connections[0])
        if resource.connections:
            self._diagnostics.error(
                at, "too-many-connections", f"{resource.name} has several connections", "stay with 9"
            )
        return replace(resource, hosts=hosts)

    def _without_connection(self, resource: Resource, connection: Connection) -> Resource:
        """What the one connection says, said by the hosts and the resource."""
        at = connection.origin.position
        if len(connection.paths) > 1:
            self._diagnostics.error(at, "too-many-paths", f"{resource.name} has two paths, 8.4 has one", "stay with 9")
        if connection.volumes:
            self._lost(at, "connection { volume { disk { } } }")
        ends = {end.host: end.address for path in connection.paths[:1] for end in path}
        hosts = tuple(
            replace(host, address=next((ends[name] for name in host.names if ends.get(name)), host.address))
            for host in resource.hosts
        )
        for host in hosts:
            if host.address is None:
                self._diagnostics.error(
                    at, "no-address", f"{resource.name}: {host} has no address", "write it in its `on`"
                )
        settings = connection.settings.over(resource.settings)
        return replace(resource, hosts=hosts, connections=(), settings=settings)
