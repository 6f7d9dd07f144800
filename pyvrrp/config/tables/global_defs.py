"""global_defs."""

from __future__ import annotations

from pyvrrp.config.keywords import Body, Keyword
from pyvrrp.config.tables.notify import MAIL
from pyvrrp.config.tables.shorthand import flag, ignored, known, switch, used

_FIFO = "run a notify script: they are run in order, none is lost"
_SNMP = "read `pyvrrp status --json` or the metrics instead"
_DBUS = "use the control socket: `pyvrrp status`"
_FIREWALL = "no firewall rules are made"
_VMAC = "macvlan interfaces are not made"
_RELOAD = "check the file with `pyvrrp check`, then run `pyvrrp reload`"
_BUFFERS = "buffers have the kernel's default size; kernel_rx_buf_size sets that of an instance"
_CHECKER = "there is no IPVS checker process"
_BFD = "there is no BFD process"
_PROCESSES = "there is one process that speaks VRRP; process_name names it"
_SERVICE_HOOK = "use ExecStartPre= and ExecStopPost= of the service unit"

_USED = (
    # keepalived says "missing" and starts where these have no value; all others end it.
    used("router_id", 0),
    used("default_interface", 0),
    used("script_user", 0, 2),
    flag("enable_script_security"),
    used("vrrp_version"),
    flag("vrrp_strict"),
    flag("vrrp_skip_check_adv_addr"),
    flag("vrrp_check_unicast_src"),
    flag("v3_checksum_as_v2"),
    used("vrrp_garp_interval"),
    used("vrrp_gna_interval"),
    used("vrrp_garp_master_delay"),
    used("vrrp_garp_master_repeat"),
    used("vrrp_garp_master_refresh"),
    used("vrrp_garp_master_refresh_repeat"),
    used("vrrp_garp_lower_prio_delay"),
    used("vrrp_garp_lower_prio_repeat"),
    switch("vrrp_min_garp"),
    switch("vrrp_lower_prio_no_advert"),
    switch("vrrp_higher_prio_send_advert"),
    switch("vrrp_owner_ignore_adverts"),
    used("vrrp_down_timer_adverts"),
    used("vrrp_mcast_group4"),
    used("vrrp_mcast_group6"),
    used("vrrp_startup_delay"),
    used("dynamic_interfaces", 0, 1),
    used("vrrp_priority", 0),
    used("vrrp_rt_priority", 0),
    used("vrrp_cpu_affinity", 0, None),
    used("vrrp_rlimit_rttime"),
    used("vrrp_rlimit_rtime"),
    flag("vrrp_no_swap"),
    used("process_name"),
    used("state_dump_file", 0),
    used("stats_dump_file", 0),
    # Our own.
    used("vip_lease"),
    used("notify_timeout"),
    used("guard_timeout"),
    used("metrics_listen", 2, 2),
)

_READER = (
    # Acted upon while the text is read.
    used("include_check", 0, None, repeatable=True),
    used("random_seed"),
)

_MAIL = (
    known("notification_email", MAIL, 0, 0, Body.LINES),
    known("notification_email_from", MAIL),
    known("smtp_server", MAIL, 1),
    known("smtp_helo_name", MAIL),
    known("smtp_connect_timeout", MAIL, 1),
    known("smtp_alert", MAIL),
    known("smtp_alert_vrrp", MAIL),
    known("smtp_alert_checker", MAIL),
    known("no_email_faults", MAIL),
    known("no_checker_emails", MAIL),
)

_OUTPUTS = (
    *(
        known(name, _FIFO)
        for name in (
            "notify_fifo",
            "notify_fifo_script",
            "vrrp_notify_fifo",
            "vrrp_notify_fifo_script",
            "lvs_notify_fifo",
            "lvs_notify_fifo_script",
            "fifo_write_vrrp_states_on_reload",
            "vrrp_notify_priority_changes",
        )
    ),
    known("enable_dbus", _DBUS),
    known("dbus_service_name", _DBUS),
    known("dbus_no_interface_name", _DBUS),
    *(
        known(name, _SNMP)
        for name in (
            "enable_snmp_vrrp",
            "enable_snmp_checker",
            "enable_snmp_keepalived",
            "enable_snmp_rfc",
            "enable_snmp_rfcv2",
            "enable_snmp_rfcv3",
            "enable_traps",
            "snmp_socket",
        )
    ),
    known("data_use_instance", "name the files with state_dump_file and stats_dump_file"),
    known("json_dump_file", "read `pyvrrp status --json`"),
    known("json_version", "read `pyvrrp status --json`"),
    known("log_unknown_vrids", "always done, once for each sender; `pyvrrp status` lists them"),
)

_NETWORK = (
    known("nftables", _FIREWALL),
    known("nftables_priority", _FIREWALL, 1),
    known("nftables_ifindex", _FIREWALL),
    known("nftables_counters", _FIREWALL),
    known("vrrp_iptables", _FIREWALL),
    known("vrrp_ipsets", _FIREWALL),
    known("disable_local_igmp", _VMAC),
    known("vmac_prefix", _VMAC, 1),
    known("vmac_addr_prefix", _VMAC, 1),
    known("vrrp_garp_extra_if", "VIPs of every interface are refreshed with garp_master_refresh"),
    known("vrrp_vmac_garp_intvl", "the old name of vrrp_garp_extra_if"),
    known("vrrp_delay_after_boot", "use vrrp_startup_delay"),
    *(
        known(name, _BUFFERS)
        for name in (
            "vrrp_rx_bufs_policy",
            "vrrp_rx_bufs_multiplier",
            "vrrp_netlink_cmd_rcv_bufs",
            "vrrp_netlink_cmd_rcv_bufs_force",
            "vrrp_netlink_monitor_rcv_bufs",
            "vrrp_netlink_monitor_rcv_bufs_force",
            "process_monitor_rcv_bufs",
            "process_monitor_rcv_bufs_force",
        )
    ),
)

_PROCESS = (
    known("max_auto_priority", "a late timer is noticed; set the priority in the service unit"),
    known("min_auto_priority_delay", "a late timer is noticed; set the priority in the service unit"),
    known("umask", "set UMask= in the service unit", 1),
    known("startup_script", _SERVICE_HOOK),
    known("startup_script_timeout", _SERVICE_HOOK),
    known("shutdown_script", _SERVICE_HOOK),
    known("shutdown_script_timeout", _SERVICE_HOOK),
    known("set_supplementary_groups", "scripts run with the groups of their user"),
    known("use_symlink_paths", "scripts run by the path that is written"),
    known("reload_check_config", _RELOAD),
    known("reload_time_file", _RELOAD),
    known("reload_repeat", _RELOAD),
    known("reload_file", _RELOAD),
    known("config_save_dir", _RELOAD, 1),
    ignored("tmp_config_directory", "no copy of the file is made"),
    ignored("iproute_usr_dir", "no names of iproute2 are looked up"),
    ignored("iproute_etc_dir", "no names of iproute2 are looked up"),
    ignored("process_names", _PROCESSES),
    ignored("vrrp_process_name", _PROCESSES, 1),
    ignored("checker_process_name", _PROCESSES, 1),
    ignored("lvs_process_name", _PROCESSES, 1),
    ignored("bfd_process_name", _PROCESSES, 1),
)

_IPVS_AND_BFD = (
    *(
        ignored(name, _CHECKER)
        for name in (
            "checker_log_all_failures",
            "checker_priority",
            "checker_no_swap",
            "checker_rt_priority",
            "checker_cpu_affinity",
            "checker_rlimit_rttime",
            "checker_rlimit_rtime",
            "rs_init_notifies",
            "lvs_timeouts",
            "lvs_flush",
            "lvs_flush_on_stop",
            "lvs_flush_onstop",
            "lvs_sync_daemon",
            "lvs_netlink_cmd_rcv_bufs",
            "lvs_netlink_cmd_rcv_bufs_force",
            "lvs_netlink_monitor_rcv_bufs",
            "lvs_netlink_monitor_rcv_bufs_force",
            "nftables_ipvs",
            "nftables_ipvs_priority",
            "nftables_ipvs_start_fwmark",
        )
    ),
    *(
        ignored(name, _BFD)
        for name in (
            "bfd_priority",
            "bfd_no_swap",
            "bfd_rt_priority",
            "bfd_cpu_affinity",
            "bfd_rlimit_rttime",
            "bfd_rlimit_rtime",
        )
    ),
)

GLOBAL_DEFS = Keyword(
    name="global_defs",
    words=(0, 0),
    repeatable=True,
    body=(*_USED, *_READER, *_MAIL, *_OUTPUTS, *_NETWORK, *_PROCESS, *_IPVS_AND_BFD),
)
