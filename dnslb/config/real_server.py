"""real_server ADDRESS [PORT] { }."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnslb.config import endpoints, pace
from dnslb.config.endpoints import Refused
from dnslb.config.keywords import CHECKS_NOT_SUPPORTED
from dnslb.config.words import require_dr
from dnslb.forwarding import Protocol
from dnslb.health.blocks import read_checks
from dnslb.model import CheckDefaults, Endpoint, Pace, RealServer
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.model import Command
from pyvrrp.config.semantics.commands import notify_command
from pyvrrp.config.semantics.values import Values
from pyvrrp.config.statements import Statement

if TYPE_CHECKING:
    from dnslb.health.check import CheckGroup

_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}")
_LONGEST = 86400.0
MOST_TIERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """What a real_server has from its virtual_server where it says nothing itself."""

    ports: Sequence[int]
    "of the virtual server, the first is the one that is checked"
    protocols: frozenset[Protocol]
    weight: int
    weights_count: bool
    "False with `lb_algo rr`: every weight but 0 is 1"
    alpha: bool
    inhibit_on_failure: bool
    slow_start: float
    drain: float
    pace: Pace
    vip_check: bool


def weight(values: Values, default: int) -> int:
    """`weight N`, 0-65535."""
    return values.number("weight", 0, 65535, default)


def slow_start(values: Values, default: float) -> float:
    """`slow_start SECONDS`."""
    return values.seconds("slow_start", 0.0, _LONGEST, default)


def drain(values: Values, default: float) -> float:
    """`drain SECONDS`."""
    return values.seconds("drain", 0.0, _LONGEST, default)


def command(values: Values, keyword: str) -> Command | None:
    """The script of `notify_up` and its like."""
    statement = values.last(keyword)
    return notify_command(statement, values) if statement else None


def read(block: Statement, inherited: Inherited, diagnostics: Diagnostics) -> RealServer:
    """One real server; raises Refused when there is none that could be used, which has been reported."""
    owner = " ".join(("real_server", *(word.text for word in block.arguments)))
    values = Values(owner, block.body or (), diagnostics, block.position)
    address = endpoints.address(values, block.arguments[0])
    port = _port(values, block, inherited)
    if not require_dr(values, "lvs_method"):
        raise Refused
    written = weight(values, inherited.weight)
    alpha = values.switch("alpha", inherited.alpha)
    defaults = CheckDefaults(
        owner=owner,
        server=Endpoint(address, port),
        protocols=inherited.protocols,
        pace=pace.read(values, inherited.pace),
        alpha=alpha,
    )
    checks = _checks(block, values, defaults, inherited.vip_check)
    return RealServer(
        address=address,
        port=port,
        name=values.text("name") or str(address),
        weight=written if inherited.weights_count else min(written, 1),
        tier=values.number("tier", 0, MOST_TIERS - 1, 0),
        mac=_mac(values),
        inhibit_on_failure=values.switch("inhibit_on_failure", inherited.inhibit_on_failure),
        alpha=alpha and bool(checks),
        slow_start=slow_start(values, inherited.slow_start),
        drain=drain(values, inherited.drain),
        notify_up=command(values, "notify_up"),
        notify_down=command(values, "notify_down"),
        checks=checks,
        position=block.position,
    )


def _port(values: Values, block: Statement, inherited: Inherited) -> int:
    if len(block.arguments) < 2:
        return inherited.ports[0]
    word = block.arguments[1]
    port = endpoints.port(values, word)
    if port not in inherited.ports:
        wanted = " or ".join(map(str, inherited.ports))
        message = f"port {port} is not the virtual server's ({wanted}): with DR a packet keeps the port it was sent to"
        hint = f"let the server listen on port {wanted} and write it here; a check may have its own connect_port"
        values.error(word.position, "port-mismatch", message, hint, fatal=True)
        raise Refused
    return port


def _checks(block: Statement, values: Values, defaults: CheckDefaults, vip_check: bool) -> tuple[CheckGroup, ...]:
    checks = read_checks(block, defaults, values.diagnostics, vip_check=vip_check)
    if checks:
        return checks
    missing = [name for name in CHECKS_NOT_SUPPORTED if values.has(name)]
    if missing:
        message = f"its only check is {' and '.join(missing)}, without which it would get packets unchecked"
        values.error(block.position, "unchecked", message, "check it with DNS_CHECK or TCP_CHECK", fatal=True)
    else:
        message = "nothing checks it: it gets packets as long as its MAC address is known"
        values.warning(block.position, "unchecked", message, "add a DNS_CHECK { name ... } or a TCP_CHECK { }")
    return checks


def _mac(values: Values) -> bytes | None:
    word = values.word("mac")
    if word is None:
        return None
    if _MAC.fullmatch(word.text):
        mac = bytes.fromhex(word.text.replace("-", ":").replace(":", ""))
        if any(mac) and not mac[0] & 1:
            return mac
    message = f"'mac {word}' is no address of one interface, the server's own is asked for"
    values.error(word.position, "bad-mac", message, "write six bytes: mac 02:00:5e:10:00:01")
    return None
