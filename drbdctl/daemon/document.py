"""What is known of a storage, JSON-ready: for `pyvrrp status --json` and the metrics; pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drbdctl.failover.machine import Failover
from drbdctl.failover.seen import Seen
from drbdctl.settings import Storage
from drbdctl.status.state import Connection, Resource, troubles

Document = dict[str, object]
_REMEMBERED = 40
"steps"


@dataclass(slots=True)
class Tally:
    """How often something happened, since the start."""

    takeovers: int = 0
    "promotions that were brought to their end"
    gave_up: int = 0
    "promotions that were not"
    steps_failed: int = 0
    alarms: int = 0


class LastSteps:
    """What was done last, and how long it took."""

    def __init__(self) -> None:
        self._steps: deque[Document] = deque(maxlen=_REMEMBERED)
        self._number = 0

    def add(self, step: str, seconds: float, failure: str) -> None:
        """One has ended; without a failure it was done."""
        self._number += 1
        self._steps.append({"number": self._number, "step": step, "seconds": round(seconds, 3), "failure": failure})

    @property
    def documents(self) -> list[Document]:
        """The oldest first."""
        return list(self._steps)


def described(machine: Failover, storage: Storage, now: float) -> Mapping[str, object]:
    """What the fail-over of a storage has seen, wants, does and refuses."""
    faults = machine.fitness.faults if machine.fitness else ()
    return {
        "vrrp_instance": storage.instance,
        "resources": [each.name for each in storage.group.resources],
        "services": [each.name for each in storage.group.services],
        "phase": machine.phase.value,
        "wish": machine.wish.value,
        "step": None if machine.running is None else str(machine.running),
        "plan": [str(each) for each in machine.plan.steps],
        "refusals": [str(each) for each in machine.plan.refusals],
        "faults": [str(each) for each in faults],
        "degraded": list(machine.fitness.degraded if machine.fitness else ()),
        "rules": [each.rule for each in (*machine.plan.refusals, *faults)],
        "holders": {} if machine.seen is None else dict(machine.seen.holders),
        **states(machine.seen, [each.name for each in storage.group.resources], now),
    }


def states(seen: Seen | None, resources: Sequence[str], now: float) -> Mapping[str, object]:
    """By resource; sizes in KiB as DRBD has them. What is not told is None; not seen yet: there is nothing."""
    if seen is None:
        return {"seen_seconds_ago": None, "gap": "", "states": {}}
    found = {name: seen.status.resource(name) for name in resources}
    return {
        "seen_seconds_ago": now - seen.at,
        "gap": seen.gap,
        "states": {name: _resource(each) for name, each in found.items() if each is not None},
    }


def _resource(resource: Resource) -> Document:
    return {
        "role": resource.role.value,
        "suspended": resource.suspended,
        "troubles": troubles(resource),
        "volumes": [
            {"volume": each.volume, "minor": each.minor, "disk": each.disk.value, "size": each.size,
             "quorum": each.quorum}
            for each in resource.devices
        ],
        "connections": [_connection(each) for each in resource.connections],
    }  # fmt: skip


def _connection(connection: Connection) -> Document:
    return {
        "peer": connection.name,
        "connection": connection.connection.value,
        "peer_role": connection.peer_role.value,
        "volumes": [
            {
                "volume": each.volume,
                "replication": each.replication.value,
                "peer_disk": each.peer_disk.value,
                "out_of_sync": each.out_of_sync,
                "done_percent": each.progress and each.progress.percent,
                "seconds_left": each.progress and each.progress.seconds_left,
            }
            for each in connection.peer_devices
        ],
    }
