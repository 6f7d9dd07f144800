"""The xdp engine without an interface: its programs run by BPF_PROG_TEST_RUN."""

import os

from dnslb.bpf.maps import Map, MapType
from dnslb.bpf.program import Program, Ran
from dnslb.bpf.syscall import BpfError, demand_capabilities
from dnslb.bpf.xdp import Link
from dnslb.dataplane.xdp import Xdp
from dnslb.dataplane.xdp_loading import counter_map, held_map
from dnslb.forwarding import MAX_SERVICES, Forwarding, OnEmpty, Service, Spread
from pyvrrp.core.events import IPAddress
from tests.dnslb_services import services, spread_over

VERDICTS = {1: "DROP", 2: "PASS", 3: "TX"}


def many_services() -> list[Service]:
    """As many as there may be: all kinds of spread, several ports on some addresses, addresses alike in one half."""
    made: dict[tuple[IPAddress, int], Service] = {}
    for index in range(2 * MAX_SERVICES):
        high, low = divmod(index, 8)
        (service,) = services(
            f"198.18.{high}.{low + 1}" if index % 2 else f"2001:db8:{high}::{low // 2 + 1}",
            53 if index % 4 < 2 else 5300 + index,
            spread=list(Spread)[index % len(Spread)],
            on_empty=list(OnEmpty)[index % 2],
            table=() if index % 7 == 0 else spread_over(1 + index % 5),
            keep_flows=index % 3 == 0,
        )
        made.setdefault((service.address, service.port), service)
    return list(made.values())[:MAX_SERVICES]


def bpf_allowed() -> bool:
    """Whether this process may load programs; root of a user namespace may not."""
    try:
        demand_capabilities()
        Map.create(MapType.ARRAY, "allowed", value_size=4).close()
    except BpfError:
        return False
    return True


class Bench(Link):
    """In place of a link: keeps the program that would be attached."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.program: Program | None = None

    def update(self, program: Program) -> None:
        if self.program:
            self.program.close()
        self.program = Program(os.dup(program.descriptor), program.name)


class Unattached:
    """An engine, and what its program makes of a frame."""

    def __init__(self, forwarding: Forwarding, held: frozenset[IPAddress]) -> None:
        self.bench = Bench()
        self.engine = Xdp(
            "bench",
            self.bench,
            held_map(),
            counter_map(),
            None,
            mode="",
            reason="",
        )
        self.engine.hold(held)
        self.engine.install(forwarding)

    def __enter__(self) -> "Unattached":
        return self

    def __exit__(self, *error: object) -> None:
        self.engine.close()
        if self.bench.program:
            self.bench.program.close()

    def run(self, frame: bytes) -> Ran:
        """What becomes of a frame; on one CPU, so that counters and turns are in one place."""
        assert self.bench.program is not None
        return self.bench.program.run(frame)
