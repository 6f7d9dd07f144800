"""Rule 15: a node that can't let go takes itself down only where somebody then takes over.

Where the peer takes over by itself after a while (silence, quorum, fencing), this node has to be gone by then. Where it
waits for a proof, going down helps only while it is connected and has everything: it serves once this node is back.
Otherwise the data stay with their one writer.
"""

from __future__ import annotations

from drbdctl.failover.group import Group, GroupResource, Takeover
from drbdctl.failover.seen import Seen
from drbdctl.status.peers import connected, served_by_peer


def pointless(seen: Seen | None, group: Group) -> str:
    """Why nobody would take over; empty: somebody does, or may."""
    if group.policy.takeover is Takeover.AVAILABILITY_FIRST:
        return ""
    found = (_nobody(seen, resource) for resource in group.managed if not (resource.quorum or resource.fenced))
    return next((each for each in found if each), "")


def _nobody(seen: Seen | None, resource: GroupResource) -> str:
    if seen is None or not seen.trusted:
        return "whether the peer could take over can't be seen"
    found = seen.resource(resource.name)
    if not connected(found):
        return f"the peer of {resource.name} is not connected and waits for a proof, so nobody would take over"
    lacking = [str(each.number) for each in resource.volumes if not served_by_peer(found, each.number)]
    return (
        f"the peer has not everything of {resource.name}/{','.join(lacking)}, so nobody could take over"
        if lacking
        else ""
    )
