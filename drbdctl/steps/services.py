"""Starting, stopping and checking what needs the mounted volumes: an NFS server, a systemd unit, commands."""

from __future__ import annotations

from typing import assert_never

from drbdctl.settings import Nfs, Program, Runnable, Unit
from drbdctl.steps import command, nfs
from drbdctl.steps.effect import Run, StepFailed, failed

_ACTIVE = ("active", "reloading")
_STOPPED = ("inactive", "failed", "unknown")


async def start(service: Runnable, deadline: float, run: Run = command.run) -> None:
    """Start it, unless it runs; raises StepFailed."""
    match service:
        case Nfs():
            await nfs.start(service, deadline, run)
        case Unit():
            outcome = await run(["systemctl", "start", service.name], deadline)
            if not await works(service, deadline, run):
                raise failed(outcome, f"see `journalctl -u {service.name}`")
        case Program():
            if service.check and await works(service, deadline, run):
                return
            outcome = await run(service.start, deadline)
            if not outcome.ok:
                raise failed(outcome)
        case _:
            assert_never(service)


async def stop(service: Runnable, deadline: float, run: Run = command.run) -> None:
    """Stop it, unless it is stopped; raises StepFailed."""
    match service:
        case Nfs():
            await nfs.stop(service, deadline, run)
        case Unit():
            outcome = await run(["systemctl", "stop", service.name], deadline)
            if outcome.stuck or await works(service, deadline, run) is not False:
                raise failed(outcome, f"see `systemctl status {service.name}`")
        case Program():
            outcome = await run(service.stop, deadline)
            if not outcome.ok:
                raise failed(outcome)
        case _:
            assert_never(service)


async def verify(service: Runnable, deadline: float, run: Run = command.run) -> None:
    """See that it works; raises StepFailed that says what does not."""
    match service:
        case Nfs():
            if why := await nfs.check(service, deadline, run):
                raise StepFailed(why)
        case Unit():
            if not await works(service, deadline, run):
                raise StepFailed(f"{service.name} is not active; see `systemctl status {service.name}`")
        case Program():
            if service.check and not (outcome := await run(service.check, deadline)).ok:
                raise failed(outcome, f"{service.name} does not work")
        case _:
            assert_never(service)


async def works(service: Runnable, deadline: float, run: Run = command.run) -> bool | None:
    """True: running and working; False: stopped; None: neither is known, or it runs and does not work."""
    match service:
        case Nfs():
            return await nfs.works(service, deadline, run)
        case Unit():
            said = (await run(["systemctl", "is-active", service.name], deadline)).output.strip()
            return True if said in _ACTIVE else False if said in _STOPPED else None
        case Program():
            if not service.check:
                return None
            outcome = await run(service.check, deadline)
            return None if outcome.status is None else outcome.ok
        case _:
            assert_never(service)
