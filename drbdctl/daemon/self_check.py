"""Rules 24 and 25: what has to fit before anything is begun: programs, drivers, their configuration.

Nothing is changed. What is found keeps this node from promoting, and from standing by as if it could; who serves is not
asked.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from drbdctl.failover.refusal import Refusal, Until
from drbdctl.settings import Nfs, Storage, Unit
from drbdctl.status import proc_drbd
from drbdctl.status.ask import PROC
from drbdctl.status.drivers import misfit
from drbdctl.steps import command
from drbdctl.steps.command import Outcome
from drbdctl.steps.effect import Run

DEADLINE = 10.0
_PACKAGES = {
    "drbdadm": "drbd-utils",
    "drbdsetup": "drbd-utils",
    "mount": "mount",
    "umount": "mount",
    "setpriv": "util-linux",
    "exportfs": "nfs-kernel-server",
    "rpc.mountd": "nfs-kernel-server",
    "rpc.nfsd": "nfs-kernel-server",
    "nfsdcld": "nfs-kernel-server",
    "unshare": "util-linux",
    "systemctl": "systemd",
}
"as Debian names them"


async def self_check(storage: Storage, run: Run = command.run) -> tuple[Refusal, ...]:
    """What is in the way of a promotion on this machine, whatever DRBD says."""
    missing = tuple(_missing(storage))
    if any("drbdadm" in each.about for each in missing):
        return missing
    names = [each.name for each in storage.group.resources]
    version, *dumps = await asyncio.gather(
        run(["drbdadm", "--version"], DEADLINE), *(run(["drbdadm", "dump", name], DEADLINE) for name in names)
    )
    found = list(missing)
    if why := misfit(_module(), version.output):
        found.append(Refusal(24, "", why, "install the drbd-utils that belong to the module", Until.MACHINE))
    for name, dump in zip(names, dumps, strict=True):
        if not _passed(dump):
            found.append(_unreadable(name, dump.output))
    if any(isinstance(each, Nfs) for each in storage.services) and not await _nfs_in_kernel(run):
        why = "this kernel has no NFS server"
        found.append(Refusal(24, "nfs", why, "install a kernel with the module nfsd", Until.MACHINE))
    return tuple(found)


def _missing(storage: Storage) -> Iterator[Refusal]:
    where = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    lacking = [each for each in _programs(storage) if shutil.which(each, path=where) is None]
    for package in dict.fromkeys(_PACKAGES[each] for each in lacking):
        programs = ", ".join(each for each in lacking if _PACKAGES[each] == package)
        yield Refusal(24, programs, "not installed", f"install {package}", Until.MACHINE)


def _programs(storage: Storage) -> Iterator[str]:
    yield from ("drbdadm", "drbdsetup", "setpriv")
    if storage.group.mounts:
        yield from ("mount", "umount")
    if any(isinstance(each, Nfs) for each in storage.services):
        yield from ("exportfs", "rpc.mountd", "rpc.nfsd", "nfsdcld", "unshare")
    if any(isinstance(each, Unit) for each in storage.services):
        yield "systemctl"


def _module() -> str:
    """The version of the kernel's; empty: it is not loaded."""
    try:
        return proc_drbd.parse(Path(PROC).read_bytes()).release
    except OSError:
        return ""


def _unreadable(name: str, said: str) -> Refusal:
    """What drbdadm does not understand, nobody can promote."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("sh:")]
    why = f"drbdadm can't read its configuration: {lines[0].rstrip('.')[:160] if lines else 'it does not say why'}"
    old = any(word in said for word in ("syncer", "'rate'"))
    hint = "`drbdctl convert --to 9` writes it in today's syntax" if old else "`drbdctl check` says what to mend"
    return Refusal(24, name, why, hint, Until.MACHINE)


async def _nfs_in_kernel(run: Run) -> bool:
    return "nfsd" in _file_systems() or _passed(await run(["modprobe", "--dry-run", "--quiet", "nfsd"], DEADLINE))


def _passed(outcome: Outcome) -> bool:
    """It found nothing wrong; one that could not be run, or was too slow, has found nothing."""
    return outcome.status in (0, None)


def _file_systems() -> list[str]:
    """Those that the running kernel knows."""
    try:
        return Path("/proc/filesystems").read_text().split()
    except OSError:
        return []
