"""What the balancer does, JSON-ready: for `dnslb status`, `dnslb top` and `pyvrrp status`."""

from __future__ import annotations

import time
from collections.abc import Mapping

from dnslb.balancer.balancer import Balancer
from dnslb.balancer.composition import name_of, servers_of
from dnslb.balancer.interface import Interface
from dnslb.balancer.served import Served
from dnslb.explanation import explain
from dnslb.weights import PARTS
from pyvrrp.core.events import IPAddress

_OF_SORRY = "sorry"

Document = dict[str, object]


def status(balancer: Balancer) -> Document:
    """Everything: `interfaces`, `virtual_servers`, and a sentence for each of them that is balanced badly or not."""
    now = time.monotonic()
    checks = balancer.monitor.status()
    virtual_servers = {
        name: _served(balancer, served, checks.get(name), now) for name, served in balancer.served.items()
    }
    return {
        "interfaces": {name: _interface(balancer, each) for name, each in balancer.interfaces.items()},
        "virtual_servers": virtual_servers,
        "problems": [_sentence(balancer, served) for served in balancer.served.values() if _troubled(balancer, served)],
    }


def summary(balancer: Balancer) -> list[str]:
    """A sentence for each virtual server."""
    return [_sentence(balancer, served) for served in balancer.served.values()]


def _troubled(balancer: Balancer, served: Served) -> bool:
    pool, interface = served.pool, balancer.interfaces.get(served.interface)
    return interface is None or interface.plane is None or pool.panic is not None or pool.sorry or not pool.quorum


def _interface(balancer: Balancer, interface: Interface) -> Document:
    plane = interface.plane
    return {
        "engine": plane and plane.name,
        "mode": plane and plane.mode,
        "chosen": interface.chosen,
        "problem": interface.problem,
        "held": sorted(map(str, interface.held)),
        "installed": interface.installed,
        "passed": {reason.name.lower(): count for reason, count in interface.counts.passed.items()},
        "lost": interface.counts.lost,
        "arp": balancer.watches.arp(interface.name),
    }


def _served(balancer: Balancer, served: Served, checks: object, now: float) -> Document:
    server, pool = served.server, served.pool
    found = checks if isinstance(checks, Mapping) else {}
    held = balancer.held
    return {
        "endpoints": [str(endpoint) for endpoint in server.endpoints],
        "held": [str(endpoint) for endpoint in server.endpoints if endpoint.address in held],
        "protocols": sorted(protocol.name for protocol in server.protocols),
        "spread": server.spread.value,
        "interface": served.interface or None,
        "problem": served.problem,
        "quorum": pool.quorum,
        "panic": pool.panic_why if pool.panic is not None else "",
        "sorry": pool.sorry,
        "common_causes": found.get("common_causes", []),
        "findings": list(balancer.watches.findings(server.name)),
        "scripts": served.scripts.status(now),
        "servers": [_server(balancer, served, address, found.get("servers", {}), now) for address in servers_of(pool)],
    }


def _server(
    balancer: Balancer, served: Served, address: IPAddress, checks: Mapping[str, Mapping[str, object]], now: float
) -> Document:
    pool = served.pool
    place = balancer.place(served, address)
    document: Document = {
        "address": str(address),
        "name": name_of(pool, address),
        "mac": place.mac.hex(":") if place.mac else None,
        "local": place.local,
        **_counted(balancer, served, address, now),
    }
    member = pool.members.get(address)
    if member is None:
        weight = pool.table.weights.get(address, 0)
        why = "the sorry server gets all new flows" if weight else "the sorry server, not needed"
        return document | {"standing": _OF_SORRY, "share": float(bool(weight)), "weight": 0, "why": why, "checks": []}
    explanation = explain(pool, member, now)
    found = checks.get(str(address), {})
    return document | {
        "standing": explanation.standing.value,
        "share": round(explanation.share, 6),
        "weight": member.server.weight,
        "effective_weight": pool.table.weights.get(address, 0) / PARTS,
        "went_up": served.changes[address, True],
        "went_down": served.changes[address, False],
        "tier": member.server.tier,
        "admin": member.admin.value,
        "drained": member.drained,
        "why": explanation.sentence,
        "warnings": found.get("warnings", []),
        "checks": found.get("checks", []),
    }


def counters(balancer: Balancer) -> Document:
    """`at` (seconds), and by virtual server each server's name, packets, share and standing: little, and often."""
    now = time.monotonic()
    return {
        "at": now,
        "virtual_servers": {
            name: [_little(balancer, served, address, now) for address in servers_of(served.pool)]
            for name, served in balancer.served.items()
        },
    }


def _little(balancer: Balancer, served: Served, address: IPAddress, now: float) -> Document:
    member = served.pool.members.get(address)
    found = None if member is None else explain(served.pool, member, now)
    return {
        "name": name_of(served.pool, address),
        "address": str(address),
        "packets": _counted(balancer, served, address, now)["packets"],
        "share": float(served.pool.sorry) if found is None else found.share,
        "standing": _OF_SORRY if found is None else found.standing.value,
    }


def _counted(balancer: Balancer, served: Served, address: IPAddress, now: float) -> Document:
    interface = balancer.interfaces.get(served.interface)
    if interface is None:
        return {"packets": 0, "octets": 0, "qps": 0.0}
    slot, counts = interface.slot((served.server.name, address)), interface.counts
    return {
        "packets": counts.packets(slot),
        "octets": counts.octets(slot),
        "qps": round(counts.rate(slot, now), 1),
    }


def _sentence(balancer: Balancer, served: Served) -> str:
    name, pool = served.server.name, served.pool
    if served.problem:
        return f"{name}: NOT BALANCED: {served.problem}"
    interface = balancer.interfaces.get(served.interface)
    if interface is None or interface.plane is None:
        return f"{name}: NOT BALANCED: {interface.problem if interface else 'it is starting'}"
    here = "here" if any(each.address in balancer.held for each in served.server.endpoints) else "not here"
    used = sum(member.in_use for member in pool.members.values())
    parts = [f"{used} of {len(pool.members)} servers in use", here, f"{interface.plane.name} on {interface.name}"]
    if pool.panic is not None:
        parts.append(f"PANIC: {pool.panic_why}")
    elif pool.sorry:
        parts.append("the SORRY SERVER gets all new flows")
    elif not pool.quorum:
        parts.append("its quorum is LOST")
    down = [member.server.name for member in pool.members.values() if member.down]
    return f"{name}: {', '.join(parts)}" + (f"; down: {', '.join(down)}" if down else "")
