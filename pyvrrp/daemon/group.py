"""A vrrp_sync_group of the daemon: the pure machine, and the scripts of the group."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from pyvrrp.config.model import SyncGroup as GroupConfig
from pyvrrp.core.events import Reason, State, Transition
from pyvrrp.core.sync_group import SyncGroup
from pyvrrp.daemon.instance import Instance
from pyvrrp.daemon.notify import NotifyQueue

_LOG = logging.getLogger("pyvrrp")


class Group:
    """Tells of the group's transitions after its members have carried theirs out (keepalived's order)."""

    def __init__(self, config: GroupConfig, machine: SyncGroup, notify: NotifyQueue) -> None:
        self.config = config
        self.machine = machine
        self.notify = notify
        self._last: asyncio.Task[None] | None = None

    def changed(self, transition: Transition, members: Sequence[Instance]) -> None:
        """The group as a whole is in another state."""
        _LOG.info("sync group %s: %s -> %s", self.config.name, transition.old.value, transition.new.value)
        leaving = all(member.router.reason is Reason.SHUTDOWN for member in members)
        adopted = all(member.router.reason is Reason.ADOPTED for member in members)
        if (transition.new is State.INIT and not leaving) or adopted:
            return
        state = "STOP" if transition.new is State.INIT else transition.new.value
        self._last = asyncio.create_task(self._tell(state, members, self._last))

    async def finished(self) -> None:
        """Wait until every transition has been told."""
        if self._last is not None:
            await self._last

    async def _tell(self, state: str, members: Sequence[Instance], before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        for member in members:
            await member.idle()
        self.notify.transition(state, 0)  # keepalived: a group has no priority
