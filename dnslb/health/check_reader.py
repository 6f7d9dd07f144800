"""Check blocks -> checks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dnslb.config import pace
from dnslb.health import check_values, question_reader, values
from dnslb.health.check import Check, CheckGroup, Consequence, DnsProbe, MiscProbe, Probe, TcpProbe, VipProbe
from dnslb.health.lines import Lines
from dnslb.health.pace import Schedule
from dnslb.health.query import Binding
from dnslb.model import CheckDefaults, Endpoint, Pace
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.model import Command
from pyvrrp.config.semantics.commands import split
from pyvrrp.config.semantics.values import Values
from pyvrrp.config.statements import Statement, Word

TIMEOUT = 0.4
"seconds for an answer: a real server is on the same link"
FAST_INTERVAL = 0.25
"seconds from the start of a run that found a change to the start of the one that confirms it"
WARMUP = 1.0
"seconds: until then nothing is known of a server (keepalived: delay_loop)"
RISE = 2

_CHECKS = frozenset(("DNS_CHECK", "TCP_CHECK", "MISC_CHECK", "VIP_CHECK"))
_OF_KEEPALIVED = frozenset(
    ("type", "name", "connect_ip", "connect_port", "bindto", "bind_if", "bind_port", "fwmark", "misc_timeout", "user")
)
_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?")


def read(
    real_server: Statement, defaults: CheckDefaults, diagnostics: Diagnostics, *, vip_check: bool
) -> tuple[CheckGroup, ...]:
    """See dnslb.health.blocks.read_checks."""
    reader = _Reader(defaults, diagnostics)
    groups = list(reader.groups(real_server.body or ()))
    probes = [check.probe for group in groups for check in group.checks]
    network = any(isinstance(probe, DnsProbe | TcpProbe) for probe in probes)
    wanted = Lines(defaults.owner, real_server, diagnostics).get("vip_check", values.switch, vip_check)
    if wanted and network and not any(isinstance(probe, VipProbe) for probe in probes):
        groups += reader.groups([Statement(Word("VIP_CHECK", real_server.position), body=())])
    return tuple(groups)


class _Reader:
    """Reads the check blocks of one real server."""

    def __init__(self, defaults: CheckDefaults, diagnostics: Diagnostics) -> None:
        self._defaults = defaults
        self._diagnostics = diagnostics

    def groups(self, statements: Sequence[Statement]) -> Iterator[CheckGroup]:
        """Those of the block, in the order of the file."""
        for block in statements:
            if block.name == "check_group":
                yield from self._group(block)
            elif block.name in _CHECKS and (check := self._check(block)):
                yield CheckGroup(checks=(check,), consequence=self._consequence(self._lines(block)))

    def _group(self, block: Statement) -> Iterator[CheckGroup]:
        lines = self._lines(block)
        name = block.arguments[0].text
        members = [inner for inner in block.body or () if inner.name in _CHECKS]
        checks = tuple(check for check in map(self._check, members) if check)
        need = lines.get("need", values.whole(1, 1000), len(members))
        if not members:
            lines.refuse(block.position, "missing-check", f"check_group {name} has no check", "add a DNS_CHECK { ... }")
        elif need > len(members):
            message = f"check_group {name} needs {need} of {len(members)} checks, which can't be"
            lines.refuse(lines.at("need"), "bad-need", message, f"write need {len(members)} or less")
        for member in members:
            inner = self._lines(member)
            if "action" in inner:
                hint = "write it once in the check_group, beside 'need'"
                inner.warn("no-effect", f"action has no effect in check_group {name}", hint, "action")
        if checks and not lines.refused:
            yield CheckGroup(name=name, checks=checks, need=need, consequence=self._consequence(lines))

    def _check(self, block: Statement) -> Check | None:
        lines = self._lines(block)
        values_of_block = self._values(block)
        found = pace.read(values_of_block, self._defaults.pace)
        probe = self._probe(block, lines, found)
        latency = lines.get("latency", check_values.band, None)
        if probe is None or lines.refused:
            return None
        script = isinstance(probe, MiscProbe)
        rise = lines.get("rise", values.whole(1, 1000), 1 if script else RISE)
        return Check(probe=probe, schedule=schedule(found, rise=rise, retry=0 if script else 1), latency=latency)

    def _probe(self, block: Statement, lines: Lines, found: Pace) -> Probe | None:
        timeout = found.connect_timeout or min(TIMEOUT, max(found.delay_loop, 0.1))
        match block.name:
            case "DNS_CHECK":
                return question_reader.dns_probe(
                    lines, self._server(lines), self._defaults, timeout, self._binding(lines)
                )
            case "TCP_CHECK":
                return TcpProbe(self._server(lines), timeout, self._binding(lines))
            case "VIP_CHECK":
                return question_reader.vip_probe(lines, self._defaults, timeout)
            case _:
                return self._misc(block, lines, found)

    def _misc(self, block: Statement, lines: Lines, found: Pace) -> MiscProbe | None:
        values_of_block = self._values(block)
        path = values_of_block.last("misc_path")
        if path is None:
            hint = 'write misc_path "COMMAND"'
            lines.refuse(block.position, "missing-command", "it has no misc_path, so it can't pass", hint)
            return None
        word, *rest = path.arguments
        if rest:
            written = " ".join(each.text for each in path.arguments)
            message = f"only '{word}' is run, the words after it are ignored"
            hint = f'quote the command with its arguments: misc_path "{written}"'
            values_of_block.error(rest[0].position, "unquoted-command", message, hint)
        argv = split(word, values_of_block)
        if not argv:
            lines.refused = True
            return None
        user: tuple[str, ...] = lines.get("user", _account, ())
        return MiscProbe(
            server=self._defaults.server,
            command=Command(argv, *user),
            timeout=lines.get("misc_timeout", values.seconds(0.01, 3600), found.delay_loop),
            dynamic="misc_dynamic" in lines,
        )

    def _server(self, lines: Lines) -> Endpoint:
        own = self._defaults.server
        return Endpoint(
            lines.get("connect_ip", values.address, own.address),
            lines.get("connect_port", values.whole(1, 65535), own.port),
        )

    def _binding(self, lines: Lines) -> Binding:
        source = lines.get("bindto", values.address, None)
        if source is not None and source.version != self._server(lines).address.version:
            message = f"bindto {source} is of another family than the server, the kernel chooses the source"
            lines.warn("family-mismatch", message, "write an address of the server's family", "bindto")
            source = None
        return Binding(
            source=source,
            interface=lines.get("bind_if", check_values.interface, None),
            port=lines.get("bind_port", values.whole(1, 65535), 0),
            fwmark=lines.get("fwmark", values.whole(0, 2**31 - 1), 0),
        )

    def _consequence(self, lines: Lines) -> Consequence:
        return lines.get("action", check_values.action, Consequence())

    def _lines(self, block: Statement) -> Lines:
        return Lines(f"{self._defaults.owner}: {block.name}", block, self._diagnostics, _OF_KEEPALIVED)

    def _values(self, block: Statement) -> Values:
        owner = f"{self._defaults.owner}: {block.name}"
        return Values(owner, block.body or (), self._diagnostics, block.position)


def schedule(found: Pace, *, rise: int, retry: int) -> Schedule:
    """The pace of a check whose own defaults are `rise` and `retry`; fast_interval goes before delay_before_retry."""
    interval = found.delay_loop
    return Schedule(
        interval=interval,
        fast_interval=FAST_INTERVAL if found.fast_interval is None else found.fast_interval,
        retry_delay=found.delay_before_retry if found.fast_interval is None else None,
        longest=interval if found.back_off is None else found.back_off,
        rise=rise,
        fall=1 + (retry if found.retry is None else found.retry),
        warmup=min(interval, WARMUP) if found.warmup is None else found.warmup,
    )


def _account(line: Statement) -> tuple[str, ...]:
    words = values.several(line)
    for word in words:
        if not _ACCOUNT.fullmatch(word.text):
            raise values.BadValue(word.position, "bad-account", f"'{word}' is no user's or group's name")
    return tuple(word.text for word in words)
