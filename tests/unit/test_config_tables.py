"""The keyword tables: nothing is missing, nothing stands twice, and the page is what they say."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from pyvrrp.config import load_text
from pyvrrp.config.keywords import Keyword, Use
from pyvrrp.config.tables import ROOT
from pyvrrp.config.tables.__main__ import markdown
from tests.unit.config_texts import codes, instance

# keepalived.conf(5) of 2.2 to 2.4, as far as it touches VRRP.
EXPECTED = {
    "": """
        global_defs net_namespace net_namespace_ipvs namespace_with_ipsets instance use_pid_dir child_wait_time
        linkbeat_use_polling linkbeat_interfaces interface_up_down_delays static_ipaddress static_routes static_rules
        track_group track_file vrrp_track_file vrrp_track_process bfd_instance vrrp_script vrrp_sync_group garp_group
        vrrp_instance virtual_server virtual_server_group
    """,
    "vrrp_instance": """
        state interface virtual_router_id priority advert_int virtual_ipaddress virtual_ipaddress_excluded
        no_virtual_ipaddress authentication auth_hmac track_script track_interface track_file track_process track_bfd
        dont_track_primary nopreempt preempt preempt_delay unicast_peer unicast_src_ip mcast_src_ip track_src_ip
        mcast_dst_ip unicast_ttl check_unicast_src unicast_fault_no_peer old_unicast_checksum v3_checksum_as_v2 version
        native_ipv6 vrf use_vmac use_vmac_addr vmac_xmit_base use_ipvlan virtual_routes virtual_rules
        promote_secondaries accept no_accept garp_master_delay garp_master_repeat garp_master_refresh
        garp_master_refresh_repeat garp_lower_prio_delay garp_lower_prio_repeat garp_extra_if vmac_garp_intvl
        lower_prio_no_advert higher_prio_send_advert owner_ignore_adverts down_timer_adverts timer_expired_backup
        thread_timer_expired skip_check_adv_addr strict_mode notify_master notify_backup notify_fault notify_stop
        notify_deleted notify notify_master_rx_lower_pri notify_priority_changes smtp_alert kernel_rx_buf_size
        linkbeat_use_polling lvs_sync_daemon_interface debug
    """,
    "authentication": "auth_type auth_pass",
    "auth_hmac": "key active_key anti_replay time_window mode",
    "vrrp_script": "script interval timeout weight rise fall user init_fail",
    "vrrp_sync_group": """
        group track_interface track_script track_file track_process track_bfd notify_master notify_backup notify_fault
        notify_stop notify notify_deleted smtp_alert global_tracking sync_group_tracking_weight notify_priority_changes
    """,
    "track_file": "file weight init_file",
    "vrrp_track_process": """
        process param_match weight quorum quorum_max delay fork_delay terminate_delay full_command
    """,
    "bfd_instance": """
        neighbor_ip neighbour_ip source_ip min_rx min_tx idle_tx multiplier passive ttl hoplimit max_hops multihop
        weight vrrp checker
    """,
    "garp_group": "garp_interval gna_interval interface interfaces",
    "track_group": "group",
    "global_defs": """
        router_id notification_email notification_email_from smtp_server smtp_helo_name smtp_connect_timeout smtp_alert
        smtp_alert_vrrp no_email_faults enable_script_security script_user vrrp_skip_check_adv_addr vrrp_strict
        vrrp_version vrrp_garp_interval vrrp_gna_interval vrrp_garp_master_delay vrrp_garp_master_repeat
        vrrp_garp_master_refresh vrrp_garp_master_refresh_repeat vrrp_garp_lower_prio_delay
        vrrp_garp_lower_prio_repeat vrrp_min_garp vrrp_garp_extra_if vrrp_vmac_garp_intvl vrrp_lower_prio_no_advert
        vrrp_higher_prio_send_advert vrrp_owner_ignore_adverts vrrp_down_timer_adverts vrrp_check_unicast_src
        v3_checksum_as_v2 vrrp_mcast_group4 vrrp_mcast_group6 default_interface dynamic_interfaces max_auto_priority
        min_auto_priority_delay vrrp_priority vrrp_rt_priority vrrp_rlimit_rttime vrrp_no_swap vrrp_cpu_affinity
        vrrp_startup_delay vrrp_delay_after_boot notify_fifo notify_fifo_script vrrp_notify_fifo
        vrrp_notify_fifo_script fifo_write_vrrp_states_on_reload vrrp_notify_priority_changes enable_dbus
        dbus_service_name dbus_no_interface_name enable_snmp_vrrp enable_snmp_keepalived enable_snmp_rfc
        enable_snmp_rfcv2 enable_snmp_rfcv3 snmp_socket enable_traps nftables nftables_priority nftables_ifindex
        nftables_counters vrrp_iptables vrrp_ipsets disable_local_igmp vmac_prefix vmac_addr_prefix vrrp_rx_bufs_policy
        vrrp_rx_bufs_multiplier vrrp_netlink_cmd_rcv_bufs vrrp_netlink_cmd_rcv_bufs_force vrrp_netlink_monitor_rcv_bufs
        vrrp_netlink_monitor_rcv_bufs_force process_monitor_rcv_bufs process_monitor_rcv_bufs_force log_unknown_vrids
        reload_check_config reload_time_file reload_repeat reload_file include_check config_save_dir data_use_instance
        state_dump_file stats_dump_file json_dump_file json_version umask random_seed process_names process_name
        vrrp_process_name checker_process_name bfd_process_name startup_script startup_script_timeout shutdown_script
        shutdown_script_timeout use_symlink_paths set_supplementary_groups iproute_usr_dir iproute_etc_dir
        tmp_config_directory lvs_sync_daemon lvs_flush lvs_timeouts checker_priority bfd_priority
        vip_lease notify_timeout guard_timeout metrics_listen
    """,
}


def tables(block: str = "", keywords: Iterable[Keyword] = ROOT) -> Iterator[tuple[str, list[Keyword]]]:
    yield block, list(keywords)
    for keyword in keywords:
        if isinstance(keyword.body, tuple):
            yield from tables(keyword.name, keyword.body)


ALL = dict(tables())


@pytest.mark.parametrize("block", EXPECTED)
def test_every_keyword_of_keepalived_is_known(block: str) -> None:
    missing = set(EXPECTED[block].split()) - {keyword.name for keyword in ALL[block]}
    assert not missing


@pytest.mark.parametrize("block", ALL)
def test_a_keyword_stands_once_in_a_block(block: str) -> None:
    names = [keyword.name for keyword in ALL[block]]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("block", ALL)
def test_what_is_not_used_says_what_to_do_instead(block: str) -> None:
    assert [keyword.name for keyword in ALL[block] if keyword.use is not Use.USED and not keyword.hint] == []


def _line(keyword: Keyword) -> str:
    values = "1 " * keyword.words[0]
    return f"{keyword.name} {values}" + (" { }" if keyword.body is not type(keyword.body).NONE else "")


@pytest.mark.parametrize(
    "keyword", [each for each in ALL["global_defs"] if each.use is Use.KNOWN], ids=lambda k: k.name
)
def test_a_known_keyword_is_one_warning(keyword: Keyword) -> None:
    line = _line(keyword)
    loaded = load_text(f"global_defs {{\n{line}\n{line}\n}}\n" + instance())
    assert codes(loaded) == ["warning not-supported"]
    assert keyword.hint in str(loaded.diagnostics.warnings[0])


def test_the_page_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "keywords.md"
    assert page.read_text() == markdown(), "run: python -m pyvrrp.config.tables > docs/keywords.md"
