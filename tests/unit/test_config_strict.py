"""vrrp_strict and strict_mode: what it changes, and what is said of lines that it overrides."""

import pytest

from pyvrrp.config import load_text
from pyvrrp.core.events import State
from tests.unit.config_texts import codes, instance, load_one, messages

NO_ACCEPT = "warning strict-no-accept"


def test_what_it_changes_without_a_word() -> None:
    made, found = load_one("strict_mode")
    parameters = made.parameters
    assert (parameters.garp_lower_prio_repeat, parameters.garp_lower_prio_delay) == (0, 0)
    assert (parameters.garp_master_repeat, parameters.garp_master_delay) == (5, 5)
    assert parameters.lower_prio_no_advert
    assert parameters.owner_ignore_adverts
    assert found == [NO_ACCEPT]


def test_the_global_switch_and_how_an_instance_leaves_it() -> None:
    around = "global_defs {\nvrrp_strict\n}\n"
    assert load_one(around=around)[0].parameters.lower_prio_no_advert
    made, found = load_one("strict_mode off\naccept", around=around)
    assert not made.parameters.lower_prio_no_advert
    assert found == []


@pytest.mark.parametrize(
    ("extra", "field", "value"),
    [
        ("down_timer_adverts 5", "down_timer_adverts", 3),
        ("garp_lower_prio_repeat 3", "garp_lower_prio_repeat", 0),
        ("garp_lower_prio_delay 3", "garp_lower_prio_delay", 0),
        ("lower_prio_no_advert off", "lower_prio_no_advert", True),
        ("higher_prio_send_advert on", "higher_prio_send_advert", False),
    ],
)
def test_what_it_overrides_is_an_error(extra: str, field: str, value: object) -> None:
    made, found = load_one(f"strict_mode\n{extra}")
    assert getattr(made.parameters, field) == value
    assert sorted(found) == ["error strict-mode", NO_ACCEPT]


def test_a_global_default_that_it_overrides_is_no_error() -> None:
    around = "global_defs {\nvrrp_garp_lower_prio_repeat 5\nvrrp_down_timer_adverts 5\n}\n"
    made, found = load_one("strict_mode", around=around)
    assert (made.parameters.garp_lower_prio_repeat, made.parameters.down_timer_adverts) == (0, 3)
    assert found == [NO_ACCEPT]


@pytest.mark.parametrize(
    ("extra", "state", "found"),
    [
        ("state MASTER\npriority 100", State.BACKUP, ["error strict-state", NO_ACCEPT]),
        ("state BACKUP\npriority 255", State.MASTER, ["error strict-state"]),
        ("state MASTER\npriority 255", State.MASTER, []),
        ("priority 255", State.MASTER, []),
        ("state MASTER", State.MASTER, ["warning implied-owner"]),
    ],
)
def test_master_and_owner_are_one(extra: str, state: State, found: list[str]) -> None:
    made, said = load_one(f"strict_mode\n{extra}")
    assert made.parameters.initial_state is state
    assert sorted(said) == sorted(found)


def test_forced_to_backup_it_keeps_nopreempt() -> None:
    made, found = load_one("strict_mode\nstate MASTER\npriority 9\nnopreempt\npreempt_delay 5")
    assert made.parameters.nopreempt
    assert made.parameters.preempt_delay == 0
    assert "error master-nopreempt" not in found


def test_it_has_no_authentication() -> None:
    made, found = load_one("strict_mode\nauthentication {\nauth_type PASS\nauth_pass abc\n}")
    assert made.authentication is None
    assert "error no-authentication" in found


@pytest.mark.parametrize(
    ("extra", "found"),
    [
        ("accept", ["error strict-mode", NO_ACCEPT]),
        ("version 3\naccept", []),
        ("version 3", [NO_ACCEPT]),
        ("priority 255\naccept", []),
    ],
)
def test_accept(extra: str, found: list[str]) -> None:
    assert sorted(load_one(f"strict_mode\n{extra}")[1]) == found


def test_the_first_ipv6_address_must_be_link_local() -> None:
    text = "strict_mode\nvirtual_ipaddress {{\n {}\n 2001:db8::2\n}}"
    assert load_one(text.format("fe80::1"), without=("virtual_ipaddress",))[1] == [NO_ACCEPT]
    assert "error not-link-local" in load_one(text.format("2001:db8::1"), without=("virtual_ipaddress",))[1]


def test_unicast_is_not_allowed_but_runs() -> None:
    made, found = load_one("strict_mode\nunicast_peer { 192.0.2.2 }")
    assert made.unicast
    assert "warning strict-mode" in found


def test_it_needs_an_address() -> None:
    loaded = load_text(instance("strict_mode\nno_virtual_ipaddress", without=("virtual_ipaddress",)))
    assert [found.code for found in loaded.diagnostics.fatal] == ["no-addresses"]


def test_the_trap_of_the_packaged_sample_is_explained() -> None:
    text = instance(
        "state MASTER\npriority 100\nauthentication {\nauth_type PASS\nauth_pass 1111\n}\naccept",
    )
    loaded = load_text("global_defs {\nvrrp_strict\n}\n" + text)
    found = messages(loaded)
    assert "strict mode: 'state MASTER' belongs to priority 255 and to no other, it starts as BACKUP" in found
    assert "strict mode has no authentication, the block is ignored" in found
    assert "strict mode has no accept in VRRPv2, keepalived resets it" in found
    assert "keepalived drops packets to the addresses of a router that is not their owner" in found
    assert codes(loaded).count("note placeholder-password") == 1
