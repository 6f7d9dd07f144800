from ipaddress import IPv4Address, IPv6Address

import pytest
from scapy.layers.inet import IP

from pyvrrp.core.datagram import (
    PROTOCOL_AH,
    PROTOCOL_VRRP,
    build_ipv4,
    internet_checksum,
    parse_ipv4,
    pseudo_header,
)
from pyvrrp.core.discard import Discard, DiscardReason
from tests.pcap import packets

SOURCE = IPv4Address("192.0.2.11")
GROUP = IPv4Address("224.0.0.18")
PACKET = build_ipv4(SOURCE, GROUP, b"advertisement", identification=7)

IPV4_VECTORS = {
    "pass-v2": PROTOCOL_VRRP,
    "ah-v2": PROTOCOL_AH,
    "plain-v3": PROTOCOL_VRRP,
    "v3-as-v2-checksum": PROTOCOL_VRRP,
    "hmac-v2-multicast": PROTOCOL_VRRP,
    "hmac-v3-multicast": PROTOCOL_VRRP,
}


def patched(offset: int, *values: int) -> bytes:
    return PACKET[:offset] + bytes(values) + PACKET[offset + len(values) :]


@pytest.mark.parametrize(("name", "protocol"), IPV4_VECTORS.items())
def test_keepalived_packets_decode_and_rebuild(name, protocol):
    captured = packets(name)
    assert len(captured) >= 5
    for number, packet in enumerate(captured, start=1):
        datagram = parse_ipv4(packet)
        assert (datagram.source, datagram.destination) == (SOURCE, GROUP)
        assert (datagram.ttl, datagram.protocol) == (255, protocol)
        assert datagram.header + datagram.payload == packet
        assert packet == build_ipv4(SOURCE, GROUP, datagram.payload, protocol=protocol, identification=number)


@pytest.mark.parametrize(
    ("name", "with_pseudo_header"), [("pass-v2", False), ("plain-v3", True), ("v3-as-v2-checksum", False)]
)
def test_checksums_of_keepalived_are_correct(name, with_pseudo_header):
    for packet in packets(name):
        payload = parse_ipv4(packet).payload
        covered = pseudo_header(SOURCE, GROUP, len(payload), PROTOCOL_VRRP) if with_pseudo_header else b""
        assert internet_checksum(covered + payload) == 0


def test_checksum_of_keepalived_over_ipv6_is_correct():
    for packet in packets("plain-v3-ipv6"):
        source, destination, payload = IPv6Address(packet[8:24]), IPv6Address(packet[24:40]), packet[40:]
        assert destination == IPv6Address("ff02::12")
        assert internet_checksum(pseudo_header(source, destination, len(payload), PROTOCOL_VRRP) + payload) == 0


def test_scapy_reads_what_we_build():
    packet = build_ipv4(SOURCE, IPv4Address("198.51.100.2"), b"x" * 20, protocol=51, ttl=64, identification=0x1234)
    seen = IP(packet)
    assert (seen.src, seen.dst, seen.ttl, seen.proto) == ("192.0.2.11", "198.51.100.2", 64, 51)
    assert (seen.id, seen.tos, seen.flags, seen.frag, seen.ihl, seen.len) == (0x1234, 0xC0, 0, 0, 5, 40)
    del seen.chksum
    assert bytes(seen) == packet


def test_ethernet_padding_is_cut():
    assert parse_ipv4(PACKET + bytes(13)) == parse_ipv4(PACKET)


def test_options_are_legal_and_kept_for_the_digest():
    header = bytearray(PACKET[:20] + b"\x94\x04\x00\x00")
    header[0], header[3] = 0x46, 24 + 13
    datagram = parse_ipv4(bytes(header) + b"advertisement")
    assert datagram.header == header
    assert datagram.payload == b"advertisement"


def test_dont_fragment_is_legal():
    assert parse_ipv4(patched(6, 0x40, 0)).payload == b"advertisement"


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(PACKET[:19], id="less than a header"),
        pytest.param(PACKET[:-1], id="cut"),
        pytest.param(patched(0, 0x65), id="IPv6"),
        pytest.param(patched(0, 0x44), id="header of 16 bytes"),
        pytest.param(patched(0, 0x4F), id="options beyond the end"),
        pytest.param(patched(2, 0, 19), id="total length within the header"),
        pytest.param(patched(6, 0x20, 0), id="first fragment"),
        pytest.param(patched(6, 0, 1), id="later fragment"),
    ],
)
def test_malformed_packets_are_length_errors(packet):
    with pytest.raises(Discard) as refused:
        parse_ipv4(packet)
    assert refused.value.reason is DiscardReason.LENGTH


def test_identification_wraps():
    assert build_ipv4(SOURCE, GROUP, b"", identification=0x10001)[4:6] == b"\x00\x01"


def test_longest_packet():
    assert len(build_ipv4(SOURCE, GROUP, bytes(65515), identification=1)) == 65535
    with pytest.raises(ValueError, match="65536 bytes"):
        build_ipv4(SOURCE, GROUP, bytes(65516), identification=1)


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (bytes.fromhex("0001f203f4f5f6f7"), 0x220D),  # RFC 1071 section 3
        (b"\x01", 0xFEFF),
        (b"", 0xFFFF),
        (bytes(8), 0xFFFF),
        (b"\xff\xff", 0),
        (b"\xff\xfe\x00\x01", 0),
    ],
)
def test_internet_checksum(data, checksum):
    assert internet_checksum(data) == checksum


def test_pseudo_headers():
    assert pseudo_header(SOURCE, GROUP, 0x102, 112).hex() == "c000020b" + "e0000012" + "00" + "70" + "0102"
    here, there = IPv6Address("fe80::1"), IPv6Address("ff02::12")
    assert pseudo_header(here, there, 0x10002, 58) == here.packed + there.packed + bytes.fromhex("000100020000003a")
