"""What may stand in a `storage` block.

storage NFS {
    vrrp_instance DRBD
    drbd_resource drbd0
    mount /dev/drbd0 /mnt/drbd0 { fstype xfs  options noatime }
    nfs {
        state_dir /mnt/drbd0/.nfs
        export /mnt/drbd0/export { client 192.168.0.0/24  options rw,sync,no_subtree_check  fsid 1 }
    }
    on_demote_failure hold
}
"""

from __future__ import annotations

from drbdctl.backup.block import KEYWORD as BACKUP
from pyvrrp.config.keywords import Keyword

STORAGE = "storage"


def _value(name: str, fewest: int = 1, most: int | None = 1, *, repeatable: bool = False) -> Keyword:
    return Keyword(name=name, words=(fewest, most), repeatable=repeatable)


def _block(name: str, words: int, *body: Keyword, repeatable: bool = False) -> Keyword:
    return Keyword(name=name, words=(words, words), body=body, inline=True, repeatable=repeatable)


_EXPORT = _block(
    "export", 1, _value("client", 1, None, repeatable=True), _value("options"), _value("fsid"), repeatable=True
)
_NFS = _block(
    "nfs",
    0,
    _value("state_dir"),
    _value("scope"),
    _value("version3", 0),
    _value("nfsv4_only", 0),
    _value("lease"),
    _value("threads"),
    _EXPORT,
)
_COMMAND = _block(
    "command", 1, _value("start", 1, None), _value("stop", 1, None), _value("check", 1, None), repeatable=True
)
DEADLINES = ("promote", "mount", "start", "verify", "stop", "unmount", "demote", "promotion", "demotion", "look")
"those of drbdctl.failover.group.Deadlines that `deadlines` sets"
KEYWORDS: tuple[Keyword, ...] = (
    _block(
        STORAGE,
        1,
        _value("vrrp_instance"),
        _value("networks", 1, None),
        _value("drbd_conf"),
        _value("drbd_resource", 1, None, repeatable=True),
        Keyword(
            name="mount",
            words=(2, 2),
            body=(_value("fstype"), _value("options")),
            inline=True,
            repeatable=True,
        ),
        _NFS,
        _value("systemd_unit", 1, None, repeatable=True),
        _COMMAND,
        BACKUP,
        _value("takeover"),
        _value("asynchronous_takeover", 0),
        _value("on_demote_failure"),
        _value("end_holders", 0),
        _value("witness", 2, None),
        _value("minimum_up_to_date"),
        _value("promote_while_syncing", 0),
        _value("dead_interval"),
        _value("isolation_interval"),
        _value("fail_back_delay"),
        _value("most_takeovers"),
        _value("takeover_period"),
        _value("most_failures"),
        _block("deadlines", 0, *(_value(name) for name in DEADLINES)),
        repeatable=True,
    ),
)
