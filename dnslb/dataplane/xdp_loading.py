"""The maps of dnslb.dataplane.xdp_layout, and the loading of programs that use them; all raise BpfError."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address

from dnslb.bpf.assembler import assemble
from dnslb.bpf.maps import Map, MapType
from dnslb.bpf.program import Program, load
from dnslb.dataplane.xdp_layout import (
    COUNTERS_SIZE,
    FLOW,
    HELD_ROW,
    HELD_ROWS,
    SAMPLE,
    Shape,
    generation_size,
    shape_of,
)
from dnslb.dataplane.xdp_program import program_text
from dnslb.forwarding import Forwarding, Protocol, Service, Spread
from pyvrrp.core.events import IPAddress

PROGRAM = "dnslb"
"the name that other tools show"
VALUE_SIZES = {"held": HELD_ROWS * HELD_ROW.size, "counters": COUNTERS_SIZE, "flows": 4}
"of the maps that outlive a program"
SAMPLES = 1024
"that wait to be read at most"


def held_map() -> Map:
    """The one value is held_value()."""
    return Map.create(MapType.ARRAY, "dnslb_held", value_size=VALUE_SIZES["held"])


def counter_map() -> Map:
    """The one value of each CPU is counters_of()'s."""
    return Map.create(MapType.PERCPU_ARRAY, "dnslb_counters", value_size=VALUE_SIZES["counters"])


def flow_map(entries: int) -> Map:
    """From FLOW to slot; the least recently used go first."""
    size = VALUE_SIZES["flows"]
    return Map.create(MapType.LRU_HASH, "dnslb_flows", key_size=FLOW.size, value_size=size, entries=entries)


def table_map(shape: Shape) -> Map:
    """The one value is a generation()."""
    return Map.create(MapType.ARRAY, "dnslb_tables", value_size=generation_size(shape))


def generation_map(tables: Map) -> Map:
    """The one value is the `table_map` of the present generation, of the same size as this one."""
    return Map.create(MapType.ARRAY_OF_MAPS, "dnslb_current", value_size=4, inner=tables)


def sample_map() -> Map:
    """Of SAMPLE; what comes while it is full is lost."""
    return Map.create(MapType.QUEUE, "dnslb_samples", key_size=0, value_size=SAMPLE.size, entries=SAMPLES)


def load_program(shape: Shape, rows: Mapping[IPAddress, int], maps: Mapping[str, Map]) -> Program:
    """Assemble and load the program of a shape; `rows` are those of the held map, `maps` those that its text names."""
    return load(assemble(program_text(shape, rows)), maps, PROGRAM)


def load_idle() -> Program:
    """A program that lets everything pass."""
    return load(assemble(program_text(Shape(bytes(6), (), 0), {})), {}, PROGRAM)


def try_verifier(held: Map, counters: Map) -> None:
    """Load a program with one of everything, so that a kernel that would refuse one later refuses now."""
    addresses = (IPv4Address("192.0.2.0"), IPv6Address("2001:db8::"))
    services = [
        Service(address=first + number, port=53, protocols=frozenset(Protocol), spread=spread, keep_flows=True)
        for first in addresses
        for number, spread in enumerate(Spread)
    ]
    shape = shape_of(Forwarding(mac=bytes(6), services=services))
    rows = {service.address: row for row, service in enumerate(services)}
    with table_map(shape) as tables, generation_map(tables) as generations, flow_map(1) as flows:
        maps = {"held": held, "counters": counters, "generations": generations, "flows": flows}
        load_program(shape, rows, maps).close()
