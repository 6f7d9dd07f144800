"""`pyvrrp restart`: other code, the same role."""

from __future__ import annotations

from collections.abc import Iterable

from pyvrrp.core.events import State
from pyvrrp.daemon.instance import Instance

START = 1.0
"seconds that a start may take; usually half of it"


def obstacle(instances: Iterable[Instance]) -> str:
    """Why the peers would notice a restart now, in a sentence; empty: they would not."""
    for instance in instances:
        router, parameters = instance.router, instance.router.parameters
        if router.state is not State.MASTER:
            continue
        if not router.serving:
            return f"{instance.name} is {router.phase.value}; ask again when it is done"
        wait = parameters.down_timer_adverts * parameters.advert_int
        if wait < START:
            return (
                f"{instance.name} is MASTER and its peers wait {wait:g} s for an advertisement, less than a start may "
                f"take ({START:g} s); hand over with `pyvrrp switchover`, then restart"
            )
    return ""
