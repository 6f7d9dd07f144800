"""The balancer's data plane over a fall and a restart of the speaker, and at the end of this node's role."""

import os
import shutil
import signal
import sys
import time

import pytest
from balancer_nodes import Balancer, Client, Stream, serve, virtual_server, vrrp
from health_nodes import VIP4, VIP6, DnsServer

from pyvrrp.demo.lab import Lab, eventually

pytestmark = pytest.mark.skipif(
    shutil.which("unbound") is None or shutil.which("named") is None, reason="needs unbound and bind9"
)
ENGINES = ("xdp", "nft")
VRRP = vrrp()


@pytest.fixture
def servers(lab: Lab) -> list[DnsServer]:
    found = [DnsServer(lab, number) for number in (1, 2, 3)]
    serve(*found)
    return found


@pytest.fixture
def balancer(lab: Lab, servers: list[DnsServer], engine: str) -> Balancer:
    """It is MASTER, and has all servers at work by this engine."""
    made = Balancer(lab)
    made.start(VRRP, virtual_server(*servers, extra=f"engine {engine}"))
    made.serving(*servers)
    eventually(lambda: has_data_plane(made), "it has a data plane")
    return made


def has_data_plane(balancer: Balancer) -> bool:
    links = balancer.host.run(["ip", "link", "show", "dev", "eth0"]).stdout
    return "prog/xdp" in links or "table netdev dnslb-eth0" in balancer.host.run(["nft", "list", "tables"]).stdout


def program(balancer: Balancer) -> str:
    """The number of the XDP program on its interface; empty when there is none."""
    links = balancer.host.run(["ip", "link", "show", "dev", "eth0"]).stdout
    return links.partition("prog/xdp id ")[2].partition(" ")[0]


def another_speaks(balancer: Balancer, pid: int) -> int:
    eventually(lambda: balancer.status().get("pid") not in (None, pid), "another speaker", 40, 0.1)
    return balancer.status()["pid"]


def streams_over(balancer: Balancer, client: Client, what: str) -> list[Stream]:
    """Clients of both families ask every 2 ms while `what` happens, and until the next speaker has settled."""
    pid = balancer.status()["pid"]
    streams = [Stream(client, vip) for vip in (VIP4, VIP6)]
    time.sleep(0.5)
    match what:
        case "restart":
            balancer.host.run([sys.executable, "-m", "pyvrrp", "restart"])
        case "hang":
            os.kill(pid, signal.SIGSTOP)
        case "kill":
            os.kill(pid, signal.SIGKILL)
    another_speaks(balancer, pid)
    time.sleep(4)
    for stream in streams:
        stream.close()
    return streams


@pytest.mark.parametrize("what", ["kill", "hang", "restart"])
@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_lost(balancer: Balancer, lab: Lab, engine: str, what: str) -> None:
    streams = streams_over(balancer, Client(lab), what)
    for vip, stream in zip((VIP4, VIP6), streams, strict=True):
        print(f"{engine}, {what}, {vip}: {stream.lost} of {len(stream.answers)} lost, gap {stream.gap():.3f} s")
    assert [stream.lost for stream in streams] == [0, 0]
    eventually(lambda: "taken over from the process before" in balancer.engine(), "its engine's word")


@pytest.mark.parametrize("engine", ["xdp"])
def test_what_was_opened_anew_is_what_goes_on(balancer: Balancer, lab: Lab, servers: list[DnsServer]) -> None:
    """The descriptors of an engine that is opened again have the numbers of those that were closed."""
    client, before = Client(lab), program(balancer)
    balancer.configure(VRRP, virtual_server(*servers, extra="engine auto"))
    balancer.reload()
    eventually(lambda: program(balancer) not in ("", before), "another program")
    eventually(lambda: not client.spread(50)[""], "which has its tables")
    streams = streams_over(balancer, client, "kill")
    assert [stream.lost for stream in streams] == [0, 0]
    eventually(lambda: "taken over from the process before" in balancer.engine(), "its engine's word")


@pytest.mark.parametrize("end", ["given up", "guard killed", "both killed", "stopped", "not configured"])
@pytest.mark.parametrize("engine", ENGINES)
def test_it_ends_with_the_role(balancer: Balancer, end: str) -> None:
    pid = balancer.status()["pid"]
    match end:
        case "given up":
            os.kill(pid, signal.SIGKILL)
            os.kill(another_speaks(balancer, pid), signal.SIGKILL)
        case "guard killed":
            balancer.process.signal(signal.SIGKILL)
        case "both killed":
            balancer.kill()
        case "stopped":
            assert balancer.process.stop() == 0
        case "not configured":
            balancer.configure(VRRP)
            balancer.host.run([sys.executable, "-m", "pyvrrp", "restart"])
    eventually(lambda: not has_data_plane(balancer), "the data plane is gone")
