"""What can be read of a stranger's packet, without knowing anything about it."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from pyvrrp.core.advertisement import ChecksumForm
from pyvrrp.core.claim import Claim, read
from pyvrrp.core.datagram import Datagram, parse_ipv4
from pyvrrp.core.discard import Discard, DiscardReason
from tests.pcap import packets

GROUP4, GROUP6 = IPv4Address("224.0.0.18"), IPv6Address("ff02::12")
SOURCE4, SOURCE6 = IPv4Address("192.0.2.7"), IPv6Address("fe80::7")
PASS_V2 = "214d6401 0101 335b 0a000009 7365637265740000"  # VRID 77, "secret", 10.0.0.9
PLAIN_V3 = "314d6401 0064 bdad 0a000009"


def ipv4(payload: str, *, to=GROUP4, protocol=112) -> Datagram:
    return Datagram(SOURCE4, to, 255, protocol, b"", bytes.fromhex(payload))


def reason(datagram: Datagram) -> tuple[DiscardReason, str]:
    with pytest.raises(Discard) as refused:
        read(datagram)
    return refused.value.reason, refused.value.detail


def test_v2_with_a_password_which_is_nowhere_in_the_claim():
    claim = read(ipv4(PASS_V2))
    assert claim == Claim(2, 77, 100, 1.0, 1, (IPv4Address("10.0.0.9"),), ChecksumForm.MESSAGE)
    assert str(claim) == "VRRPv2, priority 100, advert_int 1 s, auth_type PASS, virtual_ipaddress 10.0.0.9"
    assert "secret" not in repr(claim)


@pytest.mark.parametrize(
    ("capture", "text"),
    [
        ("ah-v2", "VRRPv2, priority 120, advert_int 1 s, auth_type AH, virtual_ipaddress 192.0.2.106"),
        ("plain-v3", "VRRPv3, priority 120, advert_int 0.25 s, virtual_ipaddress 192.0.2.107, 192.0.2.108"),
        ("v3-as-v2-checksum", "VRRPv3, priority 120, advert_int 1 s, virtual_ipaddress 192.0.2.109"),
    ],
)
def test_what_a_real_keepalived_sends(capture, text):
    assert str(read(parse_ipv4(packets(capture)[0]))) == text


def test_the_two_checksums_of_v3_are_told_apart():
    assert read(parse_ipv4(packets("plain-v3")[0])).checksum is ChecksumForm.PSEUDO_HEADER
    assert read(parse_ipv4(packets("v3-as-v2-checksum")[0])).checksum is ChecksumForm.MESSAGE


def test_ipv6():
    packet = packets("plain-v3-ipv6")[0]
    source, destination = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
    claim = read(Datagram(source, destination, 255, 112, b"", packet[40:]))
    assert (claim.version, claim.auth_type) == (3, None)


def test_carp_is_named():
    # OpenBSD, FreeBSD, pfSense, OPNsense: VHID 51, advskew 0, 7 words, advbase 1, counter, digest
    carp = "21 33 00 07 00 01 abcd" + "00" * 8 + "5a" * 20
    assert reason(ipv4(carp)) == (
        DiscardReason.LENGTH,
        "CARP (OpenBSD, FreeBSD, pfSense, OPNsense) and not VRRP",
    )


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ("", DiscardReason.LENGTH),
        ("21", DiscardReason.LENGTH),
        (PASS_V2[:-2], DiscardReason.LENGTH),
        (PASS_V2.replace("335b", "335c"), DiscardReason.CHECKSUM),
        ("414d6401010100000a0000090000000000000000", DiscardReason.VERSION),
        ("224d6401010100000a0000090000000000000000", DiscardReason.TYPE),
    ],
)
def test_what_cannot_be_read(payload, expected):
    assert reason(ipv4(payload))[0] is expected


def test_only_the_priority_may_change_without_being_news():
    hundred, zero = read(ipv4(PASS_V2)), read(ipv4("214d0001 0101 975b 0a000009 7365637265740000"))
    assert (hundred.priority, zero.priority) == (100, 0)
    assert hundred.settled == zero.settled != read(ipv4(PLAIN_V3)).settled


def test_a_long_list_is_cut_short():
    addresses = tuple(IPv4Address(f"10.0.0.{n}") for n in range(1, 12))
    claim = Claim(3, 77, 100, 1.0, None, addresses, ChecksumForm.MESSAGE)
    assert str(claim).endswith("10.0.0.7, 10.0.0.8 and 3 more")
    assert str(Claim(3, 77, 100, 1.0, None, (), ChecksumForm.MESSAGE)).endswith("virtual_ipaddress none")
