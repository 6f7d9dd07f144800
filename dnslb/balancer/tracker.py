"""`track_virtual_server { NAME }`: a node that can't serve a virtual server gives its address up, or its priority."""

from __future__ import annotations

import asyncio

from dnslb.balancer.balancer import Balancer
from dnslb.health.report import State
from pyvrrp.daemon.plugins import Report


async def watch(balancer: Balancer, name: str, report: Report) -> None:
    """Report whether the virtual server can be served here, each time that it may have changed, until cancelled."""
    changed = asyncio.Event()
    balancer.observers.add(changed.set)
    try:
        while True:
            changed.clear()
            able, why = ability(balancer, name)
            if able is not None:
                report(able, why)
            await changed.wait()
    finally:
        balancer.observers.discard(changed.set)


def ability(balancer: Balancer, name: str) -> tuple[bool | None, str]:
    """Whether packets for it would reach a server, and why; None: it is too early to say.

    While servers are used although they are down (min_up, a common cause) it can be served: to give the address to
    another node, which sees the same, would help nobody.
    """
    served = balancer.served.get(name)
    if served is None:
        return False, "there is no such virtual_server"
    if served.problem:
        return False, served.problem
    interface = balancer.interfaces.get(served.interface)
    if interface is None:
        return None, ""
    if interface.problem:
        return False, f"{interface.name}: {interface.problem}"
    if interface.plane is None:
        return None, ""
    pool = served.pool
    if pool.panic is not None:
        return True, pool.panic_why
    if not pool.quorum:
        return False, "its quorum is lost"
    unjudged = any(member.health.state is State.UNKNOWN and member.server.checks for member in pool.members.values())
    return (None, "") if unjudged else (True, f"its quorum is there, engine {interface.plane.name}")
