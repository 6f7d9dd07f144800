"""The frames of a VIP_CHECK against scapy, and what is made of the frames that come back."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from dnslb.forwarding import Protocol
from dnslb.health.frames import ACK, RST, SYN, Reply, Way, read_reply

OURS, THEIRS = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
WAY4 = Way(
    own_mac=OURS,
    server_mac=THEIRS,
    source=ip_address("192.0.2.2"),
    source_port=40000,
    vip=ip_address("192.0.2.53"),
    port=53,
)
WAY6 = replace(WAY4, source=ip_address("2001:db8::2"), vip=ip_address("2001:db8::53"))
WAYS = pytest.mark.parametrize("way", [WAY4, WAY6], ids=["ipv4", "ipv6"])


def checked(frame: bytes) -> Packet:
    """The frame as scapy reads it, after it has agreed with every checksum."""
    packet = Ether(frame)
    again = Ether(frame)
    for layer in (IP, UDP, TCP):
        if layer in again:
            del again[layer].chksum
    assert bytes(again) == frame
    return packet


@WAYS
def test_a_datagram(way: Way) -> None:
    packet = checked(way.udp(b"question"))
    assert (packet.src, packet.dst) == ("02:00:00:00:00:01", "02:00:00:00:00:02")
    ip = packet[IP] if IP in packet else packet[IPv6]
    assert (ip.src, ip.dst) == (str(way.source), str(way.vip))
    assert (packet[UDP].sport, packet[UDP].dport) == (40000, 53)
    assert bytes(packet[UDP].payload) == b"question"


@WAYS
@given(payload=st.binary(max_size=64))
def test_every_checksum_is_right(way: Way, payload: bytes) -> None:
    checked(way.udp(payload))


@WAYS
def test_a_segment(way: Way) -> None:
    syn = checked(way.tcp(SYN, 2**32 + 7))
    assert (syn[TCP].flags, syn[TCP].seq, syn[TCP].dport) == ("S", 7, 53)
    assert checked(way.tcp(RST, 8))[TCP].flags == "R"


def back(way: Way, layer: Packet, source: str = "") -> bytes:
    ip = IP if way.vip.version == 4 else IPv6
    return bytes(
        Ether(dst=OURS.hex(":"), src=THEIRS.hex(":")) / ip(src=source or str(way.vip), dst=str(way.source)) / layer
    )


@WAYS
def test_an_answer(way: Way) -> None:
    assert read_reply(back(way, UDP(sport=53, dport=40000) / Raw(b"answer")) + bytes(8)) == Reply(
        protocol=Protocol.UDP, source=way.vip, source_port=53, own=way.source, own_port=40000, payload=b"answer"
    ), "without the padding of a short frame"


@WAYS
def test_a_segment_that_answers(way: Way) -> None:
    reply = read_reply(back(way, TCP(sport=53, dport=40000, flags="SA", seq=5, ack=8)))
    assert reply is not None
    assert (reply.protocol, reply.flags & (SYN | ACK), reply.acknowledged) == (Protocol.TCP, SYN | ACK, 8)


@WAYS
@pytest.mark.parametrize("protocol", [Protocol.UDP, Protocol.TCP])
def test_a_closed_port(way: Way, protocol: Protocol) -> None:
    sent = way.udp(b"question") if protocol is Protocol.UDP else way.tcp(SYN, 7)
    error = ICMP(type=3, code=3) if way.vip.version == 4 else ICMPv6DestUnreach(code=4)
    frame = back(way, error / Raw(sent[14 : 14 + 60]))
    assert read_reply(frame) == Reply(
        protocol=protocol, source=way.vip, source_port=53, own=way.source, own_port=40000, closed=True
    ), "it is about the VIP, whoever says so"
    elsewhere = back(way, error / Raw(sent[14 : 14 + 60]), "192.0.2.99" if way.vip.version == 4 else "2001:db8::99")
    assert read_reply(elsewhere) == read_reply(frame)


def test_other_errors_are_no_reply() -> None:
    sent = WAY4.udp(b"question")[14:]
    assert read_reply(back(WAY4, ICMP(type=3, code=1) / Raw(sent))) is None
    assert read_reply(back(WAY4, ICMP(type=8) / Raw(sent))) is None


@WAYS
@given(data=st.data())
def test_mutilated_frames_are_no_reply_and_no_error(way: Way, data: st.DataObject) -> None:
    error = ICMP(type=3, code=3) if way.vip.version == 4 else ICMPv6DestUnreach(code=4)
    frame = data.draw(
        st.sampled_from(
            [
                back(way, UDP(sport=53, dport=40000) / Raw(b"answer")),
                back(way, TCP(sport=53, dport=40000, flags="SA")),
                back(way, error / Raw(way.udp(b"question")[14:])),
            ]
        )
    )
    cut = bytearray(frame[: data.draw(st.integers(0, len(frame)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if cut:
            cut[data.draw(st.integers(0, len(cut) - 1))] = data.draw(st.integers(0, 255))
    read_reply(bytes(cut))
