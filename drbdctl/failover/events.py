"""What the fail-over of a storage group hears (Event) and what it asks for (Action), in the order of execution."""

from __future__ import annotations

from dataclasses import dataclass

from drbdctl.failover.exits import Failure
from drbdctl.failover.plan import Planned, Step
from drbdctl.failover.refusal import Refusal
from drbdctl.failover.seen import Seen

# --- events; Seen is one too -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WantPrimary:
    """The virtual router opens its gate: serve. The latest wish counts."""


@dataclass(frozen=True, slots=True)
class WantSecondary:
    """The virtual router closes its gate: give everything back."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """First of all events: the daemon before us served until a moment ago, and its gate has stayed open."""


@dataclass(frozen=True, slots=True)
class StepDone:
    """The step that was run has ended well, by its own word."""

    step: Step


@dataclass(frozen=True, slots=True)
class StepFailed:
    """The step that was run, or killed, has ended and not done it."""

    step: Step
    failure: Failure


@dataclass(frozen=True, slots=True)
class TimerExpired:
    """`Failover.deadline` has come; early or late delivery is harmless."""


@dataclass(frozen=True, slots=True)
class Override:
    """An operator sets rules aside, for the next promotion: `drbdctl promote --accept-stale`."""

    rules: frozenset[int]
    user: str
    reason: str


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """An operator has looked: the budget of failures and takeovers begins anew."""

    user: str


Event = WantPrimary | WantSecondary | Adopted | Seen | StepDone | StepFailed | TimerExpired | Override | Acknowledge

# --- actions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Look:
    """Look at everything now, and deliver Seen with an `at` that is not earlier."""


@dataclass(frozen=True, slots=True)
class Run:
    """Write the intent down, then run the step off the loop; answer with StepDone or StepFailed. One at a time."""

    planned: Planned
    intent: str


@dataclass(frozen=True, slots=True)
class Kill:
    """The step is past its deadline: kill its commands; it still answers when it has ended."""

    step: Step


@dataclass(frozen=True, slots=True)
class Opened:
    """It serves, verified: the gate is open."""


@dataclass(frozen=True, slots=True)
class GaveUp:
    """It can't serve; what was begun is being undone. The gate fails with this sentence."""

    why: str
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Closed:
    """The kernel says Secondary on every volume, and nothing is mounted nor runs: the gate is closed."""


@dataclass(frozen=True, slots=True)
class Reboot:
    """Take this machine down at once, without a sync: it can't let go and the peer may take over."""

    why: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """Somebody should come and look."""

    why: str


@dataclass(frozen=True, slots=True)
class Tell:
    """For the log: what it waits for, what an operator has set aside."""

    what: str


Action = Look | Run | Kill | Opened | GaveUp | Closed | Reboot | Alarm | Tell
