"""Virtual routers that move together (vrrp_sync_group).

MASTER only when every member wants MASTER; one member in FAULT puts all in FAULT; one member gone to BACKUP takes all
to BACKUP. One machine over its members, so that no order of their events can tear them apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pyvrrp.core.events import (
    Action,
    Event,
    GroupDemoted,
    GroupFault,
    GroupPromoted,
    GroupReasserted,
    LowerPriorityHeard,
    Reason,
    State,
    Transition,
    WantMaster,
)
from pyvrrp.core.virtual_router import VirtualRouter


class Step(NamedTuple):
    """An action of a member; `member` None: the group's own Transition."""

    member: str | None
    action: Action


class SyncGroup:
    """The members by name; give it every event of a member instead of giving it to the member."""

    def __init__(self, name: str, members: Mapping[str, VirtualRouter]) -> None:
        self.name = name
        self.members = dict(members)
        self.state = self._state()
        self.since = 0.0

    def handle(self, member: str, event: Event, now: float) -> Sequence[Step]:
        """Deliver an event to a member, and what follows from it to the others; actions in order of execution."""
        steps: list[Step] = []
        waiting: deque[tuple[str, Event]] = deque([(member, event)])
        while waiting:
            name, heard = waiting.popleft()
            before = self.members[name].state
            actions = self.members[name].handle(heard, now)
            steps += [Step(name, action) for action in actions if not isinstance(action, WantMaster)]
            waiting += self._consequences(name, before, actions)
        return [*steps, *self.settle(now)]

    def settle(self, now: float) -> list[Step]:
        """The group's own Transition, if its members have changed its state: last, after theirs (keepalived)."""
        state = self._state()
        if state is self.state:
            return []
        old, self.state, self.since = self.state, state, now
        return [Step(None, Transition(old, state, Reason.SYNC_GROUP))]

    def _consequences(self, name: str, before: State, actions: Sequence[Action]) -> list[tuple[str, Event]]:
        """What the others must hear after `name` has acted."""
        router = self.members[name]
        others = [other for other in self.members if other != name]
        events: list[tuple[str, Event]] = []
        if before is State.MASTER and router.state is State.BACKUP:
            events += [(other, GroupDemoted(name)) for other in others if self.members[other].state is State.MASTER]
        faulty = [member for member in self.members if self.members[member].own_faults]
        for member in self.members:
            others_faulty = tuple(each for each in faulty if each != member)
            if others_faulty != self.members[member].group_faults:
                events.append((member, GroupFault(others_faulty)))
        for action in actions:
            match action:
                case LowerPriorityHeard():
                    events += [(other, GroupReasserted()) for other in others]
                case WantMaster() if all(self._agrees(each) for each in self.members.values()):
                    events += [(each, GroupPromoted()) for each in self.members]
                case _:
                    pass
        return events

    @staticmethod
    def _agrees(router: VirtualRouter) -> bool:
        return router.claims or (router.state is State.BACKUP and router.wants_master)

    def _state(self) -> State:
        states = {router.told for router in self.members.values()}
        for state in (State.FAULT, State.INIT, State.BACKUP):
            if state in states:
                return state
        return State.MASTER
