"""What keepalived 2.2.7 refuses to start on (exit 2), and what it starts on all the same; measured with the program.

Each line was given to `keepalived -n -l -D -P -f FILE` in a network namespace with eth0 and eth1, both up.
"""

import pytest

from pyvrrp.config import load_text
from tests.unit.config_texts import codes, instance

OTHER = instance(name="OTHER").replace("virtual_router_id 7", "virtual_router_id 9")

_NEEDS_A_VALUE = """
    state interface virtual_router_id priority advert_int version preempt_delay mcast_src_ip mcast_dst_ip
    unicast_src_ip unicast_ttl garp_master_delay garp_master_repeat garp_master_refresh garp_master_refresh_repeat
    garp_lower_prio_delay garp_lower_prio_repeat down_timer_adverts debug notify_master notify_backup notify_fault
    notify_stop notify notify_master_rx_lower_pri lvs_sync_daemon_interface vrf
"""
_NEEDS_NONE = """
    kernel_rx_buf_size strict_mode lower_prio_no_advert notify_priority_changes smtp_alert garp_extra_if
    dont_track_primary skip_check_adv_addr higher_prio_send_advert use_vmac notify_deleted
"""
_GLOBAL_NEEDS_A_VALUE = """
    smtp_server smtp_connect_timeout vrrp_version vrrp_garp_master_delay vrrp_garp_master_repeat
    vrrp_garp_master_refresh vrrp_garp_master_refresh_repeat vrrp_garp_lower_prio_delay vrrp_garp_lower_prio_repeat
    vrrp_garp_interval vrrp_gna_interval vrrp_mcast_group4 vrrp_mcast_group6 vrrp_startup_delay
    vrrp_down_timer_adverts process_name vrrp_process_name umask random_seed nftables_priority vmac_prefix
    vrrp_rlimit_rttime config_save_dir
"""
_GLOBAL_NEEDS_NONE = """
    router_id notification_email_from default_interface script_user enable_script_security vrrp_strict
    vrrp_skip_check_adv_addr dynamic_interfaces vrrp_priority max_auto_priority process_names notify_fifo
    notify_fifo_script vrrp_min_garp vrrp_rx_bufs_policy smtp_alert snmp_socket dbus_service_name log_unknown_vrids
    data_use_instance reload_time_file reload_check_config startup_script vrrp_check_unicast_src lvs_sync_daemon
"""
_SCRIPT_NEEDS_A_VALUE = "interval timeout weight rise fall user"


@pytest.mark.parametrize("keyword", _NEEDS_A_VALUE.split())
def test_an_instance_keyword_without_its_value_ends_keepalived(keyword: str) -> None:
    assert load_text(instance(keyword)).diagnostics.fatal


@pytest.mark.parametrize("keyword", _NEEDS_NONE.split())
def test_some_instance_keywords_may_lack_theirs(keyword: str) -> None:
    assert not load_text(instance(keyword)).diagnostics.fatal


@pytest.mark.parametrize("keyword", _GLOBAL_NEEDS_A_VALUE.split())
def test_a_global_keyword_without_its_value_ends_keepalived(keyword: str) -> None:
    assert load_text(f"global_defs {{\n{keyword}\n}}\n{OTHER}").diagnostics.fatal


@pytest.mark.parametrize("keyword", _GLOBAL_NEEDS_NONE.split())
def test_some_global_keywords_may_lack_theirs(keyword: str) -> None:
    assert not load_text(f"global_defs {{\n{keyword}\n}}\n{OTHER}").diagnostics.fatal


@pytest.mark.parametrize("keyword", _SCRIPT_NEEDS_A_VALUE.split())
def test_a_script_keyword_without_its_value_ends_keepalived(keyword: str) -> None:
    assert load_text(f"vrrp_script s {{\n script /bin/true\n {keyword}\n}}\n{OTHER}").diagnostics.fatal


REFUSED = {
    "no virtual_router_id": instance(without=("virtual_router_id",)),
    "virtual_router_id 0": instance("virtual_router_id 0", without=("virtual_router_id",)),
    "virtual_router_id 256": instance("virtual_router_id 256", without=("virtual_router_id",)),
    "virtual_router_id abc": instance("virtual_router_id abc", without=("virtual_router_id",)),
    "no interface": instance(without=("interface",)),
    "no interface but default_interface": "global_defs {\ndefault_interface eth1\n}\n"
    + instance(without=("interface",)),
    "version 3 without VIP": instance("version 3", without=("virtual_ipaddress",)),
    "native_ipv6 without VIP": instance("native_ipv6", without=("virtual_ipaddress",)),
    "strict without VIP": instance("strict_mode", without=("virtual_ipaddress",)),
    "one VRID twice": instance() + instance(name="VI2"),
    "one VRID twice, the same peer": instance("unicast_peer { 192.0.2.2 }")
    + instance("unicast_peer { 192.0.2.2 }", name="VI2"),
    "auth_type without a value": instance("authentication {\nauth_type\n}"),
    "auth_pass without a value": instance("authentication {\nauth_type PASS\nauth_pass\n}"),
    "a block in place of a value": instance("priority {\n 3\n}"),
    "vrrp_script without a name": "vrrp_script {\n script /bin/true\n}\n",
    "child_wait_time without a value": "child_wait_time\n",
    "virtual_server without an address": "virtual_server\n",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_refused(text: str) -> None:
    assert load_text(text + OTHER).diagnostics.fatal


STARTED = {
    "nothing wrong": "",
    "an unknown block": "wubble {\n x\n}\n",
    "an unknown keyword": instance("wubble 3"),
    "a misplaced keyword": "global_defs {\n garp_master_delay 1\n}\n",
    "vrrp_instance without a name": "vrrp_instance {\n interface eth0\n}\n",
    "vrrp_instance with two names": "vrrp_instance A B {\n interface eth0\n}\n",
    "vrrp_sync_group without a name": "vrrp_sync_group {\n}\n",
    "one instance twice": instance() + instance(),
    "one VRID, IPv4 and IPv6": instance()
    + instance("virtual_ipaddress { fe80::1 }", without=("virtual_ipaddress",), name="VI2"),
    "one VRID, unicast and multicast": instance() + instance("unicast_peer { 192.0.2.2 }", name="VI2"),
    "version 2 without VIP": instance(without=("virtual_ipaddress",)),
    "version 4": instance("version 4"),
    "version 2 with an IPv6 VIP": instance(
        "version 2\nvirtual_ipaddress { 2001:db8::1 }", without=("virtual_ipaddress",)
    ),
    "state Master": instance("state Master"),
    "state FAULT": instance("state FAULT"),
    "priority 0": instance("priority 0"),
    "advert_int 0": instance("advert_int 0"),
    "advert_int 0.4": instance("advert_int 0.4"),
    "an address of both families": instance("virtual_ipaddress { 2001:db8::1 }"),
    "no address at all": instance("virtual_ipaddress { wubble }"),
    "auth_type pass": instance("authentication {\nauth_type pass\nauth_pass x\n}"),
    "a long auth_pass": instance("authentication {\nauth_type PASS\nauth_pass Add-Your-Password-Here\n}"),
    "an undefined script": instance("track_script { nope }"),
    "a script without a command": "vrrp_script s {\n interval 2\n}\n",
    "an undefined member": "vrrp_sync_group G {\n group { NOPE }\n}\n",
    "a group without members": "vrrp_sync_group G {\n}\n",
    "unicast without a peer": instance("unicast_peer {\n}"),
    "a malformed peer": instance("unicast_peer { 192.0.2.300 }"),
    "a malformed source": instance("mcast_src_ip wubble"),
    "a group that is not multicast": instance("mcast_dst_ip 192.0.2.7"),
    "unicast_ttl 256": instance("unicast_ttl 256"),
    "track_interface without braces": instance("track_interface eth0"),
    "down_timer_adverts 0": instance("down_timer_adverts 0"),
    "the strict sample": instance(
        "strict_mode\nstate MASTER\npriority 100\naccept\nauthentication {\nauth_type PASS\nauth_pass 1111\n}"
    ),
}


@pytest.mark.parametrize("text", STARTED.values(), ids=STARTED)
def test_started(text: str) -> None:
    loaded = load_text(text + OTHER)
    assert loaded.diagnostics.fatal == []
    assert loaded.config.instances


DIFFERENT = {
    # keepalived ends without `dynamic_interfaces`; here the instance waits in FAULT.
    "a missing interface": (instance("interface eth9", without=("interface",)), False),
    # keepalived 2.2.7 ends, later ones do not.
    "unicast without interface": (
        instance("unicast_src_ip 192.0.2.1\nunicast_peer { 192.0.2.2 }", without=("interface",)),
        False,
    ),
    # keepalived 2.2.7 does not know the keyword yet.
    "no_virtual_ipaddress": (instance("version 3\nno_virtual_ipaddress", without=("virtual_ipaddress",)), False),
    # keepalived tells them apart by peer or by group.
    "one VRID, other peers": (
        instance("unicast_peer { 192.0.2.2 }") + instance("unicast_peer { 192.0.2.3 }", name="VI2"),
        True,
    ),
    "one VRID, another group": (instance() + instance("mcast_dst_ip 224.0.0.19", name="VI2"), True),
}


@pytest.mark.parametrize(("text", "refused"), DIFFERENT.values(), ids=DIFFERENT)
def test_different_on_purpose(text: str, refused: bool) -> None:
    assert bool(load_text(text).diagnostics.fatal) is refused


def test_nothing_left_to_run_is_refused() -> None:
    """keepalived idles; a daemon that does nothing helps nobody."""
    assert codes(load_text("global_defs {\n}\n")) == ["error nothing-to-run"]
    assert load_text("").diagnostics.fatal
