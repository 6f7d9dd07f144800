"""What the daemon answers about a storage and changes nothing: `drbdctl why`, `plan`, `fence-peer`."""

from __future__ import annotations

import time
from collections.abc import Sequence

from drbdctl.failover.machine import Failover
from drbdctl.failover.planner import judge, plan_promote
from drbdctl.failover.seen import Seen
from drbdctl.rehearsal.readiness import after_move, fingerprint
from drbdctl.settings import Storage
from pyvrrp.daemon.plugins import CommandRefused


def answer(machine: Failover, storage: Storage, words: Sequence[str]) -> object:
    """JSON-ready; raises CommandRefused."""
    match words:
        case ["why"]:
            return [each.plain for each in judge(_seen(machine, storage), storage.group, machine.budget)]
        case ["after-move"]:
            plan = after_move(_seen(machine, storage), storage, machine.budget)
            return {**plan.plain, "fingerprint": fingerprint(storage), "time": time.time()}
        case ["plan"]:
            return plan_promote(_seen(machine, storage), storage.group, machine.budget).plain
        case ["fence-peer", resource]:
            status, why = machine.fence_answer(resource)
            return {"status": status, "why": why}
        case _:
            raise CommandRefused(f"storage {storage.name} does not understand {' '.join(words) or 'nothing'!r}")


def _seen(machine: Failover, storage: Storage) -> Seen:
    if machine.seen is None:
        raise CommandRefused(f"storage {storage.name} has not been looked at yet; ask again")
    return machine.seen
