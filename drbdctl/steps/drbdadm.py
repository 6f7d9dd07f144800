"""Changing a resource's role, by drbdadm and by the facts: what counts is the role that the kernel shows afterwards.

One attempt each; drbdctl.failover.exits says what a refusal means for the next one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from drbdctl.failover.exits import HELD_OPEN
from drbdctl.failover.seen import DRBD_MAJOR
from drbdctl.status.state import Status, Unreadable
from drbdctl.status.words import Role
from drbdctl.steps import command
from drbdctl.steps.command import Outcome
from drbdctl.steps.effect import Run, StepFailed
from drbdctl.steps.mounting import held_by

See = Callable[[], Status]
"reads the kernel's view; raises Unreadable"

_REASON = re.compile(r"\((-\d+)\)[^\n]*")


async def primary(name: str, deadline: float, see: See, run: Run = command.run) -> None:
    """Make a resource Primary on every volume; raises StepFailed. With 8.x some of them may be Primary even then."""
    outcome = await run(["drbdadm", "primary", name], deadline)
    if outcome.stuck or await role(name, see) is not Role.PRIMARY:
        raise refused(outcome)


async def secondary(name: str, deadline: float, see: See, run: Run = command.run) -> None:
    """Make a resource Secondary on every volume; raises StepFailed that names who holds a device open."""
    outcome = await run(["drbdadm", "secondary", name], deadline)
    if outcome.stuck or await role(name, see) is not Role.SECONDARY:
        failure = refused(outcome)
        if failure.failure.reason == HELD_OPEN:
            raise refused(outcome, await asyncio.to_thread(_holders_of, name, see))
        raise failure


async def role(name: str, see: See) -> Role:
    """The role of all its volumes; UNKNOWN where they differ: with 8.x each volume has its own."""
    try:
        found = (await asyncio.to_thread(see)).resource(name)
    except Unreadable as error:
        raise StepFailed(str(error)) from None
    if found is None:
        raise StepFailed(f"{name} is not up on this node; `drbdadm up {name}`")
    roles = {device.role or found.role for device in found.devices} or {found.role}
    return roles.pop() if len(roles) == 1 else Role.UNKNOWN


def refused(outcome: Outcome, detail: str = "") -> StepFailed:
    """The kernel's own words: what drbdadm prints last is only which command has failed."""
    match = _REASON.search(outcome.output)
    why = outcome.sentence
    if match is not None and not outcome.failure:
        why = f"{' '.join(outcome.argv)}: exit status {outcome.status}, {match[0].strip()}"
    elif outcome.ok:
        why = f"{' '.join(outcome.argv)} ended with 0, and the role has not changed"
    return StepFailed(
        f"{why}: {detail}" if detail else why,
        stuck=outcome.stuck,
        status=outcome.status,
        reason=int(match[1]) if match else None,
    )


def _holders_of(name: str, see: See) -> str:
    found = see().resource(name)
    minors = [device.minor for device in found.devices if device.minor is not None] if found else []
    return "; ".join(f"/dev/drbd{minor}: {held_by((DRBD_MAJOR, minor))}" for minor in minors) or "nobody is found"
