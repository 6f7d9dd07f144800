"""The wire: what is encoded is decoded again, what is not an advertisement is a Discard and nothing else."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pyvrrp.core.advertisement import Advertisement, ChecksumForm, checksum_form, decode
from pyvrrp.core.auth import AuthenticationHeader, NoAuthentication, SimpleText
from pyvrrp.core.datagram import PROTOCOL_AH, PROTOCOL_VRRP, Datagram, parse_ipv4, pseudo_header
from pyvrrp.core.discard import Discard
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.reception import GROUP4, GROUP6, Reception, vrid_of
from pyvrrp.core.transmission import Transmission
from pyvrrp.host.crypto import hmac_md5

octets = st.integers(0, 255)
versions = st.sampled_from([2, 3])
families = st.sampled_from([4, 6])
hosts = {4: st.ip_addresses(v=4), 6: st.ip_addresses(v=6)}
GROUPS = {4: GROUP4, 6: GROUP6}
SOURCES = {4: IPv4Address("192.0.2.11"), 6: IPv6Address("fe80::11")}


@st.composite
def advertisements(draw, version, family):
    addresses = tuple(draw(st.lists(hosts[family], max_size=4)) * draw(st.sampled_from([1, 1, 1, 60])))
    if version == 3:
        return Advertisement(3, draw(octets), draw(octets), draw(st.integers(0, 4095)) / 100, addresses)
    auth_data = draw(st.binary(min_size=8, max_size=8)) if family == 4 else b""
    interval = float(draw(octets))
    return Advertisement(2, draw(octets), draw(octets), interval, addresses, draw(octets), auth_data)


@given(versions, families, st.data())
def test_codec_round_trip(version, family, data):
    advertisement = data.draw(advertisements(version, family))
    source, destination = data.draw(hosts[family]), data.draw(hosts[family])
    length = len(advertisement.encode())
    covered = pseudo_header(source, destination, length, PROTOCOL_VRRP)
    forms = {ChecksumForm.MESSAGE: b"", ChecksumForm.PSEUDO_HEADER: covered}
    for form, before in forms.items():
        message = advertisement.encode(before)
        assert decode(message, family) == advertisement
        assert len(message) == length
        found = checksum_form(message, [covered], alone=True)
        assert found is form or checksum_form(message, [], alone=True) is form  # a message can carry both


@given(versions, families, st.data())
def test_a_flipped_bit_of_the_message_is_refused(version, family, data):
    if version == 3:
        family = 6  # over IPv4 two forms of the checksum are good, and one may turn into the other
    addresses = tuple(data.draw(st.lists(hosts[family], min_size=1, max_size=3)))
    parameters = Parameters(vrid=51, version=version, family=family, addresses=addresses)
    datagram = sent(parameters)
    flipped = flip(datagram.payload, data.draw(st.integers(0, len(datagram.payload) * 8 - 1)))
    with pytest.raises(Discard):
        Reception(parameters=parameters).check(replace(datagram, payload=flipped))


def sent(parameters: Parameters, security=None, **options) -> Datagram:
    """Our own packet, as another router receives it."""
    family = parameters.family
    source, group = SOURCES[family], GROUPS[family]
    packet = Transmission(parameters, source, [group], security=security, **options).packet(parameters.priority, group)
    return parse_ipv4(packet) if family == 4 else Datagram(source, group, 255, PROTOCOL_VRRP, b"", packet)


def flip(data: bytes, bit: int) -> bytes:
    return (int.from_bytes(data) ^ 1 << bit).to_bytes(len(data))


@st.composite
def receptions(draw):
    version, family = draw(versions), draw(families)
    security = NoAuthentication()
    if version == 2 and family == 4:
        security = draw(
            st.sampled_from([security, SimpleText(b"secret12"), AuthenticationHeader(b"secret12", hmac_md5)])
        )
    parameters = Parameters(
        vrid=51,
        version=version,
        family=family,
        addresses=tuple(draw(st.lists(hosts[family], max_size=3))),
        priority=draw(st.sampled_from([100, 255])),
        owner_ignore_adverts=draw(st.booleans()),
        skip_check_adv_addr=draw(st.booleans()),
    )
    peers = draw(st.sampled_from([None, {}, {SOURCES[family]: (1, 254)}]))
    return Reception(parameters=parameters, security=security, unicast=draw(st.booleans()), peers=peers)


@st.composite
def payloads(draw, good: bytes):
    """Anything, or something that is nearly right."""
    kind = draw(st.sampled_from(["anything", "cut", "longer", "flipped", "spliced", "good"]))
    match kind:
        case "anything":
            return draw(st.binary(max_size=100))
        case "cut":
            return good[: draw(st.integers(0, len(good)))]
        case "longer":
            return good + draw(st.binary(max_size=40))
        case "flipped":
            return flip(good, draw(st.integers(0, len(good) * 8 - 1)))
        case "spliced":
            at = draw(st.integers(0, len(good)))
            piece = draw(st.binary(max_size=8))
            return good[:at] + piece + good[at + len(piece) :]
        case _:
            return good


@settings(max_examples=400, deadline=None)
@given(receptions(), st.data())
def test_whatever_arrives_is_an_advertisement_or_a_discard(reception, data):
    parameters = reception.parameters
    good = sent(parameters, reception.security)
    datagram = Datagram(
        data.draw(st.just(good.source) | hosts[parameters.family]),
        data.draw(st.just(good.destination) | hosts[parameters.family]),
        data.draw(st.just(255) | octets),
        data.draw(st.sampled_from([PROTOCOL_VRRP, PROTOCOL_AH])),
        good.header,
        data.draw(payloads(good.payload)),
    )
    reception.security = data.draw(st.just(reception.security) | st.just(NoAuthentication()))
    try:
        assert 0 <= vrid_of(datagram) <= 255
        advertisement = reception.check(datagram)
    except Discard:
        assert reception.statistics.advertisements_received == 0
        return
    assert advertisement.version == parameters.version
    assert advertisement.interval > 0
    assert reception.statistics.advertisements_received == 1


@given(st.binary(max_size=60), families)
@example(b"\x21" + bytes(7), 4)
@example(b"\x31\x33\xff\x02" + bytes(12), 4)
def test_decode_raises_nothing_but_discard(message, family):
    try:
        advertisement = decode(message, family)
    except Discard:
        return
    assert len(advertisement.encode()) == len(message)


keys = st.binary(min_size=1, max_size=10)
_MUTABLE_BITS = {range(8, 16), range(48, 50), range(80, 96)}
"of the IPv4 header, from its start: TOS, reserved and Don't Fragment flags, header checksum (RFC 2402)"
_TTL_BITS = range(64, 72)


@settings(max_examples=200, deadline=None)
@given(keys, st.integers(0, 2**32 - 3), st.booleans(), st.lists(hosts[4], max_size=3), st.data())
@example(b"secret12", 0, False, [], None)
@example(b"secret12", 0, True, [], None)
def test_ah_seals_what_it_verifies_and_a_flipped_bit_is_refused(key, sequence, unicast, addresses, data):
    destination = IPv4Address("192.0.2.12") if unicast else GROUP4
    parameters = Parameters(vrid=51, addresses=tuple(addresses))
    sealing = AuthenticationHeader(key, hmac_md5, sequence)
    transmission = Transmission(parameters, SOURCES[4], [destination], security=sealing, unicast=unicast)
    packet = transmission.packet(100, destination)

    def check(received: bytes) -> None:
        verifying = AuthenticationHeader(key, hmac_md5, sequence)
        Reception(parameters=parameters, security=verifying, unicast=unicast).check(parse_ipv4(received))
        assert verifying.sequence == sequence + 1

    check(packet)
    bits = [data.draw(st.integers(0, len(packet) * 8 - 1))] if data else range(len(packet) * 8)
    mutable = {bit for bits in _MUTABLE_BITS for bit in bits} | (set(_TTL_BITS) if unicast else set())
    for bit in bits:
        flipped = flip(packet, len(packet) * 8 - 1 - bit)
        if bit in mutable:
            check(flipped)
        else:
            with pytest.raises(Discard):
                check(flipped)


@given(keys, keys, st.integers(0, 100), st.integers(0, 100))
def test_ah_refuses_another_key_and_an_old_sequence(ours, theirs, seen, theirs_sequence):
    assume(ours.ljust(8, b"\0")[:8] != theirs.ljust(8, b"\0")[:8])
    parameters = Parameters(vrid=51)
    for key in (ours, theirs):
        datagram = sent(parameters, AuthenticationHeader(key, hmac_md5, theirs_sequence))
        reception = Reception(parameters=parameters, security=AuthenticationHeader(ours, hmac_md5, seen))
        if key == ours and theirs_sequence + 1 > seen:
            assert reception.check(datagram).vrid == 51
        else:
            with pytest.raises(Discard):
                reception.check(datagram)
            assert reception.security.sequence == seen
