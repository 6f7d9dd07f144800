"""Queries per second of real unbound servers: asked directly, through the balancer, and through dnsdist.

As many dnsperf run at once as there are servers, and each of them asks one address that stands for all servers:
directly, it is the client's own kernel that spreads its ports over them (a route with several next hops). So client and
servers do the same each time, and only what is between them differs. (With a server of its own each dnsperf keeps to
the processor of that server, which saves a tenth: one more line says how much.) One more way goes through a host with a
program of twenty instructions: no balancer in this place can be faster, for the way itself costs most.

Every XDP program here is generic, as `engine auto` has it on a veth. Native would mislead: what a program on a veth
gets of a socket is copied into a page first, and once more at the far end, which needs a program too.
"""

from __future__ import annotations

import os
import re
import resource
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from statistics import median

from health_nodes import VIP4, mac

from dnslb.bpf.assembler import assemble
from dnslb.bpf.program import Verdict, load
from dnslb.bpf.xdp import Link, Mode
from harness.dataplane_site import Site, require, site
from harness.dataplane_table import Bar, Line, number
from pyvrrp.demo.lab import Host, eventually
from pyvrrp.demo.namespaces import LabError, ip
from pyvrrp.demo.processes import Process

TICK = os.sysconf("SC_CLK_TCK")
SERVERS = (1, 2)
"the bar is from a lab with one, which leaves one of two processors to the client and the way"
SECONDS = 3
"of one way in one round"
NAMES = 10_000
PORTS, OUTSTANDING = 32, 200
"of one dnsperf: sockets, and queries that wait for an answer"
READDRESSED, DNSDIST, BY_NAME, ROUTED = "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"
CHECKED = "www.example.com."
OF_DIRECT, OF_DNSDIST = Bar(0.9), Bar(1.0)
DIRECTLY, APART, FEWEST = "directly", "directly, a server each", "through 20 instructions"
PROXIED = "through dnsdist"
BALANCED, NAMED = "through the balancer", "through the balancer, qname"


@dataclass(frozen=True, slots=True)
class Answered:
    """What the dnsperf of one round counted together."""

    rate: float
    "answers per second"
    lost: int
    cpu: float
    "processor seconds for one answer, of dnsperf, the servers and dnsdist, and of the kernel on their behalf"


def lines(rounds: int) -> Iterator[Line]:
    """The ways take turns in each round; raises Skipped and LabError."""
    require("dnsperf", "dnsdist")
    for servers in SERVERS:
        yield from _lines(rounds, servers)


def _lines(rounds: int, servers: int) -> Iterator[Line]:
    with site(servers, also=[READDRESSED, BY_NAME, ROUTED]) as lab, _readdressing(lab):
        ip(f"addr add {BY_NAME}/32 dev eth0", namespace=lab.balancer.host.namespace)
        lab.configure(also=_by_name(lab))
        others = [_start_dnsdist(lab), *(server.process for server in lab.servers if server.process)]
        _spread_by_routing(lab)
        names = lab.client.host.directory / "names"
        names.write_text("".join(f"www{number}.example.com A\n" for number in range(NAMES)))
        ways = {
            DIRECTLY: [ROUTED] * servers,
            **({APART: [server.own4 for server in lab.servers]} if servers > 1 else {}),
            BALANCED: [VIP4] * servers,
            NAMED: [BY_NAME] * servers,
            FEWEST: [READDRESSED] * servers,
            PROXIED: [DNSDIST] * servers,
        }
        found: dict[str, list[Answered]] = {way: [] for way in ways}
        for targets in ways.values():
            _ask(lab.client.host, targets, names, 1, others)  # until addresses are resolved, and caches warm
        for _ in range(rounds):
            for way, targets in ways.items():
                found[way].append(_ask(lab.client.host, targets, names, SECONDS, others))
        engine = lab.engine
    for way, answered in found.items():
        lost = sum(each.lost for each in answered)
        beside = f"{number(1 / median(each.cpu for each in answered))} a CPU-second; {lost} lost"
        yield Line(
            what=f"{servers} unbound, {way}",
            values=[each.rate for each in answered],
            unit="queries/s",
            beside=f"{beside}; {engine}" if way in (BALANCED, NAMED) else beside,
        )
    compared = [(BALANCED, DIRECTLY, OF_DIRECT), (BALANCED, FEWEST, None), (BALANCED, PROXIED, OF_DNSDIST)]
    for way, other, bar in (*compared, (NAMED, DIRECTLY, OF_DIRECT)):
        pairs = list(zip(found[way], found[other], strict=True))
        yield Line(
            what=f"{servers} unbound, {way.removeprefix('through the ')}: {other}",
            values=[ours.rate / theirs.rate for ours, theirs in pairs],
            unit="x",
            digits=2,
            bar=bar,
            beside=f"by processor time {median(theirs.cpu / ours.cpu for ours, theirs in pairs):.2f}",
        )


def _spread_by_routing(lab: Site) -> None:
    """Let the client's kernel send ports that ask one address to all servers, by the hash of a flow."""
    lab.client.host.run(["sysctl", "-qw", "net.ipv4.fib_multipath_hash_policy=1"])
    hops = " ".join(f"nexthop via {server.own4}" for server in lab.servers)
    ip(f"route add {ROUTED}/32 {hops}", namespace=lab.client.host.namespace)


def _by_name(lab: Site) -> str:
    """One more virtual server: each name is in one server's cache."""
    servers = "\n".join(f"real_server {server.own4} 53 {{ DNS_CHECK {{ name {CHECKED} }} }}" for server in lab.servers)
    return f"virtual_server {BY_NAME} 53 {{\nprotocol UDP\nlb_kind DR\nlb_algo qname\nengine xdp\n{servers}\n}}\n"


@contextmanager
def _readdressing(lab: Site) -> Iterator[None]:
    """What any balancer in its place costs: a host that does nothing with a query but to write the addresses."""
    host = lab.lab.host("fewest", f"{READDRESSED}/24")
    own, *macs = (mac(each) for each in (host, *(server.host for server in lab.servers)))
    text = f"""
        r6 = *(u32 *)(r1 + 0)
        r2 = *(u32 *)(r1 + 4)
        r1 = r6
        r1 += 42
        if r1 > r2 goto pass
        r3 = *(u16 *)(r6 + 12)
        if w3 != {_raw(bytes.fromhex("0800")):#x} goto pass
        r3 = *(u8 *)(r6 + 23)
        if w3 != 17 goto pass
        *(u32 *)(r6 + 6) = {_raw(own[:4]):#x}
        *(u16 *)(r6 + 10) = {_raw(own[4:]):#x}
        *(u32 *)(r6 + 0) = {_raw(macs[0][:4]):#x}
        *(u16 *)(r6 + 4) = {_raw(macs[0][4:]):#x}
        r3 = *(u8 *)(r6 + 35)
        w3 &= 1
        if w3 == 0 goto send
        *(u32 *)(r6 + 0) = {_raw(macs[-1][:4]):#x}
        *(u16 *)(r6 + 4) = {_raw(macs[-1][4:]):#x}
    send:
        w0 = {Verdict.TX:d}
        exit
    pass:
        w0 = {Verdict.PASS:d}
        exit
    """

    def attach() -> Link:
        with load(assemble(text), {}, "lab") as program:
            return Link.attach(program, socket.if_nametoindex(host.interface), Mode.GENERIC)

    with host.call(attach):
        yield


def _start_dnsdist(lab: Site) -> Process:
    """As Debian ships it, without a packet cache, which would answer instead of the servers."""
    host = lab.lab.host("dist", f"{DNSDIST}/24")
    file = host.directory / "dnsdist.conf"
    servers = "\n".join(f'newServer{{address="{server.own4}:53", checkName="{CHECKED}"}}' for server in lab.servers)
    file.write_text(f'setLocal("{DNSDIST}:53")\nsetACL("0.0.0.0/0")\nsetSecurityPollSuffix("")\n{servers}\n')
    process = host.start(["dnsdist", "--supervised", "-C", file], stdout=host.directory / "log")
    eventually(lambda: process.output.count("as 'up'") >= len(lab.servers), "dnsdist found its servers up")
    return process


def _ask(host: Host, targets: Sequence[str], names: Path, seconds: int, others: Sequence[Process]) -> Answered:
    """`others` are the programs whose processor time counts, besides dnsperf itself."""
    options: list[str | Path] = ["-d", names, "-l", str(seconds), "-c", str(PORTS), "-q", str(OUTSTANDING), "-t", "1"]
    logs = [host.directory / f"dnsperf-{number}" for number in range(len(targets))]
    for log in logs:
        log.unlink(missing_ok=True)
    before = _cpu(others)
    running = [
        host.start(["dnsperf", "-s", target, *options], stdout=log) for target, log in zip(targets, logs, strict=True)
    ]
    for process in running:
        process.wait(seconds + 30)
        host.processes.remove(process)
    used = _cpu(others) - before
    reports = [process.output for process in running]
    answers = sum(_figure(report, r"Queries completed: +(\d+)") for report in reports)
    return Answered(
        sum(_figure(report, r"Queries per second: +([\d.]+)") for report in reports),
        round(sum(_figure(report, r"Queries lost: +(\d+)") for report in reports)),
        used / answers if answers else inf,
    )


def _cpu(processes: Sequence[Process]) -> float:
    """Processor seconds of these, and of the programs that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = ended.ru_utime + ended.ru_stime
    for process in processes:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / TICK
    return total


def _raw(octets: bytes) -> int:
    """As an immediate of a store, or of a comparison with what was loaded."""
    return int.from_bytes(octets, sys.byteorder)


def _figure(report: str, pattern: str) -> float:
    found = re.search(pattern, report)
    if found is None:
        raise LabError(f"dnsperf reports nothing: {' '.join(report.split())[-300:]}")
    return float(found[1])
