"""SERVFAIL from the balancer: what it answers to, and that its sockets are there only while they are needed."""

import asyncio
import socket
import struct
from ipaddress import ip_address

import dns.asyncquery
import dns.edns
import dns.message
import dns.rcode
import pytest

from dnslb.balancer.servfail import Answerer, servfail
from dnslb.forwarding import Protocol
from dnslb.model import Endpoint
from tests.unit.dns_responder import LOOPS, on_loop


def query(name="www.example.com", **options):
    return dns.message.make_query(name, "A", **options)


def answer(asked):
    return dns.message.from_wire(servfail(asked.to_wire()))


@pytest.mark.parametrize("edns", [False, True])
def test_the_answer_belongs_to_the_query(edns):
    asked = query(use_edns=edns, want_dnssec=False)
    got = answer(asked)
    assert asked.is_response(got)
    assert got.rcode() is dns.rcode.SERVFAIL
    assert dns.flags.to_text(got.flags) == "QR RD RA"
    assert [(each.code, each.text) for each in got.extended_errors()] == (
        [(dns.edns.EDECode.NETWORK_ERROR, "no server behind this address is up")] if edns else []
    )


def test_without_recursion_desired_it_is_not_claimed():
    assert dns.flags.to_text(answer(query(flags=0)).flags) == "QR RA"


def test_the_root_and_the_longest_name_are_answered():
    assert answer(query(".")).question[0].name == dns.name.root
    longest = ".".join(["a" * 63] * 3 + ["b" * 61])
    assert answer(query(longest)).rcode() is dns.rcode.SERVFAIL


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 11,
        answer(query()).to_wire(),
        query().to_wire()[:-1],
        struct.pack("!6H", 1, 0, 0, 0, 0, 0),
        struct.pack("!6H", 1, 0, 2, 0, 0, 0) + query().to_wire()[12:],
        struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1",
        struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\x3f" + b"a" * 20,
    ],
    ids=["empty", "short", "answer", "cut", "no question", "two questions", "pointer", "label cut"],
)
def test_what_is_no_query_is_not_answered(data):
    assert servfail(data) == b""


def test_every_prefix_of_a_query_is_safe():
    wire = query(use_edns=0).to_wire()
    for length in range(len(wire)):
        servfail(wire[:length])


@pytest.mark.parametrize("loop", LOOPS)
def test_it_answers_over_udp_and_tcp_while_it_is_asked_to(loop):
    async def main():
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        endpoint = Endpoint(ip_address("127.0.0.1"), port)
        answerer = Answerer()
        await answerer.cover(frozenset({(endpoint, Protocol.UDP), (endpoint, Protocol.TCP)}))
        asked = query(use_edns=0)
        for ask in (dns.asyncquery.udp, dns.asyncquery.tcp):
            got = await ask(asked, "127.0.0.1", 2, port)
            assert got.rcode() is dns.rcode.SERVFAIL
        await answerer.cover(frozenset())
        assert answerer.covered == frozenset()
        await asyncio.sleep(0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", port))

    on_loop(loop)(main())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_server_that_has_the_port_goes_on_answering(loop, caplog):
    async def main():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            wanted = frozenset({(Endpoint(ip_address("127.0.0.1"), server.getsockname()[1]), Protocol.UDP)})
            answerer = Answerer()
            with caplog.at_level("INFO", "dnslb"):
                await answerer.cover(wanted)
                await answerer.cover(wanted)
            assert answerer.covered == frozenset()
        assert [record.message.partition(": ")[2] for record in caplog.records] == [
            "no server is left; what listens here answers"
        ]
        await answerer.cover(wanted)
        assert answerer.covered == wanted, "it is gone now"
        await answerer.cover(frozenset())

    on_loop(loop)(main())
