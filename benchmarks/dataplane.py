"""What the balancer's data planes cost and carry, and how fast a dead server is out: one table, with the bars beside.

usage: python benchmarks/dataplane.py [--only program,engines] [--rounds 5] [--json FILE]

Medians of several rounds in which the contestants take turns; everything runs in network namespaces. A part whose
programs are not installed is skipped, with the reason. The table judges nothing by the exit status: 1 only when a part
failed. Needs root, for bpf(2).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from harness import dataplane_engines, dataplane_maglev, dataplane_queries, dataplane_removal
from harness.dataplane_table import Bar, Line, Part, Skipped, print_table
from harness.machine import describe
from harness.xdp_cost import Cost, costs

from dnslb.bpf.syscall import BpfError
from dnslb.dataplane import DataPlaneError
from pyvrrp.demo import namespaces
from pyvrrp.demo.namespaces import LabError
from tests.dnslb_xdp import bpf_allowed

AT_MOST = {"UDP, IPv4": Bar(60, at_most=True)}
VERSIONS = {"nft": "--version", "unbound": "-V", "dnsdist": "--version", "dnsperf": "-h"}


def program(rounds: int) -> Iterator[Line]:
    """Nanoseconds of the XDP program for one packet; each figure is itself a median of several runs."""
    if not bpf_allowed():
        raise Skipped("bpf(2) needs root outside of user namespaces")
    found: dict[str, list[Cost]] = {}
    for _ in range(rounds):
        for cost in costs():
            found.setdefault(cost.kind, []).append(cost)
    for kind, each in found.items():
        bare = sorted(cost.bare for cost in each)[len(each) // 2]
        yield Line(
            what=kind,
            values=[cost.program for cost in each],
            unit="ns",
            bar=AT_MOST.get(kind),
            beside=f"{bare:.0f} ns of it a program that only says XDP_TX",
        )


PARTS: dict[str, tuple[str, Callable[[int], Iterator[Line]]]] = {
    "program": ("the XDP program, 65 536 flows, BPF_PROG_TEST_RUN", program),
    "engines": ("frames in by a veth and out again, 65 536 flows, live frames", dataplane_engines.lines),
    "queries": ("dnsperf, and as many unbound with one thread", dataplane_queries.lines),
    "removal": (
        f"{dataplane_removal.SERVERS} unbound behind the daemon, a query every millisecond",
        dataplane_removal.lines,
    ),
    "maglev": ("flows whose server changes when one of N goes", dataplane_maglev.lines),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", type=_words, default=list(PARTS), metavar="PART,...", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5, help="of each part (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single figure there")
    arguments = parser.parse_args()
    if unknown := {*arguments.only} - {*PARTS}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; the parts: {', '.join(PARTS)}")
    if arguments.rounds < 1:
        parser.error("--rounds: at least 1")
    namespaces.obtain()
    print(describe())
    print(f"beside     {', '.join(_version(name, how) for name, how in VERSIONS.items())}", flush=True)
    began = time.monotonic()
    parts = [_measured(key, arguments.rounds) for key in PARTS if key in arguments.only]
    print_table(parts)
    print(f"\n{arguments.rounds} rounds, {time.monotonic() - began:.0f} s; load at the end {os.getloadavg()[0]:.1f}")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(part) for part in parts], indent=1))
    return 1 if any(part.failed for part in parts) else 0


def _measured(key: str, rounds: int) -> Part:
    """A part; what can't be measured is told and does not end the others."""
    title, lines = PARTS[key]
    part = Part(key, title)
    try:
        part.lines.extend(lines(rounds))
    except Skipped as reason:
        part.skipped = str(reason)
    except (LabError, BpfError, DataPlaneError, OSError, subprocess.SubprocessError) as error:
        part.failed = " ".join(str(error).split())
    print(f"  {key}: {part.skipped or part.failed or 'measured'}", file=sys.stderr, flush=True)
    return part


def _version(name: str, how: str) -> str:
    if shutil.which(name) is None:
        return f"no {name}"
    done = subprocess.run([name, how], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = re.search(r"(?i)(?:version |v|dnsdist )(\d[\d.]*)", done.stdout)
    return f"{name} {found[1] if found else '?'}"


def _words(text: str) -> list[str]:
    return text.split(",")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
