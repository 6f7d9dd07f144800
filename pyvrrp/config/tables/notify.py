"""The `notify*` keywords of vrrp_instance and vrrp_sync_group."""

from __future__ import annotations

from pyvrrp.config.keywords import Keyword
from pyvrrp.config.tables.shorthand import known, used


def _script(name: str) -> Keyword:
    """COMMAND [USER [GROUP]]; a longer line is an unquoted command, which the builder explains."""
    return used(name, 1, None)


MAIL = "run a notify script that sends the mail"

NOTIFY = (
    _script("notify_master"),
    _script("notify_backup"),
    _script("notify_fault"),
    _script("notify_stop"),
    _script("notify"),
    known("smtp_alert", MAIL, 0, 1),
    known("notify_priority_changes", "the priority is in `pyvrrp status`", 0, 1),
)

INSTANCE_NOTIFY = (
    *NOTIFY,
    used("notify_deleted", 0, None),
    _script("notify_master_rx_lower_pri"),
)

GROUP_NOTIFY = (
    *NOTIFY,
    known("notify_deleted", "keepalived does not know it in a group either: write it in the instances"),
)
