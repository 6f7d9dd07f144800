"""The XDP program of a Shape, as text for the assembler: dnslb.decision, frame by frame; pure.

It has code for what the shape needs and no other, the plain packet first. Its maps: held, generations, counters, flows,
samples. The way of a frame:

    Ethernet, tags -> the destination among our addresses -> held? -> the generation -> the source among the peers?
    -> IPv4 or IPv6 header -> ports -> the service -> the hash of its spread -> bucket -> slot -> counters -> out

Registers on this way: r0 whether a peer sent it, until the hash; r1 what is behind the IP header; r4 the client's port;
r5 protocol, then service; r8 IP header, then the client's address; r9 the generation, then the destination.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dnslb.dataplane import xdp_delivery, xdp_headers, xdp_sample
from dnslb.dataplane.xdp_headers import raw
from dnslb.dataplane.xdp_layout import (
    HELD_NUMBER,
    HELD_ROW,
    MULTIPLIER,
    NOBODY,
    PEER_PROBES,
    PEER_ROWS_LOG2,
    PEERS,
    XDP_PASS,
    Shape,
)
from dnslb.forwarding import Protocol, Service
from pyvrrp.core.events import IPAddress

LINEAR = 4
"constants that are compared one after the other; more are searched by halves"

NAMES = """
    .register packet r6
    .register end r7
    .register ip r8
    .register client r8
    .register left r8
    .register generation r9
    .stack first 4
    .stack number 4
    .stack later 4
"""

KEY = """
    r2 = *(u32 *)(number)
    w2 <<= 24
    w5 <<= 16
    w5 |= w2
"""
"r5 from a protocol to the upper half of a service's key"


def program_text(shape: Shape, rows: Mapping[IPAddress, int]) -> str:
    """The program; `rows` says where in the held map each address is."""
    numbers = {service.address: rows[service.address] + 1 for service in shape.services if service.protocols}
    families = frozenset(address.version for address in numbers)
    if not families:
        return f"w0 = {XDP_PASS}\nexit"
    services = {family: _Dispatch(shape, numbers, family) for family in sorted(families)}
    sampling = [xdp_sample.NAMES, xdp_sample.KEEP_CONTEXT] if shape.one_in else []
    parts = [NAMES, xdp_delivery.NAMES, *sampling, xdp_headers.ethernet(shape.mac), xdp_headers.tags()]
    parts += [_address_4(numbers), _held(4), xdp_headers.ipv4()] if 4 in families else ["ipv4:\ngoto pass"]
    parts += [_address_6(numbers), _held(6), xdp_headers.ipv6()] if 6 in families else ["ipv6:\ngoto pass"]
    parts += [dispatch.text() for dispatch in services.values()]
    places = frozenset().union(*(dispatch.places for dispatch in services.values()))
    return _tidy([*parts, xdp_delivery.text(shape, places)])


class _Dispatch:
    """From (address, protocol, port) to a service, and on to where it is delivered, for one family of addresses.

    The key has 32 bits: the number of the address, the protocol, the port as it is in the packet.
    """

    def __init__(self, shape: Shape, numbers: Mapping[IPAddress, int], family: int) -> None:
        self._family = family
        self._one_in = shape.one_in
        self.places: set[str] = set()
        "labels of xdp_delivery that the text goes to"
        self._by_port: dict[int, tuple[int, Service, Protocol]] = {}
        self._first: dict[int, tuple[int, Service, Protocol]] = {}
        "the key without a port"
        for index, service in enumerate(shape.services):
            for protocol in sorted(service.protocols) if service.address.version == family else ():
                key = numbers[service.address] << 24 | protocol << 16
                port = int.from_bytes(service.port.to_bytes(2), "little")
                self._by_port[key | port] = index, service, protocol
                self._first.setdefault(key, (index, service, protocol))

    def text(self) -> str:
        """At the labels that xdp_headers goes to; `later` has no ports, so that no owner can be found."""
        packets = {
            key: (index, xdp_delivery.flow_of(service, protocol), xdp_delivery.client(service, protocol))
            for key, (index, service, protocol) in self._by_port.items()
        }
        answers = {
            key: (index, xdp_delivery.flow_of(service, protocol), xdp_delivery.answer(service, protocol))
            for key, (index, service, protocol) in self._by_port.items()
        }
        fragments = {
            key: (index, "", xdp_delivery.fragment(service)) for key, (index, service, _) in self._first.items()
        }
        later = dict.fromkeys(self._first, (0, "", xdp_delivery.NO_OWNER))
        return f"""
        ports{self._family}:
            {xdp_sample.sampled(self._family, self._one_in) if self._one_in else ""}
            {self._ports(client=0, service=2)}
            {self._tree("packet", packets)}
        fragment{self._family}:
            {KEY}
            {self._tree("piece", fragments)}
        answer{self._family}:
            {self._ports(client=2, service=0)}
            {self._tree("answer", answers)}
        later{self._family}:
            {KEY}
            {self._tree("later", later)}
        """

    def _ports(self, client: int, service: int) -> str:
        """The client's port, and the key with the service's, from where they are in the header at r1."""
        return f"""
            r2 = r1
            r2 += 4
            if r2 > r_end goto malformed
            r4 = *(u16 *)(r1 + {client})
            r3 = *(u16 *)(r1 + {service})
            {KEY}
            w5 |= w3
        """

    def _tree(self, name: str, leaves: Mapping[int, tuple[int, str, str]]) -> str:
        """Where the key leads to: the service's index, what its flow needs, and where it is delivered."""
        parts = [_search("w5", {key: f"{name}_{key:x}" for key in leaves}, "pass")]
        for key, (index, flow, place) in leaves.items():
            self.places.add(place)
            parts.append(f"""
            {name}_{key:x}:
                {"" if place.startswith("segment_") else "if r0 != 0 goto peer"}
                {xdp_delivery.prepared(index, place)}
                {flow}
                goto {place}
            """)
        return "\n".join(parts)


def _address_4(numbers: Mapping[IPAddress, int]) -> str:
    """At `ipv4`: which of our addresses is the destination; r5 becomes its number, 0 if it is not held."""
    targets = {int(raw(address.packed), 0): number for address, number in numbers.items() if address.version == 4}
    leaves = "\n".join(_number(f"address_{number}", number, "held4") for number in targets.values())
    return f"""
    ipv4:
        r2 = *(u32 *)(r_ip + 16)
        {_search("w2", {packed: f"address_{number}" for packed, number in targets.items()}, "pass")}
        {leaves}
    """


def _address_6(numbers: Mapping[IPAddress, int]) -> str:
    """At `ipv6`: the same, by the halves of the address."""
    halves: dict[int, dict[int, int]] = {}
    for address, number in numbers.items():
        if address.version == 6:
            upper, lower = (int(raw(half), 0) for half in (address.packed[:8], address.packed[8:]))
            halves.setdefault(upper, {})[lower] = number
    parts = [_search("r2", {upper: f"upper_{upper:x}" for upper in halves}, "pass")]
    for upper, lowers in halves.items():
        search = _search("r2", {lower: f"address_{number}" for lower, number in lowers.items()}, "pass")
        parts.append(f"upper_{upper:x}:\n r2 = *(u64 *)(r_ip + 32)\n {search}")
        parts += [_number(f"address_{number}", number, "held6") for number in lowers.values()]
    return f"""
    ipv6:
        r2 = r_ip
        r2 += 40
        if r2 > r_end goto pass
        r2 = *(u64 *)(r_ip + 24)
        {chr(10).join(parts)}
    """


def _number(label: str, number: int, then: str) -> str:
    """The number comes out of the map, so that the verifier judges what follows once, not once for each address."""
    return f"""
    {label}:
        r2 = map[held][0]+{(number - 1) * HELD_ROW.size + HELD_NUMBER}
        r5 = *(u32 *)(r2 + 0)
        goto {then}
    """


def _held(family: int) -> str:
    """Look up the generation, and whether the source is among its peers."""
    probes = "\n".join(
        f"""
        r4 = *(u64 *)(r3 + {PEERS + 8 * probe})
        if r4 == 0 goto parse{family}
        if r4 == r2 goto from_peer{family}
        """
        for probe in range(PEER_PROBES)
    )
    return f"""
    held{family}:
        if w5 == 0 goto pass
        *(u32 *)(number) = r5
        *(u32 *)(first) = 0
        r2 = &first
        r1 = map[generations]
        call bpf_map_lookup_elem
        if r0 == 0 goto pass
        r1 = r0
        r2 = &first
        call bpf_map_lookup_elem
        if r0 == 0 goto pass
        r_generation = r0
        r0 = *(u64 *)(r_generation + {NOBODY})
        r2 = *(u64 *)(r_packet + 6)
        r2 <<= 16
        r2 |= 1
        r3 = *(u64 *)(r_generation + {MULTIPLIER})
        r3 *= r2
        r3 >>= {64 - PEER_ROWS_LOG2}
        r3 <<= 3
        r3 += r_generation
        {probes}
        goto parse{family}
    from_peer{family}:
        w0 = 1
    """


def _search(register: str, targets: Mapping[int, str], otherwise: str) -> str:
    """Go where the constant in a register leads."""
    constants = sorted(targets)
    if len(constants) <= LINEAR:
        return "\n".join([*(_compare(register, "==", each, targets[each]) for each in constants), f"goto {otherwise}"])
    middle = len(constants) // 2
    upper = f"above_{targets[constants[middle - 1]]}"
    return "\n".join(
        [
            _compare(register, ">", constants[middle - 1], upper),
            _search(register, {each: targets[each] for each in constants[:middle]}, otherwise),
            f"{upper}:",
            _search(register, {each: targets[each] for each in constants[middle:]}, otherwise),
        ]
    )


def _compare(register: str, comparison: str, constant: int, label: str) -> str:
    if register.startswith("w"):
        return f"if {register} {comparison} {constant:#x} goto {label}"
    return f"r3 = {constant:#x} ll\nif {register} {comparison} r3 goto {label}"


def _tidy(parts: Iterable[str]) -> str:
    """One statement on a line, without jumps to what follows anyway."""
    kept: list[str] = []
    for line in (line.strip() for part in parts for line in part.splitlines()):
        if line.endswith(":"):
            before = next((at for at in range(len(kept) - 1, -1, -1) if not kept[at].endswith(":")), -1)
            if kept[before : before + 1] == [f"    goto {line[:-1]}"]:
                del kept[before]
            kept.append(line)
        elif line:
            kept.append(f"    {line}")
    return "\n".join(kept)
