"""How many flows change their server when one of N goes; computed, with the daemon's own table and hash."""

from __future__ import annotations

from collections.abc import Iterator

from dnslb.flow_hash import bucket_of_source_port
from dnslb.forwarding import TABLE_SIZE
from dnslb.maglev import maglev_table
from harness.dataplane_table import Bar, Line

FLOWS = 20_000
COUNTS = (2, 3, 5, 10, 20)
"servers, of equal weight"
COLLATERAL = 2.0
"per cent beyond the share of the server that goes"


def lines(rounds: int) -> Iterator[Line]:
    """Each server goes once; there is no chance in it, so one round says all."""
    for count in COUNTS:
        bar = Bar(100 / count + COLLATERAL, at_most=True, always=True)
        yield Line(what=f"one of {count}", values=_moved(count), unit="%", digits=2, bar=bar)


def _moved(count: int) -> list[float]:
    """Per cent of the flows, for each server that goes."""
    configured = {f"192.0.2.{11 + number}": 1 for number in range(count)}
    flows = ((0xC6336400 + flow % 251, 1024 + flow) for flow in range(FLOWS))
    buckets = [bucket_of_source_port(source.to_bytes(4), port, TABLE_SIZE) for source, port in flows]
    before = maglev_table(configured)
    moved = []
    for gone in configured:
        after = maglev_table({**configured, gone: 0}, configured)
        moved.append(100 * sum(before[bucket] != after[bucket] for bucket in buckets) / FLOWS)
    return moved
