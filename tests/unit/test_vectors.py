"""Advertisements captured from a running keepalived: read, verified, and made again byte for byte."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from pyvrrp.core.auth import AuthenticationHeader, SimpleText
from pyvrrp.core.datagram import PROTOCOL_AH, PROTOCOL_VRRP, Datagram, parse_ipv4
from pyvrrp.core.discard import Discard, DiscardReason
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.reception import GROUP4, GROUP6, Reception, vrid_of
from pyvrrp.core.transmission import Transmission
from pyvrrp.host.crypto import hmac_md5
from tests.pcap import packets

SOURCE = IPv4Address("192.0.2.11")
_ID = slice(4, 6)
_HEADER_CHECKSUM = slice(10, 12)


def a(*texts):
    return tuple(IPv6Address(text) if ":" in text else IPv4Address(text) for text in texts)


PLAIN = {
    "pass-v2": (Parameters(vrid=61, addresses=a("192.0.2.105"), priority=120), {"security": SimpleText(b"secret12")}),
    "plain-v3": (
        Parameters(vrid=63, version=3, advert_int=0.25, addresses=a("192.0.2.107", "192.0.2.108"), priority=120),
        {},
    ),
    "v3-as-v2-checksum": (
        Parameters(vrid=65, version=3, addresses=a("192.0.2.109"), priority=120),
        {"v3_checksum_as_v2": True},
    ),
}


def without_identification(packet: bytes) -> bytes:
    """Ours is 0 here: the kernel counts."""
    blank = bytearray(packet)
    blank[_ID] = blank[_HEADER_CHECKSUM] = b"\0\0"
    return bytes(blank)


@pytest.mark.parametrize("name", PLAIN)
def test_accepted_and_made_again(name):
    parameters, options = PLAIN[name]
    reception = Reception(parameters=parameters, **{k: v for k, v in options.items() if k == "security"})
    transmission = Transmission(parameters, SOURCE, [GROUP4], **options)
    captured = packets(name)
    for packet in captured:
        datagram = parse_ipv4(packet)
        assert vrid_of(datagram) == parameters.vrid
        advertisement = reception.check(datagram)
        ours = transmission.packet(advertisement.priority, GROUP4)
        assert without_identification(ours) == without_identification(packet)
    assert advertisement.priority == 0
    assert reception.statistics.advertisements_received == len(captured)
    assert reception.statistics.priority_zero_received == 1
    assert reception.statistics.address_list_mismatches == 0


def test_ipv6_accepted_and_made_again():
    parameters = Parameters(vrid=64, version=3, family=6, addresses=a("fe80::64", "2001:db8::64"), priority=120)
    reception = Reception(parameters=parameters)
    for packet in packets("plain-v3-ipv6"):
        source, destination = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
        assert destination == GROUP6
        datagram = Datagram(source, destination, packet[7], packet[6], b"", packet[40:])
        advertisement = reception.check(datagram)
        ours = Transmission(parameters, source, [GROUP6]).packet(advertisement.priority, GROUP6)
        assert ours == packet[40:]


def test_v2_over_ipv6_as_keepalived_sends_it():
    # `version 2` and IPv6 VIPs (keepalived 2.2.7): no authentication data, a checksum with pseudo-header
    source = IPv6Address("fe80::ac38:d5ff:fe95:58e0")
    message = bytes.fromhex("214d9602000143aafe80000000000000000000000000007720010db8000000000000000000000077")
    parameters = Parameters(vrid=77, family=6, addresses=a("fe80::77", "2001:db8::77"), priority=150)
    datagram = Datagram(source, GROUP6, 255, PROTOCOL_VRRP, b"", message)
    assert Reception(parameters=parameters).check(datagram).addresses == parameters.addresses
    assert Transmission(parameters, source, [GROUP6]).packet(150, GROUP6) == message


AH = Parameters(vrid=62, addresses=a("192.0.2.106"), priority=120)


def test_ah_verified_and_made_again():
    security = AuthenticationHeader(b"secret12", hmac_md5)
    reception = Reception(parameters=AH, security=security)
    ours = Transmission(AH, SOURCE, [GROUP4], security=AuthenticationHeader(b"secret12", hmac_md5))
    for packet in packets("ah-v2"):
        datagram = parse_ipv4(packet)
        assert datagram.protocol == PROTOCOL_AH
        advertisement = reception.check(datagram)
        assert ours.packet(advertisement.priority, GROUP4) == packet
    assert security.sequence == 6


def test_ah_with_another_key_is_refused_and_does_not_move_the_sequence():
    security = AuthenticationHeader(b"another", hmac_md5)
    with pytest.raises(Discard) as refused:
        Reception(parameters=AH, security=security).check(parse_ipv4(packets("ah-v2")[0]))
    assert refused.value.reason is DiscardReason.AUTH_FAILURE
    assert security.sequence == 0


def test_ah_replayed_is_refused():
    reception = Reception(parameters=AH, security=AuthenticationHeader(b"secret12", hmac_md5))
    first, second, *_ = [parse_ipv4(packet) for packet in packets("ah-v2")]
    reception.check(second)
    for again in (second, first):
        with pytest.raises(Discard) as refused:
            reception.check(again)
        assert refused.value.reason is DiscardReason.AUTH_REPLAY


def test_ah_changed_on_the_way_is_refused():
    packet = bytearray(packets("ah-v2")[0])
    packet[20 + 24 + 2] = 255  # the priority
    packet[20 + 24 + 6 : 20 + 24 + 8] = (int.from_bytes(packet[50:52]) - (255 - 120) * 256).to_bytes(2)
    with pytest.raises(Discard) as refused:
        Reception(parameters=AH, security=AuthenticationHeader(b"secret12", hmac_md5)).check(parse_ipv4(bytes(packet)))
    assert refused.value.reason in (DiscardReason.AUTH_FAILURE, DiscardReason.CHECKSUM)


def test_the_reserved_field_of_the_ah_is_digested_too():
    packet = bytearray(packets("ah-v2")[0])
    packet[20 + 3] ^= 1
    with pytest.raises(Discard) as refused:
        Reception(parameters=AH, security=AuthenticationHeader(b"secret12", hmac_md5)).check(parse_ipv4(bytes(packet)))
    assert refused.value.reason is DiscardReason.AUTH_FAILURE


def test_a_router_that_takes_over_continues_the_sequence_it_heard():
    security = AuthenticationHeader(b"secret12", hmac_md5)
    reception = Reception(parameters=AH, security=security)
    for packet in packets("ah-v2")[:3]:
        reception.check(parse_ipv4(packet))
    packet = Transmission(AH, SOURCE, [GROUP4], security=security).packet(100, GROUP4)
    assert int.from_bytes(packet[28:32]) == 4


def test_the_authentication_of_the_others_must_be_ours():
    plain = parse_ipv4(packets("pass-v2")[0])
    ah = parse_ipv4(packets("ah-v2")[0])
    parameters = PLAIN["pass-v2"][0]
    for reception, datagram in (
        (Reception(parameters=parameters), plain),
        (Reception(parameters=parameters), ah),
        (Reception(parameters=parameters, security=AuthenticationHeader(b"secret12", hmac_md5)), plain),
    ):
        with pytest.raises(Discard) as refused:
            reception.check(datagram)
        assert refused.value.reason is DiscardReason.AUTH_TYPE_MISMATCH
    with pytest.raises(Discard) as refused:
        Reception(parameters=parameters, security=SimpleText(b"secret1")).check(plain)
    assert refused.value.reason is DiscardReason.AUTH_FAILURE


def test_scapy_reads_what_we_send():
    from scapy.layers.inet import IP
    from scapy.layers.vrrp import VRRP

    parameters, options = PLAIN["pass-v2"]
    packet = IP(Transmission(parameters, SOURCE, [GROUP4], **options).packet(120, GROUP4))
    assert (packet.ttl, packet.proto, packet.dst, packet.tos) == (255, PROTOCOL_VRRP, "224.0.0.18", 0xC0)
    vrrp = packet[VRRP]
    assert (vrrp.version, vrrp.vrid, vrrp.priority, vrrp.ipcount, vrrp.addrlist) == (2, 61, 120, 1, ["192.0.2.105"])
    built = bytes(packet)
    del packet.chksum, packet[VRRP].chksum
    assert bytes(packet) == built  # scapy's own checksums
