"""Frames for the data planes of dnslb: what a balancer meets on the wire, well-formed or not.

`frames(seed, count)` is a list of thousands, the same for the same seed, each kind of KINDS as often as any other;
`any_frame` is a hypothesis strategy over the same. Checksums are right wherever the frame is not broken on purpose, so
that it can be sent through a real stack. The services that they are for are tests.dnslb_services.FORWARDING.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from hypothesis import strategies as st

from dnslb.forwarding import Service
from tests.dnslb_packets import (
    ACK,
    CLIENT_MAC,
    FIN,
    ICMP,
    ICMPV6,
    OWN_MAC,
    PSH,
    RST,
    SYN,
    TCP,
    UDP,
    client,
    ethernet,
    extension_chain,
    icmp_error,
    internet_checksum,
    ip,
    ipv4,
    ipv6,
    labels,
    query,
    tcp,
    udp,
)
from tests.dnslb_services import BY_NAME, BY_PORT, FORWARDING, PEER_MAC, SERVERS


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it comes in, and the key of KINDS that made it."""

    kind: str
    data: bytes


def port(random: Random) -> int:
    """A source port: mostly an ephemeral one."""
    return random.choice((0, 53, 65535)) if random.random() < 0.05 else random.randrange(1024, 65536)


def service_of(random: Random) -> Service:
    """One of the services of FORWARDING; those of the plain kind more often."""
    return random.choice(BY_PORT if random.random() < 0.4 else FORWARDING.services)


def name_of(random: Random) -> bytes:
    """A name of plain labels, in mixed case."""
    name = random.choice(
        ("example.net", "www.example.com", "a.b.c.d.e.f", "", "xn--bcher-kva.example", "1.0.0.127.in-addr.arpa")
    )
    return bytes(
        octet ^ 0x20 if 65 <= octet & 0xDF <= 90 and random.random() < 0.5 else octet for octet in labels(name)
    )


def transport(random: Random, source: str, service: Service, protocol: int | None = None) -> tuple[int, bytes]:
    """A protocol of the service and a segment or datagram to it."""
    chosen = protocol or random.choice(sorted(service.protocols))
    to = str(service.address)
    if chosen == UDP:
        return UDP, udp(
            source, port(random), to, service.port, query(name_of(random)) + random.randbytes(random.randrange(20))
        )
    flags = random.choice((SYN, ACK, PSH | ACK, FIN | ACK, RST, SYN | ACK))
    return TCP, tcp(source, port(random), to, service.port, random.randbytes(random.randrange(40)), flags)


def plain(random: Random, **how) -> bytes:
    """A query or a segment to a service, with nothing special about it."""
    service = service_of(random)
    source = client(random, str(service.address))
    protocol, payload = transport(random, source, service)
    return ethernet(ip(source, str(service.address), protocol, payload), **how)


def options_v4(random: Random) -> bytes:
    service = random.choice([each for each in FORWARDING.services if each.address.version == 4])
    source = client(random, str(service.address))
    protocol, payload = transport(random, source, service)
    options = b"\x01" * 4 * random.randrange(1, 11)
    return ethernet(ip(source, str(service.address), protocol, payload, options=options))


def extensions_v6(random: Random, kinds: list[int] | None = None) -> bytes:
    service = random.choice([each for each in FORWARDING.services if each.address.version == 6])
    source = client(random, str(service.address))
    protocol, payload = transport(random, source, service)
    kinds = kinds or [random.choice((0, 43, 60, 51)) for _ in range(random.randrange(1, 7))]
    chain = extension_chain(kinds, protocol, random)
    return ethernet(ip(source, str(service.address), protocol, payload, extensions=chain, first=kinds[0]))


def one_vlan(random: Random) -> bytes:
    return plain(random, tags=(random.choice((0x8100, 0x88A8)),))


def two_vlans(random: Random) -> bytes:
    return plain(random, tags=(random.choice((0x8100, 0x88A8)), random.choice((0x8100, 0x88A8))))


def three_vlans(random: Random) -> bytes:
    return plain(random, tags=(0x88A8, 0x8100, 0x8100))


def fragment(random: Random, position: str = "") -> bytes:
    """A piece of a datagram that was cut in three or more."""
    position = position or random.choice(("first", "middle", "last"))
    service = service_of(random)
    to = str(service.address)
    source = client(random, to)
    protocol, payload = transport(random, source, service)
    piece = payload[:24] if position == "first" else random.randbytes(24 if position == "middle" else 11)
    offset = {"first": 0, "middle": 3, "last": 6}[position]
    more = position != "last"
    if service.address.version == 4:
        return ethernet(ipv4(source, to, protocol, piece, fragment=more << 13 | offset))
    header = struct.pack("!BBHI", protocol, 0, offset << 3 | more, random.getrandbits(32))
    before = random.choice(([], [], [0], [60, 43]))
    chain = extension_chain(before, 44, random) + header
    return ethernet(ipv6(source, to, protocol, piece, extensions=chain, first=(before or [44])[0]))


def atomic_fragment(random: Random) -> bytes:
    return extensions_v6(random, [44])


def options_behind_fragment(random: Random) -> bytes:
    return extensions_v6(random, [44, 60])


def too_many_extensions(random: Random) -> bytes:
    return extensions_v6(random, [0, *(60 for _ in range(random.randrange(6, 9)))])


def answer(random: Random, service: Service, **how) -> tuple[str, bytes]:
    """A client, and the packet that a server sent to it from the service's address."""
    own = str(service.address)
    to = client(random, own)
    protocol = random.choice(sorted(service.protocols))
    build = udp if protocol == UDP else tcp
    payload = build(own, service.port, to, port(random), random.randbytes(60))
    return to, ip(own, to, protocol, payload, **how)


def icmp(random: Random, returned: bytes, service: Service, kinds: tuple[int, ...] = ()) -> bytes:
    """An error from somewhere on the way to the client."""
    to = str(service.address)
    router = client(random, to)
    version = service.address.version
    kind = random.choice(kinds or ((3, 11, 12) if version == 4 else (1, 2, 3, 4)))
    message = icmp_error(router, to, kind, returned, random.randrange(5))
    before = random.choice(([], [], [0])) if version == 6 else []
    how = {"extensions": extension_chain(before, ICMPV6, random), "first": 0} if before else {}
    return ethernet(ip(router, to, ICMP if version == 4 else ICMPV6, message, **how))


def icmp_about_answer(random: Random) -> bytes:
    service = service_of(random)
    _, returned = answer(random, service)
    least = 28 if service.address.version == 4 else 48
    return icmp(random, returned[: random.randrange(least, len(returned))], service)


def icmp_about_fragment(random: Random) -> bytes:
    service = service_of(random)
    offset = random.choice((0, 0, 185))
    if service.address.version == 4:
        return icmp(random, answer(random, service, fragment=offset | 0x2000)[1], service)
    protocol = random.choice(sorted(service.protocols))
    chain = struct.pack("!BBHI", protocol, 0, offset << 3 | 1, 9)
    to = client(random, "::")
    payload = (udp if protocol == UDP else tcp)(str(service.address), service.port, to, port(random), bytes(40))
    return icmp(random, ipv6(str(service.address), to, protocol, payload, extensions=chain, first=44), service)


def icmp_with_inner_options(random: Random) -> bytes:
    service = random.choice([each for each in FORWARDING.services if each.address.version == 4])
    return icmp(random, answer(random, service, options=b"\x01" * 8)[1], service)


def icmp_cut_short(random: Random) -> bytes:
    service = service_of(random)
    _, returned = answer(random, service)
    return icmp(random, returned[: random.randrange(48)], service)


def icmp_about_something_else(random: Random) -> bytes:
    """From another port or address of ours, or about no UDP or TCP."""
    service = service_of(random)
    own = str(service.address)
    to = client(random, own)
    other = client(random, own)
    returned = random.choice(
        (
            ip(own, to, UDP, udp(own, 5353, to, 53, bytes(8))),
            ip(other, to, UDP, udp(other, service.port, to, 4242, bytes(8))),
            ip(own, to, 47, bytes(20)),
        )
    )
    return icmp(random, returned, service)


def icmp_no_error(random: Random) -> bytes:
    service = service_of(random)
    kinds = (0, 5, 8, 13) if service.address.version == 4 else (0, 5, 128, 129, 135)
    return icmp(random, answer(random, service)[1], service, kinds)


def dns_name(random: Random) -> bytes:
    """A query with a name that is unusual, or none."""
    service = random.choice(BY_NAME)
    to = str(service.address)
    source = client(random, to)
    longest = b"\x3f" + b"a" * 63 + b"\x3f" + b"B" * 63 + b"\x3f" + b"c" * 63 + b"\x3d" + b"D" * 61
    payload = random.choice(
        (
            query(name_of(random)),
            query(b"".join(b"\x01" + bytes([random.randrange(256)]) for _ in range(random.randrange(128)))),
            query(bytes([count := random.randrange(1, 64)]) + random.randbytes(count)),
            query(longest),
            query(longest[:-62] + b"\x3e" + b"d" * 62),  # 255 octets: too long
            query(b"\xc0\x0c"),
            query(b"\x03www\xc0\x0c"),
            query(b"\x40" + b"x" * 64),
            query(b"\x07example", b""),
            query(b"\x07example", b"\0\0\x01\0"),
            query(b"\x09exam", b""),
            query(labels("example.net"))[: random.randrange(30)],
        )
    )
    return ethernet(ip(source, to, UDP, udp(source, port(random), to, service.port, payload)))


def other_port(random: Random) -> bytes:
    service = service_of(random)
    to = str(service.address)
    source = client(random, to)
    if random.random() < 0.5:
        return ethernet(ip(source, to, UDP, udp(source, port(random), to, random.choice((52, 54, 0x3500)), bytes(20))))
    return ethernet(ip(source, to, TCP, tcp(source, port(random), to, random.choice((52, 54, 0x3500)))))


def other_address(random: Random) -> bytes:
    to = random.choice(("192.0.2.52", "192.0.2.99", "198.51.100.53", "2001:db8::52", "2001:db8:1::53"))
    source = client(random, to)
    return ethernet(ip(source, to, UDP, udp(source, port(random), to, 53, query(name_of(random)))))


def other_protocol(random: Random) -> bytes:
    service = service_of(random)
    to = str(service.address)
    return ethernet(ip(client(random, to), to, random.choice((2, 47, 50, 59, 89, 112, 132)), random.randbytes(40)))


def other_mac(random: Random) -> bytes:
    to = random.choice(
        (b"\xff" * 6, bytes.fromhex("01005e000012"), bytes.fromhex("333300000012"), SERVERS[1].mac, PEER_MAC)
    )
    return plain(random, to=to)


def from_peer(random: Random) -> bytes:
    return plain(random, source=random.choice(sorted(FORWARDING.peers)))


def no_ip(random: Random) -> bytes:
    """ARP, LLC, PPPoE, or an IP packet under the type of the other version."""
    frame = plain(random)
    ethertype = random.choice((0x0806, 0x0026, 0x8864, 0x0800, 0x86DD))
    return frame[:12] + ethertype.to_bytes(2) + frame[14:]


def padded(random: Random) -> bytes:
    """With octets behind the packet, as an Ethernet card pads a short frame."""
    return random_of(random, WHOLE) + bytes(random.randrange(1, 40))


def short_or_impossible_length(random: Random) -> bytes:
    """A length field, a version or a header length that does not fit the packet."""
    frame = bytearray(random_of(random, (plain, options_v4, extensions_v6, fragment, icmp_about_answer)))
    is_v4 = frame[12:14] == b"\x08\x00"
    at = 16 if is_v4 else 18
    match random.randrange(4):
        case 0:
            frame[14] = random.choice((0x00, 0x15, 0x40, 0x44, 0x4F, 0x55, 0x60, 0x70))
        case 1:
            struct.pack_into("!H", frame, at, random.choice((0, 19, 20, 27, 28, 65535)))
        case 2:
            struct.pack_into("!H", frame, at, len(frame) - (14 if is_v4 else 54) + random.choice((-1, 0, 1)))
        case 3:
            frame[random.randrange(14, min(60, len(frame)))] = random.randrange(256)
    return bytes(frame)


def truncated(random: Random) -> bytes:
    frame = random_of(random, WHOLE)
    return frame[: random.randrange(len(frame))]


def truncated_packet(random: Random) -> bytes:
    """Cut short, with a length field that says so: only what is inside is missing."""
    frame = random_of(
        random, (plain, options_v4, extensions_v6, fragment, icmp_about_answer, icmp_about_fragment, dns_name)
    )
    is_v4 = frame[12:14] == b"\x08\x00"
    cut = bytearray(frame[: random.randrange(34 if is_v4 else 54, len(frame))])
    struct.pack_into("!H", cut, 16 if is_v4 else 18, len(cut) - (14 if is_v4 else 54))
    if is_v4:
        header = (cut[14] & 15) * 4
        cut[24:26] = bytes(2)
        cut[24:26] = internet_checksum(bytes(cut[14 : 14 + header])).to_bytes(2)
    return bytes(cut)


def flipped(random: Random) -> bytes:
    frame = bytearray(random_of(random, WHOLE))
    for _ in range(random.choice((1, 1, 1, 2, 8))):
        frame[random.randrange(len(frame))] ^= 1 << random.randrange(8)
    return bytes(frame)


def noise(random: Random) -> bytes:
    return (
        OWN_MAC
        + CLIENT_MAC
        + random.choice((b"\x08\x00", b"\x86\xdd", b"\x81\x00"))
        + random.randbytes(random.randrange(80))
    )


WHOLE = (
    plain,
    options_v4,
    extensions_v6,
    one_vlan,
    two_vlans,
    three_vlans,
    fragment,
    atomic_fragment,
    options_behind_fragment,
    too_many_extensions,
    icmp_about_answer,
    icmp_about_fragment,
    icmp_with_inner_options,
    icmp_about_something_else,
    icmp_no_error,
    dns_name,
    other_port,
    other_address,
    other_protocol,
    other_mac,
    from_peer,
)
BROKEN = (icmp_cut_short, no_ip, padded, short_or_impossible_length, truncated, truncated_packet, flipped, noise)
KINDS: dict[str, Callable[[Random], bytes]] = {kind.__name__: kind for kind in (*WHOLE, *BROKEN)}


def random_of(random: Random, kinds: tuple[Callable[[Random], bytes], ...]) -> bytes:
    return random.choice(kinds)(random)


def frames(seed: int, count: int) -> list[Frame]:
    """Frames of all kinds, in random order, the same for the same seed."""
    random = Random(seed)
    names = list(KINDS)
    made = []
    while len(made) < count:
        random.shuffle(names)
        made += [Frame(name, KINDS[name](random)) for name in names]
    return made[:count]


@st.composite
def _frame(draw: st.DrawFn) -> Frame:
    kind = draw(st.sampled_from(sorted(KINDS)))
    return Frame(kind, KINDS[kind](draw(st.randoms(use_true_random=False))))


any_frame = _frame()
"a strategy: one Frame"
