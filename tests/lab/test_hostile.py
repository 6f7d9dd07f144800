"""A hostile host on the segment: whatever it sends is counted, and the daemon lives and keeps its address."""

import os
import random
import socket
import struct
from collections.abc import Callable, Iterator

import pytest
from lab_nodes import Node, Segment, instance

from pyvrrp.demo.lab import Host, Lab, eventually

VIP = "192.0.2.100"
GROUP = "224.0.0.18"
VRRP, AH = 112, 51


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def advertisement(
    *, vrid: int = 51, priority: int = 250, version_type: int = 0x21, auth_type: int = 0, advert_int: int = 1
) -> bytes:
    """A VRRPv2 message by hand (RFC 3768 section 5.1), with the right checksum."""
    head = struct.pack("!BBBBBB", version_type, vrid, priority, 1, auth_type, advert_int)
    rest = socket.inet_aton(VIP) + bytes(8)
    return head + struct.pack("!H", checksum(head + bytes(2) + rest)) + rest


class Attacker:
    """Sends IP packets to the VRRP group."""

    def __init__(self, host: Host) -> None:
        self._sockets = {protocol: host.call(lambda protocol=protocol: self._open(protocol)) for protocol in (VRRP, AH)}

    @staticmethod
    def _open(protocol: int) -> socket.socket:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("192.0.2.66"))
        return raw

    def send(self, payload: bytes, *, ttl: int = 255, protocol: int = VRRP, to: str = GROUP) -> None:
        raw = self._sockets[protocol]
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        raw.sendto(payload, (to, 0))

    def close(self) -> None:
        for raw in self._sockets.values():
            raw.close()


@pytest.fixture
def attacker(lab: Lab) -> Iterator[Attacker]:
    attacker = Attacker(lab.host("mallory", "192.0.2.66/24"))
    yield attacker
    attacker.close()


@pytest.fixture
def node(lab: Lab, segment: Segment) -> Node:
    node = Node(lab, "pyvrrp", "n1", "192.0.2.11/24")
    node.start(instance(51, 200, VIP))
    segment.wait_advertised(node, 51)
    return node


def discarded(node: Node) -> dict[str, int]:
    counts = node.status()["instances"][0]["discarded"]
    return {reason: count for reason, count in counts.items() if count}


def test_every_kind_of_bad_packet_is_counted_and_changes_nothing(
    node: Node, attacker: Attacker, segment: Segment
) -> None:
    good = advertisement()
    wrong_checksum = good[:6] + struct.pack("!H", struct.unpack("!H", good[6:8])[0] ^ 0x5555) + good[8:]
    attacker.send(wrong_checksum)
    attacker.send(good, ttl=254)
    attacker.send(advertisement(version_type=0x31)[:12])
    attacker.send(advertisement(version_type=0x22))
    attacker.send(advertisement(advert_int=7))
    attacker.send(advertisement(auth_type=1))
    attacker.send(good[:-9])
    expected = {
        "checksum_errors": 1,
        "ip_ttl_errors": 1,
        "version_errors": 1,
        "invalid_type_pkts_received": 1,
        "adv_interval_errors": 1,
        "auth_type_mismatch": 1,
        "packet_length_errors": 1,
    }
    eventually(lambda: sum(discarded(node).values()) >= len(expected), "all are counted", every=0.2)
    assert discarded(node) == expected
    segment.wait_advertised(node, 51, count=2)
    assert node.host.holds(VIP)


def test_a_foreign_vrid_is_nothing_to_a_virtual_router(node: Node, attacker: Attacker, segment: Segment) -> None:
    for vrid in (1, 50, 52, 255):
        attacker.send(advertisement(vrid=vrid))
    segment.wait_advertised(node, 51, count=2)
    assert node.status()["instances"][0]["state"] == "MASTER"
    assert set(discarded(node)) <= {"vrid_errors"}


@pytest.mark.parametrize("protocol", [VRRP, AH])
def test_it_survives_ten_thousand_random_packets(
    node: Node, attacker: Attacker, segment: Segment, protocol: int
) -> None:
    rng = random.Random(seed := os.environ.get("PYVRRP_SEED", "51"))
    kinds: list[Callable[[], bytes]] = [
        lambda: rng.randbytes(rng.randrange(0, 1400)),
        lambda: advertisement()[: rng.randrange(0, 20)],
        lambda: bytes([0x21, 51, rng.randrange(200), *rng.randbytes(rng.randrange(0, 60))]),
        lambda: bytes([0x31, 51, rng.randrange(200), *rng.randbytes(rng.randrange(0, 60))]),
    ]
    since = segment.wait_advertised(node, 51)
    for _ in range(10_000):
        attacker.send(rng.choice(kinds)(), protocol=protocol, ttl=rng.choice((1, 64, 255)))
    segment.wait_advertised(node, 51, count=3)
    assert node.process.returncode is None, f"seed {seed}"
    assert node.host.holds(VIP)
    assert segment.largest_pause(node, 51, since) < 2, f"seed {seed}"
    if protocol == VRRP:
        assert sum(discarded(node).values()) > 1000
    assert "Traceback" not in node.process.output, f"seed {seed}"


def test_a_packet_in_our_own_name_is_no_rival(node: Node, attacker: Attacker, segment: Segment) -> None:
    """The source address is forged to be our own: the election must not end with nobody."""
    spoofing = node.host  # the kernel drops a foreign packet with our own source address; send it from ourselves
    raw = spoofing.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, VRRP))
    raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
    raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("192.0.2.11"))
    raw.sendto(advertisement(priority=200), (GROUP, 0))
    raw.close()
    segment.wait_advertised(node, 51, count=3)
    assert node.host.holds(VIP)


def test_who_gives_way_at_once_announces_nothing_any_more(lab: Lab, segment: Segment, attacker: Attacker) -> None:
    """A partition that heals as it ends the wait: the neighbours believe whoever announces last."""
    node = Node(lab, "pyvrrp", "n1", "192.0.2.11/24")
    node.configure(instance(51, 200, VIP))
    node.process = node.host.start(node.argv(), stdout=node.log)
    segment.wait_advertised(node, 51)
    attacker.send(advertisement(priority=250))
    eventually(lambda: len(segment.heard(node, 51)) == 2, "it says once more that it was there", 2.0)
    (_, first), (gave_way, last) = segment.heard(node, 51)
    assert (first.priority, last.priority) == (200, 200)
    eventually(lambda: node.state() == "BACKUP", "it gives way")
    segment.wait_advertised(node, 51, count=3)  # it listens until the one that does not exist is forgotten
    announced = [frame.time for frame in segment.capture if frame.announced is not None]
    assert [at for at in announced if gave_way < at < segment.heard(node, 51)[2][0]] == []
