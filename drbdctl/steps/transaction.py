"""A plan carried out to its end: made anew after each step, taken back where it fails.

For the command line, which acts once and with an operator in front of it; the daemon has drbdctl.failover.machine.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from drbdctl.failover.exits import Again, Failure
from drbdctl.failover.plan import Plan, Planned, Promote, Verify
from drbdctl.failover.planner import plan_demote, plan_promote
from drbdctl.failover.refusal import Refusal
from drbdctl.failover.seen import Seen
from drbdctl.settings import Storage

LOCKS = Path("/run/drbdctl")
_MOST = 100
"steps: more than any group has; a plan that does not shrink must not go on for ever"


class Busy(Exception):
    """Another process acts on this storage; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One step that was begun, and then how it ended."""

    planned: Planned
    ended: bool = False
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Rules forbid what is to be done next."""

    refusals: tuple[Refusal, ...]


Look = Callable[[bool], Awaitable[Seen]]
"looks at everything; True: at who holds what too"
Do = Callable[[Planned], Awaitable[Failure | None]]


@contextmanager
def exclusive(storage: str, locks: Path = LOCKS) -> Iterator[None]:
    """Nobody else acts on this storage meanwhile; raises Busy."""
    locks.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(locks / f"{storage}.lock", "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"storage {storage}: another drbdctl or pyvrrp acts on it; wait for it") from None
        os.set_inheritable(file.fileno(), False)
        yield


async def promote(
    storage: Storage, look: Look, do: Do, accepted: frozenset[int] = frozenset()
) -> AsyncIterator[Progress | Refused]:
    """Take the storage; what was done is taken back when a step fails. The last thing told is how it ended."""
    verified = ours = False
    attempts: dict[str, int] = {}
    for _ in range(_MOST):
        seen = replace(await look(False), ours=ours)
        plan = plan_promote(seen, storage.group, accepted=accepted, verified=verified)
        if plan.refusals:
            yield Refused(plan.refusals)
            if not attempts:
                return
            break
        if not plan.steps:
            return
        planned = plan.steps[0]
        yield Progress(planned)
        ours = ours or isinstance(planned.step, Promote)
        failure = await do(planned)
        yield Progress(planned, True, failure)
        verified = verified or (failure is None and isinstance(planned.step, Verify))
        attempts[str(planned.step)] = tries = attempts.get(str(planned.step), 0) + 1
        if failure is not None and (tries > _tries(failure) or failure.stuck):
            break
    async for each in demote(storage, look, do):
        yield each


async def demote(storage: Storage, look: Look, do: Do) -> AsyncIterator[Progress | Refused]:
    """Give the storage back; ends with the first step that fails for good."""
    attempts: dict[str, int] = {}
    done: set[str] = set()
    for _ in range(_MOST):
        plan: Plan = plan_demote(await look(bool(attempts)), storage.group)
        if plan.refusals:
            yield Refused(plan.refusals)
            return
        if not plan.steps:
            return
        planned = plan.steps[0]
        yield Progress(planned)
        failure = await do(planned)
        yield Progress(planned, True, failure)
        attempts[str(planned.step)] = tries = attempts.get(str(planned.step), 0) + 1
        if failure is not None and (tries > _tries(failure) or failure.stuck):
            return
        if failure is None and str(planned.step) in done:
            return  # it says again that it is done, and the facts do not agree
        if failure is None:
            done.add(str(planned.step))


def _tries(failure: Failure) -> int:
    """How many attempts a failure is worth."""
    match failure.again:
        case Again.SOON | Again.WHEN_FREE:
            return 5
        case Again.ONCE:
            return 1
        case Again.NO | Again.PEER_LIVES:
            return 0
