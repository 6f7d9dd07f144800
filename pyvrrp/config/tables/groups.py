"""vrrp_sync_group and garp_group."""

from __future__ import annotations

from pyvrrp.config.keywords import Keyword
from pyvrrp.config.tables.notify import GROUP_NOTIFY
from pyvrrp.config.tables.shorthand import flag, ignored, lines, used
from pyvrrp.config.tables.tracking import TRACKS

VRRP_SYNC_GROUP = Keyword(
    name="vrrp_sync_group",
    words=(0, None),
    repeatable=True,
    body=(
        lines("group"),
        *TRACKS,
        *GROUP_NOTIFY,
        flag("sync_group_tracking_weight"),
        ignored("global_tracking", "deprecated: write track_interface or track_script in the group", 0, 0),
    ),
)

GARP_GROUP = Keyword(
    name="garp_group",
    words=(0, None),
    repeatable=True,
    body=(used("garp_interval"), used("gna_interval"), used("interface"), lines("interfaces")),
)
