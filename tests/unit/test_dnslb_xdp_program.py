"""What the XDP program and its maps are made of, without a kernel."""

import struct
from dataclasses import replace
from ipaddress import ip_address
from random import Random

import pytest

from dnslb.bpf.assembler import assemble
from dnslb.dataplane import DataPlaneError
from dnslb.dataplane.xdp_layout import (
    COUNTERS_SIZE,
    PASSED,
    PEER_PROBES,
    PEER_ROWS,
    PEER_ROWS_LOG2,
    SERVICES,
    TABLES,
    counters_of,
    generation,
    held_rows,
    held_value,
    peer_rows,
    shape_of,
)
from dnslb.dataplane.xdp_program import program_text
from dnslb.forwarding import Passed, Spread
from tests.dnslb_services import BY_PORT, EMPTY, FORWARDING, KEEPS_FLOWS, SERVERS, services, spread_over
from tests.dnslb_xdp import many_services

PLAIN = replace(FORWARDING, services=BY_PORT)


def text_of(some) -> str:
    rows = {service.address: row for row, service in enumerate(some)}
    return program_text(shape_of(replace(FORWARDING, services=some)), rows)


def test_the_program_has_no_code_for_what_no_service_uses() -> None:
    plain = text_of(BY_PORT)
    for absent in ("map[flows]", "named:", "packet4:", "segment_"):
        assert absent not in plain
    assert "named:" in text_of(services("192.0.2.53", spread=Spread.QNAME))
    assert "packet4:" in text_of(services("192.0.2.53", spread=Spread.PACKET))
    assert "map[flows]" in text_of(KEEPS_FLOWS)
    assert "map[flows]" not in text_of(services("192.0.2.53", protocols="udp", keep_flows=True))
    assert "icmp" not in text_of([]).lower()


def test_one_family_of_addresses_has_no_code_for_the_other() -> None:
    v4, v6 = text_of(services("192.0.2.53")), text_of(services("2001:db8::53"))
    assert "parse4:" in v4
    assert "parse6:" not in v4
    assert "parse4:" not in v6
    assert "parse6:" in v6


@pytest.mark.parametrize("some", [[], BY_PORT, BY_PORT[:1], KEEPS_FLOWS, FORWARDING.services, many_services()])
def test_every_shape_is_assembled(some) -> None:
    assert len(assemble(text_of(some)).instructions) < 10000


def test_what_a_program_must_be_made_anew_for() -> None:
    plain = shape_of(PLAIN)
    data = {
        "destinations": {1: SERVERS[1]},
        "peers": frozenset(),
        "services": [replace(each, table=spread_over(3)) for each in BY_PORT],
    }
    for name, value in data.items():
        assert shape_of(replace(PLAIN, **{name: value})) == plain
    assert shape_of(replace(PLAIN, services=[replace(each, table=()) for each in BY_PORT])) == plain
    text = {
        "mac": bytes(6),
        "services": [*BY_PORT, *EMPTY],
    }
    for name, value in text.items():
        assert shape_of(replace(PLAIN, **{name: value})) != plain
    longer = [replace(each, table=(1,) * 65537) for each in BY_PORT]
    assert shape_of(replace(PLAIN, services=longer)) != plain


def test_equal_tables_are_kept_once() -> None:
    shared, other = spread_over(1, 2), spread_over(2, 3)
    some = [*services("192.0.2.1 192.0.2.2 192.0.2.3", table=shared), *services("192.0.2.4", table=other), *EMPTY]
    forwarding = replace(FORWARDING, services=some)
    value = generation(forwarding, shape_of(forwarding))
    rows = [struct.unpack_from("<IIII", value, SERVICES + index * 16)[:2] for index in range(len(some))]
    assert rows == [(4093, 0), (4093, 0), (4093, 0), (4093, 4093), (0, 8186), (0, 8186)]
    assert value[TABLES : TABLES + 8186] == bytes(shared) + bytes(other)


@pytest.mark.parametrize("count", [0, 1, 8, 64, 300])
def test_every_peer_is_found_and_nobody_else(count: int) -> None:
    random = Random(count)
    peers = {b"\2\0\0\0" + at.to_bytes(2) for at in range(count // 2)}  # as a lab's, one after the other
    while len(peers) < count:
        peers.add(random.randbytes(6))
    multiplier, rows = peer_rows(peers)
    assert len(rows) == PEER_ROWS

    def found(mac: bytes) -> bool:
        key = int.from_bytes(mac, "little") << 16 | 1
        first = (key * multiplier & (1 << 64) - 1) >> 64 - PEER_ROWS_LOG2
        for row in rows[first : first + PEER_PROBES]:
            if row in (0, key):
                return row == key
        return False

    assert all(found(peer) for peer in peers)
    assert not any(found(mac) for mac in (random.randbytes(6) for _ in range(1000)) if mac not in peers)
    assert not found(bytes(6))


def test_too_many_peers_are_refused_with_a_sentence() -> None:
    random = Random(1)
    with pytest.raises(DataPlaneError, match="2000 real servers and balancers on one interface are more than"):
        peer_rows({random.randbytes(6) for _ in range(2000)})


def test_held_addresses_are_read_back() -> None:
    v4, v6, other = map(ip_address, ("192.0.2.53", "2001:db8::53", "192.0.2.54"))
    rows = {v4: 0, v6: 5, other: 127}
    assert held_rows(held_value(rows, frozenset({v4, v6}))) == (rows, {v4, v6})
    assert held_rows(held_value(rows, frozenset({ip_address("198.51.100.1")}))) == (rows, frozenset())


def test_counters_are_the_sums_over_the_cpus() -> None:
    cpus = []
    for cpu in range(3):
        value = bytearray(COUNTERS_SIZE)
        struct.pack_into("<QQ", value, 16 * 5, 10 + cpu, 1000)
        struct.pack_into("<Q", value, PASSED + 8 * list(Passed).index(Passed.EMPTY), 7)
        cpus.append(bytes(value))
    read = counters_of(b"".join(cpus))
    assert (read.packets, read.octets) == ({5: 33}, {5: 3000})
    assert read.passed == {**dict.fromkeys(Passed, 0), Passed.EMPTY: 21}
