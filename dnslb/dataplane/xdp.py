"""The xdp engine: a program made for the configuration, attached by a link that ends with its last descriptor.

Whoever keeps duplicates of `descriptors()` keeps the program running when this process dies, with the tables and the
held addresses that it had; `resume` takes it over from there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace

from dnslb.bpf import rtnetlink
from dnslb.bpf.descriptor import Descriptor
from dnslb.bpf.maps import Map
from dnslb.bpf.syscall import demand_capabilities
from dnslb.bpf.xdp import Link, Mode
from dnslb.dataplane import DataPlaneError
from dnslb.dataplane.xdp_attach import attach, explained, interface_index
from dnslb.dataplane.xdp_layout import (
    HELD_ROWS,
    Shape,
    counters_of,
    generation,
    held_rows,
    held_value,
    sample_of,
    shape_of,
)
from dnslb.dataplane.xdp_loading import (
    VALUE_SIZES,
    counter_map,
    flow_map,
    generation_map,
    held_map,
    load_idle,
    load_program,
    sample_map,
    table_map,
    try_verifier,
)
from dnslb.forwarding import MAX_FLOWS, Counters, Forwarding
from pyvrrp.core.events import IPAddress

FIRST = bytes(4)
"the key of the only entry"


class Xdp:
    """One interface's program and maps; see dnslb.dataplane.DataPlane."""

    name = "xdp"

    def __init__(
        self, interface: str, link: Link, held: Map, counters: Map, flows: Map | None, *, mode: str, reason: str
    ) -> None:
        self.mode = mode
        "native or generic"
        self.reason = reason
        "why it is not native, in one line; else empty"
        self._interface = interface
        self._link = link
        self._held_map = held
        self._counters = counters
        self._flows = flows
        "None until a service keeps flows"
        self._generations: Map | None = None
        "None until the first install"
        self._shape: Shape | None = None
        self._samples: Map | None = None
        "while it is sampled"
        self._one_in = 0
        self._last: Forwarding | None = None
        self._rows, self._held = held_rows(held.lookup(FIRST) or b"")
        "of the held map: where each address is; which are held, as the process before left them"

    def install(self, forwarding: Forwarding) -> None:
        """Replace all that is forwarded, at once; when it returns, no frame is on the way by what was before.

        It takes a grace period of the kernel, 10 to 30 ms, and about as much again when services, not only servers and
        tables, have changed: then the program is replaced.
        """
        with explained(self._interface):
            shape = replace(shape_of(forwarding), one_in=self._one_in)
            with table_map(shape) as tables:
                tables.update(FIRST, generation(forwarding, shape))
                if self._generations is None or shape != self._shape:
                    self._generations = self._replace_program(shape, tables)
                    self._shape = shape
                self._generations.update(FIRST, _descriptor(tables))  # waits until no program runs by the last ones
            self._rows = {address: self._rows[address] for address in _addresses(shape)}
            self._write_held(self._rows)
        self._last = forwarding

    def sample(self, one_in: int) -> None:
        """Put one of so many UDP packets aside, by chance, for `samples`; 0: no more. It takes Linux 5.18."""
        if one_in == self._one_in:
            return
        with explained(self._interface):
            samples = sample_map() if one_in else None
        before = self._samples, self._one_in
        self._samples, self._one_in = samples, one_in
        unused = before[0]
        try:
            if self._last is not None:
                self.install(self._last)
        except DataPlaneError:
            unused, (self._samples, self._one_in) = samples, before
            raise
        finally:
            if unused is not None:
                unused.close()

    def samples(self) -> Iterator[tuple[IPAddress, bytes]]:
        """Client and UDP payload of what was put aside since the last call; of a long payload the beginning."""
        with explained(self._interface):
            while self._samples is not None and (value := self._samples.pop()) is not None:
                yield sample_of(value)

    def hold(self, addresses: frozenset[IPAddress]) -> None:
        """Balance the services of these addresses, and no other; also of those that are installed later."""
        self._held = addresses
        with explained(self._interface):
            self._write_held(self._rows)

    def counters(self) -> Counters:
        """What was counted since it was opened, also by processes that it was taken over from."""
        with explained(self._interface):
            return counters_of(self._counters.lookup(FIRST) or b"")

    def close(self) -> None:
        """Detach, whoever has duplicates of the descriptors; idempotent."""
        if self._link.descriptor >= 0:
            with explained(self._interface):
                self._link.detach()
        for each in (self._link, self._held_map, self._counters, self._flows, self._generations, self._samples):
            if each is not None:
                each.close()

    def descriptors(self) -> Mapping[str, int]:
        """What `resume` needs, by name; to be duplicated again after each install, which may add one."""
        kept: dict[str, Descriptor | None] = {
            "link": self._link,
            "held": self._held_map,
            "counters": self._counters,
            "flows": self._flows,
        }
        return {name: each.descriptor for name, each in kept.items() if each is not None}

    def _replace_program(self, shape: Shape, tables: Map) -> Map:
        """Put the program of a shape in place; returns its map of generations, with these tables in it.

        New addresses get rows of the held map beside those that the program before uses still.
        """
        if self._flows is None and any(service.keep_flows for service in shape.services):
            self._flows = flow_map(MAX_FLOWS)
        rows = dict(self._rows)
        free = (row for row in range(HELD_ROWS) if row not in self._rows.values())
        for address in _addresses(shape):
            if address not in rows:
                rows[address] = next(free)
        self._write_held(rows)
        with ExitStack() as undone:
            generations = undone.enter_context(generation_map(tables))
            generations.update(FIRST, _descriptor(tables))
            used = {
                "held": self._held_map,
                "counters": self._counters,
                "generations": generations,
                "flows": self._flows,
                "samples": self._samples,
            }
            maps = {name: each for name, each in used.items() if each is not None}
            with load_program(shape, rows, maps) as program:
                self._link.update(program)
            undone.pop_all()
        if self._generations is not None:
            self._generations.close()
        self._rows = rows
        return generations

    def _write_held(self, rows: Mapping[IPAddress, int]) -> None:
        self._held_map.update(FIRST, held_value(rows, self._held))


def open(interface: str, *, native_on_veth: bool = False) -> Xdp:
    """Attach to an interface, native if its driver can, otherwise generic; raises DataPlaneError.

    `native_on_veth`: whoever asks knows that the other end of the veth runs XDP too. Every frame passes until a
    Forwarding is installed and its addresses are held.
    """
    with explained(interface), ExitStack() as undone:
        demand_capabilities()
        held = undone.enter_context(held_map())
        counters = undone.enter_context(counter_map())
        try_verifier(held, counters)
        with load_idle() as program:
            link, mode, reason = attach(interface, program, native_on_veth=native_on_veth)
        undone.pop_all()
        return Xdp(interface, link, held, counters, None, mode=mode, reason=reason)


def resume(interface: str, descriptors: Mapping[str, int]) -> Xdp:
    """Take over what another process had attached; its descriptors are ours from now on, also if this fails.

    It goes on by its last Forwarding, with the addresses that it holds, until `install`. Raises DataPlaneError, when
    the interface was made anew meanwhile.
    """
    with explained(interface), ExitStack() as undone:
        kept = {name: undone.enter_context(Descriptor(descriptor)) for name, descriptor in descriptors.items()}
        index = interface_index(interface)
        link = Link(kept["link"].descriptor)
        if link.interface != index:
            raise DataPlaneError(f"{interface}: the XDP program that was kept is not on it any more: attach it anew")
        maps = {name: Map.adopt(each.descriptor) for name, each in kept.items() if name != "link"}
        if any(each.value_size != VALUE_SIZES[name] for name, each in maps.items()):
            raise DataPlaneError(f"{interface}: the XDP program that was kept is of another version: attach it anew")
        native = Mode.NATIVE in rtnetlink.attached(index)
        mode, reason = ("native", "") if native else ("generic", "taken over as it was")
        plane = Xdp(interface, link, maps["held"], maps["counters"], maps.get("flows"), mode=mode, reason=reason)
        undone.pop_all()
        return plane


def _addresses(shape: Shape) -> Iterable[IPAddress]:
    """Each once."""
    return dict.fromkeys(service.address for service in shape.services)


def _descriptor(inner: Map) -> bytes:
    return struct.pack("=i", inner.descriptor)
