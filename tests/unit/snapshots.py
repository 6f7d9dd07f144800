"""Snapshots with literal values, for what reads them: JSON, text, dumps."""

from pyvrrp.core.discard import Statistics
from pyvrrp.core.events import Phase, State
from pyvrrp.daemon.status import (
    Address,
    DaemonStatus,
    InstanceStatus,
    Master,
    Outcome,
    Timers,
    counters,
    discarded,
)

SINCE = "2026-11-22T14:53:07.202852+00:00"
TAKEN = "2026-11-22T14:53:11.000000+00:00"


def instance(*, statistics: Statistics | None = None, **changes) -> InstanceStatus:
    """A healthy MASTER at VRID 51, with changes."""
    statistics = statistics or Statistics()
    fields = {
        "name": "VI_1",
        "interface": "eth0",
        "vrid": 51,
        "version": 2,
        "family": 4,
        "state": State.MASTER,
        "phase": Phase.SERVING,
        "since": SINCE,
        "since_seconds": 7384.0,
        "reason": "no advertisement for master_down_interval",
        "base_priority": 150,
        "effective_priority": 150,
        "preempt": True,
        "master": Master(address="192.0.2.10", priority=150, myself=True),
        "source": "192.0.2.10",
        "addresses": (Address(address="192.0.2.1/24", device="eth0", held=True, lease_seconds=2.4),),
        "timers": Timers(
            running={"advertisement": 0.25},
            advert_int=1.0,
            master_adver_int=1.0,
            master_down_interval=3.4140625,
            skew_time=0.4140625,
        ),
        "counters": counters(statistics),
        "discarded": discarded(statistics.discarded),
    }
    return InstanceStatus(**(fields | changes))


def daemon(*instances: InstanceStatus, **changes) -> DaemonStatus:
    """A daemon with these instances."""
    fields = {
        "version": "0.1.0",
        "pid": 812,
        "taken": TAKEN,
        "started": "2026-11-19T10:00:00.000000+00:00",
        "uptime_seconds": 273840.0,
        "config_file": "/etc/keepalived/keepalived.conf",
        "loop": "uvloop",
        "instances": instances,
    }
    return DaemonStatus(**(fields | changes))


def taken(*instances: InstanceStatus, **changes):
    """What takes a snapshot of such a daemon."""

    async def take() -> DaemonStatus:
        return daemon(*instances, **changes)

    return take


def outcome(**changes) -> Outcome:
    """A notify_master script that failed."""
    fields = {
        "name": "notify_master",
        "command": "/usr/local/bin/tell master",
        "ok": False,
        "result": "exit status 1",
        "output": "curl: (7) Failed to connect\n",
        "at": SINCE,
        "seconds_ago": 11.0,
        "duration": 0.3,
    }
    return Outcome(**(fields | changes))
