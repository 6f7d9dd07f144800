"""The whole balancer: the real daemon, real DNS servers (unbound and BIND), clients in a lab."""

import json
import shutil
import signal
import socket
import time

import pytest
from balancer_nodes import Balancer, Client, Stream, forwarded, over, serve, virtual_server, vrrp
from health_nodes import VIP4, VIP6, DnsServer
from lab_nodes import fetch
from prometheus_client.parser import text_string_to_metric_families

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
        assert {client.ask_tcp(vip) for _ in range(60)} == {"ns1", "ns2", "ns3"}
    assert [client.ask(VIP4, port) for port in range(20001, 20021)] == [
        explained(balancer, f"192.0.2.100:{port}") for port in range(20001, 20021)
    ]
    assert client.ask(VIP6, 20001) == explained(balancer, "[2001:db8::100]:20001")


@pytest.mark.parametrize("engine", ENGINES)
def test_what_servers_get_is_in_the_metrics_and_on_the_page(balancer, servers, client, engine):
    listen = "global_defs { metrics_listen 127.0.0.1 9165\n}\n"
    start(balancer, servers, listen, extra=f"engine {engine}")
    before = measured(balancer, "dnslb_server_packets_total", "server")
    assert set(before) == {"ns1", "ns2", "ns3"}
    client.spread(300)

    def counted():
        now = measured(balancer, "dnslb_server_packets_total", "server")
        return sum(now.values()) - sum(before.values()) >= 300 and all(now[name] > before[name] for name in now)

    eventually(counted, "300 packets are counted", 20)
    assert measured(balancer, "dnslb_engine_info", "engine") == {engine: 1}
    assert sum(measured(balancer, "dnslb_server_share_ratio", "server").values()) == pytest.approx(1, abs=1e-4)
    assert set(measured(balancer, "dnslb_check_healthy", "server").values()) == {1}
    assert fetch(balancer, "/healthz") == (200, "ok\n")
    servers[0].host.kill()
    eventually(
        lambda: measured(balancer, "dnslb_server_transitions_total", "server", to="down").get("ns1") == 1,
        "ns1 is down in the metrics",
        20,
    )
    assert fetch(balancer, "/healthz")[0] == 200, "that is what a balancer is for"
    assert "2 of 3 in use" in fetch(balancer, "/")[1]


def measured(balancer, name, label, **labels):
    """The values of a metric by one of its labels, of the samples that have these labels."""
    families = text_string_to_metric_families(fetch(balancer, "/metrics")[1])
    samples = (sample for family in families for sample in family.samples if sample.name == name)
    return {each.labels[label]: each.value for each in samples if labels.items() <= each.labels.items()}


def explained(balancer, client):
    done = balancer.dnslb("explain", client, "--json")
    assert done.returncode == 0, done.stderr
    (way,) = json.loads(done.stdout)
    return way["server"]


@pytest.mark.parametrize("death", ["killed", "frozen"])
def test_a_dead_server_gets_nothing_any_more(balancer, servers, client, lab, death):
    """Killed or silent: a second passes in which clients ask and none of it goes there."""
    start(balancer, servers, extra="engine nft")
    capture = lab.capture(servers[0].host)
    stream = Stream(client)
    began = time.monotonic()
    eventually(lambda: stream.last("ns1") > began + 0.5, "it is used")
    died = time.monotonic()
    getattr(servers[0].process, "kill" if death == "killed" else "freeze")()
    balancer.until("down", servers[0])

    def last() -> float:
        return max((at for at in forwarded(capture, balancer) if at > died), default=died)

    eventually(lambda: last() < stream.last_answer() - 1.0, "a second without a packet to it")
    end = stream.last_answer()
    stream.close()
    print(f"{death}: last packet {last() - died:.3f} s later, {stream.lost} of {len(stream.answers)} queries lost")
    assert {who for at, who in stream.answers if last() + 0.01 < at < end} == {"ns2", "ns3"}
    if death == "frozen":
        servers[0].process.thaw()
    else:
        serve(servers[0])
    balancer.until("up", servers[0])
    eventually(lambda: client.spread(60)["ns1"] > 5, "it is used again")


def test_a_drain_breaks_no_connection(balancer, servers, client):
    start(balancer, servers, extra="engine nft\n    drain 10")
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
    assert drain.returncode is None, "it waits"
    assert drain.wait(60) == 0
    assert time.monotonic() - began > 10
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
    eventually(lambda: client.spread(100)["ns1"] == 0, "what was removed is not used")
    for stream in streams:
        stream.close()
        assert len(stream.answers) > 100
        assert stream.lost == 0
    assert sum(each["packets"] for each in balancer.servers()) > packets, "the counters go on"


def test_a_replaced_card_is_found_at_once(balancer, servers, client):
    start(balancer, servers, extra="engine nft")
    ip("link set eth0 address 02:00:00:00:00:99", namespace=servers[2].host.namespace)
    servers[2].host.run(["arping", "-q", "-c", "1", "-A", "-I", "eth0", servers[2].own4], check=False)
    eventually(lambda: not (found := client.spread(100))[""] and found["ns3"] > 10, "all are answered")


def test_servfail_when_nobody_is_left(balancer, servers, client):
    start(balancer, servers, extra="engine nft")
    for server in servers:
        server.stop()
    eventually(lambda: client.ask() == "rcode 2", "SERVFAIL over UDP")
    for vip in (VIP4, VIP6):
        eventually(lambda vip=vip: client.ask(vip) == client.ask_tcp(vip) == "rcode 2", f"SERVFAIL from {vip}")
    digged = client.host.run(["dig", f"@{VIP4}", "www.example.com", "+timeout=5", "+tries=1"], check=False).stdout
    assert "EDE: 23 (Network Error)" in digged
    assert "status: SERVFAIL" in digged
    assert balancer.dnslb("status").returncode == 1
    serve(servers[1])
    eventually(lambda: client.ask() == "ns2", "the first one back is used")
    eventually(lambda: {client.ask_tcp(vip) for vip in (VIP4, VIP6)} == {"ns2"}, "over TCP too")


def test_the_sorry_server(balancer, servers, client):
    start(balancer, servers[:2], extra=f"engine nft\n    sorry_server {servers[2].own4} 53")
    assert client.spread(60)["ns3"] == 0
    for server in servers[:2]:
        server.stop()
    eventually(lambda: client.ask() == "ns3", "the sorry server answers")
    eventually(lambda: client.ask_tcp(VIP6) == "ns3", "on both addresses")
    serve(servers[0])
    eventually(lambda: client.spread(40) == {"ns1": 40}, "the real one is back")


def test_scripts_tell_of_servers_and_of_the_quorum(balancer, servers):
    """In the order of what happened, when the data plane has changed; with omega also of the end."""
    told = balancer.host.directory / "told"
    tell = balancer.host.directory / "tell.sh"
    tell.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    tell.chmod(0o700)
    text = virtual_server(*servers[:2], extra="engine nft\n    quorum 2\n    omega")
    text = text.replace("omega", f'omega\n    quorum_up "{tell} quorum up"\n    quorum_down "{tell} quorum down"')
    for server in servers[:2]:
        lines = f'notify_up "{tell} {server.name} up"\n        notify_down "{tell} {server.name} down"'
        text = text.replace(f"name {server.name}", f"name {server.name}\n        {lines}")
    balancer.start("global_defs {\n script_user root\n enable_script_security\n}", vrrp(), text)
    balancer.serving(*servers[:2])

    def lines():
        return told.read_text().splitlines() if told.exists() else []

    eventually(lambda: lines() == ["quorum up"], "the quorum is there; that servers were up before is no news")
    servers[0].stop()
    eventually(lambda: lines()[1:] == ["ns1 down", "quorum down"], "a server and the quorum are lost")
    serve(servers[0])
    eventually(lambda: lines()[3:] == ["ns1 up", "quorum up"], "both are back")
    assert balancer.process.stop(30) == 0
    assert sorted(lines()[5:]) == ["ns1 down", "ns2 down", "quorum down"]


@pytest.mark.parametrize("ways", [("pyvrrp", "pyvrrp"), ("pyvrrp", "keepalived")])
def test_a_failover_keeps_clients_at_their_servers(lab, servers, client, ways):
    """The other node is a balancer too; or keepalived, which has no balancer: it is MASTER first, then it goes."""
    if ways[1] == "keepalived" and shutil.which("keepalived") is None:
        pytest.skip("needs the real keepalived")
    balancers = [Balancer(lab, f"lb{number}", number + 1, kind) for number, kind in enumerate(ways, 1)]
    engines = ("nft", "packet")
    for balancer, priority, engine in zip(balancers, (100, 150), engines, strict=True):
        blocks = [vrrp(priority, advert_int=3)]
        if balancer.kind == "pyvrrp":
            blocks.append(virtual_server(*servers, extra=f"engine {engine}"))
        balancer.start(*blocks)
    second = balancers[1]
    eventually(lambda: second.host.holds(VIP4) and second.host.holds(VIP6), "the second is MASTER", 40)
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
    eventually(lambda: stream.last_answer() > stopped + 0.5, "answers go on")
    time.sleep(1.0)
    assert [client.ask(VIP4, port) for port in ports] == before
    stream.close()
    print(f"longest time without an answer at the failover: {stream.gap():.3f} s")


def test_two_boxes_that_are_balancers_and_servers_at_once(lab, client):
    """Each serves its part itself; no packet goes round in circles, and a BACKUP never balances."""
    boxes = [Box(lab, number) for number in (1, 2)]
    for box, priority in zip(boxes, (100, 150), strict=True):
        box.start(
            vrrp(priority, advert_int=3), virtual_server(*(each.server for each in boxes), extra="engine nft"), LOCAL
        )
    second = boxes[1]
    eventually(lambda: second.host.holds(VIP4) and second.host.holds(VIP6), "the second is MASTER", 40)
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
    # A round of the watch that fell into the take-over may have seen both boxes; the next one has not.
    eventually(lambda: second.balancing()["interfaces"]["eth0"]["arp"]["leaks"] == [], "no ARP leak", 90, every=1)
    second.kill()
    eventually(lambda: client.spread(20) == {"ns1": 20}, "the first has all of it")


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
    balancer.start(vrrp(), virtual_server(*servers, extra=f"engine {engine}\n    drain 60"))
    balancer.serving(*servers)
    streams = [client.socket(VIP4, socket.SOCK_STREAM) for _ in range(12)]
    for each in streams:
        each.connect((VIP4, 53))
    before = [over(each) for each in streams]
    packets = sum(each["packets"] for each in balancer.servers())
    assert balancer.dnslb("drain", "ns1").returncode == 0
    servers[1].stop()
    balancer.until("down", servers[1])
    eventually(lambda: client.spread(50) == {"ns3": 50}, "ns3 is left")
    stream = Stream(client, every=0.005)
    eventually(lambda: len(stream.answers) > 50, "clients ask")
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
    eventually(lambda: balancer.state() == "FAULT", "FAULT", 40)
    assert "another XDP program" in json.dumps(balancer.status()["instances"][0])
    taken.close()
    eventually(lambda: balancer.state() == "MASTER", "tried again", 90)


def test_a_daemon_that_is_stopped_leaves_nothing(balancer, servers):
    start(balancer, servers, extra="engine nft")
    assert balancer.process.stop() == 0
    assert "Traceback" not in balancer.process.output
    assert balancer.host.run(["nft", "list", "tables"]).stdout == ""


@pytest.mark.parametrize("engine", ENGINES)
def test_a_sample_shows_names_and_clients(balancer, servers, client, engine):
    """A packet socket sees nothing of what xdp sends on: there the program puts some queries aside."""
    start(balancer, servers, extra=f"engine {engine}")
    streams = [Stream(client, vip) for vip in (VIP4, VIP6)]
    sampled = balancer.dnslb("sample", "--seconds", "3", "-n", "2")
    assert sampled.returncode == 0, sampled.stderr
    assert "who.example. IN TXT" in sampled.stdout
    assert "192.0.2.100" in sampled.stdout
    assert "2001:db8::100" in sampled.stdout
    for stream in streams:
        stream.close()
        assert stream.lost == 0
    assert balancer.dnslb("sample", "--seconds", "0.2").returncode == 1, "nothing is asked for any more"


def test_top_and_check_show_what_goes_on(balancer, servers, client):
    start(balancer, servers, extra="engine nft")
    stream = Stream(client)

    def rates():
        top = balancer.dnslb("top", "-n", "1", "--every", "1").stdout.splitlines()
        assert [line.split()[0] for line in top] == ["dns", "server", "ns1", "ns2", "ns3"]
        return [float(line.split()[2]) for line in top[2:]]

    eventually(lambda: min(rates()) > 5, "each server has its part")
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
