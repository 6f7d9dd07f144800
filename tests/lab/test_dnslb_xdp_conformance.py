"""The XDP program beside the oracle, frame by frame: verdict, octets, counters; BPF_PROG_TEST_RUN, no interface."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnslb.dataplane import DataPlaneError
from dnslb.decision import Decider, Memory
from dnslb.forwarding import MAX_SERVICES, Counters, Destination, Forwarding, Service, Spread
from tests.dnslb_frames import KINDS, client, frames
from tests.dnslb_packets import (
    ACK,
    ICMP,
    ICMPV6,
    OWN_MAC,
    SYN,
    TCP,
    UDP,
    ethernet,
    extension_chain,
    icmp_error,
    ip,
    labels,
    query,
    tcp,
    udp,
)
from tests.dnslb_services import BY_NAME, BY_PACKET, FORWARDING, HELD, KEEPS_FLOWS, SERVERS, services, spread_over
from tests.dnslb_xdp import VERDICTS, Unattached, bpf_allowed, many_services

pytestmark = pytest.mark.skipif(not bpf_allowed(), reason="bpf(2) needs root outside of user namespaces")
SHORTEST = 14
"octets that BPF_PROG_TEST_RUN wants"


@pytest.fixture(autouse=True)
def one_cpu() -> Iterator[None]:
    """Each CPU counts, and takes turns, for itself."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    yield
    os.sched_setaffinity(0, allowed)


class Conformance:
    """An engine and an oracle that see the same frames."""

    def __init__(self, forwarding: Forwarding = FORWARDING, held=HELD) -> None:
        self.plane = Unattached(forwarding, held)
        self.held = held
        self.memory = Memory()
        self.install(forwarding)
        self.verdicts: Counter[str] = Counter()

    def __enter__(self) -> "Conformance":
        return self

    def __exit__(self, *error: object) -> None:
        self.plane.__exit__()

    def install(self, forwarding: Forwarding) -> None:
        self.plane.engine.install(forwarding)
        self.decider = Decider(forwarding, self.held)

    def check(self, frame: bytes, kind: str = "") -> None:
        before = self.plane.engine.counters()
        ran = self.plane.run(frame)
        after = self.plane.engine.counters()
        decision = self.decider.decide(frame, self.memory)
        self.verdicts[decision.verdict.name] += 1
        told = f"{kind} {frame.hex()}"
        assert VERDICTS[ran.verdict] == decision.verdict.name, told
        assert ran.frame == decision.frame, told
        slots = {} if decision.slot is None else {decision.slot: (1, len(frame))}
        assert counted(before, after) == (slots, {decision.passed: 1} if decision.passed else {}), told


def counted(before: Counters, after: Counters) -> tuple[dict, dict]:
    slots = {
        slot: (count - before.packets.get(slot, 0), after.octets[slot] - before.octets.get(slot, 0))
        for slot, count in after.packets.items()
        if count != before.packets.get(slot, 0)
    }
    passed = {why: count - before.passed[why] for why, count in after.passed.items() if count != before.passed[why]}
    return slots, passed


def test_thousands_of_frames_of_all_kinds() -> None:
    with Conformance() as both:
        for frame in frames(2, 5000):
            if len(frame.data) >= SHORTEST:
                both.check(frame.data, frame.kind)
        assert both.verdicts["TX"] > 1000
        assert both.verdicts["DROP"] > 50


@pytest.mark.parametrize("kind", ["plain", "options_v4", "extensions_v6", "two_vlans", "fragment", "dns_name"])
def test_every_length_that_a_frame_can_be_cut_to(kind: str) -> None:
    with Conformance() as both:
        for seed in range(3):
            frame = KINDS[kind](Random(seed))
            for length in range(SHORTEST, len(frame)):
                both.check(frame[:length], kind)


@pytest.mark.parametrize("kind", ["icmp_about_answer", "icmp_about_fragment", "icmp_with_inner_options"])
def test_every_length_that_an_icmp_error_can_be_cut_to(kind: str) -> None:
    """With a length field that fits, so that the cut is seen inside."""
    with Conformance() as both:
        for seed in range(4):
            frame = KINDS[kind](Random(seed))
            is_v4 = frame[12:14] == b"\x08\x00"
            at, head = (16, 14) if is_v4 else (18, 54)
            for length in range(34 if is_v4 else 54, len(frame) + 1):
                cut = frame[:at] + (length - head).to_bytes(2) + frame[at + 2 : length]
                both.check(cut, kind)


def test_frames_of_all_kinds_from_a_peer() -> None:
    peers = sorted(FORWARDING.peers)
    with Conformance() as both:
        for number, frame in enumerate(frames(12, 3000)):
            if len(frame.data) >= SHORTEST:
                both.check(frame.data[:6] + peers[number % len(peers)] + frame.data[12:], frame.kind)
        assert both.verdicts["TX"] == 0


@pytest.mark.parametrize(
    "service", [*services("192.0.2.53 2001:db8::53"), *BY_NAME], ids=lambda each: str(each.address)
)
def test_every_protocol_number(service: Service) -> None:
    """As what follows the IP header, and for IPv6 behind an extension header too; in ICMP errors as well."""
    to = str(service.address)
    source = "203.0.113.9" if "." in to else "2001:db8:ffff::9"
    payload = udp(source, 4242, to, 53, bytes(64))
    with Conformance() as both:
        for protocol in range(256):
            both.check(ethernet(ip(source, to, protocol, payload)))
            answer = ip(to, source, protocol, udp(to, 53, source, 4242, bytes(64)))
            error = icmp_error(source, to, 3, answer)
            both.check(ethernet(ip(source, to, ICMP if "." in to else ICMPV6, error)))
            both.check(ethernet(ip(source, to, ICMP if "." in to else ICMPV6, bytes((protocol,)) + error[1:])))
            if ":" in to:
                chain = extension_chain([60, 51], protocol, Random(protocol))
                both.check(ethernet(ip(source, to, protocol, payload, extensions=chain, first=60)))


@pytest.mark.parametrize("kind", ["noise", "flipped", "short_or_impossible_length", "truncated_packet"])
def test_broken_frames(kind: str) -> None:
    random = Random(9)
    with Conformance() as both:
        for _ in range(1000):
            frame = KINDS[kind](random)
            if len(frame) >= SHORTEST:
                both.check(frame, kind)


@pytest.fixture(scope="module")
def plane() -> Iterator[Unattached]:
    with Unattached(FORWARDING, HELD) as plane:
        yield plane


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_octets_follow_an_address_of_ours(plane: Unattached, data: st.DataObject) -> None:
    """Nothing is remembered from one to the next here, as hypothesis repeats and reorders."""
    base = bytearray(KINDS[data.draw(st.sampled_from(["plain", "extensions_v6", "icmp_about_answer"]))](Random(1)))
    for at, octet in data.draw(st.lists(st.tuples(st.integers(12, len(base) - 1), st.integers(0, 255)), max_size=6)):
        base[at] = octet
    frame = bytes(base[: data.draw(st.integers(SHORTEST, len(base)))]) + data.draw(st.binary(max_size=8))
    stateless = (*BY_PACKET, *KEEPS_FLOWS)
    if not any(each.address.packed in frame for each in stateless):
        decision = Decider(FORWARDING, HELD).decide(frame, Memory())
        ran = plane.run(frame)
        assert (VERDICTS[ran.verdict], ran.frame) == (decision.verdict.name, decision.frame)


def test_a_program_that_samples_decides_the_same_and_shows_queries() -> None:
    """Whole names, also the longest, of both families, behind tags and extension headers; of TCP and errors nothing."""
    longest = ".".join(["x" * 63, "y" * 63, "z" * 63, "w" * 61])
    sent = []
    with Conformance() as both:
        both.plane.engine.sample(1)
        for each in frames(23, 1500):
            if len(each.data) >= SHORTEST:
                both.check(each.data, each.kind)
                assert len([*both.plane.engine.samples()]) <= 1
        for source, own in (("198.51.100.7", "192.0.2.53"), ("2001:db8:1::7", "2001:db8::53")):
            for name, tags in (("www.example", ()), (longest, (0x8100,))):
                payload = query(labels(name))
                both.check(ethernet(ip(source, own, UDP, udp(source, 4242, own, 53, payload)), tags=tags))
                sent.append((ip_address(source), payload))
            both.check(ethernet(ip(source, own, TCP, tcp(source, 4242, own, 53, flags=SYN))))
        assert [*both.plane.engine.samples()] == sent
        both.plane.engine.sample(4)
        frame = ethernet(ip("198.51.100.7", "192.0.2.53", UDP, udp("198.51.100.7", 4242, "192.0.2.53", 53, bytes(20))))
        for _ in range(1000):
            both.plane.run(frame)
        assert 150 < len([*both.plane.engine.samples()]) < 350
        both.plane.engine.sample(0)
        both.plane.run(frame)
        assert [*both.plane.engine.samples()] == []


def test_with_as_many_services_as_there_may_be_it_samples_too() -> None:
    some = many_services()
    with Unattached(replace(FORWARDING, services=some), frozenset(each.address for each in some)) as plane:
        plane.engine.sample(1)


def test_what_is_not_held_passes_and_what_is_held_later_is_balanced() -> None:
    frame = KINDS["plain"](Random(1))
    service = next(each for each in FORWARDING.services if each.address.packed in frame)
    with Unattached(FORWARDING, frozenset()) as plane:
        assert VERDICTS[plane.run(frame).verdict] == "PASS"
        plane.engine.hold(frozenset({service.address}))
        assert VERDICTS[plane.run(frame).verdict] == "TX"
        plane.engine.hold(HELD - {service.address})
        assert VERDICTS[plane.run(frame).verdict] == "PASS"


def test_what_is_held_stays_held_when_services_come_and_go() -> None:
    """The program is another one then, and addresses have other rows in its map."""
    random = Random(5)
    with Conformance() as both:
        for step in range(6):
            some = random.sample(FORWARDING.services, 9)
            both.install(replace(FORWARDING, services=some))
            both.memory = Memory()
            for frame in frames(step, 150):
                if len(frame.data) >= SHORTEST and frame.kind != "dns_name":
                    both.check(frame.data, frame.kind)


def test_servers_change_without_another_program() -> None:
    with Conformance() as both:
        before = both.plane.bench.program
        for gone in (1, 2, 3):
            left = {slot: to for slot, to in FORWARDING.destinations.items() if slot != gone}
            new_macs = {slot: replace(to, mac=bytes((2, 9, 9, 9, 9, slot))) for slot, to in left.items()}
            without = [
                replace(service, table=spread_over(*(slot for slot in (1, 2, 3, 4, 5) if slot != gone)))
                if service.table
                else service
                for service in FORWARDING.services
            ]
            both.install(replace(FORWARDING, services=without, destinations=new_macs, peers=frozenset()))
            for frame in frames(gone, 300):
                if len(frame.data) >= SHORTEST:
                    both.check(frame.data, frame.kind)
        assert both.plane.bench.program is before


def test_a_flow_stays_with_a_server_that_drains_and_leaves_one_that_is_gone() -> None:
    random = Random(6)
    addresses = [str(each.address) for each in KEEPS_FLOWS]
    clients = [(client(random, to), random.randrange(1024, 65536), to) for to in addresses for _ in range(30)]
    drained = [replace(each, table=spread_over(4, 5)) if each.keep_flows else each for each in FORWARDING.services]
    with Conformance() as both:
        for source, port, to in clients:
            both.check(segment(source, port, to, SYN))
        assert {*both.memory.flows.values()} == {1, 2, 3, 4, 5, 6}
        for destinations in (FORWARDING.destinations, {slot: SERVERS[slot] for slot in (2, 3, 4)}):
            both.install(replace(FORWARDING, services=drained, destinations=destinations))
            for source, port, to in clients:
                both.check(segment(source, port, to, ACK))
                both.check(segment(source, port ^ 1, to, ACK))  # unknown
                kind = 3 if "." in to else 2
                about = ip(to, source, TCP, tcp(to, 53, source, port))
                both.check(ethernet(ip(source, to, ICMP if "." in to else ICMPV6, icmp_error(source, to, kind, about))))
        for source, port, to in clients:
            both.check(segment(source, port, to, SYN | ACK))
        assert {*both.memory.flows.values()} == {4, 5}


def test_flows_of_one_client_to_two_services_are_two() -> None:
    two = services("192.0.2.61 192.0.2.63 2001:db8::61 2001:db8::63 2001:db9::63", keep_flows=True)
    two += services("192.0.2.61 2001:db8::61", 853, keep_flows=True)
    apart = [replace(each, table=spread_over(1 + at % 5)) for at, each in enumerate(two)]
    ways = [("203.0.113.9" if each.address.version == 4 else "2001:db8:ffff::9", each) for each in apart]
    with Conformance(replace(FORWARDING, services=apart), frozenset(each.address for each in two)) as both:
        for flags in (SYN, ACK):
            for source, each in ways:
                to = str(each.address)
                both.check(ethernet(ip(source, to, TCP, tcp(source, 4242, to, each.port, flags=flags))))
            both.install(replace(FORWARDING, services=[replace(each, table=spread_over(5)) for each in two]))
        assert len(both.memory.flows) == len(two)


def test_as_many_services_as_there_may_be() -> None:
    many = many_services()
    assert len(many) == MAX_SERVICES
    with Conformance(replace(FORWARDING, services=many), frozenset(each.address for each in many)) as both:
        random = Random(8)
        for service in many:
            to = str(service.address)
            source = "203.0.113.9" if "." in to else "2001:db8:ffff::9"
            for port in (service.port, 53, 54):
                payload = udp(source, random.randrange(65536), to, port, query(labels("example.net")))
                both.check(ethernet(ip(source, to, UDP, payload)), to)
                both.check(ethernet(ip(source, to, TCP, tcp(source, 4242, to, port))), to)
        with pytest.raises(DataPlaneError, match="65 services on one interface, 64 at most: spread them over several"):
            both.install(replace(FORWARDING, services=[*many, *BY_PACKET[:1]]))


def test_the_largest_table_and_the_last_slot() -> None:
    table = tuple((bucket * 7) % 256 for bucket in range(65537))
    forwarding = Forwarding(
        mac=OWN_MAC,
        services=services("192.0.2.53 2001:db8::53", table=table),
        destinations={slot: Destination(name=f"s{slot}", mac=bytes((2, 0, 0, 0, 1, slot))) for slot in range(256)},
    )
    random = Random(3)
    with Conformance(forwarding, HELD) as both:
        for _ in range(500):
            both.check(plain_to(random, forwarding.services))
        assert len(both.plane.engine.counters().packets) > 200


def test_turns_go_on_where_a_table_becomes_shorter() -> None:
    frame = ethernet(ip("203.0.113.9", "192.0.2.60", UDP, udp("203.0.113.9", 4242, "192.0.2.60", 53, bytes(12))))
    with Unattached(
        replace(FORWARDING, services=services("192.0.2.60", spread=Spread.PACKET, table=(1, 2, 3, 4, 5, 1, 2))), HELD
    ) as plane:
        sent = [plane.run(frame).frame[5] for _ in range(9)]
        assert sent == [0xD1, 0xD2, 0xD3, 0xD4, 0xD5, 0xD1, 0xD2, 0xD1, 0xD2]
        shorter = services("192.0.2.60", spread=Spread.PACKET, table=(4, 5))
        plane.engine.install(replace(FORWARDING, services=shorter))
        assert [plane.run(frame).frame[5] for _ in range(4)] == [0xD4, 0xD5, 0xD4, 0xD5]


def segment(source: str, port: int, to: str, flags: int) -> bytes:
    return ethernet(ip(source, to, TCP, tcp(source, port, to, 53, flags=flags)))


def plain_to(random: Random, some: list[Service]) -> bytes:
    service = random.choice(some)
    to = str(service.address)
    source = (
        f"203.0.{random.randrange(256)}.{random.randrange(256)}"
        if "." in to
        else f"2001:db8::{random.randrange(65536):x}"
    )
    return ethernet(ip(source, to, UDP, udp(source, random.randrange(65536), to, service.port, bytes(12))))
