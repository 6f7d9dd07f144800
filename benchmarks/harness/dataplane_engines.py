"""Packets per second through each engine: frames from ever other ports come in by a wire, and leave by it again.

They are made by the kernel at the far end of the wire (live frames), and counted and dropped there when they come back,
by the server that they were sent to. Sender and engine share one processor, except for the packet engine, whose thread
has another one. Never more frames are under way than the engine has room for: what is measured is what it can do
without loss, not how it behaves under a flood.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median

from dnslb.bpf.assembler import assemble
from dnslb.bpf.program import Verdict, load
from dnslb.bpf.xdp import Link, Mode
from dnslb.dataplane import DataPlane, nft, packet, xdp
from dnslb.forwarding import Forwarding
from harness.dataplane_table import Bar, Line, Skipped
from harness.live_frames import Arrivals, LiveFrames
from pyvrrp.demo.lab import Host, Lab
from pyvrrp.demo.namespaces import LabError, ip
from tests.dnslb_packets import OWN_MAC, UDP, ethernet, ipv4, labels, query, udp
from tests.dnslb_services import PEER_MAC, SERVERS, services, spread_over

SECONDS = 0.5
"of one engine in one round"
STALL = 0.1
"seconds without an arrival, after which what is under way is lost"
VIP, CLIENT = "192.0.2.53", "198.51.100.9"
SOURCE_PORT = 34
FRAME = ethernet(ipv4(CLIENT, VIP, UDP, udp(CLIENT, 4242, VIP, 53, query(labels("www.example.net")))))
FORWARDING = Forwarding(
    mac=OWN_MAC,
    services=services(VIP, table=spread_over(*SERVERS)),
    destinations=SERVERS,
    peers=frozenset({PEER_MAC, *(server.mac for server in SERVERS.values())}),
)
FASTER_THAN_NFT = Bar(4.0)
PACKETS_A_CORE = Bar(300_000)


@dataclass(frozen=True, slots=True)
class Way:
    """An engine in one mode."""

    name: str
    open: Callable[[str], DataPlane]
    at_once: int
    "frames that are sent in one call; twice as many may be under way"
    far_mtu: int = 1500
    "of the far end: a veth refuses native XDP when its peer's frames could be longer than a page"


NATIVE = Way("xdp native", partial(xdp.open, native_on_veth=True), 100_000)
GENERIC = Way("xdp generic", xdp.open, 50_000, far_mtu=9000)
NFT = Way("nft", nft.open, 20_000)
PACKET = Way("packet", packet.open, 1024)
WAYS = (NATIVE, GENERIC, NFT, PACKET)


@dataclass(frozen=True, slots=True)
class Throughput:
    """One engine in one round; times in seconds, those of processors without what waited."""

    sent: int
    arrived: int
    seconds: float
    sender_cpu: float
    "of the sender, and of the kernel's work for frames on its processor"
    engine_cpu: float
    "of the engine's own thread"

    @property
    def rate(self) -> float:
        """Packets per second."""
        return self.arrived / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Packets per second of processor time, that of the sender included."""
        return self.arrived / (self.sender_cpu + self.engine_cpu)

    def sender_share(self, alone: float) -> float:
        """The part of all processor time that the sender needs for itself; `alone`: for one frame."""
        return self.sent * alone / (self.sender_cpu + self.engine_cpu)


def lines(rounds: int) -> Iterator[Line]:
    """The engines take turns in each round; raises Skipped, LabError, BpfError and DataPlaneError."""
    if shutil.which("ethtool") is None:
        raise Skipped("ethtool is not installed (apt install ethtool)")
    alone: list[float] = []
    found: dict[Way, list[Throughput]] = {way: [] for way in WAYS}
    with Lab("bench-d") as lab:
        host = _wired(lab)
        for _ in range(rounds):
            alone.append(_sender_alone(lab, host))
            for way in WAYS:
                found[way].append(_through(lab, host, way))
    yield Line(what="the sender, frames dropped on arrival", values=[1 / each for each in alone], unit="packets/s")
    for way, results in found.items():
        lost = 1 - sum(result.arrived for result in results) / sum(result.sent for result in results)
        yield Line(
            what=way.name,
            values=[result.rate for result in results],
            unit="packets/s",
            beside=f"{lost:.2%} lost" if lost else "",
        )
    for way, results in found.items():
        share = median(result.sender_share(each) for result, each in zip(results, alone, strict=True))
        yield Line(
            what=f"{way.name}, by processor time",
            values=[result.per_cpu_second for result in results],
            unit="packets/CPU-s",
            beside=f"{share:.0%} of it the sender's",
        )
    own = [result.arrived / result.engine_cpu for result in found[PACKET]]
    yield Line(what="packet, its thread alone", values=own, unit="packets/CPU-s", bar=PACKETS_A_CORE)
    pairs = zip(found[NATIVE], found[NFT], strict=True)
    ratios = [ours.per_cpu_second / theirs.per_cpu_second for ours, theirs in pairs]
    yield Line(what="xdp native, times nft, by processor time", values=ratios, unit="x", digits=1, bar=FASTER_THAN_NFT)


def _wired(lab: Lab) -> Host:
    """A host with its cable in our hand: the port of the switch belongs to no bridge any more."""
    host = lab.host("balancer")
    host.isolate()
    ip(f"link set {host.interface} address {OWN_MAC.hex(':')}", namespace=host.namespace)
    host.run(
        ["ethtool", "-K", host.interface, "gro", "on"]
    )  # else a veth drops frames that no program of its own reads
    return host


def _sender_alone(lab: Lab, host: Host) -> float:
    """Processor seconds for one frame that is sent over the wire and dropped at once."""

    def drop() -> Link:
        with load(assemble(f"w0 = {Verdict.DROP:d}\nexit"), {}, "drop") as program:
            return Link.attach(program, socket.if_nametoindex(host.interface), Mode.NATIVE)

    def send() -> float:
        _use(_SENDER)
        with LiveFrames(FRAME, SOURCE_PORT) as frames:
            index, sent, began, cpu = socket.if_nametoindex(host.name), 0, time.perf_counter(), time.thread_time()
            while time.perf_counter() - began < SECONDS / 2:
                frames.send(index, NATIVE.at_once)
                sent += NATIVE.at_once
            return (time.thread_time() - cpu) / sent

    with host.call(drop):
        return lab.switch.call(send)


def _through(lab: Lab, host: Host, way: Way) -> Throughput:
    def engine() -> DataPlane:
        _use(_ENGINE)  # a thread of the engine runs where this one does
        plane = way.open(host.interface)
        plane.install(FORWARDING)
        plane.hold(frozenset(service.address for service in FORWARDING.services))
        return plane

    def send() -> Throughput:
        _use(_SENDER)
        with Arrivals(socket.if_nametoindex(host.name)) as arrivals, LiveFrames(FRAME, SOURCE_PORT) as frames:
            index = socket.if_nametoindex(host.name)
            _send(frames, index, arrivals, way, SECONDS / 10)  # until caches are warm
            return _send(frames, index, arrivals, way, SECONDS)

    ip(f"link set {host.name} mtu {way.far_mtu}", namespace=lab.switch.namespace)
    plane = host.call(engine)
    try:
        if f"{plane.name} {plane.mode}".rstrip() != way.name:
            raise LabError(f"{way.name} was wanted, and it is {plane.name} {plane.mode}: {plane.reason}")
        return lab.switch.call(send)
    finally:
        plane.close()


def _send(frames: LiveFrames, index: int, arrivals: Arrivals, way: Way, seconds: float) -> Throughput:
    first, sent, lost, arrived, sender_cpu = _balanced(arrivals), 0, 0, 0, 0.0
    others, began = time.process_time() - time.thread_time(), time.perf_counter()
    progress = now = began
    while True:
        now, before = time.perf_counter(), arrived
        arrived = _balanced(arrivals) - first
        if arrived != before:
            progress = now
        if now - progress > STALL:
            lost, progress = sent - arrived, now
        is_over = now - began >= seconds
        if is_over and sent - lost <= arrived:
            break
        if not is_over and sent - lost - arrived <= way.at_once:
            cpu = time.thread_time()
            frames.send(index, way.at_once)
            sender_cpu += time.thread_time() - cpu
            sent += way.at_once
        else:
            time.sleep(0.0002)
    engine_cpu = time.process_time() - time.thread_time() - others
    return Throughput(sent, arrived, progress - began, sender_cpu, engine_cpu)


def _balanced(arrivals: Arrivals) -> int:
    """How many came back, by the addresses of the servers."""
    frames = arrivals.read().frames
    return sum(frames[server.mac[5]] for server in SERVERS.values())


_CPUS = sorted(os.sched_getaffinity(0))
_SENDER, _ENGINE = _CPUS[-1], _CPUS[0]


def _use(cpu: int) -> None:
    """For the calling thread, and those that it starts."""
    os.sched_setaffinity(0, {cpu})
