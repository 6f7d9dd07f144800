"""Balancers that run the real daemon, DNS servers behind them, and clients that see who answers."""

import contextlib
import json
import os
import random
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from ipaddress import ip_address
from itertools import pairwise
from threading import Event

from health_nodes import VIP4, VIP6, DnsServer
from lab_nodes import Node

from dnslb.bpf.assembler import assemble
from dnslb.bpf.program import load
from dnslb.bpf.xdp import Link, Mode
from pyvrrp.demo.lab import Host, Lab, eventually
from pyvrrp.demo.wire import Capture

WHO = "who.example"
"the name whose TXT record is the server's own name"
PATIENCE = 2.0
"seconds until a query of a Stream is lost: a busy machine may keep anybody waiting"


def vrrp(priority: int = 255, extra: str = "", advert_int: int = 4) -> str:
    """One vrrp_instance of each family, in a group: they move together.

    The owner of the address is MASTER at once; its peers would wait for 12 s, so that the guard leaves a speaker on a
    busy machine the time that it needs.
    """
    extra += "\n    state MASTER" * (priority == 255)
    return f"""
vrrp_sync_group DNS {{ group {{
    DNS4
    DNS6
}} }}
vrrp_instance DNS4 {{
    interface eth0
    virtual_router_id 53
    priority {priority}
    advert_int {advert_int}
    virtual_ipaddress {{
        {VIP4}/24
    }}
    {extra}
}}
vrrp_instance DNS6 {{
    interface eth0
    virtual_router_id 53
    priority {priority}
    advert_int {advert_int}
    version 3
    virtual_ipaddress {{
        fe80::53
        {VIP6}/64
    }}
    {extra}
}}
"""


def virtual_server(
    *servers: DnsServer,
    extra: str = "",
    weights: dict | None = None,
    check: str = "",
    patience: str = "connect_timeout 3",
) -> str:
    """Both addresses, UDP and TCP; with so much `patience` nobody is down for a busy machine."""
    blocks = "\n".join(
        f"""    real_server {server.own4} 53 {{
        name {server.name}
        weight {(weights or {}).get(server.name, 1)}
        DNS_CHECK {{ name www.example.com type A {check} }}
    }}"""
        for server in servers
    )
    return f"""
virtual_server_group DNS {{
    {VIP4} 53
    {VIP6} 53
}}
virtual_server group DNS {{
    name dns
    protocol DNS
    lb_kind DR
    {patience}
    {extra}
{blocks}
}}
"""


class Balancer(Node):
    """A node with our daemon; its own `dnslb`."""

    def __init__(
        self, lab: Lab, name: str = "lb1", number: int = 2, kind: str = "pyvrrp", host: Host | None = None
    ) -> None:
        """On a host of its own, or on one that is there."""
        super().__init__(lab, kind, name, f"192.0.2.{number}/24", f"2001:db8::{number}/64", host=host)
        self.lab = lab

    def serving(self, *servers: DnsServer) -> None:
        """Wait until it is MASTER, with these servers up."""
        eventually(lambda: self.host.holds(VIP4) and self.host.holds(VIP6), f"VIPs on {self}", 40)
        self.until("up", *servers)

    def other_program(self) -> Link:
        """Somebody else's XDP program on its interface."""

        def attach() -> Link:
            with load(assemble("w0 = 2\nexit"), {}, "other") as program:
                return Link.attach(program, socket.if_nametoindex("eth0"), Mode.NATIVE)

        self.host.listeners.append(taken := self.host.call(attach))
        return taken

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "dnslb.cli", *arguments]

    def dnslb(self, *arguments: str) -> subprocess.CompletedProcess:
        return self.host.run(self.command(*arguments), check=False)

    def reload(self) -> None:
        """Have the file read again, and wait until it is in force."""
        before = self.process.output.count("reload:")
        os.kill(self.status()["pid"], signal.SIGHUP)
        eventually(lambda: self.process.output.count("reload:") > before, f"{self} has read its file again")

    def kill_speaker(self) -> None:
        os.kill(self.status()["pid"], signal.SIGKILL)

    def servers(self, name: str = "dns") -> list[dict]:
        return self.balancing()["virtual_servers"][name]["servers"]

    def balancing(self) -> dict:
        """What `dnslb status --json` says; empty while the daemon does not answer."""
        done = self.dnslb("status", "--json")
        return json.loads(done.stdout) if done.stdout.startswith("{") else {}

    def standings(self, name: str = "dns") -> dict[str, str]:
        served = self.balancing().get("virtual_servers", {}).get(name, {})
        return {each["name"]: each["standing"] for each in served.get("servers", [])}

    def until(self, standing: str, *servers: DnsServer, timeout: float = 40.0) -> float:
        """Wait until these servers have this standing."""
        return eventually(
            lambda: all(self.standings().get(server.name) == standing for server in servers),
            f"{standing}: {[server.name for server in servers]} on {self}",
            timeout,
            every=0.1,
        )

    def engine(self) -> str:
        """At work, and why that one; empty while the daemon does not answer."""
        return self.balancing().get("interfaces", {}).get("eth0", {}).get("chosen", "")


def serve(*servers: DnsServer) -> None:
    """Each answers WHO with its own name; the odd ones are unbound, the even ones BIND."""
    for server in servers:
        # A host tells whoever asks a closed port, however often.
        server.host.run(["sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0"])
        if server.name[-1] in "13579":
            lines = [
                "  interface: 0.0.0.0",
                "  interface: ::",
                "  interface-automatic: yes",
                "  incoming-num-tcp: 100",
                f'  local-zone: "{WHO}." redirect',
                f"  local-data: '{WHO}. 0 IN TXT {server.name}'",
            ]
            server.unbound(*lines)
        else:
            head = f"$TTL 0\n@ SOA ns h 1 3600 600 86400 60\n@ NS ns\nns A {server.own4}\n"
            (server.host.directory / "who").write_text(f"{head}@ TXT {server.name}\n* TXT {server.name}\n")
            zones = f'zone "{WHO}" {{ type primary; file "{server.host.directory / "who"}"; }};\n'
            server.named(zones=zones + server.zone("example.com", 1))


class Client:
    """Asks the VIP from many ports, and knows who answered, from which address."""

    def __init__(self, lab: Lab, name: str = "client", number: int = 100) -> None:
        self.host = lab.host(name, f"192.0.2.{number}/24", f"2001:db8::{number}/64")
        # Frames of a real card have their checksums; native XDP hands on what there is.
        self.host.run(["ethtool", "-K", "eth0", "tx", "off"])
        self.mac = bytes.fromhex(self.host.run(["cat", "/sys/class/net/eth0/address"]).stdout.replace(":", ""))

    def socket(self, vip: str, kind: int = socket.SOCK_DGRAM, port: int = 0) -> socket.socket:
        def make() -> socket.socket:
            made = socket.socket(socket.AF_INET6 if ":" in vip else socket.AF_INET, kind)
            made.settimeout(5.0)
            if port:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                made.bind(("", port))
            return made

        return self.host.call(make)

    def ask(self, vip: str = VIP4, port: int = 0, name: str = WHO) -> str:
        """Who answers over UDP; empty when nobody does within five seconds."""
        with self.socket(vip, port=port) as asking:
            number = random.getrandbits(16)
            asking.sendto(query(number, name), (vip, 53))
            try:
                while True:
                    answer, sender = asking.recvfrom(4096)
                    if answer[:2] == number.to_bytes(2):
                        assert sender[0] == vip, f"the answer comes from {sender[0]}"
                        return said(answer)
            except OSError:
                return ""

    def ask_tcp(self, vip: str = VIP4, port: int = 0) -> str:
        with self.socket(vip, socket.SOCK_STREAM, port) as asking:
            try:
                asking.connect((vip, 53))
                return over(asking)
            except OSError:
                return ""

    def spread(self, count: int, vip: str = VIP4) -> Counter:
        """Who answers queries from so many ports."""
        sockets = self.host.call(
            lambda: [
                socket.socket(socket.AF_INET6 if ":" in vip else socket.AF_INET, socket.SOCK_DGRAM)
                for _ in range(count)
            ]
        )
        found: Counter = Counter()
        for number, asking in enumerate(sockets):
            asking.connect((vip, 53))
            asking.send(query(7, WHO))
            if number % 40 == 39:
                time.sleep(0.005)  # a veth's queue has room for 256
        end = time.monotonic() + 3.0
        for asking in sockets:
            asking.settimeout(max(end - time.monotonic(), 0.001))
            try:
                found[said(asking.recv(4096))] += 1
            except OSError:
                found[""] += 1
            asking.close()
        return found


class Stream:
    """Asks from ever new ports, without a pause, until it is closed: when each server answered, and what was lost."""

    def __init__(self, client: Client, vip: str = VIP4, every: float = 0.002) -> None:
        self._client, self._vip, self._every = client, vip, every
        self._closed = Event()
        self.answers: list[tuple[float, str]] = []
        "when asked, and who answered; nobody: empty"
        client.host.listeners.append(self)
        self._thread = client.host.thread(self._run)

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    @property
    def lost(self) -> int:
        return sum(not who for _, who in self.answers)

    def last(self, server: str) -> float:
        """When a server was asked last of those queries that it answered."""
        return max((at for at, who in self.answers if who == server), default=0.0)

    def last_answer(self) -> float:
        """When the last query was asked that was answered."""
        return max((at for at, who in self.answers if who), default=0.0)

    def gap(self) -> float:
        """The longest time without an answer, in seconds."""
        times = sorted([*(at for at, who in self.answers if who), self.answers[-1][0]])
        return max((after - before for before, after in pairwise(times)), default=0.0)

    def _run(self) -> None:
        """No query waits for the answer to another."""
        waiting: dict[socket.socket, float] = {}
        with selectors.DefaultSelector() as selector:
            while not self._closed.is_set() or waiting:
                now = time.monotonic()
                if not self._closed.is_set():
                    asking = self._ask()
                    waiting[asking] = now
                    selector.register(asking, selectors.EVENT_READ)
                for key, _ in selector.select(self._every):
                    self._end(selector, waiting, key.fileobj, answer_of(key.fileobj))
                for late in [each for each, at in waiting.items() if now > at + PATIENCE]:
                    self._end(selector, waiting, late, "")
                time.sleep(max(now + self._every - time.monotonic(), 0.0))
        self.answers.sort()

    def _ask(self) -> socket.socket:
        asking = socket.socket(socket.AF_INET6 if ":" in self._vip else socket.AF_INET, socket.SOCK_DGRAM)
        asking.setblocking(False)
        with contextlib.suppress(OSError):
            asking.connect((self._vip, 53))
            asking.send(query(9, WHO))
        return asking

    def _end(self, selector, waiting, asking, who: str) -> None:
        selector.unregister(asking)
        self.answers.append((waiting.pop(asking), who))
        asking.close()


def answer_of(asking: socket.socket) -> str:
    """Who answers; empty for an error, a port that is closed for example."""
    try:
        return said(asking.recv(4096))
    except OSError:
        return ""


def forwarded(capture: Capture, balancer: Balancer, since: float = 0.0) -> list[float]:
    """When frames for a VIP left a balancer, but for its own probes, which come from its own addresses."""
    vips = {ip_address(VIP4).packed, ip_address(VIP6).packed}
    own = {address.packed for address in balancer.sources}

    def to_vip(data: bytes) -> bool:
        source, destination = (data[26:30], data[30:34]) if data[12:14] == b"\x08\x00" else (data[22:38], data[38:54])
        return data[6:12] == balancer.mac and destination in vips and source not in own

    return [frame.time for frame in capture if frame.time >= since and to_vip(frame.data)]


def query(number: int, name: str, kind: int = 16) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, kind, 1)


def said(answer: bytes) -> str:
    """The text of the first TXT record, or the response code."""
    _, flags, _, answers, _, _ = struct.unpack_from("!6H", answer)
    if flags & 15 or not answers:
        return f"rcode {flags & 15}"
    at = answer.index(b"\0", 12) + 5
    at += 2 if answer[at] & 0xC0 else answer.index(b"\0", at) + 1 - at
    length = answer[at + 10]
    return answer[at + 11 : at + 11 + length].decode()


def over(stream: socket.socket) -> str:
    """One query over a TCP connection; who answered."""
    asked = query(11, WHO)
    stream.sendall(len(asked).to_bytes(2) + asked)
    size = int.from_bytes(_exactly(stream, 2))
    return said(_exactly(stream, size))


def _exactly(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        if not (more := stream.recv(size - len(data))):
            raise ConnectionError("closed")
        data += more
    return data
