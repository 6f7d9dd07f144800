"""Make before break: our MASTER answers until its successor, ours or the real keepalived, is heard."""

import signal
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
from lab_nodes import Node, Segment, instance, wait_holder

from pyvrrp.demo.lab import eventually

VIP = "192.0.2.100"
OURS_FIRST = [("pyvrrp", "pyvrrp"), ("pyvrrp", "keepalived")]
pytestmark = pytest.mark.parametrize("ways", OURS_FIRST, ids=lambda ways: "-then-".join(ways))


class Removals:
    """When the kernel of a host took an address off."""

    def __init__(self, node: Node, vip: str) -> None:
        self._told: Path = node.host.directory / "removals"
        self._vip = vip
        node.host.start(["stdbuf", "-oL", "ip", "-ts", "-o", "monitor", "address"], stdout=self._told)

    def first(self) -> float:
        """Monotonic seconds; waits for it."""
        eventually(lambda: bool(self._lines()), f"{self._vip} is taken off")
        told = datetime.fromisoformat(self._lines()[0].partition("]")[0].lstrip("[")).timestamp()
        return told - time.time() + time.monotonic()

    def _lines(self) -> list[str]:
        return [line for line in self._told.read_text().splitlines() if "Deleted" in line and f" {self._vip}/" in line]


@pytest.mark.parametrize("why", ["TERM", "switchover", "preemption"])
def test_it_answers_until_the_successor_is_heard(pair: tuple[Node, Node], segment: Segment, why: str) -> None:
    n1, n2 = pair
    removals = Removals(n1, VIP)
    n1.start(instance(51, 150, VIP))
    segment.wait_advertised(n1, 51)
    wait_holder(VIP, n1, [])
    n2.start(instance(51, 200 if why == "preemption" else 100, VIP))
    if why != "preemption":
        segment.wait_advertised(n1, 51, count=2)
    match why:
        case "TERM":
            n1.process.signal(signal.SIGTERM)
        case "switchover":
            n1.host.run([sys.executable, "-m", "pyvrrp", "switchover"])
    wait_holder(VIP, n2, [n1])
    first, _ = next((at, seen) for at, seen in segment.heard(n2, 51) if seen.priority > 0)
    assert removals.first() > first - 0.001, "it left before anybody else was there"


DEAF = """
table inet deaf {
    chain input {
        type filter hook input priority 0
        ip protocol 112 drop
    }
}
"""


def test_the_node_that_stays_reasserts_itself(pair: tuple[Node, Node], segment: Segment) -> None:
    """Of two MASTERs the better one announces its addresses again, and runs the hook for it."""
    n1, n2 = pair
    hook, ran = n1.host.directory / "hook", n1.host.directory / "ran"
    hook.write_text(f'#!/bin/sh\necho "$@" >> {ran}\n')
    hook.chmod(0o755)
    n1.start(instance(51, 150, VIP, extra=f"notify_master_rx_lower_pri {hook}"))
    segment.wait_advertised(n1, 51)
    n2.start(instance(51, 100, VIP))
    segment.wait_advertised(n1, 51, count=2)
    assert not ran.exists()
    rules = n2.host.directory / "deaf"
    rules.write_text(DEAF)
    n2.host.run(["nft", "-f", str(rules)])
    met = segment.wait_advertised(n2, 51)
    eventually(ran.exists, "the hook has run")
    segment.wait_announced(VIP, n1, met)
    assert n1.host.holds(VIP)
    n2.host.run(["nft", "delete", "table", "inet", "deaf"])
    wait_holder(VIP, n1, [n2])
