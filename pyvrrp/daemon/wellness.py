"""Whether all is well, for who wants a yes or a no (/healthz); pure."""

from __future__ import annotations

from collections.abc import Mapping

from pyvrrp.core.events import State
from pyvrrp.daemon.status import DaemonStatus, InstanceStatus

_WELL = (State.MASTER, State.BACKUP)


def problems(status: DaemonStatus) -> Mapping[str, list[str]]:
    """What is not well, a sentence each: by plugin what it tells, and under `daemon` each vrrp_instance in need.

    An instance is well as MASTER, also while its gates are being opened, and as BACKUP. A failed reload, a notify
    script that failed, a tracker that only lowers a priority are no reason: nobody has to be sent away for them.
    """
    found = {"daemon": [_sentence(each) for each in status.instances if each.state not in _WELL]}
    for name, part in status.plugins.items():
        told = part.get("problems", ())
        found[name] = list(map(str, told)) if isinstance(told, list | tuple) else [str(told)]
    return found


def _sentence(each: InstanceStatus) -> str:
    why = "; ".join(each.faults or each.pending) or each.detail or each.reason
    return f"{each.name} is {each.state.value}: {why}"
