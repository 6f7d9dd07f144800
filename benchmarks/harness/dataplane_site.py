"""Servers behind a balancer that runs the real daemon, and a client of theirs: the lab of dataplane.py."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from balancer_nodes import WHO, Balancer, Client, virtual_server, vrrp
from health_nodes import VIP4, VIP6, DnsServer

from harness.dataplane_table import Skipped
from pyvrrp.demo.lab import Lab, eventually
from pyvrrp.demo.namespaces import ip
from tests.dnslb_xdp import bpf_allowed

TCP_CONNECTIONS = 1000
"of one unbound at once; it drops idle ones early when half of them are in use"


class Site:
    """Servers that run, a client whose frames have their checksums, and a balancer, to be started by `configure`."""

    def __init__(self, lab: Lab, servers: int, also: Sequence[str]) -> None:
        """`also` are addresses that every server answers from besides the VIPs."""
        lab.switch.call(_no_firewall)
        self.lab = lab
        self._also = also
        self.servers = [DnsServer(lab, number) for number in range(1, servers + 1)]
        self.client = Client(lab)
        self.balancer = Balancer(lab)
        for server in self.servers:
            if also:
                ip(*(f"addr add {address}/32 dev lo" for address in also), namespace=server.host.namespace)
            self.start(server)

    def start(self, server: DnsServer) -> None:
        """Its unbound, with one thread, which says whose it is."""
        addresses = (server.own4, server.own6, VIP4, VIP6, *self._also)
        server.unbound(
            *(f"  interface: {address}" for address in addresses),
            "  num-threads: 1",
            "  so-rcvbuf: 4m",  # room for all that dnsperf has under way, when a server waits for a processor
            f"  incoming-num-tcp: {TCP_CONNECTIONS}",
            f'  local-zone: "{WHO}." redirect',
            f"  local-data: '{WHO}. 0 IN TXT {server.name}'",
        )

    def configure(self, *options: str, also: str = "") -> None:
        """Start the daemon, again perhaps, and wait until it is MASTER and all servers are up.

        `options` are lines of the virtual_server, `also` is more of the file.
        """
        if self.balancer.process is not None:
            self.balancer.process.stop()
        extra = "\n    ".join(("engine xdp", "flap_damping off", *options))
        self.balancer.start(vrrp(), virtual_server(*self.servers, extra=extra, patience=""), also)
        eventually(lambda: self.balancer.host.holds(VIP4), "the balancer is MASTER", 30.0)
        self.balancer.until("up", *self.servers, timeout=30.0)

    @property
    def engine(self) -> str:
        """The engine at work, and its mode."""
        return self.balancer.engine().partition(":")[0]


@contextmanager
def site(servers: int, also: Sequence[str] = ()) -> Iterator[Site]:
    """A lab of its own; raises Skipped and LabError."""
    require("unbound", "ethtool")
    if not bpf_allowed():
        raise Skipped("bpf(2) needs root outside of user namespaces")
    with Lab("bench-d") as lab:
        yield Site(lab, servers, also)


def require(*programs: str) -> None:
    """Raise Skipped when one is not installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise Skipped(f"{' and '.join(missing)} not installed (apt install {' '.join(missing)})")


def _no_firewall() -> None:
    """A switch costs a node nothing, a bridge does: at least it is not to ask iptables for every frame."""
    for each in Path("/proc/sys/net/bridge").glob("bridge-nf-call-*"):
        each.write_text("0")
