"""Nodes of a lab that run our daemon or the real keepalived, their configuration, and what is seen of them."""

import json
import sys
import time
from itertools import pairwise
from pathlib import Path

from pyvrrp.demo.lab import Host, Lab, LabError, eventually
from pyvrrp.demo.processes import Process
from pyvrrp.demo.wire import Advertised, Capture, Frame

ROOT = Path(__file__).parents[2]
BOTH_WAYS = [("pyvrrp", "keepalived"), ("keepalived", "pyvrrp")]
METRICS_PORT = 9165
FETCH = """
import sys, urllib.request as web
try:
    answer = web.urlopen(sys.argv[1], timeout=20)
except web.HTTPError as error:
    answer = error
print(answer.status, flush=True)
sys.stdout.buffer.write(answer.read())
"""


class Node:
    """A host with a VRRP daemon: `kind` is pyvrrp or keepalived."""

    def __init__(self, lab: Lab, kind: str, name: str, *addresses: str, host: Host | None = None) -> None:
        """On a host of its own, or on one that is there."""
        self.kind = kind
        self.host = host or lab.host(name, *addresses)
        self.host.environment["PYTHONPATH"] = str(ROOT)
        self.file = self.host.directory / "keepalived.conf"
        self.log = self.host.directory / "log"
        self.process: Process | None = None
        self.identify()

    def __str__(self) -> str:
        return f"{self.host.name} ({self.kind})"

    def identify(self) -> None:
        """Look up how the node is told on the wire (again, when its interface was made again)."""
        self.sources = self.host.addresses()
        self.mac = bytes.fromhex(self.host.run(["cat", "/sys/class/net/eth0/address"]).stdout.replace(":", ""))

    def configure(self, *blocks: str) -> None:
        self.file.write_text("\n".join(blocks))

    def start(self, *blocks: str) -> None:
        """Write the configuration and start the daemon; returns when it listens."""
        self.configure(*blocks)
        self.process = self.host.start(self.argv(), stdout=self.log)
        eventually(self.listens, f"{self}: has a VRRP socket", 30)

    def listens(self) -> bool:
        """Whether it has a raw socket for VRRP (112 = 0x70) or AH (51 = 0x33)."""
        if self.process.returncode is not None:
            raise LabError(f"{self} ended with {self.process.returncode}:\n{self.process.output}")
        sockets = self.host.run(["cat", "/proc/net/raw", "/proc/net/raw6"]).stdout.splitlines()
        return any(line.split()[1].endswith((":0070", ":0033")) for line in sockets)

    def kill(self) -> None:
        """SIGKILL every process of the daemon at once."""
        self.host.kill()

    def status(self) -> dict:
        """What `pyvrrp status --json` says; empty while the daemon does not answer."""
        done = self.host.run([sys.executable, "-m", "pyvrrp", "status", "--json"], check=False)
        return json.loads(done.stdout or "{}")

    def state(self) -> str:
        """The state of its first instance; empty while the daemon does not answer."""
        return next((each["state"] for each in self.status().get("instances", [])), "")

    def logged(self, text: str, timeout: float = 15.0) -> str:
        """Wait for the one line of its log that has this text: level and message."""
        lines: list[str] = []

        def found() -> bool:
            lines[:] = [line for line in self.process.output.splitlines() if text in line]
            return bool(lines)

        eventually(found, f"{self} logs {text!r}", timeout, every=0.1)
        (line,) = lines
        return " ".join(line.split()[2:])

    def argv(self) -> list[str | Path]:
        """The command that runs the daemon."""
        if self.kind == "pyvrrp":
            return [sys.executable, "-m", "pyvrrp", "run", "-f", self.file]
        pids = [self.host.directory / "pid", self.host.directory / "vrrp.pid"]
        return ["keepalived", "-n", "-l", "-D", "-P", "-f", self.file, "-p", pids[0], "-r", pids[1]]


def fetch(node: Node, path: str, port: int = METRICS_PORT) -> tuple[int, str]:
    """Status and body of a page of its metrics_listen; 0: nobody listens."""
    done = node.host.run([sys.executable, "-c", FETCH, f"http://127.0.0.1:{port}{path}"], check=False)
    status, _, body = done.stdout.partition("\n")
    return int(status or 0), body


class Segment:
    """What is seen on the wire of a lab, told by node."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture

    def heard(self, node: Node, vrid: int, since: float = 0.0) -> list[tuple[float, Advertised]]:
        """The advertisements of a node, with their times."""
        return [
            (at, seen) for at, seen in self.capture.advertisements(vrid) if at >= since and seen.source in node.sources
        ]

    def largest_pause(self, node: Node, vrid: int, since: float) -> float:
        """The longest time between two advertisements of a node."""
        return max(later - earlier for (earlier, _), (later, _) in pairwise(self.heard(node, vrid, since)))

    def wait_advertised(self, node: Node, *vrids: int, count: int = 1, timeout: float = 30.0) -> float:
        """Wait for `count` new advertisements above priority 0 for each VRID of a node; the time of the last."""
        began = last = time.monotonic()
        for vrid in vrids:
            at = began
            for _ in range(count):
                frame = self.capture.wait(
                    lambda frame, vrid=vrid: _advertises(frame, node, vrid), f"VRID {vrid} of {node}", timeout, at
                )
                at = frame.time + 1e-6
            last = max(last, frame.time)
        return last

    def wait_announced(self, vip: str, node: Node, since: float, timeout: float = 30.0) -> float:
        """Wait for the first gratuitous ARP or unsolicited Neighbor Advertisement of a VIP by a node; its time."""

        def announces(frame: Frame) -> bool:
            return str(frame.announced) == vip and frame.data[6:12] == node.mac

        return self.capture.wait(announces, f"{vip} announced by {node}", timeout, since).time


def _advertises(frame: Frame, node: Node, vrid: int) -> bool:
    seen = frame.advertised
    return seen is not None and seen.vrid == vrid and seen.priority > 0 and seen.source in node.sources


def wait_holder(vip: str, holder: Node | None, others: tuple[Node, ...] | list[Node], timeout: float = 30.0) -> float:
    """Wait until `holder` and no other holds a VIP; the seconds it took."""

    def settled() -> bool:
        return (holder is None or holder.host.holds(vip)) and not any(node.host.holds(vip) for node in others)

    return eventually(settled, f"{vip} on {holder} alone", timeout)


def instance(
    vrid: int,
    priority: int,
    *vips: str,
    advert_int: float = 1,
    version: int = 2,
    name: str = "",
    interface: str = "eth0",
    extra: str = "",
) -> str:
    """A vrrp_instance in keepalived's grammar."""
    addresses = "\n        ".join(vips)
    return f"""
vrrp_instance {name or f"VI_{vrid}"} {{
    state BACKUP
    interface {interface}
    version {version}
    virtual_router_id {vrid}
    priority {priority}
    advert_int {advert_int}
    virtual_ipaddress {{
        {addresses}
    }}
    {extra}
}}
"""
