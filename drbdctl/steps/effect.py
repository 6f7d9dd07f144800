"""What the steps share: how a command is run, and how a step says that it failed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from drbdctl.failover.exits import Failure
from drbdctl.steps.command import Outcome

Run = Callable[[Sequence[str], float], Awaitable[Outcome]]
"drbdctl.command.run, or what a test has in its place"
_POLL = 0.02
"seconds between two looks at what should have become true"


class StepFailed(Exception):
    """A step did not do what it is for."""

    def __init__(self, why: str, *, stuck: bool = False, status: int | None = None, reason: int | None = None) -> None:
        super().__init__(why)
        self.failure = Failure(why, status, reason, stuck)


async def succeed(run: Run, argv: Sequence[str], deadline: float) -> Outcome:
    """Run a command that has to end with 0; raises StepFailed."""
    outcome = await run(argv, deadline)
    if not outcome.ok:
        raise failed(outcome)
    return outcome


def failed(outcome: Outcome, hint: str = "") -> StepFailed:
    """The failure of a command as the failure of its step."""
    return StepFailed(f"{outcome.sentence}{f'; {hint}' if hint else ''}", stuck=outcome.stuck)


async def until(holds: Callable[[], bool], seconds: float) -> bool:
    """Wait until it holds; False when it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(_POLL)
    return True
