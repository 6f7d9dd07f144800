"""What has the daemon run on one node: the service manager, the guard if there is one, and who kills them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.guard import Guard
from tests.simulation.start import begin

if TYPE_CHECKING:
    from tests.simulation.node import Node

_NOTICED = 0.001
"seconds until somebody knows that a process has ended"
_SIGKILL, _SIGTERM = -9, -15


class Service:
    """Whether the daemon is to run, and what is done when it does not."""

    def __init__(self, node: "Node") -> None:
        self.guard: Guard | None = None
        self._node = node
        self._wanted = False
        self._starting = 0
        "the number of the process that is not ready yet; 0: there is none"
        self._started = 0

    def start(self) -> None:
        """Now, or when the one that is leaving has ended, or when the power is back."""
        self._wanted = True
        node = self._node
        if not node.powered or node.speaker.running or self._starting or self.guard is not None:
            return
        node.tell("starts")
        if node.traits.guarded:
            self.guard = Guard(node)
            self.guard.begin()
        else:
            self.spawn(adopt=False)

    def start_again(self) -> None:
        """If it is to run."""
        if self._wanted:
            self.start()

    def spawn(self, *, adopt: bool, ready: Callable[[], None] = lambda: None) -> None:
        """Start a speaker; `ready` is called when it works."""
        node = self._node
        self._started += 1
        number = self._starting = self._started

        def started() -> None:
            if number == self._starting:
                self._starting = 0
                begin(node, adopt=adopt, ready=ready)

        if node.traits.start_takes:
            node.later(node.traits.start_takes, started)
        else:
            started()

    def stop(self) -> None:
        """SIGTERM."""
        self._node.tell("is told to stop")
        self._wanted = False
        if self.guard is not None:
            self._node.later(0.0, self.guard.stop)
        else:
            self.terminate()

    def terminate(self) -> None:
        """SIGTERM for the speaker; one that is not ready dies of it."""
        if self._starting:
            self.ended(_SIGTERM)
        self._node.speaker.do(self._node.speaker.shutdown)

    def kill_speaker(self) -> None:
        """SIGKILL; what it held stays with the kernel and the storage."""
        if self._node.speaker.running or self._starting:
            self._node.tell("the speaker is killed")
            self._node.speaker.dead = True
            self.ended(_SIGKILL)

    def kill_guard(self, *, speaker_leaves: bool = True) -> None:
        """SIGKILL; the speaker hears of it (parent-death signal) and leaves."""
        if self.guard is not None:
            self._node.tell("the guard is killed")
            self.guard.working = False
            self.guard = None
            if speaker_leaves and self._node.speaker.running:
                self.terminate()
            elif speaker_leaves:
                self.ended(_SIGTERM)

    def ended(self, status: int) -> None:
        """The speaker's process is gone."""
        self._starting = 0
        self._node.speaker_ended()
        if (guard := self.guard) is not None:
            self._node.later(_NOTICED, lambda: guard.hear_end(status))
        else:
            self._node.later(self._node.traits.restart_takes if status else _NOTICED, self.start_again)

    def guard_ended(self) -> None:
        self.guard = None
        self._node.later(self._node.traits.restart_takes, self.start_again)

    def power_off(self) -> None:
        """All its processes are gone."""
        self.guard, self._starting = None, 0
        self._node.speaker.dead = True
