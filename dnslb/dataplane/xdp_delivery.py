"""From a service to the frame's way out, as text for the assembler: spread, kept flows, counters, verdict; pure.

The text begins at the labels that `client`, `fragment` and `answer` give: r0 whether a peer sent it (not 0), r1 what is
behind the IP header, r4 the client's port (for `packet`: where the turn is), r5 the first 64 bits of the service's row,
r_client the client's address.
"""

from __future__ import annotations

from collections.abc import Set

from dnslb.dataplane import xdp_hash
from dnslb.dataplane.xdp_headers import raw
from dnslb.dataplane.xdp_layout import (
    LAST_TURN,
    LOCAL,
    PASSED,
    TABLES,
    XDP_PASS,
    XDP_TX,
    Shape,
    mapped,
    service_row,
)
from dnslb.forwarding import Passed, Protocol, Service, Spread

NAMES = """
    .register to r9
    .stack service 8
    .stack port 4
    .stack slot 4
    .stack flow 36
"""
HASHES = {
    ("source_port", 4): xdp_hash.source_port_4,
    ("source_port", 6): xdp_hash.source_port_6,
    ("source", 4): xdp_hash.source_4,
    ("source", 6): xdp_hash.source_6,
}
KINDS = {Spread.SOURCE_PORT: "source_port", Spread.SOURCE: "source", Spread.PACKET: "packet", Spread.QNAME: "name"}
NO_OWNER = "no_owner"
"where an ICMP error goes that no bucket can be derived for"
TCP_FLAGS = 13
SYN = 0x02


def client(service: Service, protocol: Protocol) -> str:
    """Where a packet of a client goes."""
    return ("segment_" if _keeps(service, protocol) else "") + _spread(service, protocol)


def fragment(service: Service) -> str:
    """Where a fragment goes."""
    return f"source{service.address.version}"


def answer(service: Service, protocol: Protocol) -> str:
    """Where an ICMP error about an answer goes."""
    if protocol is Protocol.UDP and service.spread in (Spread.PACKET, Spread.QNAME):
        return NO_OWNER
    return ("answered_" if _keeps(service, protocol) else "") + _spread(service, protocol)


def prepared(index: int, place: str) -> str:
    """What the text at a place needs of the service with this index."""
    row = service_row(index)
    if place == NO_OWNER:
        return ""
    turn = f"r4 = *(u32 *)(r_generation + {row + 8})" if place.startswith("packet") else ""
    return f"r5 = *(u64 *)(r_generation + {row})\n{turn}"


def flow_of(service: Service, protocol: Protocol) -> str:
    """What the key of a flow has from the service, to be set before `client` and `answer`; "" where none are kept."""
    if not _keeps(service, protocol):
        return ""
    packed = mapped(service.address)
    words = "\n".join(f"*(u32 *)(flow + {16 + at}) = {raw(packed[at : at + 4])}" for at in range(0, 16, 4))
    return f"{words}\n*(u16 *)(flow + 34) = {raw(service.port.to_bytes(2))}"


def text(shape: Shape, labels: Set[str]) -> str:
    """All that is reached from these labels."""
    parts = []
    names = [family for family in (4, 6) if f"name{family}" in labels]
    for (kind, family), hash_text in HASHES.items():
        label = f"{kind}{family}"
        if flows := labels & {f"segment_{label}", f"answered_{label}"}:
            parts.append(_kept_flow(label, family, hash_text(), flows, shape))
        if flows or label in labels or (kind == "source_port" and family in names):
            parts.append(f"{label}:\n{hash_text()}\ngoto bucket")
    parts += [f"name{family}:\n{xdp_hash.name(family, f'source_port{family}')}" for family in names]
    parts += [xdp_hash.named("bucket")] if names else []
    parts += [_packet()] if labels & {"packet4", "packet6"} else []
    return "\n".join([*parts, _table(shape), _out(shape.mac), _passed()])


def _count(why: Passed) -> str:
    """Count why a frame passes, and end."""
    return f"""
        r8 = {PASSED + 8 * list(Passed).index(why)}
        r9 = {XDP_PASS}
        goto passed
    """


def _keeps(service: Service, protocol: Protocol) -> bool:
    return service.keep_flows and protocol is Protocol.TCP


def _spread(service: Service, protocol: Protocol) -> str:
    """TCP packets of one connection must stay together."""
    per_packet = service.spread in (Spread.PACKET, Spread.QNAME)
    spread = Spread.SOURCE_PORT if per_packet and protocol is Protocol.TCP else service.spread
    return f"{KINDS[spread]}{service.address.version}"


def _packet() -> str:
    """The next bucket of this CPU; the table may have become shorter since the last one was dealt."""
    return f"""
    packet4:
    packet6:
        if w5 == 0 goto empty
        r8 = r4
        *(u64 *)(service) = r5
        {_counters()}
        r5 = *(u64 *)(service)
        if r8 > {LAST_TURN} goto pass
        r0 += r8
        r3 = *(u32 *)(r0 + 0)
        if w3 < w5 goto dealt
        w3 = 0
    dealt:
        r2 = r3
        w2 += 1
        *(u32 *)(r0 + 0) = r2
        goto found
    """


def _table(shape: Shape) -> str:
    """From the hash in r3 and the service in r5 to the slot in r3."""
    return f"""
    bucket:
        {_scaled("empty")}
    found:
        {_slot(shape, "empty")}
    """


def _scaled(empty: str) -> str:
    """From a hash to the bucket, both in r3 (reciprocal_scale)."""
    return f"""
        w2 = w5
        if w2 == 0 goto {empty}
        r3 *= r2
        r3 >>= 32
    """


def _slot(shape: Shape, empty: str) -> str:
    """From the bucket to its slot, both in r3; the comparison is for the verifier, which can't know the tables."""
    return f"""
        r2 = r5
        r2 <<= 1
        r2 >>= 33
        r3 += r2
        if r3 >= {shape.room} goto {empty}
        r3 += r_generation
        r3 = *(u8 *)(r3 + {TABLES})
    """


def _out(mac: bytes) -> str:
    """To the destination of the slot in r3, if there is one."""
    return f"""
    slot:
        r8 = r3
        r8 <<= 4
        r3 <<= 3
        r3 += r_generation
        r_to = *(u64 *)(r3 + 0)
        r2 = r_to
        r2 >>= 48
        if w2 == 0 goto no_destination
        {_counters()}
        r1 = r0
        r1 += r8
        r2 = *(u64 *)(r1 + 0)
        r2 += 1
        *(u64 *)(r1 + 0) = r2
        r2 = r_end
        r2 -= r_packet
        r3 = *(u64 *)(r1 + 8)
        r3 += r2
        *(u64 *)(r1 + 8) = r3
        r2 = r_to
        r2 >>= 48
        if w2 == {LOCAL} goto local
        *(u16 *)(r_packet + 0) = r_to
        r_to >>= 16
        *(u32 *)(r_packet + 2) = r_to
        *(u32 *)(r_packet + 6) = {raw(mac[:4])}
        *(u16 *)(r_packet + 10) = {raw(mac[4:])}
        w0 = {XDP_TX}
        exit
    local:
        {_count(Passed.LOCAL)}
    empty:
    no_destination:
        r5 >>= 63
        r9 = {XDP_PASS}
        r9 -= r5
        r8 = {PASSED + 8 * list(Passed).index(Passed.EMPTY)}
        goto passed
    """


def _passed() -> str:
    return f"""
    peer:
        {_count(Passed.PEER)}
    {NO_OWNER}:
        {_count(Passed.NO_OWNER)}
    malformed:
        {_count(Passed.MALFORMED)}
    passed:
        {_counters()}
        r0 += r8
        r2 = *(u64 *)(r0 + 0)
        r2 += 1
        *(u64 *)(r0 + 0) = r2
        r0 = r9
        exit
    pass:
        w0 = {XDP_PASS}
        exit
    """


def _counters() -> str:
    """The counters of this CPU in r0; there always are some, which the verifier can't know."""
    return """
        r2 = &first
        r1 = map[counters]
        call bpf_map_lookup_elem
        if r0 == 0 goto pass
    """


def _kept_flow(label: str, family: int, hash_text: str, entrances: Set[str], shape: Shape) -> str:
    """TCP of a service that keeps flows: a SYN is spread and remembered, the rest goes where it went before."""
    recall = f"""
    recall_{label}:
        *(u32 *)(port) = r4
        *(u64 *)(service) = r5
        r1 = map[flows]
        r2 = &flow
        call bpf_map_lookup_elem
        r4 = *(u32 *)(port)
        r5 = *(u64 *)(service)
        if r0 == 0 goto {label}
        r3 = *(u32 *)(r0 + 0)
        w3 &= 0xff
        r2 = r3
        r2 <<= 3
        r2 += r_generation
        r2 = *(u16 *)(r2 + 6)
        if w2 == 0 goto {label}
        goto slot
    """
    segment = f"""
    segment_{label}:
        r2 = r1
        r2 += {TCP_FLAGS + 1}
        if r2 > r_end goto malformed
        if r0 != 0 goto peer
        {_flow_of_client(family)}
        r2 = *(u8 *)(r1 + {TCP_FLAGS})
        w2 &= {SYN}
        if w2 == 0 goto recall_{label}
        *(u64 *)(service) = r5
        {hash_text}
        {_scaled("empty")}
        {_slot(shape, "empty")}
        *(u32 *)(slot) = r3
        r1 = map[flows]
        r2 = &flow
        r3 = &slot
        w4 = 0
        call bpf_map_update_elem
        r3 = *(u32 *)(slot)
        w3 &= 0xff
        r5 = *(u64 *)(service)
        goto slot
    """
    answered = f"""
    answered_{label}:
        if r0 != 0 goto peer
        {_flow_of_client(family)}
        goto recall_{label}
    """
    texts = {f"segment_{label}": segment, f"answered_{label}": answered}
    return "\n".join([*(texts[entrance] for entrance in sorted(entrances)), recall])


def _flow_of_client(family: int) -> str:
    """The client's part of a flow's key."""
    if family == 6:
        words = "\n".join(f"r2 = *(u32 *)(r_client + {at})\n*(u32 *)(flow + {at}) = r2" for at in range(0, 16, 4))
    else:
        words = """
            r2 = *(u32 *)(r_client + 0)
            *(u32 *)(flow + 12) = r2
            *(u64 *)(flow + 0) = 0
            *(u32 *)(flow + 8) = 0
        """
    return f"{words}\n*(u16 *)(flow + 32) = r4"
