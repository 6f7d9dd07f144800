"""The block `local_real_server { }`: this node answers for the addresses of balancers, on lo or by redirection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyvrrp.config.diagnostics import Diagnostics, Position
from pyvrrp.config.keywords import Keyword
from pyvrrp.config.semantics import numbers
from pyvrrp.config.semantics.values import Values
from pyvrrp.config.statements import Statement, Word
from pyvrrp.config.suggest import did_you_mean
from pyvrrp.config.tables.shorthand import flag, lines, used
from pyvrrp.core.events import IPAddress

LOCAL_REAL_SERVER = "local_real_server"
DNS_PORT = 53
KEYWORDS: tuple[Keyword, ...] = (
    Keyword(
        name=LOCAL_REAL_SERVER,
        words=(0, 0),
        body=(lines("virtual_ipaddress"), used("port", 1, None), flag("redirect"), lines("track_dns")),
        inline=True,
        repeatable=True,
        alone=True,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRealServer:
    """Addresses that this node answers for although balancers hold them."""

    vips: tuple[IPAddress, ...]
    ports: tuple[int, ...] = (DNS_PORT,)
    redirect: bool = False
    "by an nft rule instead of an address on lo"
    tracks: tuple[str, ...] = ()
    "vrrp_dns_checks by name: while one of them fails, the addresses are withdrawn"
    position: Position


def unusable(vip: IPAddress) -> str:
    """Why an address can't be a balancer's; empty when it can."""
    if vip.is_loopback or vip.is_unspecified:
        return "no balancer can hold it"
    if vip.is_multicast:
        return "a multicast address has no holder"
    if vip.is_link_local:
        return "a link-local address means another host on each link"
    return ""


def read_blocks(
    blocks: Sequence[Statement], checks: Mapping[str, IPAddress], diagnostics: Diagnostics
) -> list[LocalRealServer]:
    """Read the blocks of a file; `checks` has the vrrp_dns_checks by name, with the address that each one asks.

    An address or check that can't be used is fatal: the node would answer for less than was meant, or unchecked.
    """
    found = [_read(block, checks, diagnostics) for block in blocks]
    taken: dict[IPAddress, Position] = {}
    for server in found:
        for vip in server.vips:
            if vip in taken:
                message = f"{LOCAL_REAL_SERVER}: {vip} stands in the block at {taken[vip]} already"
                diagnostics.error(server.position, "duplicate-address", message, "keep one of them", fatal=True)
            taken[vip] = server.position
    return found


def _read(block: Statement, checks: Mapping[str, IPAddress], diagnostics: Diagnostics) -> LocalRealServer:
    values = Values(LOCAL_REAL_SERVER, block.body or (), diagnostics, block.position)
    vips = [vip for line in values.lines("virtual_ipaddress") if (vip := _vip(line, values)) is not None]
    if not vips:
        hint = "virtual_ipaddress { 192.0.2.53 }"
        values.error(block.position, "no-address", "it has no virtual_ipaddress", hint, fatal=True)
    server = LocalRealServer(
        vips=tuple(dict.fromkeys(vips)),
        ports=_ports(values) or (DNS_PORT,),
        redirect=values.has("redirect"),
        tracks=tuple(dict.fromkeys(line.name for line in values.lines("track_dns"))),
        position=block.position,
    )
    for line in values.lines("track_dns"):
        _judge_track(line, server, checks, values)
    return server


def _vip(line: Statement, values: Values) -> IPAddress | None:
    """`ADDRESS`, or with /32 or /128; anything else is reported."""
    text, slash, length = line.name.partition("/")
    vip = numbers.address(text)
    if line.arguments:
        extra = line.arguments[0]
        values.error(extra.position, "extra-argument", f"'{extra}' after the address means nothing here", "remove it")
    if vip is None:
        hint = "write an IPv4 or IPv6 address"
        values.error(line.position, "bad-address", f"'{line.name}' is no IP address", hint, fatal=True)
        return None
    if slash and length != str(vip.max_prefixlen):
        message = f"'{line.name}': the address alone is held, not its subnet"
        values.error(line.position, "prefix-length", message, f"write {vip}", fatal=True)
    if why := unusable(vip):
        values.error(line.position, "bad-address", f"'{line.name}': {why}", "write the virtual address", fatal=True)
        return None
    return vip


def _ports(values: Values) -> tuple[int, ...]:
    words = [word for line in values.all("port") for word in line.arguments]
    return tuple(dict.fromkeys(port for word in words if (port := _port(word, values)) is not None))


def _port(word: Word, values: Values) -> int | None:
    port = numbers.whole(word.text)
    if port is not None and 1 <= port <= 65535:
        return port
    values.error(word.position, "bad-number", f"'port {word}' is not a whole number in 1-65535", fatal=True)
    return None


def _judge_track(line: Statement, server: LocalRealServer, checks: Mapping[str, IPAddress], values: Values) -> None:
    name = line.name
    if line.arguments:
        extra = line.arguments[0]
        message = f"'{extra}' after a check means nothing here: it withdraws the addresses, it has no weight"
        values.error(extra.position, "extra-argument", message, "remove it")
    if name not in checks:
        near = did_you_mean(name, checks)
        hint = f"did you mean '{near}'?" if near else f"define 'vrrp_dns_check {name} {{ ... }}'"
        message = f"track_dns: there is no vrrp_dns_check {name}"
        values.error(line.position, "undefined-name", message, hint, fatal=True)
    elif checks[name] in server.vips:
        message = f"vrrp_dns_check {name} asks {checks[name]}, which is not here once it is withdrawn"
        hint = "ask an address that stays on this node, such as 127.0.0.1"
        values.error(line.position, "server-is-virtual", message, hint, fatal=True)
