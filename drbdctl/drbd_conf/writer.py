"""The model as text in the syntax of 8.4 or 9: one file, no includes, comments before what they were written at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from drbdctl.drbd_conf.keywords import SECTIONS, Plain, Version
from drbdctl.drbd_conf.lexer import quoted
from drbdctl.drbd_conf.model import (
    Config,
    Connection,
    Host,
    Naming,
    Options,
    Origin,
    Raw,
    Resource,
    Settings,
    Volume,
)

_INDENT = "  "
_FLAGS = frozenset(name for section in SECTIONS.values() for name, each in section.items() if each.value is Plain.FLAG)
_NAMES = frozenset({"become-primary-on"})


def write(config: Config, version: Version) -> str:
    """The whole configuration."""
    lines: list[str] = [f"{each.name} {each.value};" for each in config.requirements]
    if config.general:
        lines += _block("global", _options(config.general))
    if common := list(_settings(config.common, version)):
        lines += _block("common", common)
    for resource in config.resources:
        lines += [
            *_comments(resource.origin),
            *_block(f"resource {quoted(resource.name)}", _resource(resource, version)),
        ]
    return "\n".join(lines) + "\n"


def _block(head: str, body: Iterable[str]) -> Iterator[str]:
    yield f"{head} {{"
    yield from (_INDENT + line for line in body)
    yield "}"


def _comments(origin: Origin) -> Iterator[str]:
    yield from (f"# {text}".rstrip() for text in origin.comments)


def _options(options: Options) -> Iterator[str]:
    for option in sorted(options, key=lambda each: each.position):
        yield from _comments(option.origin)
        if option.name in _FLAGS:
            yield f"{option.name};"
        else:
            yield f"{option.name} {option.value if option.name in _NAMES else quoted(option.value)};"


def _settings(settings: Settings, version: Version) -> Iterator[str]:
    net, disk = settings.net, settings.disk
    fencing = net.get("fencing")
    if fencing is not None and version is Version.V84:
        net = Options(tuple(each for each in net if each is not fencing))
        disk = Options((*disk.items, fencing))
    sections = {"net": net, "disk": disk, "options": settings.options, "startup": settings.startup}
    for name, options in {**sections, "handlers": settings.handlers}.items():
        if options:
            yield from _block(name, _options(options))
    if settings.proxy:
        yield from _block("proxy", (line for each in settings.proxy for line in _raw(each)))


def _raw(raw: Raw) -> Iterator[str]:
    words = " ".join(quoted(word) for word in raw.words)
    if raw.body is None:
        yield f"{words};"
    else:
        yield from _block(words, (line for each in raw.body for line in _raw(each)))


def _resource(resource: Resource, version: Version) -> Iterator[str]:
    if resource.template:
        yield f"template-file {quoted(resource.template)};"
    yield from _settings(resource.settings, version)
    for host in resource.hosts:
        yield from _comments(host.origin)
        yield from _block(_host_head(host), _host(host, version))
    for connection in resource.connections:
        yield from _comments(connection.origin)
        yield from _block("connection-mesh" if connection.mesh else "connection", _connection(connection, version))


def _host_head(host: Host) -> str:
    if host.naming is Naming.FLOATING:
        return f"floating {host.address}"
    return f"{host.naming.value} {' '.join(quoted(name) for name in host.names)}"


def _host(host: Host, version: Version) -> Iterator[str]:
    if host.node_id is not None:
        yield f"node-id {host.node_id};"
    implicit = [volume.number for volume in host.volumes] == [0] and not host.volumes[0].options
    for volume in host.volumes:
        yield from _comments(volume.origin)
        if implicit:
            yield from _volume(volume)
        else:
            yield from _block(f"volume {volume.number}", _volume(volume))
    if host.address is not None and host.naming is not Naming.FLOATING:
        yield f"address {host.address};"
    if host.alternate_link_address:
        yield f"alternate-link-address {host.alternate_link_address};"
    yield from _settings(host.settings, version)
    yield from (line for each in host.proxy for line in _raw(each))


def _volume(volume: Volume) -> Iterator[str]:
    if volume.minor is not None:
        path = "" if not volume.device else f"{quoted(volume.device)} "
        bare = volume.device == f"/dev/drbd{volume.minor}"
        yield f"device {volume.device};" if bare else f"device {path}minor {volume.minor};"
    if volume.disk:
        yield f"disk {quoted(volume.disk)};"
    if volume.meta_disk:
        name, bracket, index = volume.meta_disk.partition("[")
        yield f"meta-disk {quoted(name)}{bracket}{index};"
    if volume.tiebreaker:
        yield f"tiebreaker {volume.tiebreaker};"
    if volume.options:
        yield from _block("disk", _options(volume.options))


def _connection(connection: Connection, version: Version) -> Iterator[str]:
    if connection.mesh:
        yield f"hosts {' '.join(quoted(name) for name in connection.mesh)};"
    for path in connection.paths:
        ends = []
        for end in path:
            where = f" address {end.address}" if end.address else f" port {end.port}" if end.port else ""
            ends.append(f"host {quoted(end.host)}{where};")
        yield from ends if len(connection.paths) == 1 else _block("path", ends)
    yield from _settings(connection.settings, version)
    for number, options in connection.volumes:
        yield from _block(f"volume {number}", _block("disk", _options(options)))
