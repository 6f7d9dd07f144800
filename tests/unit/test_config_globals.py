"""global_defs, garp_group and the keywords of the top level."""

from ipaddress import ip_address

import pytest

from pyvrrp.config import load_text
from pyvrrp.config.model import Globals, Scheduling
from tests.unit.config_texts import codes, instance, load_one


def globals_of(body: str, root: str = "") -> tuple[Globals, list[str]]:
    loaded = load_text(f"{root}\nglobal_defs {{\n{body}\n}}\n" + instance())
    return loaded.config.globals, codes(loaded)


def test_defaults() -> None:
    assert globals_of("") == (Globals(), [])
    assert load_text(instance()).config.globals == Globals()


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ("router_id lb1", "router_id", "lb1"),
        ("enable_script_security", "enable_script_security", True),
        ("script_user nobody", "script_user", "nobody"),
        ("script_user nobody nogroup", "script_group", "nogroup"),
        ("vrrp_mcast_group4 224.0.0.50", "multicast_group4", ip_address("224.0.0.50")),
        ("vrrp_mcast_group6 ff02::50", "multicast_group6", ip_address("ff02::50")),
        ("vrrp_garp_interval 0.001", "garp_interval", 0.001),
        ("vrrp_gna_interval 0.2", "gna_interval", 0.2),
        ("notify_timeout 5", "notify_timeout", 5),
        ("vip_lease auto", "vip_lease", None),
        ("vip_lease off", "vip_lease", 0),
        ("vip_lease 10", "vip_lease", 10),
        ("guard_timeout 2.5", "guard_timeout", 2.5),
        ("metrics_listen 127.0.0.1 9165", "metrics_listen", (ip_address("127.0.0.1"), 9165)),
        ("metrics_listen ::1 1", "metrics_listen", (ip_address("::1"), 1)),
        ("vrrp_priority -10", "scheduling", Scheduling(nice=-10)),
        (
            "vrrp_rt_priority 50\nvrrp_rlimit_rttime 200000",
            "scheduling",
            Scheduling(rt_priority=50, rlimit_rttime=200000),
        ),
        ("vrrp_rlimit_rtime 5", "scheduling", Scheduling(rlimit_rttime=5)),
        ("vrrp_cpu_affinity 1 0 3", "scheduling", Scheduling(cpu_affinity=frozenset({0, 1, 3}))),
        ("vrrp_no_swap", "scheduling", Scheduling(no_swap=True)),
        ("process_name vrrp1", "process_name", "vrrp1"),
        ("state_dump_file /run/x.data", "state_dump_file", "/run/x.data"),
        ("stats_dump_file /run/x.stats", "stats_dump_file", "/run/x.stats"),
        ("dynamic_interfaces allow_if_changes", "dynamic_interfaces", True),
    ],
)
def test_one_keyword_one_field(body: str, field: str, value: object) -> None:
    made, found = globals_of(body)
    assert getattr(made, field) == value
    assert found == []


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("vrrp_mcast_group4 ff02::50", ["error bad-address"]),
        ("vrrp_mcast_group4 10.0.0.1", ["error bad-address"]),
        ("vrrp_mcast_group6 224.0.0.50", ["error bad-address"]),
        ("vrrp_garp_interval x", ["error bad-number"]),
        ("vip_lease forever", ["error bad-number"]),
        ("vip_lease 0", ["error bad-number"]),
        ("notify_timeout 0", ["error bad-number"]),
        ("guard_timeout 0.1", ["error bad-number"]),
        ("metrics_listen 127.0.0.1 0", ["error bad-number"]),
        ("metrics_listen 127.0.0.1 65536", ["error bad-number"]),
        ("metrics_listen localhost 9165", ["error bad-address"]),
        ("metrics_listen 127.0.0.1", ["error missing-argument"]),
        ("vrrp_priority -21", ["error bad-number"]),
        ("vrrp_priority", ["error missing-argument"]),
        ("vrrp_rt_priority 100", ["error bad-number"]),
        ("vrrp_cpu_affinity x", ["error bad-number"]),
        ("router_id", ["error missing-argument"]),
        ("script_user", ["error missing-argument"]),
        ("vrrp_version 4", ["error bad-number"]),
        ("vrrp_down_timer_adverts 0", ["error bad-number"]),
        ("vrrp_garp_master_repeat 0", ["error bad-number"]),
    ],
)
def test_a_wrong_value_is_reported_and_the_default_stays(body: str, found: list[str]) -> None:
    assert globals_of(body) == (Globals(), found)


def test_the_top_level() -> None:
    made, found = globals_of("", "net_namespace blue\ninstance one")
    assert (made.net_namespace, made.instance) == ("blue", "one")
    assert found == []


def test_several_blocks_are_one() -> None:
    made, found = globals_of("router_id b", "global_defs {\nrouter_id a\nnotify_timeout 5\n}")
    assert (made.router_id, made.notify_timeout) == ("b", 5)
    assert found == []


def defaults(body: str, extra: str = "") -> dict[str, object]:
    """What an instance's parameters are under these global_defs."""
    made, _ = load_one(extra, around=f"global_defs {{\n{body}\n}}\n")
    return {name: getattr(made.parameters, name) for name in made.parameters.__dataclass_fields__}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("vrrp_version 3", {"version": 3}),
        ("vrrp_garp_master_delay 10", {"garp_master_delay": 10, "garp_lower_prio_delay": 10}),
        ("vrrp_garp_master_repeat 2", {"garp_master_repeat": 2, "garp_lower_prio_repeat": 2}),
        ("vrrp_garp_master_refresh 60", {"garp_master_refresh": 60, "garp_master_refresh_repeat": 1}),
        ("vrrp_garp_master_refresh_repeat 3", {"garp_master_refresh_repeat": 3}),
        ("vrrp_garp_lower_prio_repeat 3", {"garp_master_repeat": 5, "garp_lower_prio_repeat": 3}),
        ("vrrp_garp_lower_prio_delay 2", {"garp_master_delay": 5, "garp_lower_prio_delay": 2}),
        (
            "vrrp_min_garp",
            {
                "garp_master_repeat": 1,
                "garp_master_delay": 0,
                "garp_lower_prio_repeat": 1,
                "garp_lower_prio_delay": 0,
            },
        ),
        ("vrrp_min_garp off", {"garp_master_repeat": 5, "garp_master_delay": 5}),
        ("vrrp_min_garp\nvrrp_garp_master_repeat 4", {"garp_master_repeat": 4, "garp_master_delay": 0}),
        ("vrrp_garp_master_repeat 4\nvrrp_min_garp", {"garp_master_repeat": 4, "garp_lower_prio_repeat": 4}),
        ("vrrp_lower_prio_no_advert", {"lower_prio_no_advert": True}),
        ("vrrp_higher_prio_send_advert", {"higher_prio_send_advert": True}),
        ("vrrp_owner_ignore_adverts", {"owner_ignore_adverts": True}),
        ("vrrp_down_timer_adverts 5", {"down_timer_adverts": 5}),
        ("vrrp_skip_check_adv_addr", {"skip_check_adv_addr": True}),
        ("vrrp_startup_delay 5.5", {"startup_delay": 5.5}),
    ],
)
def test_defaults_of_the_instances(body: str, expected: dict[str, object]) -> None:
    found = defaults(body)
    assert {name: found[name] for name in expected} == expected


def test_lower_prio_repeat_falls_back_to_the_global_master_repeat_not_to_the_instances() -> None:
    found = defaults("vrrp_garp_master_repeat 2", "garp_master_repeat 9\ngarp_master_delay 9")
    assert (found["garp_master_repeat"], found["garp_lower_prio_repeat"]) == (9, 2)
    assert (found["garp_master_delay"], found["garp_lower_prio_delay"]) == (9, 5)


def test_an_instance_overrides_them() -> None:
    found = defaults(
        "vrrp_version 3\nvrrp_lower_prio_no_advert\nvrrp_down_timer_adverts 5",
        "version 2\nlower_prio_no_advert off\ndown_timer_adverts 4",
    )
    assert (found["version"], found["lower_prio_no_advert"], found["down_timer_adverts"]) == (2, False, 4)


def test_the_order_of_blocks_does_not_matter() -> None:
    loaded = load_text(instance() + "global_defs {\nvrrp_version 3\nvrrp_garp_master_delay 10\n}\n")
    made = loaded.config.instances[0].parameters
    assert (made.version, made.garp_master_delay) == (3, 10)


def test_unicast_and_checksum_defaults() -> None:
    around = "global_defs {\nvrrp_check_unicast_src\nv3_checksum_as_v2\n}\n"
    made, found = load_one("unicast_peer { 192.0.2.2 }", around=around)
    assert (made.check_unicast_src, made.v3_checksum_as_v2) == (True, True)
    assert not load_one(around=around)[0].check_unicast_src
    assert found == []


def garp_groups(text: str) -> tuple[dict[str, tuple[float, float]], list[str]]:
    loaded = load_text("global_defs {\nvrrp_gna_interval 0.5\n}\n" + text + instance())
    return dict(loaded.config.globals.garp_intervals), codes(loaded)


def test_garp_groups() -> None:
    text = (
        "garp_group {\n garp_interval 0.1\n interface eth0\n}\n"
        "garp_group {\n garp_interval 1\n gna_interval 0.2\n interfaces { eth1 eth2 }\n}\n"
    )
    assert garp_groups(text) == ({"eth0": (0.1, 0.5), "eth1": (1, 0.2), "eth2": (1, 0.2)}, [])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("garp_group {\n interface eth0\n}\n", "error empty-block"),
        ("garp_group {\n garp_interval 1\n}\n", "error empty-block"),
    ],
)
def test_a_garp_group_without_effect(text: str, code: str) -> None:
    assert garp_groups(text) == ({}, [code])


def test_an_interface_is_in_one_garp_group() -> None:
    text = "garp_group {\n garp_interval 1\n interface eth0\n}\ngarp_group {\n garp_interval 2\n interface eth0\n}\n"
    assert garp_groups(text) == ({"eth0": (1, 0.5)}, ["error duplicate-name"])
