"""virtual_server ADDRESS PORT | group NAME { }."""

from __future__ import annotations

from collections.abc import Mapping

from dnslb.config import endpoints, limits, pace, real_server, spread
from dnslb.config.endpoints import Refused
from dnslb.config.keywords import REAL_SERVER
from dnslb.config.real_server import Inherited
from dnslb.config.words import choice, instead, require_dr
from dnslb.forwarding import Protocol
from dnslb.model import DRAIN, Endpoint, Engine, Pace, RealServer, SorryServer, VirtualServer
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.semantics.values import Values
from pyvrrp.config.statements import Statement
from pyvrrp.core.events import IPAddress

_PROTOCOLS = {
    "UDP": frozenset({Protocol.UDP}),
    "TCP": frozenset({Protocol.TCP}),
    "DNS": frozenset({Protocol.UDP, Protocol.TCP}),
}
_ENGINES = {engine.value: engine for engine in Engine}


def read(block: Statement, groups: Mapping[str, Statement], diagnostics: Diagnostics) -> VirtualServer | None:
    """One virtual server; None when it can't be served, for reasons that have been reported as fatal."""
    owner = " ".join(("virtual_server", *(word.text for word in block.arguments)))
    values = Values(owner, block.body or (), diagnostics, block.position)
    try:
        where = endpoints.of_virtual_server(values, block, groups)
        protocol = _protocol(values)
    except Refused:
        return None
    if not _direct(values, protocol):
        return None
    scheduler = spread.read(values)
    own_pace = pace.read(values, Pace())
    servers = _real_servers(
        values,
        Inherited(
            ports=tuple(dict.fromkeys(endpoint.port for endpoint in where)),
            protocols=_PROTOCOLS[protocol],
            weight=real_server.weight(values, 1),
            weights_count=scheduler.weights_count,
            alpha=values.switch("alpha", False),
            inhibit_on_failure=values.switch("inhibit_on_failure", False),
            slow_start=real_server.slow_start(values, 0.0),
            drain=real_server.drain(values, DRAIN),
            pace=own_pace,
            vip_check=values.switch("vip_check", True),
        ),
    )
    quorum, hysteresis = limits.quorum(values, servers)
    sorry = _sorry_server(values, where)
    return VirtualServer(
        name=values.text("name") or _name(block, where, protocol),
        endpoints=where,
        protocols=_PROTOCOLS[protocol],
        real_servers=servers,
        spread=scheduler.spread,
        persistence_timeout=scheduler.persistence_timeout,
        sorry_server=sorry,
        quorum=quorum,
        hysteresis=hysteresis,
        quorum_up=real_server.command(values, "quorum_up"),
        quorum_down=real_server.command(values, "quorum_down"),
        omega=values.switch("omega", False),
        min_up=limits.min_up(values),
        tier_min=values.number("tier_min", 1, 256, 1),
        on_empty=limits.on_empty(values, sorry),
        flap_damping=limits.flap_damping(values),
        keep_flows=values.switch("keep_flows", True),
        table_size=limits.table_size(values),
        engine=choice(values, "engine", _ENGINES, Engine.AUTO),
        pace=own_pace,
        position=block.position,
    )


def _name(block: Statement, where: tuple[Endpoint, ...], protocol: str) -> str:
    first = block.arguments[1] if block.arguments[0].text == "group" else where[0]
    return f"{first}/{protocol}"


def _protocol(values: Values) -> str:
    word = values.word("protocol")
    if word is None:
        if not values.has("protocol"):
            message = "without a protocol it balances UDP, as in keepalived"
            values.warning(values.position, "no-protocol", message, "write 'protocol DNS' for UDP and TCP")
        return "UDP"
    if word.text in _PROTOCOLS:
        return word.text
    message = f"'protocol {word}' can't be balanced"
    values.error(word.position, "unknown-protocol", message, instead(word, _PROTOCOLS), fatal=True)
    raise Refused


def _direct(values: Values, protocol: str) -> bool:
    """Whether forwarding is DR."""
    if not (require_dr(values, "lb_kind") and require_dr(values, "lvs_method")):
        return False
    if protocol != "DNS" and not (values.has("lb_kind") or values.has("lvs_method")):
        message = "without lb_kind it is DR; keepalived's default is NAT"
        hint = "write 'lb_kind DR', and give each real server the virtual address: `dnslb realserver add`"
        values.warning(values.position, "no-lb-kind", message, hint)
    return True


def _real_servers(values: Values, inherited: Inherited) -> tuple[RealServer, ...]:
    """Those that can be used; each in which something is wrong has been reported."""
    found: dict[IPAddress, RealServer] = {}
    names: set[str] = set()
    for block in values.all(REAL_SERVER):
        try:
            server = real_server.read(block, inherited, values.diagnostics)
        except Refused:
            continue
        if server.address in found:
            message = f"real_server {server.address} stands in line {found[server.address].position.line} already"
            values.error(block.position, "duplicate-real-server", message, "remove one of the two")
            continue
        if server.name in names:
            message = f"two real servers have the name {server.name}"
            values.error(block.position, "duplicate-name", message, "give each a name of its own", fatal=True)
        names.add(server.name)
        found[server.address] = server
    if not values.has(REAL_SERVER):
        values.error(values.position, "no-real-server", "it has no real_server", "add one, or remove it", fatal=True)
    return tuple(found.values())


def _sorry_server(values: Values, where: tuple[Endpoint, ...]) -> SorryServer | None:
    statement = values.last("sorry_server")
    if statement is None or not require_dr(values, "sorry_server_lvs_method"):
        return None
    try:
        address = endpoints.address(values, statement.arguments[0])
        port = endpoints.port(values, statement.arguments[1]) if len(statement.arguments) > 1 else None
    except Refused:
        return None
    if port is not None and port not in {endpoint.port for endpoint in where}:
        message = (
            f"sorry_server port {port}: with DR a packet keeps the port it was sent to, it counts as {where[0].port}"
        )
        values.warning(statement.arguments[1].position, "port-mismatch", message, f"write {where[0].port}")
    return SorryServer(address=address, inhibit=values.has("sorry_server_inhibit"))
