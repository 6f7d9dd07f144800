"""The probe against real sockets: servers that answer, and every way in which one can fail to."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import socket
import time
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnslb.health.probe import probe
from dnslb.health.query import DnsCheck
from dnslb.health.verdict import Transport, Verdict
from tests.unit.dns_responder import LOOPS, Responder, Run, datagram, framed, good, on_loop, silent, stream, with_rcode

UDP, TCP, BOTH = (Transport.UDP,), (Transport.TCP,), (Transport.UDP, Transport.TCP)
EACH = pytest.mark.parametrize("transports", [UDP, TCP, BOTH], ids=["udp", "tcp", "both"])


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    return on_loop(request.param)


def check(port: int, transports: tuple[Transport, ...] = UDP, **fields: Any) -> DnsCheck:
    return DnsCheck(name=dns.name.from_text("www.example.com"), port=port, transports=transports, **fields)


async def ask(responder: Responder, transports: tuple[Transport, ...] = UDP, **fields: Any) -> Verdict:
    """The verdict of one probe, with the server's port written as 53."""
    async with responder:
        fields.setdefault("server", ip_address(responder.host))
        verdict = await probe(check(responder.port, transports, **fields))
        return replace(verdict, detail=verdict.detail.replace(str(responder.port), "53"))


@EACH
def test_a_good_answer(run: Run, transports: tuple[Transport, ...]) -> None:
    responder = Responder()
    verdict = run(ask(responder, transports))
    assert (verdict.ok, verdict.detail) == (True, "NOERROR for www.example.com A from 127.0.0.1:53: 192.0.2.1")
    assert sorted(responder.asked) == sorted(each.value for each in transports)
    assert 0 < verdict.elapsed < 0.5


@EACH
def test_a_server_on_ipv6(run: Run, transports: tuple[Transport, ...]) -> None:
    verdict = run(ask(Responder(host="::1"), transports))
    assert (verdict.ok, verdict.detail) == (True, "NOERROR for www.example.com A from [::1]:53: 192.0.2.1")


@pytest.mark.parametrize("transport", Transport)
def test_servfail(run: Run, transport: Transport) -> None:
    broken = with_rcode(dns.rcode.SERVFAIL)
    verdict = run(ask(Responder(udp=datagram(broken), tcp=stream(broken)), (transport,)))
    assert not verdict.ok
    assert verdict.detail == (
        f"SERVFAIL for www.example.com A from 127.0.0.1:53 over {transport.value} (expected NOERROR)"
    )


def test_nxdomain_can_be_what_is_expected(run: Run) -> None:
    missing = datagram(with_rcode(dns.rcode.NXDOMAIN))
    assert run(ask(Responder(udp=missing), expect_rcode=(dns.rcode.NXDOMAIN,))).ok
    assert not run(ask(Responder(udp=missing))).ok


@pytest.mark.parametrize("transport", Transport)
def test_a_closed_port_is_noticed_at_once(run: Run, transport: Transport) -> None:
    verdict = run(ask(Responder(udp=None, tcp=None), (transport,), timeout=5.0))
    assert not verdict.ok
    assert verdict.detail == f"connection refused by 127.0.0.1:53 over {transport.value}: nothing listens there"
    assert verdict.elapsed < 1


@pytest.mark.parametrize("transport", Transport)
def test_silence_ends_with_the_timeout(run: Run, transport: Transport) -> None:
    verdict = run(ask(Responder(udp=silent, tcp=silent), (transport,), timeout=0.1))
    assert (verdict.ok, verdict.detail) == (
        False,
        f"no answer from 127.0.0.1:53 over {transport.value} within 0.1 s",
    )
    assert verdict.elapsed > 0.09


def test_both_transports_share_one_timeout(run: Run) -> None:
    verdict = run(ask(Responder(udp=silent, tcp=silent), BOTH, timeout=1.0))
    assert verdict.detail == (
        "no answer from 127.0.0.1:53 over udp within 1 s; no answer from 127.0.0.1:53 over tcp within 1 s"
    )
    assert verdict.elapsed < 2.0, "not one after the other"


def test_both_means_that_neither_may_fail(run: Run) -> None:
    verdict = run(ask(Responder(udp=None), BOTH))
    assert (verdict.ok, verdict.detail) == (
        False,
        "connection refused by 127.0.0.1:53 over udp: nothing listens there",
    )
    verdict = run(ask(Responder(tcp=None), BOTH))
    assert (verdict.ok, verdict.detail) == (
        False,
        "connection refused by 127.0.0.1:53 over tcp: nothing listens there",
    )


def test_a_slow_answer_in_time_is_good(run: Run) -> None:
    verdict = run(ask(Responder(delay=0.05), BOTH, timeout=1.0))
    assert verdict.ok
    assert 0.045 < verdict.elapsed < 0.5


def test_a_late_answer_does_not_pass_for_the_next_one(run: Run) -> None:
    async def main() -> tuple[Verdict, Verdict]:
        async with Responder(delay=0.08) as responder:
            late = await probe(check(responder.port, timeout=0.04))
            responder.udp = silent
            return late, await probe(check(responder.port, timeout=0.1))

    late, after = run(main())
    assert not late.ok
    assert after.detail.endswith("over udp within 0.1 s"), "the late datagram must not even be seen"


# --- datagrams that are no answer ------------------------------------------------------------------------------------


def other_id(query: dns.message.Message) -> dns.message.Message:
    response = good(query)
    response.id = (query.id + 1) % 65536
    return response


def other_question(query: dns.message.Message) -> dns.message.Message:
    response = dns.message.make_response(dns.message.make_query("evil.example.org", "A", id=query.id))
    response.answer.append(dns.rrset.from_text("evil.example.org.", 60, "IN", "A", "192.0.2.1"))
    return response


STRAYS = {
    "id": (other_id, "instead of"),
    "question": (other_question, "it answers evil.example.org. A"),
    "echo": (lambda query: query, "a query, not a response"),
}


@pytest.mark.parametrize("stray", STRAYS)
def test_udp_waits_past_strays_for_the_answer(run: Run, stray: str) -> None:
    make, _ = STRAYS[stray]
    both = Responder(udp=lambda query: [make(query).to_wire(), b"", b"garbage", good(query).to_wire()])
    assert run(ask(both)).ok


@pytest.mark.parametrize("stray", STRAYS)
def test_strays_alone_are_no_answer(run: Run, stray: str) -> None:
    make, why = STRAYS[stray]
    verdict = run(ask(Responder(udp=datagram(make)), timeout=0.05))
    assert not verdict.ok
    assert verdict.detail.startswith(
        "no answer from 127.0.0.1:53 over udp within 0.05 s (stray datagrams: 1, the last one: "
    )
    assert why in verdict.detail
    verdict = run(ask(Responder(tcp=stream(make)), TCP, timeout=0.05))
    assert not verdict.ok
    assert verdict.detail.startswith("no answer to www.example.com A from 127.0.0.1:53 over tcp: ")
    assert why in verdict.detail


def test_half_a_datagram_is_no_answer(run: Run) -> None:
    verdict = run(ask(Responder(udp=lambda query: [good(query).to_wire()[:20]]), timeout=0.05))
    assert not verdict.ok
    assert "the last one: 20 bytes that are no DNS message" in verdict.detail


def test_an_answer_from_elsewhere_is_not_heard(run: Run) -> None:
    async def main() -> Verdict:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            readable = asyncio.Event()
            asyncio.get_running_loop().add_reader(server, readable.set)
            asked = asyncio.create_task(probe(check(server.getsockname()[1], timeout=0.1)))
            await readable.wait()
            asyncio.get_running_loop().remove_reader(server)
            query, client = server.recvfrom(512)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
                elsewhere.sendto(good(dns.message.from_wire(query)).to_wire(), client)
            return await asked

    verdict = run(main())
    assert not verdict.ok
    assert verdict.detail.endswith("over udp within 0.1 s")


def test_a_flood_of_strays_does_not_hold_the_loop(run: Run) -> None:
    async def main() -> int:
        ticks = 0

        async def others() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0)
                ticks += 1

        def flood(query: dns.message.Message) -> list[bytes]:
            nonlocal ticks
            ticks = 0
            return [b"junk"] * 100 + [good(query).to_wire()]

        other = asyncio.create_task(others())
        async with Responder(udp=flood) as responder:
            assert (await probe(check(responder.port))).ok
        other.cancel()
        return ticks

    assert run(main()) >= 100, "the loop has to turn for each datagram"


# --- truncation ------------------------------------------------------------------------------------------------------


def truncated(query: dns.message.Message) -> dns.message.Message:
    response = dns.message.make_response(query)
    response.flags |= dns.flags.TC
    return response


@pytest.mark.parametrize("transports", [UDP, BOTH], ids=["udp", "both"])
def test_a_truncated_answer_is_asked_for_over_tcp(run: Run, transports: tuple[Transport, ...]) -> None:
    responder = Responder(udp=datagram(truncated))
    verdict = run(ask(responder, transports))
    assert verdict.ok
    assert sorted(responder.asked) == ["tcp", "udp"]
    assert verdict.detail == (
        "truncated answer for www.example.com A from 127.0.0.1:53 over udp; "
        "NOERROR for www.example.com A from 127.0.0.1:53: 192.0.2.1"
    )


def test_a_truncated_answer_without_tcp_is_none(run: Run) -> None:
    verdict = run(ask(Responder(udp=datagram(truncated), tcp=None)))
    assert (verdict.ok, verdict.detail) == (
        False,
        "connection refused by 127.0.0.1:53 over tcp: nothing listens there",
    )
    verdict = run(ask(Responder(udp=datagram(truncated), tcp=silent, delay=0.2), timeout=0.3))
    assert (verdict.ok, verdict.detail) == (False, "no answer from 127.0.0.1:53 over tcp within 0.3 s")
    assert verdict.elapsed < 0.4, "UDP and then TCP within one timeout"


def test_truncated_over_tcp_is_refused(run: Run) -> None:
    verdict = run(ask(Responder(tcp=stream(truncated)), TCP))
    assert (verdict.ok, verdict.detail) == (
        False,
        "truncated answer for www.example.com A from 127.0.0.1:53 over tcp",
    )


# --- TCP -------------------------------------------------------------------------------------------------------------


def test_tcp_in_single_bytes(run: Run) -> None:
    def bytes_apart(query: dns.message.Message) -> list[bytes]:
        return [bytes([byte]) for byte in framed(good(query).to_wire())]

    assert run(ask(Responder(tcp=bytes_apart), TCP)).ok


@pytest.mark.parametrize(
    ("pieces", "detail"),
    [
        ([], "connection closed by 127.0.0.1:53 over tcp before the answer was complete"),
        (
            [b"\0"],
            "connection closed by 127.0.0.1:53 over tcp before the answer was complete (1 of 2 bytes of the length)",
        ),
        (
            [b"\0\x40", b"half"],
            "connection closed by 127.0.0.1:53 over tcp before the answer was complete (4 of 64 bytes of the answer)",
        ),
    ],
)
def test_tcp_that_hangs_up(run: Run, pieces: list[bytes], detail: str) -> None:
    verdict = run(ask(Responder(tcp=lambda query: pieces, hang_up=True), TCP))
    assert (verdict.ok, verdict.detail) == (False, detail)


def test_a_length_that_promises_too_much(run: Run) -> None:
    def lie(query: dns.message.Message) -> list[bytes]:
        wire = good(query).to_wire()
        return [(len(wire) + 9).to_bytes(2, "big") + wire]

    verdict = run(ask(Responder(tcp=lie), TCP, timeout=0.1))
    assert not verdict.ok
    assert verdict.detail.startswith("no answer from 127.0.0.1:53 over tcp within 0.1 s (")
    assert verdict.detail.endswith(" bytes of the answer)")


@pytest.mark.parametrize("length", [0, 5, 40])
def test_a_length_that_promises_too_little(run: Run, length: int) -> None:
    def lie(query: dns.message.Message) -> list[bytes]:
        return [length.to_bytes(2, "big") + good(query).to_wire()]

    verdict = run(ask(Responder(tcp=lie), TCP))
    assert not verdict.ok
    assert verdict.detail.startswith(
        f"malformed answer from 127.0.0.1:53 over tcp: {length} bytes that are no DNS message"
    )


@settings(max_examples=20, deadline=None)
@given(junk=st.binary(max_size=600))
def test_garbage_never_raises(junk: bytes) -> None:
    async def main() -> None:
        async with Responder(udp=lambda query: [junk], tcp=lambda query: [framed(junk)]) as responder:
            assert not (await probe(check(responder.port, BOTH, timeout=0.02))).ok

    asyncio.run(main())


# --- this process ----------------------------------------------------------------------------------------------------


def open_descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@EACH
def test_no_socket_outlives_its_probe(run: Run, transports: tuple[Transport, ...]) -> None:
    async def main() -> tuple[int, int, int]:
        async with Responder(udp=silent, tcp=silent) as responder:
            slow = check(responder.port, transports, timeout=5.0)
            await probe(replace(slow, timeout=0.02))
            await asyncio.sleep(0.02)  # the responder's side of the connection
            before = open_descriptors()
            for _ in range(5):
                await probe(replace(slow, timeout=0.01))
            probes = [asyncio.create_task(probe(slow)) for _ in range(20)]
            await asyncio.sleep(0.02)
            during = open_descriptors()
            for each in probes:
                each.cancel()
            results = await asyncio.gather(*probes, return_exceptions=True)
            assert all(isinstance(result, asyncio.CancelledError) for result in results)
            for _ in range(100):  # the responder closes its side in its own time
                if (after := open_descriptors()) <= before:
                    break
                await asyncio.sleep(0.02)
            return before, during, after

    before, during, after = run(main())
    assert during >= before + 20
    assert after <= before


def test_an_unreachable_server_is_a_verdict(run: Run) -> None:
    verdict = run(probe(check(53, BOTH, server=ip_address("fe80::1%nosuch0"))))
    assert not verdict.ok
    assert verdict.detail.startswith("can't ask [fe80::1%nosuch0]:53 over udp: ")


def test_a_process_without_descriptors_gives_a_verdict(run: Run) -> None:
    async def main() -> Verdict:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            return await probe(check(53))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    verdict = run(main())
    assert (verdict.ok, verdict.detail) == (False, "can't ask 127.0.0.1:53 over udp: Too many open files")


def test_a_timeout_of_our_own_making_is_asked_again(run: Run) -> None:
    async def main() -> Verdict:
        def held_up(query: dns.message.Message) -> list[bytes]:
            # The whole process stands still for longer than the timeout, while the answer waits in the socket.
            responder.udp = datagram(good)
            time.sleep(0.25)
            return [good(query).to_wire()]

        async with Responder(udp=held_up) as responder:
            return await probe(check(responder.port, timeout=0.1))

    assert run(main()).ok
