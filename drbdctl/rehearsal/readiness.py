"""What a node that stands by would do if the peer handed over now; and what must be equal on both for that to work."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace

from drbdctl.failover.budget import Budget
from drbdctl.failover.fitness import standby
from drbdctl.failover.plan import Plan
from drbdctl.failover.planner import plan_promote
from drbdctl.failover.seen import Seen
from drbdctl.settings import Nfs, Storage
from drbdctl.status.state import Resource
from drbdctl.status.words import Role


def after_move(seen: Seen, storage: Storage, budget: Budget) -> Plan:
    """The plan of a promotion with a connected Primary taken for demoted; what keeps it from standing by refuses."""
    group = storage.group
    demoted = replace(seen.status, resources=tuple(map(_demoted, seen.status.resources)))
    plan = plan_promote(replace(seen, status=demoted), group, budget)
    unfit = tuple(each for each in standby(seen, group, budget).faults if each not in plan.refusals)
    return replace(plan, refusals=(*plan.refusals, *unfit))


def _demoted(resource: Resource) -> Resource:
    links = tuple(
        replace(each, peer_role=Role.SECONDARY) if each.peer_role is Role.PRIMARY else each
        for each in resource.connections
    )
    return replace(resource, connections=links)


def fingerprint(storage: Storage) -> dict[str, str]:
    """What has to be the same on both nodes, by what it is about: clients, or the data, would notice a difference."""
    group = storage.group
    parts: dict[str, object] = {
        "resources": [
            (each.name, [volume.number for volume in each.volumes], each.protocol, each.fencing.value, each.quorum)
            for each in group.resources
        ],
        "minors": [volume.minor for each in group.resources for volume in each.volumes],
        "mounts": [asdict(each) for each in group.mounts],
        "services": [(type(each).__name__, each.name) for each in storage.services],
        "takeover": [group.policy.takeover.value, group.policy.asynchronous_takeover, group.policy.witness],
    }
    for each in storage.services:
        if isinstance(each, Nfs):
            parts[f"{each.name} scope"] = each.scope
            parts[f"{each.name} exports"] = [asdict(export) for export in each.exports]
            parts[f"{each.name} state_dir, lease, version3"] = [each.state_dir, each.lease, each.version3]
    return {
        what: hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:12] for what, part in parts.items()
    }
