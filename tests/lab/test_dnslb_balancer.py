"""The whole balancer: the real daemon, real DNS servers (unbound and BIND), clients in a lab."""

import json
import shutil
import signal
import socket
import time

import pytest
from balancer_nodes import Balancer, Client, Stream, forwarded, over, serve, virtual_server, vrrp
from health_nodes import VIP4, VIP6, DnsServer

from pyvrrp.demo.lab import eventually
from pyvrrp.demo.namespaces import ip

pytestmark = pytest.mark.skipif(
    shutil.which("unbound") is None or shutil.which("named") is None, reason="needs unbound and bind9"
)
ENGINES = ("xdp", "nft", "packet")


@pytest.fixture
def servers(lab):
    found = [DnsServer(lab, number) for number in (1, 2, 3)]
    serve(*found)
    return found


@pytest.fixture
def client(lab):
    return Client(lab)


@pytest.fixture
def balancer(lab):
    return Balancer(lab)


def start(balancer, servers, *blocks, **options):
    balancer.start(vrrp(), virtual_server(*servers, **options), *blocks)
    balancer.serving(*servers)


@pytest.mark.parametrize("engine", ENGINES)
def test_clients_are_spread_by_weight_and_answered_by_the_vip(balancer, servers, client, engine):
    start(balancer, servers, extra=f"engine {engine}", weights={"ns3": 2})
    assert balancer.engine().startswith(engine)
    for vip in (VIP4, VIP6):
        found = client.spread(400, vip)
        assert found[""] == 0, found
        assert 60 < found["ns1"] < 140
        assert 60 < found["ns2"] < 140
        assert 150 < found["ns3"] < 250
        assert {client.ask_tcp(vip) for _ in range(30)} == {"ns1", "ns2", "ns3"}
    assert [client.ask(VIP4, port) for port in range(20001, 20021)] == [
        explained(balancer, f"192.0.2.100:{port}") for port in range(20001, 20021)
    ]
    assert client.ask(VIP6, 20001) == explained(balancer, "[2001:db8::100]:20001")


def explained(balancer, client):
    (way,) = json.loads(balancer.dnslb("explain", client, "--json").stdout)
    return way["server"]


FAST = "delay_loop 0.1\n    fast_interval 0.05\n    connect_timeout 0.1"


@pytest.mark.parametrize("death", ["killed", "frozen"])
@pytest.mark.parametrize(("extra", "most"), [("", 3.0), (FAST, 1.0)], ids=["defaults", "fast_interval"])
def test_a_dead_server_gets_nothing_any_more(balancer, servers, client, lab, extra, most, death):
    """The time from its death, or silence, to the last packet that is sent to it."""
    start(balancer, servers, extra=f"engine nft\n    {extra}")
    capture = lab.capture(servers[0].host)
    stream = Stream(client)
    eventually(lambda: stream.last("ns1") > 0, "it is used")
    time.sleep(0.5)
    died = time.monotonic()
    getattr(servers[0].process, "kill" if death == "killed" else "freeze")()
    balancer.until("down", servers[0])
    time.sleep(1.0)
    stream.close()
    assert stream.last("ns1") > died - 0.3, "it was in use to the end"
    last = max((at for at in forwarded(capture, balancer) if at > died), default=died)
    print(f"{death}: last packet {last - died:.3f} s later, {stream.lost} of {len(stream.answers)} queries lost")
    assert last - died < most
    assert {who for at, who in stream.answers if at > last + 0.01} == {"ns2", "ns3"}
    if death == "frozen":
        servers[0].process.thaw()
    else:
        serve(servers[0])
    balancer.until("up", servers[0])
    eventually(lambda: client.spread(60)["ns1"] > 5, "it is used again")


def test_a_drain_breaks_no_connection(balancer, servers, client):
    start(balancer, servers, extra="engine nft\n    drain 3")
    streams = [client.socket(VIP4, socket.SOCK_STREAM) for _ in range(24)]
    for each in streams:
        each.connect((VIP4, 53))
    before = [over(each) for each in streams]
    assert "ns1" in before
    began = time.monotonic()
    drain = balancer.host.start(balancer.command("drain", "ns1", "--wait"), stdout=balancer.host.directory / "drain")
    balancer.until("draining", servers[0])
    assert [over(each) for each in streams] == before
    assert client.spread(100)["ns1"] == 0
    assert {client.ask_tcp() for _ in range(12)} == {"ns2", "ns3"}
    assert drain.wait() == 0
    assert 2.5 < time.monotonic() - began < 6
    assert "drained" in drain.output
    for each in streams:
        each.close()
    assert balancer.dnslb("auto", "ns1").returncode == 0
    balancer.until("up", servers[0])


def test_the_operators_word_outlives_reload_and_restart(balancer, servers):
    start(balancer, servers, extra="engine nft")
    assert balancer.dnslb("down", "192.0.2.12").returncode == 0
    assert balancer.standings()["ns2"] == "out"
    balancer.configure(vrrp(), virtual_server(*servers, extra="engine nft\n    quorum 2"))
    balancer.reload()
    assert balancer.standings()["ns2"] == "out"
    balancer.kill()
    balancer.start(vrrp(), virtual_server(*servers))
    balancer.until("out", servers[1])
    assert balancer.dnslb("up", "nobody").returncode == 4


@pytest.mark.parametrize("engine", ENGINES)
def test_a_reload_loses_nothing(balancer, servers, client, lab, engine):
    start(balancer, servers[:2], extra=f"engine {engine}")
    packets = sum(each["packets"] for each in balancer.servers())
    streams = [Stream(client, vip) for vip in (VIP4, VIP6)]
    time.sleep(0.3)
    balancer.configure(vrrp(), virtual_server(*servers, extra=f"engine {engine}", weights={"ns1": 3}))
    balancer.reload()
    balancer.until("up", *servers)
    eventually(lambda: any(who == "ns3" for _, who in streams[0].answers), "the new one is used")
    balancer.configure(vrrp(priority=90), virtual_server(*servers[1:], extra=f"engine {engine}"))
    balancer.reload()
    time.sleep(0.5)
    for stream in streams:
        stream.close()
        assert len(stream.answers) > 100
        assert stream.lost == 0
    assert sum(each["packets"] for each in balancer.servers()) > packets, "the counters go on"
    assert client.spread(100)["ns1"] == 0


def test_a_replaced_card_is_found_at_once(balancer, servers, client):
    start(balancer, servers, extra="engine nft")
    ip("link set eth0 address 02:00:00:00:00:99", namespace=servers[2].host.namespace)
    servers[2].host.run(["arping", "-q", "-c", "1", "-A", "-I", "eth0", servers[2].own4], check=False)
    took = eventually(lambda: client.spread(100)[""] == 0, "all are answered")
    assert took < 3
    assert client.spread(100)["ns3"] > 10


def test_servfail_when_nobody_is_left(balancer, servers, client):
    start(balancer, servers, extra="engine nft")
    for server in servers:
        server.stop()
    eventually(lambda: client.ask() == "rcode 2", "SERVFAIL over UDP")
    for vip in (VIP4, VIP6):
        assert client.ask(vip) == "rcode 2"
        assert client.ask_tcp(vip) == "rcode 2"
    digged = client.host.run(["dig", f"@{VIP4}", "www.example.com", "+timeout=1", "+tries=1"], check=False).stdout
    assert "EDE: 23 (Network Error)" in digged
    assert "status: SERVFAIL" in digged
    assert balancer.dnslb("status").returncode == 1
    serve(servers[1])
    eventually(lambda: client.ask() == "ns2", "the first one back is used")
    assert {client.ask_tcp(vip) for vip in (VIP4, VIP6)} == {"ns2"}


def test_the_sorry_server(balancer, servers, client):
    start(balancer, servers[:2], extra=f"engine nft\n    sorry_server {servers[2].own4} 53")
    assert client.spread(60)["ns3"] == 0
    for server in servers[:2]:
        server.stop()
    eventually(lambda: client.ask() == "ns3", "the sorry server answers")
    assert client.ask_tcp(VIP6) == "ns3"
    serve(servers[0])
    eventually(lambda: client.spread(40) == {"ns1": 40}, "the real one is back")


@pytest.mark.parametrize("ways", [("pyvrrp", "pyvrrp"), ("pyvrrp", "keepalived")])
def test_a_failover_keeps_clients_at_their_servers(lab, servers, client, ways):
    """The other node is a balancer too; or keepalived, which has no balancer: it is MASTER first, then it goes."""
    if ways[1] == "keepalived" and shutil.which("keepalived") is None:
        pytest.skip("needs the real keepalived")
    balancers = [Balancer(lab, f"lb{number}", number + 1, kind) for number, kind in enumerate(ways, 1)]
    engines = ("nft", "packet")
    for balancer, priority, engine in zip(balancers, (100, 150), engines, strict=True):
        blocks = [vrrp(priority)]
        if balancer.kind == "pyvrrp":
            blocks.append(virtual_server(*servers, extra=f"engine {engine}"))
        balancer.start(*blocks)
    second = balancers[1]
    eventually(lambda: second.host.holds(VIP4) and second.host.holds(VIP6), "the second is MASTER", 20)
    balancers[0].until("up", *servers)
    ports = range(20001, 20031)
    if second.kind == "pyvrrp":
        second.until("up", *servers)
        before = [client.ask(VIP4, port) for port in ports]
        assert set(before) == {"ns1", "ns2", "ns3"}
    else:
        before = [explained(balancers[0], f"192.0.2.100:{port}") for port in ports]
    stream = Stream(client)
    stopped = time.monotonic()
    second.process.stop()
    eventually(lambda: stream.last_answer() > stopped + 0.5, "answers go on", 15)
    time.sleep(1.0)
    assert [client.ask(VIP4, port) for port in ports] == before
    stream.close()
    gap = stream.gap()
    print(f"longest time without an answer at the failover: {gap:.3f} s")
    if second.kind == "pyvrrp":
        assert gap < 1.5


def test_two_boxes_that_are_balancers_and_servers_at_once(lab, client):
    """Each serves its part itself; no packet goes round in circles, and a BACKUP never balances."""
    boxes = [Box(lab, number) for number in (1, 2)]
    for box, priority in zip(boxes, (100, 150), strict=True):
        box.start(vrrp(priority), virtual_server(*(each.server for each in boxes), extra="engine nft"), LOCAL)
    second = boxes[1]
    eventually(lambda: second.host.holds(VIP4) and second.host.holds(VIP6), "the second is MASTER", 20)
    for box in boxes:
        box.until("up", *(each.server for each in boxes))
    capture = lab.capture()
    began = time.monotonic()
    for vip in (VIP4, VIP6):
        found = client.spread(200, vip)
        assert found[""] == 0
        assert min(found["ns1"], found["ns2"]) > 60
        assert {client.ask_tcp(vip) for _ in range(20)} == {"ns1", "ns2"}
    time.sleep(0.5)
    seen = [frame for frame in capture if frame.time > began and frame.data[6:12] == client.mac]
    relayed = forwarded(capture, second, began)
    assert len(relayed) < len(seen), "each packet is sent on once at most"
    assert forwarded(capture, boxes[0], began) == []
    assert second.balancing()["interfaces"]["eth0"]["arp"]["leaks"] == []
    second.kill()
    eventually(lambda: client.spread(20) == {"ns1": 20}, "the first has all of it", 15)


LOCAL = f"local_real_server {{ virtual_ipaddress {{\n{VIP4}\n{VIP6}\n}} }}"


class Box(Balancer):
    """A node of a two-box cluster: the daemon, and a DNS server."""

    def __init__(self, lab, number):
        self.server = DnsServer(lab, number, vip=False)
        serve(self.server)
        super().__init__(lab, host=self.server.host)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_speaker_that_is_killed(balancer, servers, client, engine):
    """The guard keeps the data plane running, for the next speaker, which is MASTER before anybody has noticed."""
    # A busy machine needs its time to start a process: the next speaker has half the lease for it, here 4.5 s.
    balancer.start(vrrp(advert_int=3), virtual_server(*servers, extra=f"engine {engine}\n    drain 20"))
    balancer.serving(*servers)
    streams = [client.socket(VIP4, socket.SOCK_STREAM) for _ in range(12)]
    for each in streams:
        each.connect((VIP4, 53))
    before = [over(each) for each in streams]
    packets = sum(each["packets"] for each in balancer.servers())
    assert balancer.dnslb("drain", "ns1").returncode == 0
    servers[1].stop()
    balancer.until("down", servers[1])
    stream = Stream(client, every=0.005)
    time.sleep(0.3)
    balancer.kill_speaker()
    time.sleep(6)
    stream.close()
    print(
        f"{engine}: longest time without an answer when the speaker is killed: {stream.gap():.3f} s, {stream.lost} lost"
    )
    balancer.until("up", servers[2])
    if engine == "packet":  # it lives by nothing but its process
        eventually(lambda: client.ask() == "ns3", "it answers again")
        return
    assert stream.lost == 0
    assert {who for _, who in stream.answers} == {"ns3"}
    kept = [(each, who) for each, who in zip(streams, before, strict=True) if who != "ns2"]
    assert engine == "nft" or [over(each) for each, _ in kept] == [who for _, who in kept]
    assert sum(each["packets"] for each in balancer.servers()) > packets or engine == "nft"


def test_an_engine_that_can_not_be_had_is_a_fault_where_the_file_says_so(lab, balancer, servers):
    taken = balancer.other_program()
    balancer.start(
        vrrp(extra="track_virtual_server {\n dns\n }"),
        virtual_server(*servers, extra="engine xdp"),
    )
    eventually(lambda: balancer.state() == "FAULT", "FAULT", 20)
    assert "another XDP program" in json.dumps(balancer.status()["instances"][0])
    taken.close()
    eventually(lambda: balancer.state() == "MASTER", "tried again", 45)


def test_a_daemon_that_is_stopped_leaves_nothing(balancer, servers):
    start(balancer, servers, extra="engine nft")
    assert balancer.process.stop() == 0
    assert "Traceback" not in balancer.process.output
    assert balancer.host.run(["nft", "list", "tables"]).stdout == ""


def test_top_check_and_sample_show_what_goes_on(balancer, servers, client):
    start(balancer, servers, extra="engine nft")
    stream = Stream(client)
    sampled = balancer.dnslb("sample", "--seconds", "1", "-n", "2")
    assert sampled.returncode == 0, sampled.stderr
    assert "who.example. IN TXT" in sampled.stdout
    assert "192.0.2.100" in sampled.stdout
    top = balancer.dnslb("top", "-n", "1", "--every", "0.5").stdout.splitlines()
    assert [line.split()[0] for line in top] == ["dns", "server", "ns1", "ns2", "ns3"]
    assert all(float(line.split()[2]) > 10 for line in top[2:])
    stream.close()
    servers[2].stop()
    checked = balancer.dnslb("check", "now")
    assert checked.returncode == 1
    assert "FAILED dns: ns3: DNS_CHECK" in checked.stdout
    assert "ok     dns: ns1: DNS_CHECK" in checked.stdout
    running = balancer.host.start(balancer.command("top"), stdout=balancer.host.directory / "top")
    eventually(lambda: "ns1" in running.output, "a table")
    running.signal(signal.SIGINT)
    assert running.wait() == 130
    assert "Traceback" not in running.output
