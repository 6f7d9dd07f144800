"""What dnslb adds to the daemon: the blocks it owns, the trackers it runs.

dnspython is imported only once a configuration has a block that needs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING

from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.keywords import Body, Keyword
from pyvrrp.config.model import Config
from pyvrrp.config.suggest import did_you_mean
from pyvrrp.daemon.plugins import Gate, TrackerSpec

if TYPE_CHECKING:
    from dnslb.health.block import CheckBlock
    from dnslb.health.tracker import DnsTracker

DNS_CHECK = "vrrp_dns_check"
DNS_TRACKER = "dns"
"the kind of `track_dns`"


def _value(name: str, fewest: int = 1, most: int | None = 1) -> Keyword:
    return Keyword(name=name, words=(fewest, most))


class DnsPlugin:
    """The entry point `dnslb`."""

    name = "dnslb"
    keywords: Sequence[Keyword] = (
        Keyword(
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
        ),
    )
    instance_keywords: Sequence[Keyword] = (Keyword(name="track_dns", body=Body.LINES, repeatable=True),)

    def configure(self, config: Config, diagnostics: Diagnostics) -> DnsService:
        """Read the `vrrp_dns_check` blocks, and see that each is tracked and each that is tracked is there."""
        statements = [statement for statement in config.plugin_blocks if statement.name == DNS_CHECK]
        tracks = [track for owner in (config.instances, config.sync_groups) for each in owner for track in each.tracks]
        tracked = [track for track in tracks if track.kind == DNS_TRACKER]
        defined = {statement.arguments[0].text for statement in statements if statement.arguments}
        for track in tracked:
            if track.name not in defined:
                message = f"track_dns: there is no {DNS_CHECK} {track.name}"
                near = did_you_mean(track.name, defined)
                hint = f"did you mean '{near}'?" if near else f"define '{DNS_CHECK} {track.name} {{ ... }}'"
                diagnostics.error(track.position, "undefined-name", message, hint, fatal=True)
        if not statements:
            return DnsService(())
        from dnslb.health.block import read_blocks
        from dnslb.health.tracker import DnsTracker

        blocks = read_blocks(statements, diagnostics)
        _warn(blocks, config, {track.name for track in tracked}, diagnostics)
        return DnsService([DnsTracker(block) for block in blocks])


def _warn(blocks: Sequence[CheckBlock], config: Config, tracked: Set[str], diagnostics: Diagnostics) -> None:
    """What runs, but hardly as meant."""
    virtual = {address.address for instance in config.instances for address in instance.virtual_addresses}
    for block in blocks:
        if block.check.server in virtual:
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


class DnsService:
    """The checks of one configuration; the daemon runs them as trackers."""

    def __init__(self, checks: Sequence[DnsTracker]) -> None:
        self._checks = checks
        self.trackers: Sequence[TrackerSpec] = [_spec(check) for check in checks]

    def gates(self, instance: str) -> Sequence[Gate]:
        """None: a DNS server runs on every node, whoever holds the address."""
        return ()

    async def start(self) -> None:
        """Nothing to do: the trackers are all of it."""

    async def stop(self) -> None:
        """Nothing to do: the trackers end by cancellation."""

    def status(self) -> Mapping[str, object]:
        """`checks`: by name, what each found last, when, how fast, how often."""
        return {"checks": {check.block.name: check.status() for check in self._checks}}


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
