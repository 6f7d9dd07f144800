"""One interface at work: the order of calls to its data plane, what happens when an engine fails, what outlives it."""

import asyncio
import os
import threading
from ipaddress import ip_address

import pytest

from dnslb.balancer import interface as module
from dnslb.balancer.continuation import SlotBook
from dnslb.balancer.interface import Interface
from dnslb.balancer.recipe import Portion, Recipe
from dnslb.dataplane import DataPlaneError
from dnslb.forwarding import Counters, Destination, Protocol
from dnslb.model import Endpoint, Engine, RealServer, VirtualServer
from dnslb.pool_events import TableWanted

VIP, A, B = (ip_address(text) for text in ("192.0.2.53", "192.0.2.11", "192.0.2.12"))
SERVER = VirtualServer(
    name="dns",
    endpoints=(Endpoint(VIP, 53),),
    protocols=frozenset(Protocol),
    real_servers=tuple(RealServer(address=each, port=53, name=str(each)) for each in (A, B)),
    table_size=101,
)


def recipe(**weights):
    wanted = {ip_address(f"192.0.2.1{name[-1]}"): weight for name, weight in weights.items()}
    portion = Portion(
        server=SERVER,
        wanted=TableWanted(weights=wanted, usual={A: 100, B: 100}, keeping=frozenset(wanted)),
        slots={A: 0, B: 1},
        destinations={each: Destination(name=str(each), mac=bytes(6)) for each in wanted},
    )
    return Recipe(mac=b"\2" * 6, portions=(portion,), peers=frozenset())


class Plane:
    """Remembers its calls; holds the thread up while `gate` is closed; fails where it is told to."""

    mode = reason = ""

    def __init__(self, name, log):
        self.name = name
        self.log = log
        self.fails = set()
        self.gate = threading.Event()
        self.gate.set()

    def install(self, forwarding):
        self._do("install", len(set(forwarding.services[0].table)))

    def hold(self, addresses):
        self._do("hold", len(addresses))

    def counters(self):
        self._do("counters")
        return Counters(packets={0: 7})

    def close(self):
        self.log.append((self.name, "close"))

    def _do(self, *what):
        assert self.gate.wait(60)
        self.log.append((self.name, *what))
        if what[0] in self.fails:
            raise DataPlaneError(f"eth0: {what[0]} does not work")


class Engines:
    """In place of open_engine: `planes` by name, the fastest first."""

    def __init__(self, *names):
        self.log = []
        self.planes = {name: Plane(name, self.log) for name in names}
        self.refused = []

    def __call__(self, engine, interface, services, failed):
        for name, plane in self.planes.items():
            if name not in failed:
                self.log.append((name, "open"))
                return plane, name
        self.refused.append(dict(failed))
        raise DataPlaneError("no engine is left")


def on_interface(scene, engines, **options):
    async def main():
        changed = asyncio.Event()
        interface = Interface("eth0", Engine.AUTO, changed.set, engines, **options)

        async def until(condition):
            async with asyncio.timeout(60):
                while not condition():
                    changed.clear()
                    await changed.wait()

        try:
            await (scene(interface, until) if scene.__code__.co_argcount == 2 else scene(interface))
        finally:
            await interface.close()

    asyncio.run(main())


def test_the_latest_recipe_counts_and_hold_goes_ahead_of_it():
    engines = Engines("nft")
    plane = engines.planes["nft"]

    async def scene(interface):
        interface.forward(recipe(n1=100), frozenset())
        await interface.settled()
        plane.gate.clear()
        interface.forward(recipe(n2=100), frozenset())
        await asyncio.sleep(0)
        interface.forward(recipe(n1=50), frozenset())
        interface.forward(recipe(n1=100, n2=100), frozenset())
        interface.hold(frozenset({VIP}))
        plane.gate.set()
        await interface.settled()

    on_interface(scene, engines)
    calls = engines.log[3:]
    assert calls[-3:] == [("nft", "hold", 1), ("nft", "install", 2), ("nft", "close")]
    assert len(calls) <= 4, "what was overtaken is not installed"


def test_the_same_again_is_no_call():
    engines = Engines("nft")

    async def scene(interface):
        for _ in range(3):
            interface.forward(recipe(n1=100), frozenset())
            interface.hold(frozenset({VIP}))
            await interface.settled()

    on_interface(scene, engines)
    assert engines.log == [("nft", "open"), ("nft", "hold", 1), ("nft", "install", 1), ("nft", "close")]


def test_an_engine_that_fails_is_replaced_and_the_next_one_gets_everything():
    engines = Engines("xdp", "nft")
    engines.planes["xdp"].fails = {"install"}

    async def scene(interface):
        interface.hold(frozenset({VIP}))
        interface.forward(recipe(n1=100), frozenset())
        await interface.settled()
        assert interface.plane is engines.planes["nft"]
        assert interface.problem == ""

    on_interface(scene, engines)
    assert engines.log == [
        ("xdp", "open"),
        ("xdp", "hold", 1),
        ("xdp", "install", 1),
        ("xdp", "close"),
        ("nft", "open"),
        ("nft", "hold", 1),
        ("nft", "install", 1),
        ("nft", "close"),
    ]


def test_with_no_engine_left_it_says_so_and_tries_them_all_again(monkeypatch):
    monkeypatch.setattr(module, "_BACK_OFF", (0.02, 0.02))
    engines = Engines("nft")
    engines.planes["nft"].fails = {"hold"}

    async def scene(interface, until):
        interface.forward(recipe(n1=100), frozenset())
        await interface.settled()
        assert interface.problem == "no engine is left"
        assert interface.plane is None
        engines.planes["nft"].fails = set()
        await until(lambda: interface.plane is not None)
        assert interface.problem == ""

    on_interface(scene, engines)
    assert engines.refused[0] == {"nft": "it failed: hold does not work"}


def test_a_lost_engine_is_noticed_by_its_counters():
    engines = Engines("xdp", "packet")

    async def scene(interface):
        interface.forward(recipe(n1=100), frozenset())
        await interface.settled()
        await interface.count()
        assert interface.counts.packets(0) == 7
        engines.planes["xdp"].fails = {"counters"}
        await interface.count()
        await interface.settled()
        assert interface.plane is engines.planes["packet"]
        await interface.count()
        assert interface.counts.packets(0) == 14, "those of the engine before are added"

    on_interface(scene, engines)


def test_slots_are_those_of_the_process_before():
    """Else the flows that the data plane remembers would go to other servers."""
    book = SlotBook()
    book.write({("dns", B): 0, ("dns", A): 5})

    async def scene(interface):
        assert interface.claim([("dns", A), ("dns", B)]) == {("dns", A): 5, ("dns", B): 0}
        assert SlotBook(os.dup(book.descriptor)).read() == {("dns", A): 5, ("dns", B): 0}
        assert set(interface.claim([("dns", A)]).values()) == {5}
        assert interface.slot(("dns", B)) is None

    on_interface(scene, Engines("nft"), left={"slots": os.dup(book.descriptor)})
    assert book.read() == {("dns", A): 5}


def test_what_the_process_before_left_goes_on_until_there_is_a_recipe(monkeypatch):
    engines = Engines("nft")
    resumed = Plane("nft", engines.log)
    resumed.descriptors = lambda: {"socket": 77}
    monkeypatch.setattr(module, "resume_engine", lambda engine, name, descriptors: resumed)

    async def scene(interface):
        interface.hold(frozenset({VIP}))
        assert interface.resuming
        await interface.settled()
        assert interface.plane is resumed
        assert interface.resuming
        assert set(interface.kept()) == {"slots", "nft/socket"}
        interface.forward(recipe(n1=100), frozenset())
        await interface.settled()
        assert not interface.resuming

    on_interface(scene, engines, left={"slots": SlotBook().descriptor, "nft/socket": 77})
    assert engines.log == [("nft", "hold", 1), ("nft", "install", 1), ("nft", "close")]


def test_what_can_not_be_taken_over_is_opened_anew(monkeypatch):
    def refuse(engine, name, descriptors):
        raise DataPlaneError("eth0: it is of another version")

    monkeypatch.setattr(module, "resume_engine", refuse)
    engines = Engines("xdp")

    async def scene(interface, until):
        await interface.settled()
        await until(lambda: not interface.resuming)
        interface.forward(recipe(n1=100), frozenset())
        await interface.settled()

    on_interface(scene, engines, left={"slots": SlotBook().descriptor, "xdp/link": 99})
    assert engines.log[0] == ("xdp", "open")


@pytest.mark.parametrize("content", [b"{", b"[1]", b'[["dns", "nonsense", 1]]', b'[["dns"]]'])
def test_a_slot_book_that_can_not_be_read_gives_nothing(content):
    book = SlotBook()
    os.pwrite(book.descriptor, content, 0)
    assert book.read() == {}
    book.close()
