"""vrrp_instance."""

from __future__ import annotations

from pyvrrp.config.keywords import Body, Keyword, Use
from pyvrrp.config.tables.notify import INSTANCE_NOTIFY
from pyvrrp.config.tables.shorthand import flag, ignored, known, lines, switch, used
from pyvrrp.config.tables.tracking import TRACKS

_VMAC = "the interface's own MAC address is used, and announced by gratuitous ARP"
_HMAC = "an instance that asks for it is not run without it; remove auth_hmac, or secure the link (WireGuard, MACsec)"
_ROUTES = "set it from notify_master and remove it from notify_backup, notify_fault and notify_stop"

AUTHENTICATION = Keyword(
    name="authentication",
    words=(0, 0),
    body=(used("auth_type"), used("auth_pass")),
    repeatable=True,
)

AUTH_HMAC = known(
    "auth_hmac",
    _HMAC,
    body=(
        known("key", _HMAC),
        known("active_key", _HMAC),
        known("anti_replay", _HMAC),
        known("time_window", _HMAC),
        known("mode", _HMAC),
    ),
)

VRRP_INSTANCE = Keyword(
    name="vrrp_instance",
    use=Use.USED,
    words=(0, None),
    repeatable=True,
    body=(
        used("state"),
        used("interface"),
        used("virtual_router_id"),
        used("priority"),
        used("advert_int"),
        lines("virtual_ipaddress"),
        lines("virtual_ipaddress_excluded"),
        flag("no_virtual_ipaddress"),
        AUTHENTICATION,
        AUTH_HMAC,
        *TRACKS,
        flag("dont_track_primary"),
        flag("nopreempt"),
        flag("preempt"),
        used("preempt_delay"),
        lines("unicast_peer"),
        used("unicast_src_ip"),
        used("mcast_src_ip"),
        flag("track_src_ip"),
        used("mcast_dst_ip"),
        used("unicast_ttl"),
        flag("check_unicast_src"),
        flag("unicast_fault_no_peer"),
        known("old_unicast_checksum", "both checksums are accepted when they are received", 0, 1),
        flag("v3_checksum_as_v2"),
        used("version"),
        flag("native_ipv6"),
        known("vrf", "put the interface itself into `interface`", 1, 1),
        known("use_vmac", _VMAC),
        known("use_vmac_addr", _VMAC),
        known("vmac_xmit_base", _VMAC),
        known("use_ipvlan", "the VIPs are put on the interface itself"),
        known("virtual_routes", _ROUTES, body=Body.LINES),
        known("virtual_rules", _ROUTES, body=Body.LINES),
        known("promote_secondaries", "run `sysctl net.ipv4.conf.IF.promote_secondaries=1`", 0, 0),
        flag("accept"),
        known("no_accept", "packets to the VIPs are answered: drop them with nft where that is wanted", 0, 0),
        used("garp_master_delay"),
        used("garp_master_repeat"),
        used("garp_master_refresh"),
        used("garp_master_refresh_repeat"),
        used("garp_lower_prio_delay"),
        used("garp_lower_prio_repeat"),
        known("garp_extra_if", "VIPs of every interface are refreshed with garp_master_refresh"),
        known("vmac_garp_intvl", "the old name of garp_extra_if; VIPs are refreshed with garp_master_refresh"),
        switch("lower_prio_no_advert"),
        switch("higher_prio_send_advert"),
        switch("owner_ignore_adverts"),
        used("down_timer_adverts"),
        known("timer_expired_backup", "a MASTER that wakes up too late always goes to BACKUP"),
        known("thread_timer_expired", "a MASTER that wakes up too late always goes to BACKUP"),
        switch("skip_check_adv_addr"),
        switch("strict_mode"),
        *INSTANCE_NOTIFY,
        # Lenient in keepalived where the value is missing: an error, but it starts.
        used("kernel_rx_buf_size", 0),
        ignored("debug", "keepalived does not use it either", 1, 1),
        ignored("linkbeat_use_polling", "netlink reports the link", 0, 0),
        known("lvs_sync_daemon_interface", "IPVS is not used", 1, 1),
    ),
)
