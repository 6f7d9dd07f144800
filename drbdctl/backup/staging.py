"""Where the snapshots are mounted while they are read: read-only, in a mount namespace that ends with this process.

Never the backing device itself, only a snapshot. It is what a disk has after a power cut, so the journal has to be
replayed, which the snapshot takes up: `ro` without `noload` or `norecovery`, for these leave out what stands in the
journal alone. An XFS has the UUID of the one that is mounted, or may be at any moment, hence `nouuid`.
"""

from __future__ import annotations

import asyncio
import ctypes
import os

from drbdctl.steps import command
from drbdctl.steps.effect import Run, StepFailed, failed, succeed

DIRECTORY = "/run/drbdctl/backup"
_CLONE_NEWNS = 0x00020000
_OPTIONS = {"ext2": "", "ext3": "", "ext4": "", "xfs": "nouuid"}
"the file systems that can be read from a snapshot, and what each needs besides"
_STEP = 60.0
"seconds; the replay of a large journal takes its time"


def own_namespace() -> None:
    """From here on, what this process mounts is seen by it and its children alone; before any thread is started.

    Raises OSError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "mount namespace")
    private = 1 << 18 | 1 << 14  # MS_PRIVATE | MS_REC
    if libc.mount(b"none", b"/", None, private, None) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "mount namespace")


def mount_command(device: str, directory: str, file_system: str) -> tuple[str, ...]:
    """The command that mounts a snapshot; KeyError for a file system that is not among those."""
    more = _OPTIONS[file_system]
    options = ",".join(filter(None, ("ro", "nodev", "nosuid", "noexec", more)))
    return ("mount", "-t", file_system, "-o", options, device, directory)


async def mount(device: str, directory: str, run: Run = command.run) -> str:
    """Mount a snapshot; its file system. Raises StepFailed."""
    # Only these, for with an internal meta-disk there is DRBD's signature too, at the end.
    names = ",".join(_OPTIONS)
    asked = await run(("blkid", "-p", "-n", names, "-o", "value", "-s", "TYPE", device), _STEP)
    file_system = asked.output.strip()
    if file_system not in _OPTIONS:
        why = asked.failure or f"no file system of {names} is on it"
        raise StepFailed(f"{device} can't be mounted: {why}; back it up by other means", stuck=asked.stuck)
    await asyncio.to_thread(os.makedirs, directory, exist_ok=True)
    outcome = await run(mount_command(device, directory, file_system), _STEP)
    if not outcome.ok:
        raise failed(outcome, "see `dmesg`")
    return file_system


async def umount(directory: str, run: Run = command.run) -> None:
    """Unmount it; nothing to do where it is not mounted. Raises StepFailed."""
    if await asyncio.to_thread(os.path.ismount, directory):
        await succeed(run, ("umount", directory), _STEP)
