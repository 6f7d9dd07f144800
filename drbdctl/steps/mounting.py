"""A file system on a replicated device: mounted where it belongs, and unmounted although somebody uses it.

What is mounted is read from mountinfo before and after; the exit status of mount(8) and umount(8) is no proof. Never
`umount -l`: the mount would vanish from sight and keep the device open. Never `umount -f`: that is for NFS clients.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from drbdctl.failover.group import Mount
from drbdctl.steps import command, holders
from drbdctl.steps.effect import Run, StepFailed, failed
from drbdctl.steps.holders import Holder, Kind

_RETRY = 0.25
"seconds between two attempts"
_SPARED = frozenset({"sshd", "systemd", "init"})
"never killed, whatever they hold"


async def mount(wanted: Mount, deadline: float, run: Run = command.run) -> None:
    """Mount it, unless it is; raises StepFailed. Whether the device is Primary has been asked before."""
    device = _device(wanted.device)
    there = _at(wanted.point)
    if there is not None:
        if there.device == device:
            return
        raise StepFailed(f"{wanted.point}: {there.source} is mounted there; unmount it, or name another directory")
    if not os.path.isdir(wanted.point):  # noqa: ASYNC240 - nothing is mounted there, nothing can hang
        raise StepFailed(f"there is no directory {wanted.point} to mount {wanted.device} on; create it")
    argv = ["mount"]
    if wanted.fstype:
        argv += ["-t", wanted.fstype]
    if wanted.options:
        argv += ["-o", wanted.options]
    outcome = await run([*argv, wanted.device, wanted.point], deadline)
    there = _at(wanted.point)
    if there is None or there.device != device:
        hint = f"see `dmesg`; is there a file system on {wanted.device}, and is {wanted.point} right?"
        raise failed(outcome, hint) if not outcome.ok else StepFailed(f"{outcome.sentence}, but it is not mounted")
    if "rw" not in there.options and "ro" not in wanted.options.split(","):
        raise StepFailed(f"{wanted.point} is mounted read-only: the file system has errors, see `dmesg` and fsck")


async def umount(wanted: Mount, deadline: float, run: Run = command.run) -> None:
    """Unmount the device wherever it is mounted, what is mounted below first; raises StepFailed that names the holders.

    A file system that is let go of meanwhile is unmounted after all, until the deadline.
    """
    device = _device(wanted.device)
    began = time.monotonic()
    while points := _points(device):
        outcome = await run(["umount", points[0]], deadline)
        if outcome.stuck:
            raise failed(outcome)
        if _points(device) != points:
            continue
        if time.monotonic() - began >= deadline:
            raise StepFailed(f"{points[0]} is busy: {await asyncio.to_thread(held_by, device)}")
        await asyncio.sleep(_RETRY)


async def end_holders(device: tuple[int, int], deadline: float) -> None:
    """SIGTERM to the processes that hold it, SIGKILL after half the time; raises StepFailed that names the rest."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in {each.pid for each in await _killable(device)}:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        began = time.monotonic()
        while time.monotonic() - began < deadline / 2:
            if not await _killable(device):
                return
            await asyncio.sleep(_RETRY)
    raise StepFailed(f"/dev/drbd{device[1]} is still held: {await asyncio.to_thread(held_by, device)}")


async def _killable(device: tuple[int, int]) -> list[Holder]:
    return killable(await asyncio.to_thread(holders.holders, device))


def mounted(wanted: Mount) -> bool | None:
    """Whether it is mounted where it should be; None: the device is not there to ask."""
    try:
        device = holders.device_number(wanted.device)
    except OSError:
        return None
    there = _at(wanted.point)
    return there is not None and there.device == device


def held_by(device: tuple[int, int]) -> str:
    """Who holds a device, in one line."""
    found = [each.sentence for each in holders.holders(device)]
    return ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "") or "nobody is found"


def killable(found: Sequence[Holder]) -> list[Holder]:
    """Those that are processes which may be ended: not we, our parents, process 1, sshd."""
    spared = _lineage(os.getpid())
    return [
        each for each in found if each.kind is Kind.PROCESS and each.pid not in spared and each.command not in _SPARED
    ]


def _device(path: str) -> tuple[int, int]:
    try:
        number = holders.device_number(path)
    except OSError as error:
        raise StepFailed(f"{path}: {error.strerror}; is the resource up?") from None
    if number == (0, 0):
        raise StepFailed(f"{path} is no block device")
    return number


def _at(directory: str) -> holders.Mount | None:
    """What is mounted there; of several, the one on top."""
    there = [each for each in holders.mounts() if each.point == os.path.normpath(directory)]
    return there[-1] if there else None


def _points(device: tuple[int, int]) -> list[str]:
    """Where the device is mounted and what is mounted below that, in the order of unmounting."""
    every = holders.mounts()
    own = [each.point for each in every if each.device == device]
    return [
        each.point
        for each in reversed(every)
        if each.device == device or any(each.point.startswith(f"{point}/") for point in own)
    ]


def _lineage(pid: int) -> set[int]:
    """A process, its parents, and process 1."""
    found = {1}
    while pid > 1:
        found.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
    return found
