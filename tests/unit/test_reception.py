"""What reaches the state machine, and under which reason the rest is counted."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from pyvrrp.core.advertisement import Advertisement
from pyvrrp.core.datagram import PROTOCOL_VRRP, Datagram, internet_checksum, parse_ipv4, pseudo_header
from pyvrrp.core.discard import Discard, DiscardReason
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.reception import GROUP4, GROUP6, Reception, vrid_of
from pyvrrp.core.transmission import Transmission

US, PEER = IPv4Address("192.0.2.11"), IPv4Address("192.0.2.12")
VIP = IPv4Address("192.0.2.100")
V2 = Parameters(vrid=51, addresses=(VIP,))
V3 = Parameters(vrid=51, version=3, addresses=(VIP,))
V6 = Parameters(vrid=51, version=3, family=6, addresses=(IPv6Address("fe80::1"), IPv6Address("2001:db8::1")))


def sent(parameters: Parameters, to=GROUP4, **options) -> Datagram:
    return parse_ipv4(Transmission(parameters, PEER, [to], **options).packet(parameters.priority, to))


def sent6(parameters: Parameters) -> Datagram:
    source = IPv6Address("fe80::2")
    return Datagram(source, GROUP6, 255, 112, b"", Transmission(parameters, source, [GROUP6]).packet(100, GROUP6))


def altered(datagram: Datagram, **fields) -> Datagram:
    values = {name: getattr(datagram, name) for name in Datagram.__slots__}
    return Datagram(**{**values, **fields})


def reason(reception: Reception, datagram: Datagram) -> DiscardReason:
    with pytest.raises(Discard) as refused:
        reception.check(datagram)
    assert refused.value.detail
    return refused.value.reason


def check2() -> Reception:
    return Reception(parameters=V2)


def test_a_good_one_passes_and_is_counted():
    reception = check2()
    assert reception.check(sent(V2)) == Advertisement(2, 51, 100, 1.0, (VIP,))
    assert reception.statistics.advertisements_received == 1
    assert reception.remarks == {}


def test_a_keepalived_without_auth_is_forty_bytes():
    assert len(sent(V2).header + sent(V2).payload) == 40


@pytest.mark.parametrize("length", [0, 1, 7, 8, 12, 19])
def test_truncated(length):
    assert reason(check2(), altered(sent(V2), payload=sent(V2).payload[:length])) is DiscardReason.LENGTH


def test_surplus():
    assert reason(check2(), altered(sent(V2), payload=sent(V2).payload + b"\0\0\0\0")) is DiscardReason.LENGTH


def test_ethernet_padding_is_no_surplus():
    packet = Transmission(V3, PEER, [GROUP4]).packet(100, GROUP4)
    assert Reception(parameters=V3).check(parse_ipv4(packet.ljust(46, b"\0"))).priority == 100


def test_ttl_counts_for_multicast():
    assert reason(check2(), altered(sent(V2), ttl=254)) is DiscardReason.TTL


def test_ttl_does_not_count_for_unicast():
    reception = Reception(parameters=V2, unicast=True)
    assert reception.check(altered(sent(V2, US, unicast=True), ttl=64)).vrid == 51


@pytest.mark.parametrize(("first", "expected"), [(0x11, "VERSION"), (0x41, "VERSION"), (0x22, "TYPE"), (0x20, "TYPE")])
def test_version_and_type(first, expected):
    payload = bytes([first]) + sent(V2).payload[1:]
    assert reason(check2(), altered(sent(V2), payload=payload)) is DiscardReason[expected]


def test_the_other_version_is_never_negotiated():
    assert reason(check2(), sent(V3)) is DiscardReason.VERSION
    assert reason(Reception(parameters=V3), sent(V2)) is DiscardReason.VERSION


@pytest.mark.parametrize("at", range(1, 20))
def test_one_wrong_byte_is_never_accepted(at):
    payload = bytearray(sent(V2).payload)
    payload[at] ^= 0x10
    with pytest.raises(Discard):
        check2().check(altered(sent(V2), payload=bytes(payload)))


def test_wrong_checksum():
    payload = bytearray(sent(V2).payload)
    payload[7] ^= 1
    assert reason(check2(), altered(sent(V2), payload=bytes(payload))) is DiscardReason.CHECKSUM


def test_v2_interval_must_be_ours():
    assert reason(check2(), sent(Parameters(vrid=51, addresses=(VIP,), advert_int=2))) is DiscardReason.INTERVAL


def test_v3_interval_is_learnt_and_remarked():
    reception = Reception(parameters=V3)
    slow = Parameters(vrid=51, version=3, addresses=(VIP,), advert_int=4.5)
    assert reception.check(sent(slow)).interval == 4.5
    assert reception.statistics.interval_mismatches == 1
    assert reception.remarks == {"advert_int": "4.5 s, ours is 1 s (learnt)"}


def test_v3_reserved_bits_are_ignored():
    header = pseudo_header(PEER, GROUP4, 12, PROTOCOL_VRRP)
    reserved = int.from_bytes(b"\x31\x33\x64\x01\xf0\x64\0\0" + VIP.packed)
    checksum = internet_checksum(header + reserved.to_bytes(12))
    payload = (reserved | checksum << 32).to_bytes(12)
    assert Reception(parameters=V3).check(altered(sent(V3), payload=payload)).interval == 1.0


def test_v3_interval_zero_is_refused():
    header = pseudo_header(PEER, GROUP4, 12, PROTOCOL_VRRP)
    payload = Advertisement(3, 51, 100, 0.0, (VIP,)).encode(header)
    assert reason(Reception(parameters=V3), altered(sent(V3), payload=payload)) is DiscardReason.INTERVAL


@pytest.mark.parametrize("as_v2", [False, True])
def test_both_v3_checksums_are_accepted(as_v2):
    reception = Reception(parameters=V3)
    reception.check(sent(V3, v3_checksum_as_v2=as_v2))
    assert ("checksum" in reception.remarks) is as_v2


def test_old_unicast_checksum_over_the_group_is_accepted():
    payload = Advertisement(3, 51, 100, 1.0, (VIP,)).encode(pseudo_header(PEER, GROUP4, 12, PROTOCOL_VRRP))
    datagram = altered(sent(V3, US, unicast=True), payload=payload)
    assert Reception(parameters=V3, unicast=True).check(datagram).priority == 100


def test_ipv6_needs_the_pseudo_header():
    payload = Advertisement(3, 51, 100, 1.0, V6.addresses).encode()
    assert reason(Reception(parameters=V6), altered(sent6(V6), payload=payload)) is DiscardReason.CHECKSUM
    assert Reception(parameters=V6).check(sent6(V6)).addresses == V6.addresses


def test_ipv6_first_address_must_be_link_local():
    wrong = Parameters(vrid=51, version=3, family=6, addresses=(IPv6Address("2001:db8::1"),))
    assert reason(Reception(parameters=V6), sent6(wrong)) is DiscardReason.ADDRESS_LIST


def test_a_pair_configured_without_link_local_address_still_works():
    pair = Parameters(vrid=51, version=3, family=6, addresses=(IPv6Address("2001:db8::1"),))
    assert Reception(parameters=pair).check(sent6(pair)).priority == 100


def test_v3_without_an_address_is_refused_unless_we_have_none_either():
    none = Parameters(vrid=51, version=3)
    assert reason(Reception(parameters=V3), sent(none)) is DiscardReason.ADDRESS_LIST
    assert Reception(parameters=none).check(sent(none)).addresses == ()


def test_another_address_list_is_counted_and_named_but_accepted():
    reception = check2()
    reception.check(sent(Parameters(vrid=51, addresses=(VIP, IPv4Address("192.0.2.101")))))
    reception.check(sent(Parameters(vrid=51, addresses=(IPv4Address("192.0.2.102"),))))
    assert reception.statistics.address_list_mismatches == 2
    assert reception.remarks == {"virtual_ipaddress": "only they have 192.0.2.102; only we have 192.0.2.100"}


def test_the_order_of_the_addresses_does_not_matter():
    both = (VIP, IPv4Address("192.0.2.101"))
    reception = Reception(parameters=Parameters(vrid=51, addresses=both))
    reception.check(sent(Parameters(vrid=51, addresses=both[::-1])))
    assert reception.statistics.address_list_mismatches == 0


def test_multicast_and_unicast_do_not_mix():
    assert reason(check2(), sent(V2, US, unicast=True)) is DiscardReason.CAST
    assert reason(Reception(parameters=V2, unicast=True), sent(V2)) is DiscardReason.CAST


def test_check_unicast_src():
    datagram = sent(V2, US, unicast=True)
    known = Reception(parameters=V2, unicast=True, peers={PEER: (250, 255)})
    assert known.check(datagram).vrid == 51
    assert reason(known, altered(datagram, ttl=249)) is DiscardReason.TTL
    assert reason(Reception(parameters=V2, unicast=True, peers={}), datagram) is DiscardReason.SOURCE


def test_owner_ignore_adverts_is_not_counted_as_received():
    reception = Reception(parameters=Parameters(vrid=51, addresses=(VIP,), priority=255, owner_ignore_adverts=True))
    assert reason(reception, sent(V2)) is DiscardReason.OWNER
    assert reception.statistics.advertisements_received == 0


def test_vrid_is_read_before_anything_is_verified():
    assert vrid_of(sent(V2)) == 51
    with pytest.raises(Discard):
        vrid_of(altered(sent(V2), payload=b"!"))
    with pytest.raises(Discard):
        vrid_of(altered(sent(V2), protocol=51, payload=bytes(25)))


def test_the_same_advertisement_again_is_counted_again_and_a_changed_one_is_looked_at():
    reception = check2()
    first = reception.check(sent(V2))
    assert reception.check(sent(V2)) is first
    assert reception.statistics.advertisements_received == 2
    assert reason(reception, altered(sent(V2), ttl=254)) is DiscardReason.TTL
    changed = bytearray(sent(V2).payload)
    changed[2] = 255
    assert reason(reception, altered(sent(V2), payload=bytes(changed))) is DiscardReason.CHECKSUM


def test_a_remark_is_not_forgotten_by_repetition():
    reception = check2()
    other = sent(Parameters(vrid=51, addresses=(VIP, IPv4Address("192.0.2.101"))))
    reception.check(other)
    reception.check(other)
    assert reception.statistics.address_list_mismatches == 2
    assert reception.remarks
