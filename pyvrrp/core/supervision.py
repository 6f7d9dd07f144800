"""What the guard does about the speaker, as a function of (event, now): start it, kill it, start it again, give it up.

    FIRST --Ready--> RUNNING --silent--> KILLED --gone--> ADOPTING --Ready--> RUNNING
                        |                                    |
                        +--died--> ADOPTING                  +--late, or dead--> GIVEN_UP
                        +--fell again--> GIVEN_UP --given back--> WAITING --> STARTING (as BACKUP) --Ready--> RUNNING

Between the death of one speaker and the start of the next nobody answers: one that is to adopt a role comes at once.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

RESTART = 75
"the exit status of a speaker that wants to be started again and to keep its role (`pyvrrp restart`)"
PROGRAM_ERROR = 70
STABLE = 10.0
"seconds after Ready: who falls earlier, and not for the first time, is given up"
LIMIT, WINDOW = 10, 600.0
"given up so often in so many seconds, and the guard ends"
FIRST_BACK_OFF, LONGEST_BACK_OFF = 1.0, 30.0
START_PATIENCE = 60.0
"seconds in which a speaker that has nothing to adopt must be ready"
KILL_PATIENCE = 1.0
"seconds from SIGKILL to the end of the process; it may sit in the kernel (a file system that hangs)"
LATE = 0.5
"seconds: a guard whose own timer is later than this was not running either, and can't judge the speaker"


# --- events ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ready:
    """The speaker works."""

    guard_timeout: float
    "seconds of silence after which it counts as hung"
    adoption_time: float
    "seconds in which a successor must be ready: half of the shortest lease"


@dataclass(frozen=True, slots=True)
class Beat:
    """The speaker's loop is alive and keeps its deadlines."""

    guard_timeout: float
    "seconds until the next one at the latest"


@dataclass(frozen=True, slots=True)
class Exited:
    """The speaker's process is gone."""

    status: int
    "the exit status, or minus the number of the signal that killed it"


@dataclass(frozen=True, slots=True)
class GaveUp:
    """What `GiveUp` asked for is done."""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """SIGTERM or SIGINT."""


@dataclass(frozen=True, slots=True)
class Signalled:
    """A signal that is meant for the speaker; SIGHUP also ends a back-off, for it says that something has changed."""

    number: int


@dataclass(frozen=True, slots=True)
class TimerExpired:
    """`Supervisor.deadline` has come."""


Event = Ready | Beat | Exited | GaveUp | StopAsked | Signalled | TimerExpired

# --- actions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a speaker."""

    adopt: bool
    "it may take over the role of the one before"


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL the speaker; answer with Exited."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Send the speaker a signal."""

    number: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Priority 0 for what was MASTER, addresses off, the rest undone from the journal; answer with GaveUp."""


@dataclass(frozen=True, slots=True)
class Say:
    """Log a line."""

    text: str


@dataclass(frozen=True, slots=True)
class Exit:
    """End the guard."""

    status: int


Action = Spawn | Kill | Signal | GiveUp | Say | Exit


class Phase(Enum):
    """What the guard is waiting for."""

    FIRST = "the first speaker to be ready"
    RUNNING = "the next beat"
    KILLED = "the end of a killed speaker"
    ADOPTING = "a speaker that adopts to be ready"
    GIVEN_UP = "everything to be given back"
    WAITING = "the end of the back-off"
    STARTING = "a speaker that starts as BACKUP to be ready"
    ENDED = "nothing"


class Supervisor:
    """One guard's mind; feed it events in the order of their monotonic times (seconds)."""

    def __init__(self) -> None:
        self.phase = Phase.FIRST
        self.deadline: float | None = None
        "when to deliver TimerExpired; None: no timer runs"
        self._alive = False
        "there is a speaker's process"
        self._giving_up = False
        self._stopping = False
        self._status: int | None = None
        "how to end when everything is given back; None: go on"
        self._patience = START_PATIENCE
        "how long the timer that runs was set for"
        self._adoption_time = START_PATIENCE
        self._ready_at = 0.0
        self._fell_at = float("-inf")
        self._given_up: list[float] = []
        "when, within the window"
        self._pending: list[int] = []
        "signals that came before the speaker could take them"

    def begin(self) -> Sequence[Action]:
        """Start the first speaker; how long its start takes, and how it fails, is its own affair."""
        self._alive = True
        return [Spawn(adopt=False)]

    def handle(self, event: Event, now: float) -> Sequence[Action]:
        """Take one event in; return what is to be done, in this order."""
        match event:
            case Ready():
                return self._ready(event, now)
            case Beat():
                if self.phase is Phase.RUNNING:
                    self._wait(event.guard_timeout, now)
                return []
            case Exited():
                return self._exited(event.status, now)
            case GaveUp():
                self._giving_up = False
                return self._given_back(now)
            case StopAsked():
                return self._stop()
            case Signalled():
                return self._signalled(event.number, now)
            case TimerExpired():
                return self._timer_expired(now)

    # --- what the speaker does ---------------------------------------------------------------------------------------

    def _ready(self, event: Ready, now: float) -> list[Action]:
        if self.phase not in (Phase.FIRST, Phase.ADOPTING, Phase.STARTING):
            return []
        self.phase, self._ready_at, self._adoption_time = Phase.RUNNING, now, event.adoption_time
        self._wait(event.guard_timeout, now)
        pending, self._pending = self._pending, []
        return [Signal(number) for number in pending]

    def _exited(self, status: int, now: float) -> list[Action]:
        self._alive = False
        match self.phase:
            case Phase.KILLED:
                return self._fell(now, "", adopt=self._deserves_adoption(now))
            case Phase.GIVEN_UP:
                return self._given_back(now)
            case Phase.FIRST:
                return self._end(0 if self._stopping and status == -signal.SIGTERM else _shell_status(status))
            case Phase.RUNNING | Phase.ADOPTING | Phase.STARTING if status == 0:
                return self._end(0)  # stopped by us, or by a SIGTERM of its own
            case Phase.STARTING if self._stopping:
                return self._end(0 if status == -signal.SIGTERM else _shell_status(status))
            case Phase.RUNNING if status == RESTART and not self._stopping:
                self._forget_falls()
                return [Say("the speaker restarts"), *self._adopt(now)]
            case Phase.RUNNING if status == RESTART:
                return self._give_up(now, 0)
            case Phase.RUNNING:
                return self._fell(now, f"the speaker {_how(status)}", adopt=self._deserves_adoption(now))
            case Phase.ADOPTING | Phase.STARTING:
                return self._fell(now, f"the speaker {_how(status)} before it was ready", adopt=False)
            case Phase.WAITING | Phase.ENDED:
                return []

    def _fell(self, now: float, why: str, *, adopt: bool) -> list[Action]:
        said: list[Action] = [Say(why)] if why else []
        self._fell_at = now
        if self._stopping:
            return [*said, *self._give_up(now, PROGRAM_ERROR)]
        if adopt:
            return [*self._adopt(now), *said, Say("started it again, to go on in its role")]
        self._given_up = [*(when for when in self._given_up if when > now - WINDOW), now]
        if len(self._given_up) < LIMIT:
            return [*said, *self._give_up(now, None)]
        text = f"given up {LIMIT} times within {WINDOW / 60:g} minutes, the guard ends: see above why"
        return [*said, Say(text), *self._give_up(now, PROGRAM_ERROR)]

    def _forget_falls(self) -> None:
        """Somebody asked for a start: whatever was wrong may be mended now."""
        self._fell_at = float("-inf")
        self._given_up.clear()

    def _deserves_adoption(self, now: float) -> bool:
        return now - self._ready_at >= STABLE or now - self._fell_at >= WINDOW

    def _adopt(self, now: float) -> list[Action]:
        self.phase, self._alive = Phase.ADOPTING, True
        self._wait(self._adoption_time, now)
        return [Spawn(adopt=True)]

    # --- giving up, and beginning anew -------------------------------------------------------------------------------

    def _give_up(self, now: float, status: int | None) -> list[Action]:
        """Have everything given back; then end with `status`, or start again as BACKUP after a pause."""
        self.phase, self.deadline = Phase.GIVEN_UP, None
        self._giving_up, self._status = True, status
        self._pending.clear()
        return [GiveUp()]

    def _given_back(self, now: float) -> list[Action]:
        if self.phase is not Phase.GIVEN_UP or self._alive or self._giving_up:
            return []
        if self._status is not None or self._stopping:
            return self._end(PROGRAM_ERROR if self._status is None else self._status)
        pause = min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2.0 ** max(0, len(self._given_up) - 1))
        self.phase = Phase.WAITING
        self._wait(pause, now)
        return [Say(f"its role is given up; it starts again as BACKUP in {pause:g} s")]

    def _start_anew(self, now: float) -> list[Action]:
        self.phase, self._alive = Phase.STARTING, True
        self._wait(START_PATIENCE, now)
        return [Spawn(adopt=False)]

    def _end(self, status: int) -> list[Action]:
        self.phase, self.deadline = Phase.ENDED, None
        return [Exit(status)]

    # --- what others ask ---------------------------------------------------------------------------------------------

    def _stop(self) -> list[Action]:
        self._stopping = True
        match self.phase:
            case Phase.WAITING:
                return self._end(0)
            case Phase.ADOPTING:
                self._pending.append(signal.SIGTERM)  # until it listens the signal would kill it, addresses and all
                return []
            case Phase.FIRST | Phase.STARTING | Phase.RUNNING:
                return [Signal(signal.SIGTERM)]
            case Phase.KILLED | Phase.GIVEN_UP | Phase.ENDED:
                return []

    def _signalled(self, number: int, now: float) -> list[Action]:
        match self.phase:
            case Phase.RUNNING:
                return [Signal(number)]
            case Phase.FIRST | Phase.ADOPTING | Phase.STARTING:
                self._pending.append(number)
                return []
            case Phase.WAITING if number == signal.SIGHUP:
                self._forget_falls()
                return [*self._start_anew(now), Say("asked to, it starts again now")]
            case Phase.KILLED | Phase.GIVEN_UP if number == signal.SIGHUP:
                self._forget_falls()
                return []
            case Phase.KILLED | Phase.GIVEN_UP | Phase.WAITING | Phase.ENDED:
                return []

    # --- time --------------------------------------------------------------------------------------------------------

    def _wait(self, patience: float, now: float) -> None:
        self._patience, self.deadline = patience, now + patience

    def _timer_expired(self, now: float) -> list[Action]:
        if self.deadline is None or now < self.deadline:
            return []
        if now > self.deadline + LATE and self.phase is not Phase.WAITING:
            self._wait(self._patience, now)
            return []
        match self.phase:
            case Phase.RUNNING:
                return self._kill(now, f"the speaker hangs: silent for {self._patience:g} s")
            case Phase.ADOPTING | Phase.STARTING:
                text = f"the speaker is not ready after {self._patience:g} s"
                return [*self._kill(now, text), *self._give_up_late(now)]
            case Phase.KILLED:
                return [Say("the killed speaker does not end"), *self._give_up_late(now)]
            case Phase.WAITING:
                return self._start_anew(now)
            case Phase.FIRST | Phase.GIVEN_UP | Phase.ENDED:
                return []

    def _kill(self, now: float, why: str) -> list[Action]:
        self.phase = Phase.KILLED
        self._wait(KILL_PATIENCE, now)
        return [Kill(), Say(f"{why}; killed")]

    def _give_up_late(self, now: float) -> list[Action]:
        """Give up what a speaker holds that is not gone yet; the next one waits for its end."""
        return self._fell(now, "", adopt=False)


def _how(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    return f"was killed by signal {-status} ({signal.strsignal(-status) or 'unknown'})"


def _shell_status(status: int) -> int:
    """As a shell tells it: 128 and the number for a signal."""
    return status if status >= 0 else 128 - status
