"""A check that goes on at its pace: the tracker that `track_dns { NAME }` names."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import dns.rdatatype

from dnslb.health.probe import probe
from dnslb.health.verdict import Verdict
from dnslb.health.vrrp_dns_check import CheckBlock
from pyvrrp.daemon.plugins import Report


class DnsTracker:
    """Probes every `interval` and remembers what was found."""

    def __init__(self, block: CheckBlock) -> None:
        self.block = block
        self._passed = 0
        self._failed = 0
        self._last: Verdict | None = None
        self._at = 0.0

    async def run(self, report: Report) -> None:
        """Probe and report until cancelled; probes start `interval` apart and never overlap."""
        start = time.monotonic()
        while True:
            verdict = await probe(self.block.check)
            self._last, self._at = verdict, time.monotonic()
            self._passed += verdict.ok
            self._failed += not verdict.ok
            report(verdict.ok, verdict.detail)
            # A probe longer than the interval moves the schedule: nothing is made up for.
            start = max(start + self.block.interval, time.monotonic())
            await asyncio.sleep(start - time.monotonic())

    def status(self) -> Mapping[str, object]:
        """JSON-ready: the question, the last verdict, its age and latency in seconds, and the counts."""
        check, last = self.block.check, self._last
        return {
            "server": check.endpoint,
            "name": check.name.to_text(omit_final_dot=True),
            "type": dns.rdatatype.to_text(check.rdtype),
            "protocol": "both" if len(check.transports) > 1 else check.transports[0].value,
            "healthy": last and last.ok,
            "detail": last.detail if last else "not probed yet",
            "latency": last and round(last.elapsed, 6),
            "age": last and round(time.monotonic() - self._at, 3),
            "passed": self._passed,
            "failed": self._failed,
        }
