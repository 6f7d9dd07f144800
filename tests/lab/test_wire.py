"""What our daemon puts on the wire, as programs see it that were written by others: tcpdump, and scapy.

Neither is asked for the checksum of VRRPv3 over IPv4, of which there are two readings: keepalived is.
"""

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from lab_nodes import Node, Segment, instance
from scapy.layers.inet import IP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vrrp import VRRP, VRRPv3
from scapy.packet import Packet

from pyvrrp.demo.lab import Lab
from pyvrrp.demo.wire import Frame

VIPS = ("192.0.2.100", "192.0.2.101")


@pytest.fixture
def node(lab: Lab) -> Node:
    return Node(lab, "pyvrrp", "n1", "192.0.2.11/24", "2001:db8::11/64")


def auth(auth_type: str) -> str:
    return f"authentication {{\n auth_type {auth_type}\n auth_pass s3cret\n }}"


def advertised(node: Node, segment: Segment, vrid: int) -> list[Frame]:
    """Our advertisements, after the second one."""
    segment.wait_advertised(node, vrid, count=2)
    return [frame for frame in segment.capture if (seen := frame.advertised) and seen.vrid == vrid]


def tcpdump(frames: list[Frame], file: Path) -> str:
    """What tcpdump -vvv writes of frames."""
    pcap = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for frame in frames:
        pcap += struct.pack("<IIII", int(frame.time), 0, len(frame.data), len(frame.data)) + frame.data
    file.write_bytes(pcap)
    return subprocess.run(["tcpdump", "-nvvver", str(file)], capture_output=True, text=True, check=True).stdout


def computed_again(frame: Ether, layer: type[Packet], field: str) -> int:
    """A checksum as scapy computes it."""
    copy = frame.copy()
    delattr(copy[layer], field)
    return getattr(Ether(bytes(copy))[layer], field)


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="needs tcpdump")
@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            instance(51, 200, *VIPS),
            r"ttl 255, .*proto VRRP \(112\), length 44\).*192\.0\.2\.11 > 224\.0\.0\.18: .*"
            r"VRRPv2, Advertisement, vrid 51, prio 200, authtype none, intvl 1s, length 24, "
            r"addrs\(2\): 192\.0\.2\.100,192\.0\.2\.101",
        ),
        (
            instance(51, 200, *VIPS, extra=auth("PASS")),
            r"VRRPv2, Advertisement, vrid 51, prio 200, authtype simple, intvl 1s, length 24, "
            r"addrs\(2\): 192\.0\.2\.100,192\.0\.2\.101 auth \"s3cret",
        ),
        (
            instance(51, 200, VIPS[0], extra=auth("AH")),
            r"proto AH \(51\), length 64\).*AH\(.*spi=0xc000020b,.*seq=0x[0-9a-f]+,.*"
            r"VRRPv2, Advertisement, vrid 51, prio 200, authtype ah, intvl 1s",
        ),
        (
            instance(51, 200, *VIPS, version=3, advert_int=0.25),
            r"length 36\).*VRRPv3, Advertisement, vrid 51, prio 200, intvl 25cs, length 16, "
            r"addrs\(2\): 192\.0\.2\.100,192\.0\.2\.101",
        ),
        (
            instance(51, 200, "fe80::100", "2001:db8::100", version=3, advert_int=0.25),
            r"hlim 255, next-header VRRP \(112\) payload length: 40\) fe80::[0-9a-f:]+ > ff02::12: .*"
            r"VRRPv3, Advertisement, vrid 51, prio 200, intvl 25cs, length 40, addrs\(2\): fe80::100,2001:db8::100",
        ),
    ],
    ids=["v2", "v2-pass", "v2-ah", "v3-ipv4", "v3-ipv6"],
)
def test_tcpdump_reads_our_advertisements(
    node: Node, segment: Segment, tmp_path: Path, config: str, expected: str
) -> None:
    node.start(config)
    text = tcpdump(advertised(node, segment, 51), tmp_path / "wire.pcap")
    assert re.search(expected, text.replace("\n", " "), re.DOTALL), text
    assert "bad vrrp cksum" not in text
    assert "bad cksum" not in text
    destination = "33:33:00:00:00:12" if "fe80" in config else "01:00:5e:00:00:12"
    assert f"> {destination}" in text


def test_scapy_reads_our_advertisements(node: Node, segment: Segment) -> None:
    node.start(instance(51, 200, *VIPS), instance(52, 150, "fe80::100", version=3))
    v2, v3 = (Ether(advertised(node, segment, vrid)[0].data) for vrid in (51, 52))
    vrrp = v2[VRRP]
    assert (vrrp.version, vrrp.type, vrrp.vrid, vrrp.priority, vrrp.ipcount) == (2, 1, 51, 200, 2)
    assert (vrrp.authtype, vrrp.adv, vrrp.addrlist) == (0, 1, list(VIPS))
    assert v2[IP].tos == 0xC0
    assert computed_again(v2, VRRP, "chksum") == vrrp.chksum
    vrrp = v3[VRRPv3]
    assert (vrrp.version, vrrp.type, vrrp.vrid, vrrp.priority, vrrp.ipcount) == (3, 1, 52, 150, 1)
    assert (vrrp.adv, vrrp.addrlist) == (100, ["fe80::100"])
    assert computed_again(v3, VRRPv3, "chksum") == vrrp.chksum


def test_a_gratuitous_arp_is_a_request_for_itself(node: Node, segment: Segment) -> None:
    node.start(instance(51, 200, VIPS[0], version=3, advert_int=0.2))
    segment.wait_announced(VIPS[0], node, 0)
    frame = next(frame for frame in segment.capture if frame.announced)
    ether = Ether(frame.data)
    arp = ether[ARP]
    mac = node.host.run(["cat", "/sys/class/net/eth0/address"]).stdout.strip()
    assert (ether.dst, ether.src, arp.op) == ("ff:ff:ff:ff:ff:ff", mac, 1)
    assert (arp.psrc, arp.pdst, arp.hwsrc, arp.hwdst) == (VIPS[0], VIPS[0], mac, "ff:ff:ff:ff:ff:ff")


def test_an_unsolicited_neighbor_advertisement_overrides(node: Node, segment: Segment) -> None:
    vip = "2001:db8::100"
    node.start(instance(51, 200, "fe80::100", vip, version=3, advert_int=0.2))
    segment.wait_announced(vip, node, 0)
    frames = [frame for frame in segment.capture if str(frame.announced) == vip]
    packet = Ether(frames[0].data)
    mac = node.host.run(["cat", "/sys/class/net/eth0/address"]).stdout.strip()
    assert (packet[IPv6].src, packet[IPv6].dst, packet[IPv6].hlim) == (vip, "ff02::1", 255)
    advertisement = packet[ICMPv6ND_NA]
    assert (advertisement.tgt, advertisement.S, advertisement.O) == (vip, 0, 1)
    assert packet[ICMPv6NDOptDstLLAddr].lladdr == mac
    assert computed_again(packet, ICMPv6ND_NA, "cksum") == advertisement.cksum
