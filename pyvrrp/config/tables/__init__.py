"""Every keyword of keepalived.conf, block by block.

A number of words that is fewer than a row asks for ends keepalived 2.2.7 with exit code 2; where it only complains,
the row asks for none and the code that reads the value complains.
"""

from __future__ import annotations

from pyvrrp.config.keywords import Body
from pyvrrp.config.tables.global_defs import GLOBAL_DEFS
from pyvrrp.config.tables.groups import GARP_GROUP, VRRP_SYNC_GROUP
from pyvrrp.config.tables.instance import VRRP_INSTANCE
from pyvrrp.config.tables.shorthand import ignored, known, used
from pyvrrp.config.tables.tracking import TRACKERS

_STATIC = "set it with the system's network configuration"
_IPVS = "dnslb balances DNS; for other services keep keepalived's checker: `keepalived -C`"

ROOT = (
    GLOBAL_DEFS,
    used("net_namespace", 0),
    used("instance", 0),
    ignored("net_namespace_ipvs", "IPVS is not used"),
    ignored("namespace_with_ipsets", "ipsets are not used"),
    ignored("use_pid_dir", "pid files are always in the run directory"),
    ignored("child_wait_time", "there are no child processes to wait for", 1),
    ignored("linkbeat_use_polling", "netlink reports the link"),
    known("linkbeat_interfaces", "netlink reports the link", 0, 0, Body.LINES),
    known("interface_up_down_delays", "an interface that goes down is a FAULT at once", 0, 0, Body.LINES),
    known("static_ipaddress", _STATIC, 0, 0, Body.LINES),
    known("static_routes", _STATIC, 0, 0, Body.LINES),
    known("static_rules", _STATIC, 0, 0, Body.LINES),
    known("track_group", "static addresses are not watched", body=(known("group", _STATIC, 0, 0, Body.LINES),)),
    *TRACKERS,
    VRRP_SYNC_GROUP,
    GARP_GROUP,
    VRRP_INSTANCE,
    known("virtual_server", _IPVS, 1, None, Body.SKIP),
    known("virtual_server_group", _IPVS, 1, None, Body.SKIP),
    known("SSL", _IPVS, body=Body.SKIP),
)
"The keywords at the top level."
