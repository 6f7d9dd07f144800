"""Whether a rehearsal may begin: what both daemons say of themselves and of each other; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_CLOCKS = 2.0
"seconds by which the clocks of both nodes may differ"


def storage_of(status: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A storage in the status of a daemon; empty: it has none of this name."""
    found: Mapping[str, Any] = status.get("plugins", {}).get("drbdctl", {}).get("storages", {}).get(name, {})
    return found


def instance_of(status: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A vrrp_instance in the status of a daemon; empty: it has none of this name."""
    return next((each for each in status.get("instances", ()) if each.get("name") == name), {})


def hindrances(
    name: str, here: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any], peer: str, took: float = 0.0
) -> Iterator[str]:
    """Why not to begin: of the status here, and the answers of both to `after-move`; a sentence each.

    `took`: seconds from our answer until theirs was here, for which theirs may be the later one.
    """
    storage = storage_of(here, name)
    if not storage:
        yield f"here: the daemon has no storage {name}"
        return
    if storage["phase"] != "primary":
        yield f"here: storage {name} does not serve ({storage['phase']}); rehearse on the node that serves it"
    if storage["alarm"]:
        yield f"here: {storage['alarm']}"
    yield from (f"here: {each}" for each in (*storage["faults"], *storage["degraded"], *storage["stuck"]))
    refusals = theirs.get("refusals", ["it does not say"])
    yield from (f"{peer}: {each}" for each in refusals)
    for what in sorted({*ours.get("fingerprint", {}), *theirs.get("fingerprint", {})}):
        if ours["fingerprint"].get(what) != theirs.get("fingerprint", {}).get(what):
            yield f"{peer}: its {what} are not those of this node; compare the storage blocks and drbd.conf (rule 25)"
    later = float(theirs.get("time", 0.0)) - float(ours.get("time", 0.0))
    apart = max(-later, later - took)
    if apart > _CLOCKS:
        yield f"{peer}: its clock and this node's are {apart:.0f} s apart; mend the time synchronisation (rule 25)"
