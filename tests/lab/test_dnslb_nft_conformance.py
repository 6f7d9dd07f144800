"""The nft engine against the oracle: thousands of frames through a real veth pair, each with the same fate.

What nft can't do is listed in `may_pass` and `may_be_sent`. Besides, nothing differs, and nothing at all goes astray.
"""

import json
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from cable import INTERFACE, Cable, Fate, untagged
from isolated import isolated

from dnslb.dataplane import nft, nft_table
from dnslb.decision import Decider, Decision, Memory, Verdict
from dnslb.forwarding import MAX_EXTENSION_HEADERS, Forwarding, OnEmpty, Passed, Spread
from dnslb.headers import AUTHENTICATION, EXTENSION_HEADERS, FRAGMENT, ICMP, IPV4, VLAN_TAGS, ip_header
from tests.dnslb_frames import Frame, frames
from tests.dnslb_packets import ACK, OWN_MAC, SYN, TCP, UDP, ethernet, icmp_error, ip, tcp, udp
from tests.dnslb_services import BY_PACKET, FORWARDING, HELD, KEEPS_FLOWS, SERVERS, spread_over

SERVED = replace(FORWARDING, services=[each for each in FORWARDING.services if each.spread is not Spread.QNAME])
MACS = {server.mac for server in SERVERS.values()}
pytestmark = pytest.mark.skipif(
    Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"],
    reason="so many services at once are more than net.core.wmem_max, which binds the root of a user namespace",
)
SHORTEST = 14
"octets: a packet socket sends no less"


def may_pass(frame: bytes) -> bool:
    """Whether nft may let pass what is to be sent on (or dropped, where no server is left)."""
    at = ip_header(frame)
    return (has_two_tags(frame) and not is_plain(frame, at)) or (
        AUTHENTICATION in extension_headers(frame, at) or is_error_about_options(frame, at)
    )


def may_be_sent(frame: bytes, decision: Decision) -> bool:
    """Whether nft may send on what is to pass; to its server all the same."""
    if has_two_tags(frame):
        return decision.passed is Passed.MALFORMED
    return len(extension_headers(frame, ip_header(frame))) > MAX_EXTENSION_HEADERS


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
@isolated
async def test_every_frame_has_the_fate_that_is_decided(seed):
    engine, cable = open_with(SERVED)
    decider = Decider(SERVED, HELD)
    memory = Memory()
    sample = [each for each in frames(seed, 2500) if len(each.data) >= SHORTEST]
    decisions = [decider.decide(each.data, memory) for each in sample]
    fates = cable.fates([each.data for each in sample])
    wrong = [
        (each.kind, each.data.hex(), decision.verdict, fate)
        for each, decision, fate in zip(sample, decisions, fates, strict=True)
        if not agrees(each.data, decision, fate)
    ]
    assert wrong == []
    seen = Counter(each.kind for each, fate in zip(sample, fates, strict=True) if fate.sent)
    assert sum(seen.values()) > 500
    assert {"plain", "one_vlan", "two_vlans", "fragment", "icmp_about_answer", "extensions_v6"} <= seen.keys()
    engine.close()


def agrees(frame: bytes, decision: Decision, fate: Fate) -> bool:
    """Whether a frame had the fate that was decided, or one that the list of differences allows."""
    if fate.sent is not None and (
        fate.passed is not None
        or fate.sent[:6] not in MACS
        or fate.sent[6:] != OWN_MAC + frame[12:]
        or (decision.verdict is not Verdict.TX and not may_be_sent(frame, decision) and not is_by_packet(frame))
    ):
        return False
    if fate.passed is not None and fate.passed != untagged(frame):
        return False
    if is_by_packet(frame):  # whose turn it is, the frames of other tests here decide too: see the test of turns
        return True
    match decision.verdict:
        case Verdict.TX:
            return fate.sent == decision.frame or (fate.sent is None and may_pass(frame))
        case Verdict.DROP:
            return fate.passed is None or may_pass(frame)
        case Verdict.PASS:
            return True


@isolated
async def test_what_goes_where_is_counted():
    engine, cable = open_with(SERVED)
    decider = Decider(SERVED, HELD)
    memory = Memory()
    sample = [each for each in frames(7, 3000) if is_counted_alike(each)]
    decisions = [decider.decide(each.data, memory) for each in sample]
    cable.fates([each.data for each in sample])
    told = engine.counters()
    slots = Counter(decision.slot for decision in decisions if decision.slot is not None)
    octets = Counter()
    for each, decision in zip(sample, decisions, strict=True):
        if decision.slot is not None:
            octets[decision.slot] += len(untagged(each.data))
    passed = Counter(decision.passed for decision in decisions if decision.passed not in (None, Passed.MALFORMED))
    assert dict(told.packets) == slots
    assert dict(told.octets) == octets
    assert dict(told.passed) == passed
    assert set(passed) == {Passed.PEER, Passed.LOCAL, Passed.EMPTY, Passed.NO_OWNER}
    engine.close()


def is_counted_alike(each: Frame) -> bool:
    at = ip_header(each.data)
    return (
        len(each.data) >= SHORTEST
        and not has_two_tags(each.data)
        and not is_by_packet(each.data)
        and not is_error_about_options(each.data, at)
        and AUTHENTICATION not in extension_headers(each.data, at)
        and len(extension_headers(each.data, at)) <= MAX_EXTENSION_HEADERS
    )


@isolated
async def test_turns_are_taken_one_after_the_other():
    forwarding = replace(SERVED, services=[replace(BY_PACKET[0], table=(1, 2, 3, 1, 2)), BY_PACKET[1]])
    engine, cable = open_with(forwarding)
    queries = [
        ethernet(ip("198.51.100.7", "192.0.2.60", UDP, udp("198.51.100.7", 4242, "192.0.2.60", 53, bytes([number]))))
        for number in range(12)
    ]
    order = [fate.sent[:6] for fate in cable.fates(queries)]
    assert order == [SERVERS[slot].mac for slot in (1, 2, 3, 1, 2, 1, 2, 3, 1, 2, 1, 2)]
    engine.close()


@pytest.mark.parametrize("service", KEEPS_FLOWS, ids=lambda service: str(service.address))
@isolated
async def test_flows_stay_where_they_are_while_a_server_drains(service):
    def forwarding(slots: tuple[int, ...], destinations: tuple[int, ...]):
        table = spread_over(*slots) if slots else ()
        servers = {slot: SERVERS[slot] for slot in destinations}
        return replace(FORWARDING, services=[replace(service, table=table)], destinations=servers)

    engine, cable = open_with(forwarding((1, 2, 3), (1, 2, 3)))
    memory = Memory()
    own = str(service.address)
    clients = [f"2001:db8:{number:x}::7" if ":" in own else f"198.51.{number}.7" for number in range(60)]

    def exchange(build, to: tuple[int, ...], destinations: tuple[int, ...]) -> Counter:
        """Send one frame for each client, and see that it goes where it has to; by slot."""
        now = forwarding(to, destinations)
        engine.install(now)
        decider = Decider(now, HELD)
        sent = [build(client, 4000 + number) for number, client in enumerate(clients)]
        decisions = [decider.decide(frame, memory) for frame in sent]
        fates = cable.fates(sent)
        assert [fate.sent for fate in fates] == [
            decision.frame if decision.verdict is Verdict.TX else None for decision in decisions
        ]
        return Counter(decision.slot for decision in decisions)

    def segment(flags: int):
        return lambda client, port: ethernet(ip(client, own, TCP, tcp(client, port, own, 53, b"", flags)))

    def too_big(client: str, port: int) -> bytes:
        answer = ip(own, client, TCP, tcp(own, 53, client, port, bytes(40)))
        return ethernet(
            ip(client, own, 58 if ":" in own else ICMP, icmp_error(client, own, 2 if ":" in own else 3, answer))
        )

    everywhere = exchange(segment(SYN), (1, 2, 3), (1, 2, 3))
    assert exchange(segment(ACK), (2, 3), (1, 2, 3)) == everywhere  # 1 drains
    assert exchange(too_big, (2, 3), (1, 2, 3)) == everywhere
    assert exchange(segment(ACK), (), (1, 2, 3)) == everywhere
    assert exchange(segment(ACK), (2, 3), (2, 3))[1] == 0  # 1 is gone
    assert exchange(segment(SYN), (3,), (1, 2, 3)) == {3: len(clients)}
    assert exchange(segment(ACK), (1, 2, 3), (1, 2, 3)) == {3: len(clients)}
    engine.close()


@isolated
async def test_a_connection_that_can_not_be_remembered_is_spread_all_the_same():
    nft_table.MAX_FLOWS = 4
    engine, cable = open_with(SERVED)
    decider = Decider(SERVED, HELD)
    own = str(KEEPS_FLOWS[0].address)
    clients = [f"198.51.{number}.7" for number in range(60)]
    for flags in (SYN, ACK):
        sent = [ethernet(ip(client, own, TCP, tcp(client, 4000, own, 53, b"", flags))) for client in clients]
        wanted = [decider.decide(frame, Memory()) for frame in sent]
        fates = cable.fates(sent)
        assert all(agrees(frame, *each) for frame, *each in zip(sent, wanted, fates, strict=True))
    assert sum(fate.sent is not None for fate in fates) > 30
    engine.close()


@isolated
async def test_after_many_changes_the_table_is_the_same_as_one_that_is_new():
    random = Random(4093)
    engine, _ = open_with(SERVED)
    for _ in range(30):
        forwarding = any_forwarding(random)
        held = frozenset(each.address for each in FORWARDING.services if random.random() < 0.7)
        engine.install(forwarding)
        engine.hold(held)
    changed = content()
    engine.close()
    new = nft.open(INTERFACE)
    new.hold(held)
    new.install(forwarding)
    assert content() == changed
    new.close()


def any_forwarding(random: Random) -> Forwarding:
    slots = random.sample(sorted(SERVERS), random.randrange(1, len(SERVERS)))
    tables = [(), spread_over(*slots), (*slots, *slots)]
    chosen = random.sample(SERVED.services, random.randrange(len(SERVED.services)))
    return Forwarding(
        mac=OWN_MAC,
        services=[
            replace(
                each, table=random.choice(tables), keep_flows=random.random() < 0.3, on_empty=random.choice([*OnEmpty])
            )
            for each in chosen
        ],
        destinations={slot: SERVERS[slot] for slot in slots},
        peers=frozenset(random.sample(sorted(MACS), 2)),
    )


def content() -> list[str]:
    """All that is in the table but the counters, in an order of its own."""
    listed = subprocess.run(["nft", "-j", "list", "table", "netdev", "dnslb-eth0"], capture_output=True, check=True)
    objects = [each for each in json.loads(listed.stdout)["nftables"] if not {"metainfo", "counter"} & each.keys()]
    rules: dict[str, list[object]] = {}
    for each in objects:
        for inner in each.values():
            inner.pop("handle", None)
            if isinstance(inner.get("elem"), list):
                inner["elem"].sort(key=str)
        if "rule" in each:
            rules.setdefault(each["rule"]["chain"], []).append(each["rule"])
    return sorted(map(str, [*(each for each in objects if "rule" not in each), *rules.items()]))


def open_with(forwarding) -> tuple[nft.Nft, Cable]:
    cable = Cable(OWN_MAC)
    engine = nft.open(INTERFACE)
    engine.install(forwarding)
    engine.hold(HELD)
    return engine, cable


def has_two_tags(frame: bytes) -> bool:
    return frame[12:14] in VLAN_TAGS and frame[16:18] in VLAN_TAGS


def is_plain(frame: bytes, at: int) -> bool:
    """UDP or TCP right behind an IP header without options."""
    if frame[at - 2 : at] == IPV4:
        return frame[at] == 0x45 and not int.from_bytes(frame[at + 6 : at + 8]) & 0x3FFF and frame[at + 9] in (TCP, UDP)
    return frame[at + 6] in (TCP, UDP)


def is_by_packet(frame: bytes) -> bool:
    at = ip_header(frame)
    start, end = (16, 20) if frame[at - 2 : at] == IPV4 else (24, 40)
    return frame[at + start : at + end] in {service.address.packed for service in BY_PACKET}


def is_error_about_options(frame: bytes, at: int) -> bool:
    inner = at + (frame[at] & 15) * 4 + 8 if at < len(frame) else 0
    return frame[at - 2 : at] == IPV4 and frame[at + 9 : at + 10] == b"\1" and frame[inner : inner + 1] > b"\x45"


def extension_headers(frame: bytes, at: int) -> list[int]:
    """The kinds of the IPv6 extension headers, to the fragment header or to the end of the frame."""
    kinds: list[int] = []
    if not at or frame[at - 2 : at] == IPV4 or len(frame) < at + 40:
        return kinds
    kind, at = frame[at + 6], at + 40
    while kind in EXTENSION_HEADERS:
        kinds.append(kind)
        if kind == FRAGMENT or len(frame) < at + 2:
            break
        kind, at = frame[at], at + ((frame[at + 1] + 2) * 4 if kind == AUTHENTICATION else (frame[at + 1] + 1) * 8)
    return kinds
