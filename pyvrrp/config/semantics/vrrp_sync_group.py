"""vrrp_sync_group."""

from __future__ import annotations

from collections.abc import Collection

from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.model import SyncGroup
from pyvrrp.config.semantics.commands import notify
from pyvrrp.config.semantics.values import Values
from pyvrrp.config.semantics.vrrp_instance import Context, read_tracks
from pyvrrp.config.statements import Statement
from pyvrrp.config.suggest import did_you_mean


def read(
    block: Statement,
    name: str,
    context: Context,
    instances: Collection[str],
    taken: dict[str, str],
    diagnostics: Diagnostics,
) -> SyncGroup | None:
    """One group, None when it has no member; `taken` (member -> group) is what earlier groups have, and is added to."""
    values = Values(f"vrrp_sync_group {name}", block.body or (), diagnostics, block.position)
    members: list[str] = []
    for word in (word for line in values.lines("group") for word in line.words):
        if word.text not in instances:
            meant = did_you_mean(word.text, instances)
            values.error(
                word.position,
                "undefined-name",
                f"there is no vrrp_instance {word} to be a member",
                f"did you mean '{meant}'?" if meant else "define it, or remove the line",
            )
        elif word.text in taken:
            values.error(
                word.position, "duplicate-name", f"{word} is a member of {taken[word.text]} already, here it is ignored"
            )
        else:
            taken[word.text] = name
            members.append(word.text)
    if not members:
        values.error(
            block.position, "empty-block", "it has no member, the group is ignored", "write group { NAME ... }"
        )
        return None
    if len(members) == 1:
        values.warning(
            block.position, "single-member", f"{members[0]} is the only member, a group of one changes nothing"
        )
    return SyncGroup(
        name=name,
        members=tuple(members),
        tracks=tuple(read_tracks(values, context)),
        notify=notify(values),
        sync_group_tracking_weight=values.has("sync_group_tracking_weight"),
        position=block.position,
    )
