"""The demo's clients: one that waits for dead servers exactly as resolv.conf(5) says, and those that only measure."""

import time

import pytest

from pyvrrp.demo.client import Mailer, NoAnswer, StubResolver
from pyvrrp.demo.connections import Connections
from pyvrrp.demo.dns_active_backup import SCENARIO
from pyvrrp.demo.lab import Host, Lab, eventually
from pyvrrp.demo.namespaces import LabError
from pyvrrp.demo.node import Node, files
from pyvrrp.demo.stream import Stream

GOOD, HANGS, REFUSES = "192.0.2.1", "192.0.2.2", "192.0.2.3"
NAME = "mx1.example.net"


@pytest.fixture
def client(lab: Lab) -> Host:
    """A client of three servers: one answers, one hangs, and on one nothing listens."""
    hosts = [lab.host(name, f"{address}/24") for name, address in (("good", GOOD), ("hangs", HANGS))]
    good, hangs = (Node(host, files(SCENARIO)) for host in hosts)
    for node in (good, hangs):
        node.start_server(None)
        eventually(node.answers, f"{node.name} answers", 20)
    hangs.server.freeze()
    lab.host("refuses", f"{REFUSES}/24")
    return lab.host("client", "192.0.2.20/24")


def seconds(client: Host, *servers: str) -> float:
    began = time.monotonic()
    client.call(lambda: StubResolver(servers, timeout=0.5).lookup(NAME))
    return time.monotonic() - began


def test_each_dead_server_costs_its_timeout(client: Host) -> None:
    assert seconds(client, GOOD, HANGS) < 0.3
    assert 0.5 <= seconds(client, HANGS, GOOD) < 0.8
    assert seconds(client, REFUSES, GOOD) < 0.3
    began = time.monotonic()
    with pytest.raises(NoAnswer):
        seconds(client, HANGS, REFUSES)
    assert 1.0 <= time.monotonic() - began < 1.3  # two attempts


def test_mails_are_paced_and_counted(client: Host) -> None:
    mailer = Mailer(client, StubResolver((HANGS, GOOD), timeout=0.2), mails=3, pace=0.1)
    mailer.wait()
    assert len(mailer.lookups) == 3
    assert mailer.per_hour == pytest.approx(3600 / 0.4, rel=0.2)
    assert mailer.unresolved == 0
    mailer = Mailer(client, StubResolver((GOOD,)), mails=3, pace=0.2)
    mailer.wait()
    assert mailer.per_hour == pytest.approx(3600 / 0.2)


def test_a_stream_counts_what_is_lost_and_names_who_answers(lab: Lab, client: Host) -> None:
    stream = Stream(client, (GOOD,), (NAME,))
    eventually(lambda: stream.answering() == "good", "an answer")
    began = time.monotonic()
    time.sleep(0.3)
    lab.hosts["good"].cut()
    time.sleep(0.5)
    lab.hosts["good"].mend()
    eventually(lambda: stream.answering() == "good", "an answer again")
    time.sleep(Stream.PATIENCE)
    gap = stream.gap(began, time.monotonic() - Stream.PATIENCE)
    assert gap.by == "good"
    assert gap.seconds > 0.45
    assert 5 < gap.lost < gap.asked


def test_several_clients_ask_in_turn_and_each_knows_who_answered(lab: Lab, client: Host) -> None:
    stream = Stream(client, (GOOD,), (NAME,), interval=0.01, clients=5)
    assert stream.round() == dict.fromkeys(range(5), "good")
    lab.hosts["good"].cut()
    began = time.monotonic()
    time.sleep(Stream.PATIENCE + 0.5)
    assert {question.client for question in stream.lost(began, began + 0.4)} == set(range(5))
    stream.close()


def test_connections_stay_open_and_tell_when_they_break(lab: Lab, client: Host) -> None:
    tcp = Connections(client, (GOOD,), NAME, count=3, interval=0.05)
    assert tcp.servers == ["good"] * 3
    before = tcp.answers.copy()
    tcp.go_on()
    assert all(now > then for now, then in zip(tcp.answers, before, strict=True))
    assert tcp.broken == []
    lab.hosts["good"].kill()
    eventually(lambda: len(tcp.broken) == 3, "all are broken")
    tcp.close()


def test_connections_to_nobody_are_refused(client: Host) -> None:
    with pytest.raises(LabError, match=r"TCP connections to 192\.0\.2\.3: .*refused"):
        Connections(client, (REFUSES,), NAME, count=2)
