"""How long a dead server gets packets, and what a drain does to connections."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Event

from balancer_nodes import WHO, over, query
from health_nodes import VIP4, DnsServer, mac

from harness.dataplane_site import Site, site
from harness.dataplane_table import Bar, Line
from pyvrrp.demo.lab import Host
from pyvrrp.demo.namespaces import LabError
from pyvrrp.demo.processes import Process
from pyvrrp.demo.wire import Frame

SERVERS = 3


@dataclass(frozen=True, slots=True)
class Pace:
    """How often servers are checked."""

    name: str
    options: tuple[str, ...]
    "of the virtual_server"
    bar: Bar
    "seconds until a killed server gets nothing more"


PACES = (
    Pace("default checks", (), Bar(1.5, at_most=True, always=True)),
    Pace("fast checks", ("delay_loop 0.1", "fast_interval 0.05"), Bar(0.3, at_most=True, always=True)),
)
PORTS = 256
EVERY = 0.001
"seconds between two queries"
AFTERWARDS = 1.0
"seconds that are watched after a server is seen down"
CONNECTIONS = 90
"of TCP, that are open during a drain"
DRAINED = 3.0
"seconds of a drain that are watched"


def lines(rounds: int) -> Iterator[Line]:
    """Every server dies once in each round; raises Skipped and LabError."""
    with site(SERVERS) as lab:
        for pace in PACES:
            lab.configure(*pace.options)
            deaths = [_last_packet(lab, server, Process.kill) for _ in range(rounds) for server in lab.servers]
            silences = [_last_packet(lab, server, Process.freeze) for _ in range(rounds) for server in lab.servers]
            what, beside = f"to its last packet, {pace.name}", ", ".join(pace.options) or lab.engine
            yield Line(what=f"SIGKILL {what}", values=deaths, unit="s", digits=3, bar=pace.bar, beside=beside)
            yield Line(what=f"SIGSTOP {what}", values=silences, unit="s", digits=3, beside=beside)
        lab.configure()
        drains = [_drain(lab, lab.servers[number % SERVERS]) for number in range(rounds)]
    kept, asked, opened = (sum(each) for each in zip(*((d.kept, d.asked, d.opened) for d in drains), strict=True))
    none = Bar(0, at_most=True, always=True)
    yield Line(
        what="drain: connections that were reset",
        values=[each.broken for each in drains],
        unit="",
        bar=none,
        beside=f"of {CONNECTIONS}; {asked} queries over the {kept} to drained servers",
    )
    yield Line(
        what="drain: new connections to the server",
        values=[each.strayed for each in drains],
        unit="",
        bar=none,
        beside=f"of {opened}",
    )


class Stream:
    """Queries from many ports to an address, at a steady pace, whoever answers; until it is closed."""

    def __init__(self, host: Host, vip: str) -> None:
        self._closed = Event()
        self._target = (vip, 53)
        host.listeners.append(self)
        self._thread = host.thread(self._run)

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        asked = query(7, WHO)
        with contextlib.ExitStack() as opened:
            ports = [opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(PORTS)]
            for port in itertools.cycle(ports):
                if self._closed.wait(EVERY):
                    return
                port.sendto(asked, socket.MSG_DONTWAIT, self._target)


def _last_packet(lab: Site, server: DnsServer, die: Callable[[Process], None]) -> float:
    """Seconds from the death of a server to the last query of a client that was sent to it; it lives again then."""
    assert server.process is not None
    client = lab.client.host
    capture, stream = lab.lab.capture(server.host), Stream(client, VIP4)
    try:
        told = _queries_to(server, client)
        capture.wait(told, f"queries to {server.name}")
        died = time.monotonic()
        die(server.process)
        lab.balancer.until("down", server)
        time.sleep(AFTERWARDS)
    finally:
        stream.close()
        capture.close()
    last = max((frame.time for frame in capture if told(frame)), default=died)
    lab.start(server)
    lab.balancer.until("up", server)
    return max(0.0, last - died)


def _queries_to(server: DnsServer, client: Host) -> Callable[[Frame], bool]:
    """Whether a frame is a query of the client to the VIP that was sent to this server; the checks' frames are not."""
    at, sender = mac(server.host), next(each.packed for each in client.addresses() if each.version == 4)
    headers = sender + socket.inet_aton(VIP4)
    return lambda frame: frame.data[:6] == at and frame.data[12:14] == b"\x08\x00" and frame.data[26:34] == headers


@dataclass(slots=True)
class Drain:
    """What became of connections while a server was drained."""

    kept: int = 0
    "connections that the server had"
    asked: int = 0
    "queries over these"
    broken: int = 0
    "connections of any server that were reset or ended, or that another server answered"
    opened: int = 0
    "new connections"
    strayed: int = 0
    "of these to the server that is drained"


def _drain(lab: Site, server: DnsServer) -> Drain:
    drain = Drain()
    with contextlib.ExitStack() as opened:
        streams = [opened.enter_context(lab.client.socket(VIP4, socket.SOCK_STREAM)) for _ in range(CONNECTIONS)]
        for stream in streams:
            stream.connect((VIP4, 53))
        owners = {stream: over(stream) for stream in streams}
        drain.kept = sum(owner == server.name for owner in owners.values())
        _tell(lab, "drain", server)
        try:
            end = time.monotonic() + DRAINED
            while time.monotonic() < end:
                for stream, owner in list(owners.items()):
                    drain.asked += owner == server.name
                    if _answer(stream) != owner:
                        drain.broken += 1
                        del owners[stream]
                drain.opened += 1
                drain.strayed += lab.client.ask_tcp() == server.name
        finally:
            _tell(lab, "auto", server)
    lab.balancer.until("up", server)
    return drain


def _answer(stream: socket.socket) -> str:
    try:
        return over(stream)
    except OSError:
        return ""


def _tell(lab: Site, word: str, server: DnsServer) -> None:
    done = lab.balancer.dnslb(word, server.name)
    if done.returncode:
        raise LabError(f"`dnslb {word} {server.name}` failed: {done.stderr.strip()}")
