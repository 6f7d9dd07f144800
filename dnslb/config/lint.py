"""What is wrong with virtual servers although each of their lines is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from dnslb.forwarding import MAX_SERVICES, MAX_SLOTS, Protocol
from dnslb.model import Endpoint, Engine, RealServer, VirtualServer
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.model import Config

_SLOW = 10.0
"seconds until a dead server is noticed; dnslb's own defaults need less than two"


def lint(servers: Sequence[VirtualServer], config: Config, diagnostics: Diagnostics) -> None:
    """Look at the virtual servers, and at how they and the rest of the configuration fit together."""
    _ambiguous(servers, diagnostics)
    _too_many(servers, diagnostics)
    _engines(servers, diagnostics)
    _half_a_dns_server(servers, diagnostics)
    for server in servers:
        _not_held(server, config, diagnostics)
        _unreachable(server, config, diagnostics)
        _alone(server, diagnostics)
        _slow(server, diagnostics)


def _ambiguous(servers: Sequence[VirtualServer], diagnostics: Diagnostics) -> None:
    names: dict[str, VirtualServer] = {}
    services: dict[tuple[Endpoint, Protocol], VirtualServer] = {}
    for server in servers:
        pairs = [(endpoint, protocol) for endpoint in server.endpoints for protocol in sorted(server.protocols)]
        twice = next((pair for pair in pairs if pair in services), None)
        for pair in pairs:
            services.setdefault(pair, server)
        if twice is not None:
            endpoint, protocol = twice
            message = f"virtual_server {server.name}: {protocol.name} to {endpoint} is balanced by"
            message = f"{message} {services[twice].name} ({services[twice].position}) already"
            diagnostics.error(
                server.position, "duplicate-virtual-server", message, "leave it in one of them", fatal=True
            )
        elif names.setdefault(server.name, server) is not server:
            message = f"two virtual servers have the name {server.name}"
            diagnostics.error(server.position, "duplicate-name", message, "give each a name of its own", fatal=True)


def _too_many(servers: Sequence[VirtualServer], diagnostics: Diagnostics) -> None:
    services = sum(len(server.endpoints) for server in servers)
    slots = sum(len(server.real_servers) + (server.sorry_server is not None) for server in servers)
    for count, most, what in ((services, MAX_SERVICES, "addresses and ports"), (slots, MAX_SLOTS, "real servers")):
        if count > most:
            message = f"all virtual servers together have {count} {what}, {most} can be served"
            diagnostics.error(servers[-1].position, "too-many", message, "remove some", fatal=True)


def _engines(servers: Sequence[VirtualServer], diagnostics: Diagnostics) -> None:
    wanted = [server for server in servers if server.engine is not Engine.AUTO]
    for server in wanted[1:]:
        if server.engine is not wanted[0].engine:
            message = f"virtual_server {server.name}: engine {server.engine.value}, but {wanted[0].name} has"
            message = f"{message} {wanted[0].engine.value}; an interface has one engine, the first counts"
            diagnostics.warning(server.position, "engines-differ", message, "write the same engine, or only one")


def _half_a_dns_server(servers: Sequence[VirtualServer], diagnostics: Diagnostics) -> None:
    served: dict[Endpoint, set[Protocol]] = {}
    for server in servers:
        for endpoint in server.endpoints:
            served.setdefault(endpoint, set()).update(server.protocols)
    for server in servers:
        for endpoint in server.endpoints:
            if endpoint.port == 53 and len(served[endpoint]) == 1:
                missing = Protocol.TCP if Protocol.UDP in served[endpoint] else Protocol.UDP
                message = f"virtual_server {server.name}: {endpoint} is not balanced for {missing.name}"
                hint = "write 'protocol DNS': every DNS server has to answer over both (RFC 7766)"
                diagnostics.warning(server.position, "half-a-dns-server", message, hint)
                break


def _not_held(server: VirtualServer, config: Config, diagnostics: Diagnostics) -> None:
    missing = [
        str(each) for each in dict.fromkeys(each.address for each in server.endpoints) if each not in config.vips
    ]
    if missing:
        message = f"virtual_server {server.name}: no vrrp_instance holds {', '.join(missing)}, it gets no packets"
        hint = "add it to the virtual_ipaddress block of a vrrp_instance"
        diagnostics.warning(server.position, "address-not-held", message, hint)


def _unreachable(server: VirtualServer, config: Config, diagnostics: Diagnostics) -> None:
    held = [vip for instance in config.instances for vip in instance.virtual_addresses]
    networks = [
        vip.interface.network
        for vip in held
        if vip.interface.network.prefixlen < vip.interface.max_prefixlen
        and vip.address in {endpoint.address for endpoint in server.endpoints}
    ]
    for real in server.real_servers:
        if real.address in config.vips:
            message = f"{_real(server, real)} is a virtual address, which moves from node to node"
            diagnostics.warning(real.position, "real-server-is-virtual", message, "write the server's own address")
            continue
        near = [network for network in networks if network.version == real.address.version]
        if near and not any(real.address in network for network in near):
            message = (
                f"{_real(server, real)} is not in {' or '.join(map(str, near))}: with DR it has to be on that link"
            )
            diagnostics.warning(real.position, "real-server-off-link", message, "take one on the same link")


def _alone(server: VirtualServer, diagnostics: Diagnostics) -> None:
    if len(server.real_servers) == 1:
        message = f"virtual_server {server.name}: there is nothing to balance with one real server"
        diagnostics.warning(server.position, "one-real-server", message, "add another one")
    if server.real_servers and not any(real.weight for real in server.real_servers):
        message = f"virtual_server {server.name}: every real server has weight 0, none gets a packet"
        diagnostics.warning(server.position, "no-weight", message, "write a weight of at least 1")
    if server.sorry_server and server.min_up.amount:
        message = f"virtual_server {server.name}: with min_up the sorry_server is used only while no real server can be"
        diagnostics.warning(
            server.position, "no-effect", f"{message} reached at all", "leave min_up or sorry_server out"
        )


def _slow(server: VirtualServer, diagnostics: Diagnostics) -> None:
    times = [time for real in server.real_servers if (time := _detection(real)) is not None]
    if times and max(times) > _SLOW:
        message = f"virtual_server {server.name}: a dead server may get packets for {max(times):g} s"
        diagnostics.warning(server.position, "slow-detection", message, "write 'delay_loop 1' and 'fast_interval 0.25'")


def _detection(real: RealServer) -> float | None:
    """Seconds at most from a server's death to the failure of the check that is the first to notice it."""
    from dnslb.health.check import Action, Check, DnsProbe, MiscProbe, TcpProbe, VipProbe

    def timeout(check: Check) -> float:
        match check.probe:
            case DnsProbe(questions=questions):
                return max(question.timeout for question in questions)
            case TcpProbe(timeout=seconds) | MiscProbe(timeout=seconds):
                return seconds
            case VipProbe(question=question):
                return question.timeout
            case _:
                assert_never(check.probe)

    def detection(check: Check) -> float:
        schedule, lasts = check.schedule, timeout(check)
        if schedule.retry_delay is None:
            again = max(min(schedule.fast_interval, schedule.interval), lasts)
        else:
            again = schedule.retry_delay + lasts
        return schedule.interval + lasts + (schedule.fall - 1) * again

    groups = [group for group in real.checks if group.consequence.action is Action.DOWN]
    # A group is down when so many of its checks have failed that `need` can't be had.
    return min((sorted(map(detection, group.checks))[len(group.checks) - group.need] for group in groups), default=None)


def _real(server: VirtualServer, real: RealServer) -> str:
    return f"virtual_server {server.name}: real_server {real.address}"
