"""The guard of one node: the real Supervisor on the simulated clock."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, assert_never

from pyvrrp.core.supervision import (
    Action,
    Beat,
    Event,
    Exit,
    Exited,
    GaveUp,
    GiveUp,
    Kill,
    Phase,
    Ready,
    Say,
    Signal,
    Spawn,
    StopAsked,
    Supervisor,
    TimerExpired,
)
from tests.simulation.start import give_up

if TYPE_CHECKING:
    from tests.simulation.node import Node

_BEATS = 4
"in one guard_timeout (pyvrrp.daemon.heartbeat)"


class Guard:
    """Of all the beats only the last one before a silence matters, so only that one is delivered."""

    def __init__(self, node: "Node") -> None:
        self.working = True
        self._node = node
        self._supervisor = Supervisor()
        parameters = node.parameters.values()
        self._timeout = max(1.0, min(each.advert_int for each in parameters))
        self._adoption_time = max(1.0, min(each.down_timer_adverts * each.advert_int for each in parameters) / 2)

    def begin(self) -> None:
        self._do(self._supervisor.begin())

    def hear(self, event: Event) -> None:
        """An event, now."""
        if self.working:
            self._handle(event, self._node.local(self._node.cluster.now))

    def stop(self) -> None:
        """SIGTERM."""
        self.hear(StopAsked())

    def hear_end(self, status: int) -> None:
        """The speaker's process is gone."""
        self.hear(Exited(status))

    def silence(self) -> None:
        """The speaker, or everything, stands still from now on: the last beat was a moment ago."""
        ago = self._node.cluster.random.uniform(0.0, self._timeout / _BEATS)
        if self.working and self._supervisor.phase is Phase.RUNNING:
            self._handle(Beat(self._timeout), self._node.local(self._node.cluster.now) - ago)

    def look(self, *, speaker_alone: bool) -> None:
        """The speaker goes on, or everything: then the guard looks at its timer before it hears anything."""
        deadline = self._supervisor.deadline
        if speaker_alone:
            self.hear(Beat(self._timeout))
        elif deadline is not None and deadline <= self._node.local(self._node.cluster.now):
            self.hear(TimerExpired())
        else:
            self._arm()

    def _handle(self, event: Event, now: float) -> None:
        self._do(self._supervisor.handle(event, now))
        self._arm()

    def _arm(self) -> None:
        deadline, node = self._supervisor.deadline, self._node
        if deadline is not None and self.working and not self._is_content:
            node.later(max(0.0, node.clock.world(deadline) - node.cluster.now), lambda: self._due(deadline))

    @property
    def _is_content(self) -> bool:
        """It hears a beat again and again."""
        return self._supervisor.phase is Phase.RUNNING and self._node.paused is None

    def _due(self, deadline: float) -> None:
        if self.working and self._supervisor.deadline == deadline and not self._is_content:
            self._handle(TimerExpired(), max(deadline, self._node.local(self._node.cluster.now)))

    def _do(self, actions: Sequence[Action]) -> None:
        node = self._node
        for action in actions:
            match action:
                case Spawn(adopt):
                    node.service.spawn(adopt=adopt, ready=lambda: self.hear(Ready(self._timeout, self._adoption_time)))
                case Kill():
                    node.service.kill_speaker()
                case Signal():
                    node.service.terminate()
                case GiveUp():
                    give_up(node, lambda: self.hear(GaveUp()))
                case Say(text):
                    node.tell(f"guard: {text}")
                case Exit():
                    self.working = False
                    node.service.guard_ended()
                case _:
                    assert_never(action)
