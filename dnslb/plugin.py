"""What dnslb adds to the daemon: the blocks it owns, the trackers it runs, the balancer, the real server on this node.

Whatever needs dnspython is imported only once a configuration has a block that needs it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from dnslb import config as virtual_server
from dnslb.real_server import block as local_real_server
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.keywords import Body, Keyword
from pyvrrp.config.model import Config, Track
from pyvrrp.config.statements import Statement
from pyvrrp.config.suggest import did_you_mean
from pyvrrp.daemon.plugins import CommandRefused, Gate, TrackerSpec

if TYPE_CHECKING:
    from dnslb.balancer.running import Running
    from dnslb.balancer.setup import Setup
    from dnslb.health.tracker import DnsTracker
    from dnslb.health.vrrp_dns_check import CheckBlock
    from dnslb.real_server.holdings import Holdings
    from dnslb.real_server.service import RealServerService
    from pyvrrp.core.metrics import Family
    from pyvrrp.core.report import Entry

DNS_CHECK = "vrrp_dns_check"
DNS_TRACKER = "dns"
"the kind of `track_dns`"
VIRTUAL_SERVER_TRACKER = "virtual_server"
"the kind of `track_virtual_server`"


def _value(name: str, fewest: int = 1, most: int | None = 1) -> Keyword:
    return Keyword(name=name, words=(fewest, most))


_DNS_CHECK = Keyword(
    name=DNS_CHECK,
    words=(1, 1),
    body=(
        _value("server"),
        _value("port"),
        _value("name"),
        _value("type"),
        _value("protocol"),
        _value("interval"),
        _value("timeout"),
        _value("rise"),
        _value("fall"),
        _value("weight", 1, 2),
        _value("expect_rcode", 1, None),
        _value("expect_answer", 1, None),
        _value("recursion", 0, 1),
        _value("edns", 0, 1),
    ),
    inline=True,
    repeatable=True,
)


class DnsPlugin:
    """The entry point `dnslb`; it lives as long as the daemon, and with it what a reload must not interrupt."""

    name = "dnslb"
    keywords: Sequence[Keyword] = (_DNS_CHECK, *virtual_server.KEYWORDS, *local_real_server.KEYWORDS)
    instance_keywords: Sequence[Keyword] = (
        Keyword(name="track_dns", body=Body.LINES, repeatable=True),
        Keyword(name="track_virtual_server", body=Body.LINES, repeatable=True),
    )

    def __init__(self) -> None:
        self._running: Running | None = None
        self._holdings: Holdings | None = None

    def configure(self, config: Config, diagnostics: Diagnostics) -> DnsService:
        """Read its blocks, and see that each that is tracked is there."""
        checks = _blocks(config, DNS_CHECK)
        _undefined(config, DNS_TRACKER, DNS_CHECK, _names(checks), diagnostics)
        trackers = self._checks(checks, config, diagnostics) if checks else []
        specs = [_spec(check) for check in trackers]
        real_server = self._real_server(config, trackers, specs, diagnostics)
        if real_server is not None:
            specs = list(real_server.trackers)
        setup, running = self._balancing(config, diagnostics)
        if running is not None and setup is not None:
            tracked = _tracked(config, VIRTUAL_SERVER_TRACKER)
            specs += [running.tracker(track.name) for track in {track.name: track for track in tracked}.values()]
        return DnsService(trackers, specs, real_server=real_server, setup=setup, running=running)

    def _checks(self, blocks: Sequence[Statement], config: Config, diagnostics: Diagnostics) -> list[DnsTracker]:
        from dnslb.health.tracker import DnsTracker
        from dnslb.health.vrrp_dns_check import read_blocks

        found = read_blocks(blocks, diagnostics)
        local = [line.name for block in _blocks(config, local_real_server.LOCAL_REAL_SERVER)
                 for each in block.body or () if each.name == "track_dns" for line in each.body or ()]  # fmt: skip
        tracked = {track.name for track in _tracked(config, DNS_TRACKER)}.union(local)
        _warn(found, config, tracked, diagnostics)
        return [DnsTracker(block) for block in found]

    def _real_server(
        self,
        config: Config,
        checks: Sequence[DnsTracker],
        specs: Sequence[TrackerSpec],
        diagnostics: Diagnostics,
    ) -> RealServerService | None:
        blocks = _blocks(config, local_real_server.LOCAL_REAL_SERVER)
        if not blocks:
            return None
        from dnslb.real_server.holdings import Holdings
        from dnslb.real_server.service import RealServerService

        asked = {check.block.name: check.block.check.server for check in checks}
        found = local_real_server.read_blocks(blocks, asked, diagnostics)
        self._holdings = self._holdings or Holdings()
        return RealServerService(found, self._holdings, specs)

    def _balancing(self, config: Config, diagnostics: Diagnostics) -> tuple[Setup | None, Running | None]:
        """None and None where there never was anything to balance; a reload may have taken the last one away."""
        servers = virtual_server.read(config, diagnostics) if _blocks(config, "virtual_server") else ()
        names = {server.name for server in servers}
        _undefined(config, VIRTUAL_SERVER_TRACKER, "virtual_server of the name", names, diagnostics)
        if not servers and self._running is None:
            return None, None
        from dnslb.balancer.running import Running
        from dnslb.balancer.setup import setup

        self._running = self._running or Running()
        return setup(config, servers, diagnostics), self._running


class DnsService:
    """What one configuration wants; the daemon runs its trackers."""

    def __init__(
        self,
        checks: Sequence[DnsTracker],
        trackers: Sequence[TrackerSpec],
        *,
        real_server: RealServerService | None = None,
        setup: Setup | None = None,
        running: Running | None = None,
    ) -> None:
        self._checks = checks
        self._real_server = real_server
        self._setup = setup
        self._running = running
        self.trackers = trackers

    @property
    def undo(self) -> Sequence[Sequence[str]]:
        """See pyvrrp.daemon.plugins.Undoable; what the balancer holds, the kernel gives back."""
        return () if self._real_server is None else self._real_server.undo

    def gates(self, instance: str) -> Sequence[Gate]:
        """None: a DNS server runs on every node, whoever holds the address."""
        return ()

    async def start(self) -> None:
        """Begin, or go on where the service of the configuration before is."""
        if self._running is not None and self._setup is not None:
            self._running.take(self, self._setup)
        if self._real_server is not None:
            await self._real_server.start()

    async def stop(self) -> None:
        """End what no other service has taken over."""
        if self._real_server is not None:
            await self._real_server.stop()
        if self._running is not None:
            await self._running.leave(self)

    def take_over(
        self, descriptors: Mapping[str, int], instances: Collection[str], changed: Callable[[], None]
    ) -> None:
        """See pyvrrp.daemon.plugins.Continued."""
        if self._running is not None:
            self._running.take_over(descriptors, instances, changed)
            return
        for descriptor in descriptors.values():  # of a configuration that had something to balance
            os.close(descriptor)

    def descriptors(self) -> Mapping[str, int]:
        """See pyvrrp.daemon.plugins.Continued."""
        return {} if self._running is None else self._running.descriptors()

    def hold(self, instance: str, held: bool) -> None:
        """See pyvrrp.daemon.plugins.Follower."""
        if self._running is not None:
            self._running.hold(instance, held)

    async def command(self, words: Sequence[str]) -> object:
        """See pyvrrp.daemon.plugins.Commandable."""
        if self._running is None:
            raise CommandRefused("the configuration has no virtual_server; nothing is balanced")
        return await self._running.command(words)

    def status(self) -> Mapping[str, object]:
        """`checks`: by name, what each found last; the local real server's `blocks`; the balancer's part."""
        found: dict[str, Any] = {"checks": {check.block.name: check.status() for check in self._checks}}
        problems: list[object] = []
        if self._real_server is not None:
            found |= self._real_server.status()
            problems += [f"real server: {found['problem']}"] if found["problem"] else []
        if self._running is not None:
            found |= self._running.status()
            problems += found.get("problems", ())
            found["summary"] = [*self._running.summary(), *self._real_server_summary()]
        return found | {"problems": problems}

    def metrics(self, status: Mapping[str, Any]) -> Iterator[Family]:
        """See pyvrrp.daemon.plugins.Measured."""
        from dnslb.metrics import families

        return families(status)

    def report(self, status: Mapping[str, Any]) -> Iterator[Entry]:
        """See pyvrrp.daemon.plugins.Reported."""
        from dnslb.report import entries

        return entries(status)

    def _real_server_summary(self) -> Iterator[str]:
        status: Mapping[str, Any] = {} if self._real_server is None else self._real_server.status()
        for block in status.get("blocks", []):
            yield f"real server for {', '.join(block['virtual_ipaddress'])}: {block['state']}"
        for finding in status.get("findings", []):
            yield f"{finding['subject']}: {finding['text']}; {finding['hint']}"
        if problem := status.get("problem"):
            yield f"real server: {problem}"


def _blocks(config: Config, name: str) -> list[Statement]:
    return [statement for statement in config.plugin_blocks if statement.name == name]


def _names(blocks: Sequence[Statement]) -> set[str]:
    return {block.arguments[0].text for block in blocks if block.arguments}


def _tracked(config: Config, kind: str) -> Iterator[Track]:
    owners = (config.instances, config.sync_groups)
    return (track for owner in owners for each in owner for track in each.tracks if track.kind == kind)


def _undefined(config: Config, kind: str, what: str, defined: Set[str], diagnostics: Diagnostics) -> None:
    """What is tracked and is not there."""
    for track in _tracked(config, kind):
        if track.name not in defined:
            near = did_you_mean(track.name, defined)
            hint = f"did you mean '{near}'?" if near else f"define '{what} {track.name} {{ ... }}'"
            message = f"track_{kind}: there is no {what} {track.name}"
            diagnostics.error(track.position, "undefined-name", message, hint, fatal=True)


def _warn(blocks: Sequence[CheckBlock], config: Config, tracked: Set[str], diagnostics: Diagnostics) -> None:
    """What runs, but hardly as meant."""
    for block in blocks:
        if block.check.server in config.vips:
            # A BACKUP would judge the MASTER's server, and with no MASTER no node could become one.
            message = f"{DNS_CHECK} {block.name}: {block.check.server} is a virtual address, which is not always here"
            hint = "ask an address that stays on this node, such as 127.0.0.1"
            diagnostics.warning(block.position, "server-is-virtual", message, hint)
        if block.name not in tracked:
            hint = f"write 'track_dns {{ {block.name} }}' in a vrrp_instance"
            diagnostics.warning(
                block.position,
                "unused-check",
                f"{DNS_CHECK} {block.name}: nothing tracks it, its result has no effect",
                hint,
            )


def _spec(check: DnsTracker) -> TrackerSpec:
    block = check.block
    return TrackerSpec(
        kind=DNS_TRACKER,
        name=block.name,
        run=check.run,
        weight=block.weight,
        reverse=block.reverse,
        rise=block.rise,
        fall=block.fall,
    )
