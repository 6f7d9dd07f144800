import struct

from hypothesis import given
from hypothesis import strategies as st

from pyvrrp.core.datagram import Datagram, build_ipv4, internet_checksum, parse_ipv4
from pyvrrp.core.discard import Discard

octets = st.integers(0, 255)
addresses = st.ip_addresses(v=4)


@given(addresses, addresses, st.binary(max_size=1100), octets, octets, octets, st.integers(0, 65535), st.binary())
def test_round_trip(source, destination, payload, protocol, ttl, tos, identification, padding):
    packet = build_ipv4(
        source, destination, payload, protocol=protocol, ttl=ttl, tos=tos, identification=identification
    )
    assert internet_checksum(packet[:20]) == 0
    assert parse_ipv4(packet + padding) == Datagram(source, destination, ttl, protocol, packet[:20], payload)


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda tail: b"\x45\x00\x00\x1c" + tail))
def test_any_bytes_are_a_datagram_or_a_discard(packet):
    try:
        datagram = parse_ipv4(packet)
    except Discard:
        return
    assert packet.startswith(datagram.header + datagram.payload)


@given(st.binary(max_size=300) | st.integers(0, 300).map(lambda size: b"\xff" * size))
def test_checksum_is_that_of_rfc_1071(data):
    even = data + bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(even) // 2}H", even))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    assert internet_checksum(data) == 0xFFFF - total
    assert internet_checksum(even + internet_checksum(data).to_bytes(2)) == 0
