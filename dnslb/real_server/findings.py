"""What is wrong with a node as a real server: one line each, the thing, the reason, the next step; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, product

from dnslb.forwarding import Protocol
from dnslb.real_server.answers import Answer, Outcome
from dnslb.real_server.plan import ARP_ANNOUNCE, ARP_IGNORE, ignores
from dnslb.real_server.seen import LOOPBACK, Address, Listener, Seen, conf
from pyvrrp.core.events import IPAddress

_NEARLY_FULL = 0.8
_LIST_IT = "list the VIP in its configuration (BIND: `listen-on`, and `rndc scan` when the VIP came later)"
_STRICT = 1
"of rp_filter: a packet whose source is not reached by the interface it came in by is dropped (RFC 3704)"


@dataclass(frozen=True, slots=True)
class Finding:
    """One trap."""

    subject: str
    "a VIP, or the part of the node that it is about"
    code: str
    "stable, kebab-case"
    text: str
    hint: str
    "what to do"

    def __str__(self) -> str:
        return f"{self.subject}: [{self.code}] {self.text}; {self.hint}"


def hidden(vips: Sequence[IPAddress], seen: Seen, answers: Sequence[Answer]) -> list[Finding]:
    """Of a node that is to have the VIPs on lo; `answers` are those of the VIPs that are on this node."""
    return [
        *chain.from_iterable(_of_vip(vip, seen) for vip in vips),
        *chain.from_iterable(_of_answer(answer, seen) for answer in answers),
        *_of_paths(vips, seen),
        *_of_conntrack(seen, redirects=False),
    ]


def redirected(vips: Sequence[IPAddress], ports: Sequence[int], seen: Seen) -> list[Finding]:
    """Of a node that is to redirect what comes for the VIPs."""
    return [
        *chain.from_iterable(_of_redirect(vip, ports, seen) for vip in vips),
        *_of_paths(vips, seen),
        *_of_conntrack(seen, redirects=True),
    ]


def _of_vip(vip: IPAddress, seen: Seen) -> Iterator[Finding]:
    add = f"`dnslb realserver add {vip}`"
    found = seen.hidden(vip)
    if not any(each.whole for each in found) and not seen.exposed(vip):
        yield Finding(str(vip), "vip-missing", f"it is not on {LOOPBACK}, what comes for it is dropped", add)
    for each in found:
        if not each.whole:
            text = f"on {each.interface} with /{each.prefixlen}, which pulls its whole subnet there"
            hint = f"`ip addr del {vip}/{each.prefixlen} dev {each.interface}`, {add}"
            yield Finding(str(vip), "vip-prefix", text, hint)
    yield from _of_exposure(vip, seen)
    if vip.version == 4 and found:
        yield from _of_arp(vip, found, seen)


def _of_exposure(vip: IPAddress, seen: Seen) -> Iterator[Finding]:
    for each in seen.exposed(vip):
        if not (each.marked or each.leased):
            asked = "ARP" if vip.version == 4 else "Neighbor Discovery"
            text = f"on {each.interface}, where this node answers {asked} for it and takes it from the balancer"
            hint = f"`ip addr del {vip}/{each.prefixlen} dev {each.interface}`, unless a VRRP speaker put it there"
            yield Finding(str(vip), "vip-exposed", text, hint)


def _of_arp(vip: IPAddress, found: Sequence[Address], seen: Seen) -> Iterator[Finding]:
    scope = min(each.scope for each in found)
    checks: Sequence[tuple[str, int, Callable[[int], bool], str]] = (
        ("arp_ignore", ARP_IGNORE, lambda value: ignores(value, scope), "ARP requests for it are answered"),
        ("arp_announce", ARP_ANNOUNCE, lambda value: value >= ARP_ANNOUNCE, "ARP requests name it as their sender"),
    )
    for setting, value, enough, what in checks:
        values = {each.name: seen.effective(setting, each.name) for each in seen.resolving()}
        if on := ", ".join(f"{name} ({is_now})" for name, is_now in values.items() if not enough(is_now)):
            text = f"{what}: {setting}, the greater value of the interface and of all, does not hide it on {on}"
            hint = f"`sysctl -w {conf('all', setting)}={value}`"
            yield Finding(str(vip), setting.replace("_", "-"), text, hint)


def _of_answer(answer: Answer, seen: Seen) -> Iterator[Finding]:
    at = f"{answer.vip} port {answer.port}/{answer.protocol.name.lower()}"
    match answer.outcome:
        case Outcome.OTHER_SOURCE:
            text = "the server listens on a wildcard UDP socket and answers from the wrong address"
            hint = "list the VIP in its configuration, or `interface-automatic: yes` (unbound)"
            yield Finding(at, "wrong-source", f"{text}, here {answer.source}: clients drop it", hint)
        case Outcome.REFUSED:
            where = _bound(_of_port(seen, answer.protocol, answer.port))
            if where:
                yield Finding(at, "not-listening", f"the server listens on {where}, not on the VIP", _LIST_IT)
            else:
                yield Finding(at, "not-listening", "no server listens", "start it")
        case Outcome.SILENT:
            text = "a query from this node is not answered"
            yield Finding(at, "silent", text, "see that the server runs, and lets this node ask (access control)")
        case Outcome.FAILED:
            yield Finding(at, "not-asked", f"it can't be asked: {answer.why}", "see that lo is up")
        case Outcome.ANSWERED:
            return


def _of_redirect(vip: IPAddress, ports: Sequence[int], seen: Seen) -> Iterator[Finding]:
    if missing := [port for port in ports if (vip, port) not in seen.redirected]:
        text = f"no rule of ours redirects what comes for it to port {', '.join(map(str, missing))}"
        yield Finding(str(vip), "redirect-missing", text, f"`dnslb realserver add --redirect {vip}`")
    for each in seen.hidden(vip):
        hint = f"one is enough: `ip addr del {vip}/{each.prefixlen} dev {each.interface}`"
        yield Finding(str(vip), "redirect-and-address", f"redirected, and on {each.interface} too", hint)
    yield from _of_exposure(vip, seen)
    targets = [target for interface in seen.facing(vip) if (target := _first(interface.name, vip, seen))]
    for port, protocol in product(ports, Protocol):
        listeners = _of_port(seen, protocol, port)
        if not any(listener.covers(target) for listener in listeners for target in targets):
            where = f"the server listens on {_bound(listeners)}" if listeners else "no server listens"
            goes = " or ".join(map(str, targets)) or "no address of this node"
            text = f"{where}, what comes for the VIP is redirected to {goes}"
            yield Finding(f"{vip} port {port}/{protocol.name.lower()}", "not-listening", text, "let it listen there")


def _first(interface: str, vip: IPAddress, seen: Seen) -> IPAddress | None:
    """The address that `redirect` puts in: the first of the incoming interface."""
    family = (each for each in seen.addresses if each.interface == interface and each.address.version == vip.version)
    return next((each.address for each in family if not each.address.is_link_local), None)


def _of_paths(vips: Iterable[IPAddress], seen: Seen) -> Iterator[Finding]:
    """Reverse path filters, and routes back through the balancer."""
    for vip in vips:
        routes = [route for route in seen.routes if route.family == vip.version]
        holders = seen.macs.get(vip, frozenset())
        gateways = [route.gateway for route in routes if route.gateway is not None]
        if back := [each for each in gateways if each == vip or holders & seen.macs.get(each, frozenset())]:
            text = f"the default route by {back[0]} leads to who has it: all answers go back through the balancer"
            yield Finding(str(vip), "default-route", text, "route by the router of the subnet")
        out = {route.interface for route in routes}
        for interface in seen.facing(vip) if vip.version == 4 and out else ():
            strict = seen.effective("rp_filter", interface.name) == _STRICT
            if strict and interface.name not in out:
                text = f"{interface.name} drops the queries of clients that are reached by {', '.join(sorted(out))}"
                name = conf(interface.name, "rp_filter")
                yield Finding(str(vip), "rp-filter", f"{text}: rp_filter is strict (1)", f"`sysctl -w {name}=2`")


def _of_conntrack(seen: Seen, *, redirects: bool) -> Iterator[Finding]:
    table = seen.conntrack
    if table and table.limit and table.count > _NEARLY_FULL * table.limit:
        text = f"{table.count} of {table.limit} connections are tracked, what comes on top is dropped"
        hint = "raise net.netfilter.nf_conntrack_max" + (
            ", or put the VIP on lo instead of redirecting" if redirects else ", or add notrack rules for port 53"
        )
        yield Finding("conntrack", "conntrack-full", text, hint)


def _of_port(seen: Seen, protocol: Protocol, port: int) -> list[Listener]:
    return [each for each in seen.listeners if (each.protocol, each.port) == (protocol, port)]


def _bound(found: Iterable[Listener]) -> str:
    return ", ".join(dict.fromkeys(map(str, found)))
