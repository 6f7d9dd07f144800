"""The demo's client waits for dead servers exactly as resolv.conf(5) says."""

import time

import pytest

from pyvrrp.demo.client import Mailer, NoAnswer, StubResolver
from pyvrrp.demo.dns_active_backup import Node
from pyvrrp.demo.lab import Host, Lab, eventually
from pyvrrp.demo.stream import Stream

GOOD, HANGS, REFUSES = "192.0.2.1", "192.0.2.2", "192.0.2.3"
NAME = "mx1.example.net"


@pytest.fixture
def client(lab: Lab) -> Host:
    """A client of three servers: one answers, one hangs, and on one nothing listens."""
    good, hangs = (Node(lab.host(name, f"{address}/24")) for name, address in (("good", GOOD), ("hangs", HANGS)))
    for node in (good, hangs):
        node.start_server(unbound=None)
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
    stream = Stream(client, GOOD, (NAME,))
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
    assert 0.45 < gap.seconds < 2.0
    assert gap.lost * 0.02 == pytest.approx(gap.seconds, rel=0.3)
