"""Senders that nobody configured: addresses used twice, loops, virtual MACs; and what it costs to look for them."""

import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

import pytest
from lab_nodes import Node, Segment, instance

from pyvrrp.core.parameters import Parameters
from pyvrrp.core.reception import GROUP4, GROUP6
from pyvrrp.core.transmission import Transmission
from pyvrrp.demo.lab import Host, Lab, eventually
from pyvrrp.demo.namespaces import ip

VIP = "192.0.2.100"
US = IPv4Address("192.0.2.11")
GROUP_MAC = {4: bytes.fromhex("01005e000012"), 6: bytes.fromhex("333300000012")}


@pytest.fixture
def node(lab: Lab, segment: Segment) -> Node:
    return Node(lab, "pyvrrp", "n1", "192.0.2.11/24", "2001:db8::11/64")


@pytest.fixture
def mallory(lab: Lab) -> Host:
    return lab.host("mallory", "192.0.2.66/24")


def sends(host: Host, *frames: bytes) -> None:
    raw = host.call(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
    with raw:
        raw.bind(("eth0", 0))
        for frame in frames:
            raw.send(frame)


def frame(mac: str, source: IPv4Address | IPv6Address, vrid: int = 51, vip: str = VIP, priority: int = 100) -> bytes:
    """An advertisement as it leaves a host with this MAC and this address."""
    if source.version == 4:
        made = Parameters(vrid=vrid, addresses=(IPv4Address(vip),))
        packet = Transmission(made, source, [GROUP4]).packet(priority, GROUP4)
        return GROUP_MAC[4] + bytes.fromhex(mac.replace(":", "")) + b"\x08\x00" + packet
    made = Parameters(vrid=vrid, version=3, family=6, addresses=(IPv6Address(vip),))
    message = Transmission(made, source, [GROUP6]).packet(priority, GROUP6)
    header = b"\x6c\0\0\0" + len(message).to_bytes(2) + bytes((112, 255)) + source.packed + GROUP6.packed
    return GROUP_MAC[6] + bytes.fromhex(mac.replace(":", "")) + b"\x86\xdd" + header + message


def until_logged(node: Node, text: str, send: Callable[[], None]) -> str:
    """Go on sending until it is told."""

    def told() -> bool:
        send()
        return text in node.process.output

    eventually(told, f"{node} logs {text!r}", 15, every=0.2)
    return node.logged(text)


def taps(host: Host) -> list[str]:
    """The packet sockets of the host for IPv4 (0800) or IPv6 (86dd): sk, reference count, type, protocol ..."""
    lines = host.run(["cat", "/proc/net/packet"]).stdout.splitlines()[1:]
    return [line for line in lines if line.split()[3] in ("0800", "86dd")]


def test_a_duplicate_of_our_address(node: Node, mallory: Host, segment: Segment) -> None:
    """A cloned machine: over IPv4 neither kernel shows the other's packets to a raw socket."""
    node.start(instance(51, 200, VIP))
    segment.wait_advertised(node, 51)
    clone = "52:54:00:aa:bb:cc"
    line = until_logged(node, "duplicate", lambda: sends(mallory, frame(clone, US)))
    assert line == (
        f"warning eth0: 192.0.2.11 is our own address, but {clone} sends VRRP packets (VRID 51) from it too: "
        "a duplicate address; give one of the two hosts another"
    )
    (sender,) = node.status()["foreign"]["eth0"]
    assert (sender["source"], sender["macs"]) == ("192.0.2.11", [clone])
    assert sender["differs"] == {"source": "our own address, but another MAC: a duplicate address"}


def test_a_loop(node: Node, mallory: Host, segment: Segment) -> None:
    node.start(instance(51, 200, VIP))
    segment.wait_advertised(node, 51)
    ours = node.mac.hex(":")
    line = until_logged(node, "come back", lambda: sends(mallory, frame(ours, US)))
    assert line == (
        "warning eth0: our own VRRP packets (VRID 51) come back to us, from our address 192.0.2.11 and our MAC "
        f"{ours}: look for a loop, or a mirror port, in the network"
    )
    assert node.host.holds(VIP)


def test_a_duplicate_of_our_link_local_address(node: Node, mallory: Host, segment: Segment) -> None:
    """IPv6: the raw socket hears it, and it is counted too."""
    node.start(instance(51, 200, "fe80::100", version=3))
    segment.wait_advertised(node, 51)
    (us,) = (address for address in node.sources if address.is_link_local)
    clone = "52:54:00:aa:bb:cc"
    line = until_logged(node, "duplicate", lambda: sends(mallory, frame(clone, us, vip="fe80::100")))
    assert line == (
        f"warning eth0: {us} is our own address, but {clone} sends VRRP packets (VRID 51) from it too: "
        "a duplicate address; give one of the two hosts another"
    )
    assert node.status()["instances"][0]["discarded"]["own_source"] > 0
    assert node.host.holds("fe80::100")


def test_a_virtual_mac(node: Node, mallory: Host, segment: Segment) -> None:
    node.start(instance(51, 200, VIP))
    segment.wait_advertised(node, 51)
    stranger, mac = IPv4Address("192.0.2.7"), "00:00:5e:00:01:4d"
    line = until_logged(node, "VRID 77", lambda: sends(mallory, frame(mac, stranger, 77, "10.0.0.9")))
    assert line == (
        "info eth0: 192.0.2.7 (00:00:5e:00:01:4d, the virtual MAC of VRID 77 over IPv4) advertises VRID 77, which no "
        "vrrp_instance here has: VRRPv2, priority 100, advert_int 1 s, auth_type none, virtual_ipaddress 10.0.0.9"
    )


@pytest.mark.parametrize("source", ["192.0.2.66", "192.0.2.67"])
def test_a_sender_that_is_heard_only_once(node: Node, mallory: Host, segment: Segment, source: str) -> None:
    """Who has the address says its MAC when the kernel asks; when nobody has it, the MAC stays unknown."""
    node.start(instance(51, 200, VIP))
    segment.wait_advertised(node, 51)
    sends(mallory, frame("52:54:00:aa:bb:cc", IPv4Address(source), 77))
    mac = mallory.run(["cat", "/sys/class/net/eth0/address"]).stdout.strip()
    who = mac if source == "192.0.2.66" else "MAC unknown"
    assert f"eth0: {source} ({who}) advertises VRID 77" in node.logged("VRID 77")


def test_unicast_and_multicast_with_one_vrid_on_one_interface(lab: Lab, node: Node, segment: Segment) -> None:
    """Both are ours: what one of them takes is no reason for the other to complain."""
    peer = Node(lab, "pyvrrp", "n2", "192.0.2.12/24")
    unicast = "unicast_src_ip 192.0.2.{}\n check_unicast_src\n unicast_peer {{ 192.0.2.{}\n }}"
    for each, priority, us, them in ((node, 200, 11, 12), (peer, 100, 12, 11)):
        one = instance(51, priority, VIP, name="MANY")
        two = instance(51, priority, "192.0.2.101", name="ONE", extra=unicast.format(us, them))
        each.start(one, two)
    segment.wait_advertised(node, 51, count=8)
    for each in (node, peer):
        assert [one["mismatch"] for one in each.status()["instances"]] == [[], []]
        assert "configured differently" not in each.process.output


def test_nothing_is_tapped_when_there_is_nothing_to_find_out(lab: Lab, node: Node, segment: Segment) -> None:
    peer = Node(lab, "pyvrrp", "n2", "192.0.2.12/24")
    node.start(instance(51, 200, VIP))
    segment.wait_advertised(node, 51)
    peer.start(instance(51, 100, VIP), instance(77, 100, "10.0.0.9"))
    node.logged("VRID 77")
    eventually(lambda: not taps(node.host), "the tap is closed", 10, every=0.2)
    segment.wait_advertised(peer, 77, count=3)
    assert taps(node.host) == []


def test_a_deleted_interface_while_somebody_is_sought(node: Node, mallory: Host, segment: Segment) -> None:
    node.start(instance(51, 200, VIP))
    segment.wait_advertised(node, 51)
    sends(mallory, frame("52:54:00:aa:bb:cc", IPv4Address("192.0.2.66"), 77))
    node.host.delete_interface()
    node.host.create_interface()
    node.identify()
    segment.wait_advertised(node, 51)
    assert "Traceback" not in node.process.output
    assert node.process.returncode is None


def test_a_clone_of_a_pyvrrp_node(lab: Lab, node: Node, segment: Segment) -> None:
    """Two machines from one image: both are MASTER, and both say why."""
    clone = Node(lab, "pyvrrp", "n2", "192.0.2.12/24")
    ip("addr flush dev eth0", "addr add 192.0.2.11/24 dev eth0", namespace=clone.host.namespace)
    for each in (node, clone):
        each.start(instance(51, 200, VIP))
    for each, other in ((node, clone), (clone, node)):
        assert f"192.0.2.11 is our own address, but {other.mac.hex(':')} sends" in each.logged("duplicate", 20)
