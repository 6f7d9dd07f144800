"""Interfaces and addresses: what changed, and which address advertises."""

from ipaddress import ip_address
from typing import Any

import pytest

from pyvrrp.host.links import (
    Address,
    AddressChanged,
    AddressGone,
    Gone,
    Link,
    LinkChanged,
    LinkGone,
    Links,
    primary_address,
)


def link(index: int, name: str, **options: Any) -> Link:
    return Link(index=index, name=name, **options)


def address(text: str, index: int = 2, **options: Any) -> Address:
    ip, _, prefixlen = text.partition("/")
    return Address(index=index, address=ip_address(ip), prefixlen=int(prefixlen), **options)


@pytest.mark.parametrize(
    ("flags", "up", "running"),
    [(0x11043, True, True), (0x1003, True, False), (0x1043, True, False), (0x1002, False, False)],
    ids=["carrier", "no carrier", "carrier just lost", "down"],
)
def test_running_is_up_with_a_carrier(flags: int, up: bool, running: bool) -> None:
    eth0 = link(2, "eth0", flags=flags)
    assert (eth0.up, eth0.running) == (up, running)


def test_what_is_known_changes_nothing() -> None:
    links = Links()
    down, up = link(2, "eth0"), link(2, "eth0", flags=1)
    assert links.apply(down) == [LinkChanged(None, down)]
    assert links.apply(down) == []
    assert links.apply(up) == [LinkChanged(down, up)]
    assert links.by_name == {"eth0": up}


def test_a_rename_is_the_end_of_the_old_name() -> None:
    links = Links()
    eth0, lan0 = link(2, "eth0"), link(2, "lan0")
    links.apply(eth0)
    links.apply(address("192.0.2.1/24"))
    assert links.apply(lan0) == [LinkGone(eth0), LinkChanged(None, lan0)]
    assert links.by_name == {"lan0": lan0}
    assert links.addresses(2) == (address("192.0.2.1/24"),)


def test_names_that_two_interfaces_exchanged_during_an_overrun() -> None:
    links = Links()
    links.replace([link(2, "eth0"), link(3, "eth1")])
    links.replace([link(2, "eth1"), link(3, "eth0")])
    assert {name: each.index for name, each in links.by_name.items()} == {"eth1": 2, "eth0": 3}


def test_the_addresses_go_before_their_interface() -> None:
    links = Links()
    eth0, one = link(2, "eth0"), address("192.0.2.1/24")
    links.apply(eth0)
    links.apply(one)
    assert links.apply(Gone(eth0)) == [AddressGone(one), LinkGone(eth0)]
    assert links.apply(Gone(eth0)) == []
    assert links.by_name == {}


def test_an_ipv6_address_is_one_whatever_its_prefix_and_an_ipv4_address_is_not() -> None:
    links = Links()
    links.apply(address("2001:db8::1/64"))
    changed = address("2001:db8::1/128")
    assert links.apply(changed) == [AddressChanged(address("2001:db8::1/64"), changed)]
    links.apply(address("192.0.2.1/24"))
    links.apply(address("192.0.2.1/32"))
    assert links.apply(Gone(address("192.0.2.1/24"))) == [AddressGone(address("192.0.2.1/24"))]
    assert links.find(ip_address("192.0.2.1")) == (address("192.0.2.1/32"),)


def test_the_end_of_an_address_is_told_although_its_beginning_was_not() -> None:
    one = address("2001:db8::1/128")
    assert Links().apply(Gone(one)) == [AddressGone(one)]


def test_a_dump_tells_what_came_and_went_unheard() -> None:
    links = Links()
    eth0, eth1 = link(2, "eth0"), link(3, "eth1")
    stays, goes, with_eth1 = address("192.0.2.1/24"), address("192.0.2.100/32"), address("198.51.100.1/24", index=3)
    links.replace([eth0, eth1, stays, goes, with_eth1])
    comes = address("192.0.2.2/24")
    assert links.replace([eth0, stays, comes]) == [
        AddressGone(with_eth1),
        LinkGone(eth1),
        AddressGone(goes),
        AddressChanged(None, comes),
    ]


VIP = address("192.0.2.100/24")
REAL = address("192.0.2.1/24", flags=0x81)


@pytest.mark.parametrize(
    ("addresses", "family", "expected"),
    [
        ([], 4, None),
        ([VIP], 4, None),
        ([VIP, REAL], 4, "192.0.2.1"),
        ([REAL, address("203.0.113.1/24")], 4, "203.0.113.1"),
        ([address("169.254.0.1/16", scope=253), REAL], 4, "192.0.2.1"),
        ([address("169.254.0.1/16", scope=253)], 4, "169.254.0.1"),
        ([address("127.0.0.1/8", scope=254)], 4, None),
        ([address("2001:db8::1/64")], 6, None),
        ([address("fe80::1/64", scope=253, flags=0x40)], 6, None),
        ([address("fe80::1/64", scope=253, flags=0x48), address("fe80::2/64", scope=253)], 6, "fe80::2"),
    ],
    ids=[
        "no address",
        "a VIP",
        "behind a VIP",
        "a primary before a secondary",
        "the wider scope",
        "link scope",
        "host scope",
        "no link-local",
        "tentative",
        "duplicate",
    ],
)
def test_primary_address(addresses: list[Address], family: int, expected: str | None) -> None:
    found = primary_address(addresses, family, {ip_address("192.0.2.100")})
    assert found == (ip_address(expected) if expected else None)


def test_an_address_is_found_wherever_it_is_and_no_longer_when_it_or_its_interface_is_gone() -> None:
    links = Links()
    vip = ip_address("192.0.2.100")
    here = [Address(index=index, address=vip, prefixlen=length) for index, length in ((1, 24), (1, 32), (2, 24))]
    links.replace([Link(index=1, name="eth0"), Link(index=2, name="eth1"), *here])
    assert set(links.find(vip)) == set(here)
    links.apply(Gone(here[0]))
    assert set(links.find(vip)) == set(here[1:])
    links.apply(Gone(Link(index=1, name="eth0")))
    assert links.find(vip) == (here[2],)
    links.replace([])
    assert links.find(vip) == ()
