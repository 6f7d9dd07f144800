"""The tracker: probes at their pace, each one reported and remembered."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import dns.name
import dns.rcode
import pytest

from dnslb.health.query import DnsCheck
from dnslb.health.tracker import DnsTracker
from dnslb.health.vrrp_dns_check import CheckBlock
from pyvrrp.config.model import NOWHERE
from tests.unit.dns_responder import LOOPS, Responder, Run, datagram, on_loop, with_rcode


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    return on_loop(request.param)


def tracker(port: int, interval: float, **fields: Any) -> DnsTracker:
    one = DnsCheck(name=dns.name.from_text("www.example.com"), port=port, **fields)
    return DnsTracker(
        CheckBlock(
            name="resolver", check=one, position=NOWHERE, interval=interval, weight=0, reverse=False, rise=1, fall=1
        )
    )


def test_the_tracker_reports_each_probe(run: Run) -> None:
    async def main() -> None:
        reports: asyncio.Queue[tuple[bool, str]] = asyncio.Queue()
        async with Responder() as responder:
            watched = tracker(responder.port, 0.02)
            assert watched.status()["healthy"] is None
            task = asyncio.create_task(watched.run(lambda ok, detail: reports.put_nowait((ok, detail))))
            assert (await reports.get())[0] is True
            responder.udp = datagram(with_rcode(dns.rcode.REFUSED))
            while (last := await reports.get())[0]:
                pass
            assert last[1].startswith("REFUSED for www.example.com A from 127.0.0.1:")
            task.cancel()
            status = watched.status()
            assert (status["healthy"], status["failed"], status["detail"]) == (False, 1, last[1])
            assert status["passed"] >= 1
            assert status["name"] == "www.example.com"
            assert status["latency"] > 0

    run(main())


def test_probes_start_an_interval_apart_and_never_overlap(run: Run) -> None:
    async def pace(interval: float, longest: float) -> float:
        starts: asyncio.Queue[float] = asyncio.Queue()
        async with Responder(udp=lambda query: starts.put_nowait(time.monotonic()) or []) as responder:
            silent_server = tracker(responder.port, interval, timeout=longest)
            task = asyncio.create_task(silent_server.run(lambda ok, detail: None))
            times = [await starts.get() for _ in range(4)]
            task.cancel()
        return (times[3] - times[0]) / 3

    assert 0.59 < run(pace(interval=0.6, longest=0.5)) < 1.0, "from start to start, not from end to start"
    assert run(pace(interval=0.02, longest=0.1)) > 0.09, "one after the other"
