"""Some of the queries that an engine balances, where no packet socket sees them: `dnslb sample`."""

from __future__ import annotations

import asyncio
import contextlib
import time

from dnslb.balancer.interface import Interface
from dnslb.dataplane import DataPlaneError, Sampler
from pyvrrp.daemon.plugins import CommandRefused

MOST_SECONDS = 10.0
_MOST = 10_000
"queries in one answer; with so many of them it ends early"
_EVERY = 0.1
"seconds between two looks at what was put aside"


async def sample(interface: Interface, one_in: int, seconds: float) -> list[tuple[str, str]]:
    """Client and payload (hexadecimal) of one in so many queries; raises CommandRefused."""
    if interface.plane is None:
        raise CommandRefused(f"{interface.name} has no engine: {interface.problem or 'it is starting'}")
    if not isinstance(plane := interface.plane, Sampler):
        raise CommandRefused(f"{interface.name} has engine {plane.name}: listen there with a packet socket")
    if interface.sampled:
        raise CommandRefused(f"{interface.name} is being sampled already: wait for the end of that")
    found: list[tuple[str, str]] = []
    end = time.monotonic() + seconds
    interface.sampled = True
    try:
        await interface.do(lambda: plane.sample(one_in))
        over = False
        while not over:
            await asyncio.sleep(_EVERY)
            over = time.monotonic() >= end or len(found) >= _MOST
            found += [
                (str(client), payload.hex()) for client, payload in await interface.do(lambda: [*plane.samples()])
            ]
        await interface.do(lambda: plane.sample(0))
    except DataPlaneError as error:
        raise CommandRefused(f"it can't be sampled: {error}") from None
    except asyncio.CancelledError:
        with contextlib.suppress(RuntimeError):  # the interface is closed
            interface.do(lambda: plane.sample(0)).add_done_callback(lambda done: done.cancelled() or done.exception())
        raise
    finally:
        interface.sampled = False
    return found[:_MOST]
