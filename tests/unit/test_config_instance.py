"""vrrp_instance: defaults, ranges, rounding and combinations, as keepalived 2.2.7 was seen to handle them."""

from ipaddress import ip_address

import pytest

from pyvrrp.config import load_text
from pyvrrp.config.model import UnicastPeer
from pyvrrp.core.events import State
from pyvrrp.core.parameters import Parameters
from tests.unit.config_texts import codes, instance, load_one, messages


def parameters(extra: str = "", *, without: tuple[str, ...] = (), around: str = "") -> tuple[Parameters, list[str]]:
    made, found = load_one(extra, without=without, around=around)
    return made.parameters, found


def test_the_least_that_runs() -> None:
    made, found = load_one()
    assert found == []
    assert made.interface == "eth0"
    assert made.parameters == Parameters(vrid=7, addresses=(ip_address("192.0.2.10"),))
    assert not made.unicast
    assert made.authentication is None


@pytest.mark.parametrize(
    ("extra", "state", "priority", "nopreempt", "delay", "found"),
    [
        ("", State.BACKUP, 100, False, 0, []),
        ("state BACKUP\npriority 5", State.BACKUP, 5, False, 0, []),
        ("state MASTER\npriority 5", State.MASTER, 5, False, 0, []),
        ("state MASTER", State.MASTER, 255, False, 0, ["warning implied-owner"]),
        ("priority 255", State.MASTER, 255, False, 0, []),
        ("priority 255\nstate BACKUP", State.BACKUP, 255, False, 0, []),
        ("state Master\npriority 5", State.BACKUP, 5, False, 0, ["error bad-state"]),
        ("state BACKUP\nstate MASTER\npriority 5", State.MASTER, 5, False, 0, ["warning duplicate-keyword"]),
        ("state MASTER\nstate BACKUP\npriority 5", State.MASTER, 5, False, 0, ["warning duplicate-keyword"]),
        ("nopreempt", State.BACKUP, 100, True, 0, ["note nopreempt"]),
        ("nopreempt\npreempt", State.BACKUP, 100, False, 0, []),
        ("preempt\nnopreempt", State.BACKUP, 100, True, 0, ["note nopreempt"]),
        ("preempt_delay 4.12", State.BACKUP, 100, False, 4.12, []),
        ("preempt_delay 1001", State.BACKUP, 100, False, 0, ["error bad-number"]),
        ("nopreempt\npreempt_delay 5", State.BACKUP, 100, True, 0, ["note nopreempt", "error no-preempt-delay"]),
        ("state MASTER\npriority 5\nnopreempt", State.MASTER, 5, False, 0, ["error master-nopreempt"]),
        ("state MASTER\npriority 5\npreempt_delay 5", State.MASTER, 5, False, 0, ["error no-preempt-delay"]),
        ("priority 255\nnopreempt", State.MASTER, 255, False, 0, ["error owner-nopreempt"]),
        ("priority 255\nstate BACKUP\npreempt_delay 5", State.BACKUP, 255, False, 5, []),
    ],
)
def test_state_and_preemption(
    extra: str, state: State, priority: int, nopreempt: bool, delay: float, found: list[str]
) -> None:
    made, said = parameters(extra)
    assert (made.initial_state, made.priority, made.nopreempt, made.preempt_delay) == (
        state,
        priority,
        nopreempt,
        delay,
    )
    assert said == found


@pytest.mark.parametrize(
    ("text", "priority"),
    [("0", 100), ("256", 100), ("abc", 100), ("-1", 100), ("1.5", 100), ("0x10", 100), ("254x", 100), ("1_0", 100)],
)
def test_a_number_out_of_range_leaves_the_default(text: str, priority: int) -> None:
    made, found = parameters(f"priority {text}")
    assert made.priority == priority
    assert found == ["error bad-number"]


@pytest.mark.parametrize(("text", "priority"), [("010", 10), ("+5", 5), ("255", 255)])
def test_numbers_are_decimal(text: str, priority: int) -> None:
    assert parameters(f"priority {text}")[0].priority == priority


@pytest.mark.parametrize(
    ("text", "interval", "found"),
    [
        ("1", 1, []),
        ("255", 255, []),
        ("0.01", 1, ["warning rounded-interval"]),
        ("0.5", 1, ["warning rounded-interval"]),
        ("1.4", 1, ["warning rounded-interval"]),
        ("1.5", 2, ["warning rounded-interval"]),
        ("40.95", 41, ["warning rounded-interval"]),
        ("0", 1, ["error bad-number"]),
        ("255.5", 1, ["error bad-number"]),
        ("1s", 1, ["error bad-number"]),
        ("-1", 1, ["error bad-number"]),
    ],
)
def test_advert_int_of_version_2_is_whole_seconds(text: str, interval: float, found: list[str]) -> None:
    made, said = parameters(f"advert_int {text}")
    assert (made.advert_int, said) == (interval, found)


@pytest.mark.parametrize(
    ("text", "interval", "found"),
    [
        ("0.01", 0.01, []),
        ("0.4", 0.4, []),
        ("40.95", 40.95, []),
        ("0.015", 0.02, ["warning rounded-interval"]),
        ("1.005", 1.01, ["warning rounded-interval"]),
        ("40.96", 40.95, ["error bad-number"]),
        ("255", 40.95, ["error bad-number"]),
        ("0.005", 1, ["error bad-number"]),
    ],
)
def test_advert_int_of_version_3_is_hundredths(text: str, interval: float, found: list[str]) -> None:
    made, said = parameters(f"version 3\nadvert_int {text}")
    assert (made.advert_int, said) == (interval, found)


def test_the_warning_names_the_effective_interval() -> None:
    found = messages(load_text(instance("advert_int 0.4")))
    assert "VRRPv2 carries whole seconds: advert_int 0.4 is 1 s; write 'advert_int 1', or 'version 3'" in found


@pytest.mark.parametrize(
    ("extra", "vip", "version", "family", "found"),
    [
        ("", "192.0.2.1", 2, 4, []),
        ("version 3", "192.0.2.1", 3, 4, []),
        ("version 4", "192.0.2.1", 2, 4, ["error bad-number"]),
        ("", "fe80::1", 3, 6, []),
        ("", "2001:db8::1", 3, 6, ["warning not-link-local"]),
        ("version 2", "fe80::1", 3, 6, ["error bad-version"]),
        ("native_ipv6", "fe80::1", 3, 6, []),
        ("native_ipv6", "192.0.2.1", 2, 4, ["error family-mismatch"]),
    ],
)
def test_version_and_family_come_from_the_addresses(
    extra: str, vip: str, version: int, family: int, found: list[str]
) -> None:
    made, said = parameters(f"{extra}\nvirtual_ipaddress {{ {vip} }}", without=("virtual_ipaddress",))
    assert (made.version, made.family, said) == (version, family, found)


def test_without_addresses_the_peers_tell_the_family() -> None:
    extra = "version 3\nno_virtual_ipaddress\nunicast_src_ip 2001:db8::2\nunicast_peer { 2001:db8::3 }"
    made, found = parameters(extra, without=("virtual_ipaddress",))
    assert (made.family, found) == (6, [])


@pytest.mark.parametrize(
    ("block", "kind", "key", "found"),
    [
        ("auth_type PASS\nauth_pass abc", "PASS", b"abc\0\0\0\0\0", []),
        ("auth_type AH\nauth_pass abcdefgh", "AH", b"abcdefgh", []),
        ("auth_type PASS\nauth_pass abcdefghi", "PASS", b"abcdefgh", ["error password-too-long"]),
        ("auth_type pass\nauth_pass abc", None, None, ["error no-authentication"]),
        ("auth_type SIMPLE\nauth_pass abc", None, None, ["error no-authentication"]),
        ("auth_type PASS", None, None, ["error no-authentication"]),
        ("auth_pass abc", None, None, ["error no-authentication"]),
        ('auth_type PASS\nauth_pass ""', None, None, ["error no-authentication", "error missing-argument"]),
    ],
)
def test_authentication(block: str, kind: str | None, key: bytes | None, found: list[str]) -> None:
    made, said = load_one(f"authentication {{\n{block}\n}}")
    assert said == found
    assert (made.authentication and made.authentication.auth_type) == kind
    assert (made.authentication and made.authentication.key) == key


def test_version_3_has_no_authentication() -> None:
    made, found = load_one("version 3\nauthentication {\nauth_type PASS\nauth_pass abc\n}")
    assert made.authentication is None
    assert found == ["error no-authentication"]


def test_ah_must_listen_first_and_keeps_nopreempt() -> None:
    made, found = load_one("state MASTER\npriority 9\nnopreempt\nauthentication {\nauth_type AH\nauth_pass abc\n}")
    assert made.parameters.initial_state is State.BACKUP
    assert made.parameters.nopreempt
    assert found == ["error master-with-ah", "note nopreempt"]


def test_auth_hmac_is_not_run_without() -> None:
    loaded = load_text(instance("auth_hmac {\nkey 1 ascii:0123456789abcdef0123456789abcdef\n}"))
    assert loaded.config.instances == ()
    assert (
        "error[auth-hmac]: vrrp_instance VI: auth_hmac is not supported yet, and without it the instance is not run"
        in (messages(loaded))
    )


def test_unicast() -> None:
    made, found = load_one(
        "unicast_src_ip 192.0.2.1\nunicast_ttl 64\ntrack_src_ip\nunicast_peer {\n 192.0.2.2\n"
        " 192.0.2.3 min_ttl 254 max_ttl 255\n}"
    )
    assert found == []
    assert made.unicast
    assert made.unicast_peers == (
        UnicastPeer(ip_address("192.0.2.2")),
        UnicastPeer(ip_address("192.0.2.3"), 254, 255),
    )
    assert (made.source, made.track_source, made.unicast_ttl) == (ip_address("192.0.2.1"), True, 64)
    assert made.check_unicast_src, "a TTL limit switches the check on"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("192.0.2.300", "error bad-address"),
        ("2001:db8::1", "error family-mismatch"),
        ("192.0.2.9", "warning duplicate-address"),
    ],
)
def test_a_peer_that_can_not_be_used_is_left_out(line: str, code: str) -> None:
    made, found = load_one(f"unicast_peer {{\n 192.0.2.9\n {line}\n}}")
    assert [str(peer.address) for peer in made.unicast_peers] == ["192.0.2.9"]
    assert found == [code]


@pytest.mark.parametrize("options", ["min_ttl", "min_ttl 256", "max_ttl x", "ttl 3 4"])
def test_a_bad_ttl_limit_is_ignored(options: str) -> None:
    made, found = load_one(f"unicast_peer {{\n 192.0.2.9 {options}\n}}")
    assert made.unicast_peers == (UnicastPeer(ip_address("192.0.2.9")),)
    assert set(found) <= {"error bad-number", "error bad-option"}
    assert found


@pytest.mark.parametrize(
    "extra", ["unicast_peer {\n}", "unicast_src_ip 192.0.2.1", "unicast_ttl 3", "check_unicast_src"]
)
def test_unicast_without_a_peer_is_multicast(extra: str) -> None:
    made, found = load_one(extra)
    assert not made.unicast
    assert (made.unicast_ttl, made.check_unicast_src) == (255, False)
    assert found == ["warning unicast-without-peer"]


def test_unicast_fault_no_peer() -> None:
    made, found = load_one("unicast_peer {\n}\nunicast_fault_no_peer")
    assert made.unicast
    assert made.unicast_fault_no_peer
    assert found == ["warning unicast-without-peer"]


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ("mcast_src_ip 2001:db8::1", "error family-mismatch"),
        ("mcast_src_ip wubble", "error bad-address"),
        ("mcast_dst_ip 192.0.2.7", "error bad-address"),
        ("mcast_dst_ip ff02::99", "error family-mismatch"),
    ],
)
def test_a_source_or_group_that_can_not_be_used_is_ignored(extra: str, code: str) -> None:
    made, found = load_one(extra)
    assert (made.source, made.multicast_group) == (None, None)
    assert found == [code]


def test_source_and_group() -> None:
    made, found = load_one("mcast_src_ip 192.0.2.1\nmcast_dst_ip 224.0.0.99")
    assert (made.source, made.multicast_group) == (ip_address("192.0.2.1"), ip_address("224.0.0.99"))
    assert found == []


def test_unicast_may_do_without_interface() -> None:
    text = instance("unicast_src_ip 192.0.2.1\nunicast_peer { 192.0.2.2 }", without=("interface",))
    loaded = load_text("global_defs {\ndefault_interface ens5\n}\n" + text)
    assert loaded.config.instances[0].interface == "ens5"
    assert loaded.config.instances[0].virtual_addresses[0].device == "ens5"
    assert codes(loaded) == ["warning missing-interface"]


@pytest.mark.parametrize(
    ("extra", "field", "value"),
    [
        ("garp_master_delay 9", "garp_master_delay", 9),
        ("garp_master_repeat 0", "garp_master_repeat", 1),
        ("garp_master_refresh 60", "garp_master_refresh", 60),
        ("garp_master_refresh_repeat 3", "garp_master_refresh_repeat", 3),
        ("garp_lower_prio_delay 2", "garp_lower_prio_delay", 2),
        ("garp_lower_prio_repeat 0", "garp_lower_prio_repeat", 0),
        ("down_timer_adverts 1", "down_timer_adverts", 1),
        ("down_timer_adverts 101", "down_timer_adverts", 3),
        ("lower_prio_no_advert", "lower_prio_no_advert", True),
        ("lower_prio_no_advert off", "lower_prio_no_advert", False),
        ("lower_prio_no_advert maybe", "lower_prio_no_advert", False),
        ("higher_prio_send_advert yes", "higher_prio_send_advert", True),
        ("owner_ignore_adverts", "owner_ignore_adverts", True),
        ("skip_check_adv_addr", "skip_check_adv_addr", True),
    ],
)
def test_one_keyword_one_field(extra: str, field: str, value: object) -> None:
    assert getattr(parameters(extra)[0], field) == value


@pytest.mark.parametrize(
    ("extra", "field", "value"),
    [
        ("dont_track_primary", "dont_track_primary", True),
        ("v3_checksum_as_v2", "v3_checksum_as_v2", True),
        ("kernel_rx_buf_size 65536", "kernel_rx_buf_size", 65536),
        ("kernel_rx_buf_size -1", "kernel_rx_buf_size", None),
    ],
)
def test_one_keyword_one_field_of_the_instance(extra: str, field: str, value: object) -> None:
    assert getattr(load_one(extra)[0], field) == value


def test_an_instance_is_defined_once_and_the_first_counts() -> None:
    loaded = load_text(instance("priority 1") + instance("priority 2"))
    assert [made.parameters.priority for made in loaded.config.instances] == [1]
    assert "vrrp_instance VI is defined at <text>:1:1 already, this block is ignored" in messages(loaded)
