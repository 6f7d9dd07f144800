"""The daemon's process on one node: what it is to do waits while it stands still, and is forgotten when it dies."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pyvrrp.core.events import Adopted, Event, Phase, Shutdown, Startup, State
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.sync_group import SyncGroup
from pyvrrp.daemon.journal import Entry
from tests.simulation.member import Member, told

if TYPE_CHECKING:
    from tests.simulation.node import Node


class Speaker:
    """One process: what it is to do waits while it stands still, and is forgotten when it dies."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self.begun = self.ready = self.leaving = self.dead = False
        parameters = {name: replace(each, in_sync_group=node.grouped) for name, each in node.parameters.items()}
        self.members = {name: Member(self, name, each) for name, each in parameters.items()}
        self.sync_group: SyncGroup | None = None
        if node.grouped:
            self.sync_group = SyncGroup("G", {name: each.router for name, each in self.members.items()})
        self._waiting: list[Callable[[], None]] = []
        "what it has to do when it runs again"

    @property
    def running(self) -> bool:
        """There is such a process, though it may stand still."""
        return self.begun and not self.dead

    @property
    def awake(self) -> bool:
        return self.running and self.node.paused is None

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something at a later time, if the process still lives then."""
        self.node.cluster.at(self.node.cluster.now + seconds, lambda: self.do(act))

    def do(self, act: Callable[[], None]) -> None:
        """Now, or when it runs again."""
        if self.awake:
            act()
        elif self.running:
            self._waiting.append(act)

    def wake(self, *, timers_first: bool) -> None:
        """It runs again; asyncio reads the sockets first, uvloop looks at the timers first."""
        waiting, self._waiting = self._waiting, []
        if timers_first:
            self._look_at_timers()
        for act in waiting:
            self.do(act)
        self._look_at_timers()

    def _look_at_timers(self) -> None:
        for member in self.members.values():
            if self.awake:
                member.expire()

    def handle(self, name: str, event: Event, local: float | None = None) -> None:
        """Give an event to a member, through the sync group if there is one, and do what comes of it."""
        now = self.node.local(self.node.cluster.now) if local is None else local
        member = self.members[name]
        if self.sync_group is None:
            actions = member.router.handle(event, now)
            member.check(actions)
            for action in actions:
                member.perform(action)
            member.arm()
        else:
            steps = self.sync_group.handle(name, event, now)
            for each in self.members.values():
                each.check([step.action for step in steps if step.member == each.name])
            for step in steps:
                if step.member is None:
                    self.node.tell(f"sync group {told(step.action)}")
                else:
                    self.members[step.member].perform(step.action)
            for each in self.members.values():
                each.arm()
        self.look_at_end()

    # --- life --------------------------------------------------------------------------------------------------------

    def prepare(self, journal: Mapping[str, Entry]) -> None:
        """It is there: its predecessor's journal counts until it writes its own, and its trackers speak."""
        self.begun = True
        self.node.cluster.watch.unsettled(self.node)
        for name, member in self.members.items():
            member.entry = journal.get(name)
            if name in self.node.tracking:
                self.handle(name, self.node.tracking[name])

    def adopt(self, name: str, event: Adopted) -> None:
        """Go on in the role of the process before."""
        member = self.members[name]
        member.contract._before = (event.state, Phase.SERVING)
        if event.state is State.MASTER and member.router.parameters.gated:
            member.gates.adopt()
            member.contract.gates = True
        self.handle(name, event)

    def reconfigure(self, parameters: Mapping[str, Parameters]) -> None:
        """SIGHUP, with a changed file."""
        for name, each in parameters.items():
            self.members[name].reconfigure(replace(each, in_sync_group=self.node.grouped))

    def elect(self, names: Iterable[str]) -> None:
        """All is cleared away: those that have not adopted a role begin."""
        self.ready = True
        for name in names:
            self.handle(name, Startup())
        if self.leaving:
            self.shutdown()

    def shutdown(self) -> None:
        """SIGTERM; while it begins it waits."""
        self.leaving = True
        if self.ready:
            for name in self.members:
                self.handle(name, Shutdown())

    def look_at_end(self) -> None:
        """After SIGTERM: whether everything is given back."""
        if not self.leaving or not self.ready or self.dead:
            return
        if all(each.router.state is State.INIT and each.idle and not each.gates.held for each in self.members.values()):
            self.dead = True
            self.node.left_in_order()
