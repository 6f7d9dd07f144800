"""Carries out the steps of a plan: each within its deadline, and believed only when the facts agree."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import assert_never

from drbdctl.backup.holder import give_way
from drbdctl.failover.exits import Failure
from drbdctl.failover.plan import (
    Demote,
    MountVolume,
    Planned,
    Promote,
    StartService,
    Step,
    StopService,
    UnmountVolume,
    Verify,
)
from drbdctl.settings import Storage
from drbdctl.steps import command, drbdadm, mounting, services
from drbdctl.steps.command import Outcome
from drbdctl.steps.drbdadm import See
from drbdctl.steps.effect import Run, StepFailed, succeed
from drbdctl.steps.holders import device_number

_PROBE = ".drbdctl"
"a file on each volume that is written to see that it takes writes"


class Hands:
    """Does the steps of one storage, one at a time; while a command of its hangs in the kernel, none."""

    def __init__(self, storage: Storage, see: See, run: Run = command.run) -> None:
        self._storage = storage
        self._see = see
        self._run = run
        self._stuck: dict[int, str] = {}
        "pid -> what it is"

    @property
    def stuck(self) -> tuple[str, ...]:
        """The commands that hang in the kernel still, a sentence each."""
        self._stuck = {pid: what for pid, what in self._stuck.items() if os.path.exists(f"/proc/{pid}")}
        return tuple(self._stuck.values())

    async def do(self, planned: Planned) -> Failure | None:
        """Carry out one step; None: it is done, and the facts say so too."""
        if self.stuck:
            return Failure(
                f"{planned.step}: not begun, for {'; '.join(self.stuck)} still hangs in the kernel", stuck=True
            )
        try:
            await self._do(planned.step, planned.deadline)
        except StepFailed as failed:
            return failed.failure
        except OSError as error:
            return Failure(f"{planned.step}: {error.strerror or error}")
        return None

    async def _do(self, step: Step, deadline: float) -> None:
        run = self._within(deadline)
        match step:
            case Promote(resource):
                await drbdadm.primary(resource, deadline, self._see, run)
            case Demote(resource):
                await give_way(resource, deadline / 2)
                await drbdadm.secondary(resource, deadline, self._see, run)
            case MountVolume(mount):
                await mounting.mount(mount, deadline, run)
            case UnmountVolume():
                await self._unmount(step, deadline, run)
            case StartService(name):
                await services.start(self._storage.service(name), deadline, run)
            case StopService(name):
                await services.stop(self._storage.service(name), deadline, run)
            case Verify():
                await self._verify(deadline, run)
            case _:
                assert_never(step)

    async def _unmount(self, step: UnmountVolume, deadline: float, run: Run) -> None:
        """Plainly first; whoever holds it then is ended, where that is allowed, and it is tried once more."""
        for resource in self._storage.group.managed:
            await give_way(resource.name, deadline / 5)
        try:
            await mounting.umount(step.mount, deadline / 5 if step.end_holders else deadline, run)
        except StepFailed as failed:
            if failed.failure.stuck or not step.end_holders:
                raise
            await mounting.end_holders(device_number(step.mount.device), deadline * 3 / 5)
            await mounting.umount(step.mount, deadline / 5, run)

    async def _verify(self, deadline: float, run: Run) -> None:
        for mount in self._storage.group.mounts:
            if mounting.mounted(mount) is not True:
                raise StepFailed(f"{mount.device} is not mounted on {mount.point}")
            if "ro" not in mount.options.split(","):
                probe = ["dd", "if=/dev/zero", f"of={mount.point}/{_PROBE}", "bs=1", "count=1", "conv=fsync"]
                await succeed(run, probe, deadline)
        for service in self._storage.services:
            await services.verify(service, deadline, run)

    def _within(self, deadline: float) -> Run:
        """`run` for the commands of one step: together they have no longer than its deadline."""
        end = time.monotonic() + deadline

        async def run(argv: Sequence[str], seconds: float) -> Outcome:
            left = min(seconds, end - time.monotonic())
            if left <= 0:
                return Outcome(
                    argv=tuple(argv), status=None, output="", seconds=0.0, failure=f"no time left of {deadline:g} s"
                )
            outcome = await self._run(argv, left)
            if outcome.stuck:
                self._stuck[outcome.pid] = " ".join(argv)
            return outcome

        return run
