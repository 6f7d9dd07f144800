"""Messages per second of the pure core, beside scapy on the same packets: `python benchmarks/core.py`.

Medians of several rounds, the contestants taking turns within a round. Scapy only takes a packet apart; pyvrrp has also
verified it by then (RFC 3768 section 7.1).
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from statistics import median

from pyvrrp.core.advertisement import Advertisement
from pyvrrp.core.auth import AuthenticationHeader, NoAuthentication, SimpleText
from pyvrrp.core.datagram import parse_ipv4
from pyvrrp.core.events import AdvertisementReceived, Startup, State, TimerExpired
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.reception import GROUP4, Reception
from pyvrrp.core.transmission import Transmission
from pyvrrp.core.virtual_router import VirtualRouter
from pyvrrp.host.crypto import hmac_md5

ROUNDS = 7
SECONDS = 0.08
"of one contestant in one round"
US, PEER, VIP = IPv4Address("192.0.2.11"), IPv4Address("192.0.2.12"), IPv4Address("192.0.2.100")
V2 = Parameters(vrid=51, addresses=(VIP,))
V3 = Parameters(vrid=51, version=3, addresses=(VIP,))
MANY = Parameters(vrid=51, version=3, addresses=tuple(IPv4Address("192.0.2.0") + n for n in range(1, 101)))

Work = Callable[[], object]
Row = tuple[str, Work, Work | None]


def rate(work: Work, seconds: float = SECONDS) -> float:
    """How often per second; the clock is read once in 100 times."""
    done = 0
    began = time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        for _ in range(100):
            work()
        done += 100
    return done / passed


def build(parameters: Parameters, security: NoAuthentication | None = None) -> Work:
    return lambda: Transmission(parameters, PEER, (GROUP4,), security=security).packet(100, GROUP4)


def kept(parameters: Parameters) -> Work:
    transmission = Transmission(parameters, PEER, (GROUP4,))
    return lambda: transmission.packet(100, GROUP4)


def read(parameters: Parameters, security: NoAuthentication | None = None) -> Work:
    security = security or NoAuthentication()
    packet = Transmission(parameters, PEER, (GROUP4,), security=security).packet(100, GROUP4)
    reception = Reception(parameters=parameters, security=security)

    def work() -> object:
        if isinstance(security, AuthenticationHeader):
            security.sequence = 0  # the same packet again is a replay
        return reception.check(parse_ipv4(packet))

    work()
    return work


def backup_hears() -> Work:
    router = VirtualRouter(V2, US)
    router.handle(Startup(), 0.0)
    event = AdvertisementReceived(Advertisement(2, 51, 150, 1.0, (VIP,)), PEER)

    def work() -> object:
        router.handle(event, 1.0)
        return router.deadline

    work()
    assert router.state is State.BACKUP
    return work


def master(parameters: Parameters = V2) -> VirtualRouter:
    router = VirtualRouter(parameters, US)
    router.handle(Startup(), 0.0)
    assert router.deadline is not None
    router.handle(TimerExpired(), router.deadline)
    assert router.state is State.MASTER
    return router


def master_advertises() -> Work:
    router = master()
    expired = TimerExpired()

    def work() -> object:
        assert router.deadline is not None
        return router.handle(expired, router.deadline)

    return work


def master_hears_lower() -> Work:
    router = master()
    event = AdvertisementReceived(Advertisement(2, 51, 50, 1.0, (VIP,)), PEER)

    def work() -> object:
        router.handle(event, 4.5)
        return router.deadline

    return work


def scapy_work() -> dict[str, Work]:
    """The same packets by scapy, or nothing where it is not installed."""
    try:
        from scapy.layers.inet import IP
        from scapy.layers.vrrp import VRRP, VRRPv3
    except ImportError:
        return {}

    def ip() -> IP:
        return IP(src=str(PEER), dst=str(GROUP4), ttl=255, proto=112, tos=0xC0, id=0)

    def v2(addresses: list[str]) -> bytes:
        packet = ip() / VRRP(version=2, vrid=51, priority=100, authtype=0, adv=1, addrlist=addresses)
        return bytes(packet)

    def v3(addresses: list[str]) -> bytes:
        return bytes(ip() / VRRPv3(version=3, vrid=51, priority=100, adv=100, addrlist=addresses))

    def fields(layer: type, packet: bytes) -> Work:
        def work() -> object:
            vrrp = IP(packet)[layer]
            return vrrp.vrid, vrrp.priority, vrrp.adv, vrrp.addrlist

        return work

    one, many = [str(VIP)], [str(address) for address in MANY.addresses]
    if v2(one) != build(V2)():
        raise SystemExit("scapy makes another packet: the comparison would be worth nothing")
    return {
        "v2 build": lambda: v2(one),
        "v3 build": lambda: v3(one),
        "v3 build 100": lambda: v3(many),
        "v2 read": fields(VRRP, v2(one)),
        "v3 read": fields(VRRPv3, v3(one)),
        "v3 read 100": fields(VRRPv3, v3(many)),
    }


def rows() -> list[Row]:
    scapy = scapy_work()
    password, key = SimpleText(b"secret12"), AuthenticationHeader(b"secret12", hmac_md5)
    return [
        ("build v2", build(V2), scapy.get("v2 build")),
        ("build v2, AH", build(V2, key), None),
        ("build v3", build(V3), scapy.get("v3 build")),
        ("build v3, 100 VIPs", build(MANY), scapy.get("v3 build 100")),
        ("packet kept from before", kept(V2), None),
        ("read and check v2", read(V2), scapy.get("v2 read")),
        ("read and check v2, PASS", read(V2, password), None),
        ("read and check v2, AH", read(V2, key), None),
        ("read and check v3", read(V3), scapy.get("v3 read")),
        ("read and check v3, 100 VIPs", read(MANY), scapy.get("v3 read 100")),
        ("handle: BACKUP hears its MASTER", backup_hears(), None),
        ("handle: MASTER hears a lower priority", master_hears_lower(), None),
        ("handle: MASTER's timer", master_advertises(), None),
    ]


def machine() -> str:
    cpus = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = cpus[0].partition(":")[2].strip() if cpus else platform.machine()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{model}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, Linux {platform.release()}, {python}"


def main() -> None:
    print(machine())
    table = rows()
    found: list[tuple[list[float], list[float]]] = [([], []) for _ in table]
    for _ in range(ROUNDS):
        for (_, ours, theirs), (ours_found, theirs_found) in zip(table, found, strict=True):
            ours_found.append(rate(ours))
            if theirs is not None:
                theirs_found.append(rate(theirs))
    print(f"medians of {ROUNDS} rounds, operations per second\n")
    print(f"{'':<38} {'pyvrrp':>10} {'us each':>8} {'scapy':>8} {'times':>6}")
    for (name, _, _), (ours_found, theirs_found) in zip(table, found, strict=True):
        mine = median(ours_found)
        line = f"{name:<38} {mine:>10,.0f} {1e6 / mine:>8.2f}"
        if theirs_found:
            peer = median(theirs_found)
            line += f" {peer:>8,.0f} {mine / peer:>5.0f}x"
        print(line)


if __name__ == "__main__":
    main()
