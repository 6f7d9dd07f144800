"""Which data plane is taken, and what is told about it."""

from ipaddress import ip_address

import pytest

from dnslb.dataplane import DataPlaneError
from dnslb.dataplane.select import choose
from dnslb.forwarding import Protocol, Service, Spread

BY_PORT = Service(address=ip_address("192.0.2.53"), port=53, protocols=frozenset(Protocol))
BY_NAME = Service(address=ip_address("192.0.2.54"), port=53, protocols=frozenset(Protocol), spread=Spread.QNAME)


class Engine:
    def __init__(self, name: str, mode: str = "", reason: str = "", refusal: str = "") -> None:
        self.name = name
        self.mode = mode
        self.reason = reason
        self.refusal = refusal
        self.opened: list[str] = []

    def open(self, interface: str) -> "Engine":
        self.opened.append(interface)
        if self.refusal:
            raise DataPlaneError(self.refusal)
        return self


def select(engine: str, *engines: Engine, services=(BY_PORT,)):
    return choose(engine, "eth0", services, {each.name: each.open for each in engines})


def test_the_fastest_is_taken():
    xdp, nft = Engine("xdp", "native"), Engine("nft")
    assert select("auto", xdp, nft) == (xdp, "xdp native on eth0")
    assert nft.opened == []


def test_each_that_is_passed_over_is_told_with_its_reason():
    xdp = Engine("xdp", refusal="eth0: the process lacks CAP_BPF")
    nft = Engine("nft", refusal="eth0: libnftables.so.1 is not installed")
    packet = Engine("packet")
    assert select("auto", xdp, nft, packet) == (
        packet,
        "packet: xdp can't be used on eth0: the process lacks CAP_BPF;"
        " nft can't be used on eth0: libnftables.so.1 is not installed",
    )


def test_a_slower_way_is_told():
    xdp = Engine("xdp", "generic", reason="the driver has no XDP")
    assert select("auto", xdp) == (xdp, "xdp generic: not the fastest way: the driver has no XDP")


def test_nft_is_not_even_opened_for_what_it_can_not_do():
    xdp, nft, packet = Engine("xdp", refusal="eth0: no"), Engine("nft"), Engine("packet")
    plane, why = select("auto", xdp, nft, packet, services=(BY_PORT, BY_NAME))
    assert plane is packet
    assert why.endswith("nft can't be used on eth0: nftables can't spread by name (lb_algo qname, 192.0.2.54 port 53)")
    assert nft.opened == []


def test_when_none_is_left_every_reason_is_told():
    engines = [Engine(name, refusal=f"eth0: no {name} here") for name in ("xdp", "nft", "packet")]
    with pytest.raises(DataPlaneError) as refused:
        select("auto", *engines)
    assert str(refused.value) == (
        "no engine is left: xdp can't be used on eth0: no xdp here; nft can't be used on eth0: no nft here;"
        " packet can't be used on eth0: no packet here"
    )


def test_a_named_engine_is_taken_though_a_faster_one_is_there():
    xdp, nft = Engine("xdp", "native"), Engine("nft")
    assert select("nft", xdp, nft) == (nft, "nft on eth0")
    assert xdp.opened == []


def test_a_named_engine_is_never_replaced():
    nft, packet = Engine("nft", refusal="eth0: there is no such interface"), Engine("packet")
    with pytest.raises(DataPlaneError) as refused:
        select("nft", nft, packet)
    assert str(refused.value) == (
        "nft can't be used on eth0: there is no such interface; `engine auto` takes the fastest that can be used"
    )
    assert packet.opened == []


def test_an_unknown_engine_is_refused_with_those_that_there_are():
    with pytest.raises(DataPlaneError, match="there is no engine 'ipvs': say auto, xdp, nft, packet"):
        select("ipvs")
