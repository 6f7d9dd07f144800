"""Statements to the model: the top level, resources and connections."""

from __future__ import annotations

from dataclasses import replace

from drbdctl.drbd_conf.hosts import Volumes, check_complete, read_host
from drbdctl.drbd_conf.lexer import Token
from drbdctl.drbd_conf.model import Config, Connection, End, Host, Naming, Option, Options, Origin, Resource
from drbdctl.drbd_conf.reader import Source, Statement
from drbdctl.drbd_conf.sections import SECTION_NAMES, Collector, children, split, unknown
from drbdctl.drbd_conf.values import HIGHEST_VOLUME, address, number
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.suggest import did_you_mean

TOP_WORDS = ("global", "common", "resource", "include", "skip")
RESOURCE_WORDS = (
    *("protocol", "device", "disk", "meta-disk", "flexible-meta-disk", "volume", "on", "floating", "stacked-on-top-of"),
    *("net", "syncer", "startup", "handlers", "options", "proxy", "connection", "connection-mesh", "template-file"),
    *("skip", "ignore-on"),
)
CONNECTION_WORDS = ("host", "hosts", "path", "net", "disk", "volume", "skip")
_VOLUME_WORDS = ("device", "disk", "meta-disk", "flexible-meta-disk")


def build(source: Source, diagnostics: Diagnostics) -> Config:
    """The model of what was read."""
    general, common = Collector(diagnostics), Collector(diagnostics)
    resources: dict[str, Resource] = {}
    requirements: list[Option] = []
    once: dict[str, Statement] = {}
    known = frozenset(TOP_WORDS)
    for top in source.statements:
        for statement in split(top, known, diagnostics):
            at = statement.position
            if statement.name in ("global", "common"):
                if (first := once.setdefault(statement.name, statement)) is not statement:
                    diagnostics.error(
                        at,
                        "duplicate-section",
                        f"there is a {statement.name} already at {first.position}",
                        "join the two",
                    )
                if resources and statement.name == "global":
                    diagnostics.warning(at, "late-global", "global should come before the resources", "move it up")
            match statement.name:
                case "global" if statement.body is not None:
                    general.read(statement)
                case "common" if statement.body is not None:
                    _read_common(statement, common, diagnostics)
                case "resource" if statement.body is not None and len(statement.arguments) == 1:
                    resource = _Reader(statement, diagnostics).read()
                    if resource.name in resources:
                        first_at = resources[resource.name].origin.position
                        diagnostics.error(
                            at,
                            "duplicate-resource",
                            f"{resource.name} exists already at {first_at}",
                            "rename one of them",
                        )
                    resources.setdefault(resource.name, resource)
                case "global" | "common" | "resource":
                    hint = "write resource NAME { ... }" if statement.name == "resource" else "write its block"
                    diagnostics.error(at, "bad-block", f"{statement.name} is incomplete", hint)
                case name if name.startswith("require-drbd-module-version-"):
                    value = " ".join(word.text for word in statement.arguments)
                    requirements.append(Option(name, value, Origin(at)))
                case _:
                    _unknown_at_top(statement, diagnostics)
    return Config(tuple(resources.values()), common.settings(), general.options("global"), tuple(requirements))


def _unknown_at_top(statement: Statement, diagnostics: Diagnostics) -> None:
    meant = did_you_mean(statement.name, TOP_WORDS)
    if statement.name in RESOURCE_WORDS and not meant:
        unknown(statement, TOP_WORDS, "the top level", diagnostics)
        return
    hint = f"did you mean {meant}?" if meant else f"known here: {', '.join(TOP_WORDS)}"
    diagnostics.error(
        statement.position, "unknown-keyword", f"{statement.name[:40]!r} is no keyword of the top level", hint
    )


def _read_common(statement: Statement, collector: Collector, diagnostics: Diagnostics) -> None:
    for child in children(statement, (*SECTION_NAMES, "protocol"), diagnostics):
        if child.name == "protocol":
            collector.protocol(child)
        elif child.name in SECTION_NAMES and child.body is not None:
            collector.read(child)
        else:
            unknown(child, SECTION_NAMES, "common", diagnostics)


class _Reader:
    """One resource."""

    def __init__(self, statement: Statement, diagnostics: Diagnostics) -> None:
        self._statement = statement
        self._diagnostics = diagnostics
        self._collector = Collector(diagnostics)
        self._volumes = Volumes(diagnostics)
        self._hosts: list[Statement] = []
        self._connections: list[Connection] = []
        self._template = ""

    def read(self) -> Resource:
        for child in children(self._statement, RESOURCE_WORDS, self._diagnostics):
            self._child(child)
        hosts: list[Host] = []
        for statement in self._hosts:
            host = read_host(statement, self._volumes.found, self._diagnostics)
            if host is not None:
                hosts.append(host)
        position = self._statement.position
        self._check_hosts(hosts)
        comments = tuple(each.text for each in self._statement.comments)
        return Resource(
            self._statement.arguments[0].text,
            tuple(hosts),
            tuple(self._connections),
            self._collector.settings(),
            self._template,
            Origin(position, comments),
        )

    def _child(self, child: Statement) -> None:
        match child.name:
            case "protocol":
                self._collector.protocol(child)
            case "on" | "floating" | "stacked-on-top-of":
                self._hosts.append(child)
            case "volume":
                self._volumes.read_volume(child)
            case "connection" | "connection-mesh":
                self._connections.append(self._connection(child))
            case name if name in SECTION_NAMES and child.body is not None:
                self._collector.read(child)
            case name if name in _VOLUME_WORDS:
                self._volumes.read_word(child)
            case "template-file":
                self._template = " ".join(word.text for word in child.arguments)
                self._diagnostics.warning(
                    child.position,
                    "template-not-read",
                    f"the template {self._template} is not read",
                    "check it yourself",
                )
            case "ignore-on":
                self._diagnostics.warning(
                    child.position, "gone-keyword", "ignore-on: the host sections say it already", "remove it"
                )
            case "skip":
                pass
            case _:
                unknown(child, RESOURCE_WORDS, "resource", self._diagnostics)

    def _check_hosts(self, hosts: list[Host]) -> None:
        at = self._statement.position
        seen: set[str] = set()
        for host in hosts:
            check_complete(host, at, connections=bool(self._connections), diagnostics=self._diagnostics)
            for name in host.names if host.naming is Naming.ON else ():
                if name in seen:
                    self._diagnostics.error(
                        host.origin.position, "duplicate-host", f"there is an on {name} already", "remove one of them"
                    )
                seen.add(name)
        if len(hosts) < 2 and not self._template:
            self._diagnostics.error(
                at, "too-few-hosts", f"a resource has at least two hosts, not {len(hosts)}", "add the other `on` block"
            )
        ids = [host.node_id for host in hosts if host.node_id is not None]
        if ids and len(ids) < len(hosts):
            self._diagnostics.error(
                at, "node-id-missing", "some hosts have a node-id and some have none", "give one to each"
            )
        if len(set(ids)) < len(ids):
            self._diagnostics.error(at, "duplicate-node-id", "two hosts have one node-id", "make them differ")

    def _connection(self, statement: Statement) -> Connection:
        collector = Collector(self._diagnostics)
        paths: list[tuple[End, ...]] = []
        direct: list[End] = []
        mesh: tuple[str, ...] = ()
        volumes: dict[int, Options] = {}
        for child in children(statement, CONNECTION_WORDS, self._diagnostics):
            match child.name:
                case "host":
                    direct += self._end(child)
                case "hosts":
                    mesh = tuple(word.text for word in child.arguments)
                case "path" if child.body is not None:
                    ends = [self._end(each) for each in children(child, ("host",), self._diagnostics)]
                    paths.append(tuple(end for several in ends for end in several))
                case "net" | "disk" if child.body is not None:
                    collector.read(child)
                case "volume" if child.body is not None and child.arguments:
                    self._connection_volume(child, volumes)
                case "skip":
                    pass
                case _:
                    unknown(child, CONNECTION_WORDS, "connection", self._diagnostics)
        if direct:
            paths.insert(0, tuple(direct))
        if any(len(path) != 2 for path in paths) or not (paths or mesh):
            self._diagnostics.error(
                statement.position,
                "bad-connection",
                "a connection has two hosts",
                "write host A address ...; host B ...;",
            )
        origin = Origin(statement.position, tuple(each.text for each in statement.comments))
        return Connection(tuple(paths), mesh, collector.settings(), tuple(sorted(volumes.items())), origin)

    def _connection_volume(self, statement: Statement, volumes: dict[int, Options]) -> None:
        which = number(statement.arguments[0], 0, HIGHEST_VOLUME, "volume", self._diagnostics)
        collector = Collector(self._diagnostics)
        for child in children(statement, ("disk",), self._diagnostics):
            if child.name == "disk" and child.body is not None:
                collector.read(child)
            else:
                unknown(child, ("disk",), "a connection's volume", self._diagnostics)
        if which is not None:
            volumes[which] = collector.options("disk")

    def _end(self, statement: Statement) -> list[End]:
        words = statement.arguments
        if statement.name != "host" or not words:
            unknown(statement, ("host",), "path", self._diagnostics)
            return []
        name, rest = words[0].text, words[1:]
        found, port = None, None
        if rest and rest[0].text == "address":
            found = address(_with_port(rest[1:]), statement.position, self._diagnostics)
        elif len(rest) == 2 and rest[0].text == "port":
            port = number(rest[1], 1, 65_535, "port", self._diagnostics)
        elif rest:
            self._diagnostics.error(
                rest[0].position, "bad-connection", f"host {name}: {rest[0].text[:40]} is neither address nor port",
                "write host NAME address IP:PORT",
            )  # fmt: skip
        return [End(name, found, port)]


def _with_port(words: list[Token]) -> list[Token]:
    """`IP port N` (newer 9) as `IP:N`."""
    if len(words) > 2 and words[-2].text == "port":
        return [*words[:-2], replace(words[-1], text=f":{words[-1].text}")]
    return words
