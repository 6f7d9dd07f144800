"""The lines of virtual_ipaddress, as keepalived 2.2.7 was seen to read them."""

from ipaddress import ip_address, ip_interface

import pytest

from pyvrrp.config.model import VirtualAddress
from tests.unit.config_texts import load_one


def line(text: str) -> tuple[VirtualAddress | None, list[str]]:
    """What becomes of a second line, after one that is right and of the same family."""
    first = "fe80::aa" if ":" in text.split()[0] else "192.0.2.10"
    made, found = load_one(f"virtual_ipaddress {{\n {first}\n {text}\n}}", without=("virtual_ipaddress",))
    return (made.virtual_addresses[1] if len(made.virtual_addresses) > 1 else None), found


def test_defaults() -> None:
    made, found = line("192.0.2.1")
    assert made == VirtualAddress(interface=ip_interface("192.0.2.1/32"), device="eth0")
    assert found == []


def test_ipv6_defaults_to_no_dad_and_never_a_source() -> None:
    made, found = line("2001:db8::1")
    assert made == VirtualAddress(interface=ip_interface("2001:db8::1/128"), device="eth0", nodad=True, preferred_lft=0)
    assert found == []


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("192.0.2.1/24", "interface", ip_interface("192.0.2.1/24")),
        ("192.0.2.1 dev eth1", "device", "eth1"),
        ("192.0.2.1 scope link", "scope", 253),
        ("192.0.2.1 scope 200", "scope", 200),
        ("192.0.2.1 label eth0:1", "label", "eth0:1"),
        ("192.0.2.1/24 brd +", "broadcast", ip_address("192.0.2.255")),
        ("192.0.2.1/24 brd -", "broadcast", ip_address("192.0.2.0")),
        ("192.0.2.1/24 broadcast 192.0.2.127", "broadcast", ip_address("192.0.2.127")),
        ("192.0.2.1 peer 192.0.2.2", "peer", ip_interface("192.0.2.2/32")),
        ("192.0.2.1 peer 192.0.2.2/24", "peer", ip_interface("192.0.2.2/24")),
        ("192.0.2.1 no_track", "no_track", True),
        ("192.0.2.1 preferred_lft 0", "preferred_lft", 0),
        ("2001:db8::1 -nodad", "nodad", False),
        ("2001:db8::1 home", "home", True),
        ("2001:db8::1 mngtmpaddr", "mngtmpaddr", True),
        ("2001:db8::1 noprefixroute", "noprefixroute", True),
        ("2001:db8::1 autojoin", "autojoin", True),
        ("2001:db8::1 preferred_lft forever", "preferred_lft", None),
        ("2001:db8::1/64", "preferred_lft", None),
    ],
)
def test_options(text: str, field: str, value: object) -> None:
    made, found = line(text)
    assert getattr(made, field) == value
    assert found == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("192.0.2.300", "error bad-address"),
        ("default", "error bad-address"),
        ("224.0.0.1", "error bad-address"),
        ("0.0.0.0", "error bad-address"),
        ("fe80::1%eth0", "error bad-address"),
        ("192.0.2.1 dev", "error missing-argument"),
        ("192.0.2.1 label averyveryverylonglabel", "error bad-option"),
        ("192.0.2.1/24 brd 1.2.3", "error bad-address"),
        ("2001:db8::1 brd +", "error bad-option"),
    ],
)
def test_left_out(text: str, code: str) -> None:
    assert line(text) == (None, [code])


@pytest.mark.parametrize(
    ("text", "field", "value", "code"),
    [
        ("192.0.2.1/33", "interface", ip_interface("192.0.2.1/32"), "error bad-address"),
        ("192.0.2.1/255.255.255.0", "interface", ip_interface("192.0.2.1/32"), "error bad-address"),
        ("192.0.2.1 brd +", "broadcast", None, "error bad-option"),
        ("192.0.2.1 scope wubble", "scope", 0, "error bad-option"),
        ("192.0.2.1 peer wubble", "peer", None, "error bad-address"),
        ("192.0.2.1 peer 2001:db8::1", "peer", None, "error bad-address"),
        ("192.0.2.1 wubble", "device", "eth0", "error bad-option"),
        ("192.0.2.1 track_group g dev eth1", "device", "eth1", "error bad-option"),
        ("192.0.2.1 use_vmac v.1 dev eth1", "device", "eth1", "warning not-supported"),
        ("2001:db8::1 label x", "label", None, "error bad-option"),
        ("2001:db8::1 nodad", "nodad", True, "error bad-option"),
        ("2001:db8::1/64 preferred_lft soon", "preferred_lft", None, "error bad-number"),
    ],
)
def test_kept_without_what_is_wrong(text: str, field: str, value: object, code: str) -> None:
    made, found = line(text)
    assert getattr(made, field) == value
    assert set(found) == {code}


def test_the_first_address_decides_the_family() -> None:
    made, found = load_one("virtual_ipaddress { 2001:db8::1 }")
    assert [str(vip.address) for vip in made.virtual_addresses] == ["192.0.2.10"]
    assert found == ["error family-mismatch"]


def test_excluded_addresses_may_be_of_both_families_and_are_not_advertised() -> None:
    made, found = load_one("virtual_ipaddress_excluded {\n 192.0.2.11\n 2001:db8::1\n}")
    assert [(str(vip.address), vip.excluded) for vip in made.virtual_addresses] == [
        ("192.0.2.10", False),
        ("192.0.2.11", True),
        ("2001:db8::1", True),
    ]
    assert made.parameters.addresses == (ip_address("192.0.2.10"),)
    assert found == []


@pytest.mark.parametrize(("prefix", "given", "advertised"), [("10.0.{}.{}", 300, 255), ("fe80::{}:{}", 120, 89)])
def test_what_does_not_fit_into_the_packet_is_not_advertised(prefix: str, given: int, advertised: int) -> None:
    vips = "\n".join(prefix.format(number // 100, number % 100 + 1) for number in range(given))
    made, found = load_one(f"virtual_ipaddress {{\n{vips}\n}}", without=("virtual_ipaddress",))
    assert len(made.parameters.addresses) == advertised
    assert len(made.virtual_addresses) == given
    assert [vip.excluded for vip in made.virtual_addresses].index(True) == advertised
    assert found == ["warning too-many-addresses"]


def test_an_address_is_held_once() -> None:
    made, found = load_one("virtual_ipaddress_excluded {\n 192.0.2.10/24\n}")
    assert [str(vip.interface) for vip in made.virtual_addresses] == ["192.0.2.10/32"]
    assert found == ["warning duplicate-address"]


def test_without_an_address_version_2_runs_with_a_warning() -> None:
    assert load_one(without=("virtual_ipaddress",))[1] == ["warning no-addresses"]
    assert load_one("no_virtual_ipaddress", without=("virtual_ipaddress",))[1] == []
