"""An NFS server of its own on a replicated volume: what its clients hold survives the move to the other node.

- nfsdcld's database is on the volume: the next node knows whom to wait for, and ends the grace period as soon as all
  have reclaimed. With a database of the node's own, clients lose their locks without a word.
- The server's scope (the nodename of the process that starts nfsd) is the same on both nodes, for the same reason.
- Exports come before nfsd and go after it: a client that meets nfsd without its export gets ESTALE.
- nfsd and nfsdcld pin the file system: both end before it is unmounted.

Only entries of our own are exported and unexported (never `exportfs -r` or `-a`); an NFS server that somebody else has
started is left alone, and refused as a neighbour.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from drbdctl.settings import Export, Nfs
from drbdctl.steps import command, holders, processes, rpc
from drbdctl.steps.effect import Run, StepFailed, failed, succeed, until

NFSD = Path("/proc/fs/nfsd")
PIPEFS = "/run/rpc_pipefs"
"where rpc_pipefs is mounted when it is not mounted yet"
PORT = 2049
_TRIES = 3
_TRACKING = 1.0
"seconds for nfsdcld to open the kernel's pipe"
_ADDRESS_WAIT = 10.0
"seconds for an address to come up"
_IN_NAMESPACE = 'hostname "$0" && exec "$@"'
"the text is fixed, what differs is arguments: nothing of the configuration is read by the shell"
_WITH_A_NAME = (
    'hosts=$(mktemp) && { echo "$0 $0"; cat /etc/hosts; } >"$hosts" && mount --bind "$hosts" /etc/hosts && '
    'rm "$hosts" && exec "$@"'
)
"sm-notify refuses an address that has no name; by this one clients know it, whatever name they mounted"


async def prepare(run: Run = command.run) -> None:
    """What needs no volume, and is done before anybody waits: the module, its file systems. Raises StepFailed."""
    if not (NFSD / "threads").exists():
        await run(["modprobe", "nfsd"], 10.0)
        await run(["mount", "-t", "nfsd", "nfsd", str(NFSD)], 5.0)
    if not (NFSD / "threads").exists():
        raise StepFailed("this kernel has no NFS server: `modprobe nfsd`, and install nfs-kernel-server")
    if not _pipefs():
        os.makedirs(PIPEFS, exist_ok=True)
        await succeed(run, ["mount", "-t", "rpc_pipefs", "sunrpc", PIPEFS], 5.0)
    for program in ("nfsdcld", "rpc.mountd", "rpc.nfsd", "exportfs"):
        if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
            raise StepFailed(f"{program} is not installed; install nfs-kernel-server")


async def start(nfs: Nfs, deadline: float, run: Run = command.run) -> None:
    """Start it, unless it runs; raises StepFailed."""
    if not await check(nfs, deadline, run):
        return
    await prepare(run)
    running = await threads(deadline, run)
    _refuse_a_stranger(nfs, running)
    await _refuse_an_empty_directory(nfs, deadline, run)
    if not _nfsdcld(nfs):
        # By a command, as everything that touches the volume: its I/O may hang, and we must not.
        await succeed(run, ["mkdir", "-p", "-m", "0700", nfs.state_dir], deadline)
        await succeed(run, ["nfsdcld", "-s", nfs.state_dir, "-p", _pipefs()], deadline)
    if not _mountd(nfs):
        await succeed(run, _mountd_argv(nfs), deadline)
    if nfs.version3 and not _statd(nfs):
        directories = [f"{nfs.state_dir}/statd{each}" for each in ("", "/sm", "/sm.bak")]
        await succeed(run, ["mkdir", "-p", "-m", "0700", *directories], deadline)
        await succeed(run, _statd_argv(nfs), deadline)
    for export in nfs.exports:
        for client in export.clients:
            await succeed(run, ["exportfs", "-o", _options(export), f"{client}:{export.directory}"], deadline)
    if running == 0:
        versions = [] if nfs.version3 else ["-N", "3"]
        times = ["-L", str(nfs.lease), "-G", str(nfs.lease)]
        serve = ["rpc.nfsd", *versions, *times, str(nfs.threads)]
        trackers = _nfsdcld(nfs)
        for again in range(_TRIES):
            if again:
                await succeed(run, ["rpc.nfsd", "0"], deadline)
            await succeed(run, ["unshare", "--uts", "sh", "-c", _IN_NAMESPACE, nfs.scope, *serve], deadline)
            if await until(lambda: _tracked(trackers), _TRACKING):
                break
    if why := await check(nfs, deadline, run):
        raise StepFailed(why)


async def stop(nfs: Nfs, deadline: float, run: Run = command.run) -> None:
    """Stop what is ours of it; raises StepFailed."""
    ours = _nfsdcld(nfs)
    running = len(await asyncio.to_thread(processes.named, "nfsd"))
    exported = await _exported(run, deadline) if running or ours else set()
    if running and (ours or exported & _wanted(nfs)):
        outcome = await run(["rpc.nfsd", "0"], deadline)
        if outcome.stuck or (running := await threads(deadline, run)):
            raise failed(outcome, f"{running} nfsd threads do not end")
    for client, directory in sorted(exported & _wanted(nfs)):
        await run(["exportfs", "-u", f"{client}:{directory}"], deadline)
    if left := (await _exported(run, deadline) if exported else set()) & _wanted(nfs):
        raise StepFailed("still exported: " + ", ".join(f"{client}:{directory}" for client, directory in sorted(left)))
    if exported:
        await run(["exportfs", "-f"], deadline)
    await processes.end([*ours, *_statd(nfs), *_sm_notify(nfs), *_mountd(nfs)], deadline)


async def check(nfs: Nfs, deadline: float, run: Run = command.run) -> str:
    """Whether it works: threads, every export, an answer on port 2049; what does not, empty when all does."""
    return await _check(nfs, deadline, run) if await threads(deadline, run) else "nfsd does not run"


async def works(nfs: Nfs, deadline: float, run: Run = command.run) -> bool | None:
    """True: all of it works, False: it is stopped, None: it runs and does not work, or that is not known."""
    try:
        return (not await _check(nfs, deadline, run) or None) if await threads(deadline, run) else False
    except StepFailed:
        return None


async def _check(nfs: Nfs, deadline: float, run: Run) -> str:
    trackers = await asyncio.to_thread(_nfsdcld, nfs)
    if not trackers:
        return f"nfsdcld does not run with {nfs.state_dir}"
    if not _tracked(trackers):
        return "nfsd does not tell nfsdcld who its clients are: they would lose their locks at the next move"
    if missing := _wanted(nfs) - await _exported(run, deadline):
        return "not exported: " + ", ".join(f"{client}:{directory}" for client, directory in sorted(missing))
    if why := await rpc.ping("127.0.0.1", PORT, 3 if nfs.version3 else 4, deadline):
        return f"the NFS server does not answer on port {PORT}: {why}"
    return ""


async def notify(nfs: Nfs, addresses: Sequence[str], run: Run = command.run) -> None:
    """NFSv3: tell the clients that had locks to reclaim them, which goes on in the background; raises StepFailed."""
    apart = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", _WITH_A_NAME]
    for address in addresses:
        await succeed(run, [*apart, address, "sm-notify", "-f", "-v", address, "-P", f"{nfs.state_dir}/statd"], 10.0)


async def await_address(address: str) -> None:
    """Wait until an address is up on this machine; raises StepFailed."""
    if not await until(lambda: _is_here(address), _ADDRESS_WAIT):
        raise StepFailed(f"{address} did not come up within {_ADDRESS_WAIT:g} s")


def _is_here(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


async def threads(deadline: float, run: Run = command.run) -> int:
    """How many threads serve; 0 also where there is no nfsd. Raises StepFailed.

    By a command: the file is locked while nfsd is being stopped, for as long as the I/O of its threads hangs. Without
    any thread of that name in the kernel, in whatever network namespace, nobody needs to be asked.
    """
    if not await asyncio.to_thread(processes.named, "nfsd"):
        return 0
    outcome = await succeed(run, ["cat", str(NFSD / "threads")], deadline)
    try:
        return int(outcome.output)
    except ValueError:
        raise StepFailed(f"{NFSD}/threads has no number: {outcome.output.strip()[:40]!r}") from None


def _refuse_a_stranger(nfs: Nfs, running: int) -> None:
    hint = "`systemctl disable --now nfs-server`: a storage block has the NFS server for itself"
    if running and not _nfsdcld(nfs):
        raise StepFailed(f"an NFS server runs here that was not started for this storage; {hint}")
    for pid, argv in processes.running("nfsdcld"):
        if nfs.state_dir not in argv:
            raise StepFailed(f"another nfsdcld runs (pid {pid}: {' '.join(argv)}); {hint}")


async def _refuse_an_empty_directory(nfs: Nfs, deadline: float, run: Run) -> None:
    """The root file system must never be exported in place of one that is not mounted."""
    points = {each.point for each in holders.mounts()}
    for export in nfs.exports:
        if export.mount_point not in points:
            raise StepFailed(f"{export.mount_point} is not mounted: {export.directory} is not exported")
        found = await run(["test", "-d", export.directory], deadline)
        if found.status != 1 and not found.ok:
            raise failed(found)
        if not found.ok:
            raise StepFailed(f"there is no directory {export.directory} to export; create it on the mounted volume")


def _options(export: Export) -> str:
    return ",".join((*export.options, f"fsid={export.fsid}", f"mountpoint={export.mount_point}"))


def _wanted(nfs: Nfs) -> set[tuple[str, str]]:
    return {(client, export.directory) for export in nfs.exports for client in export.clients}


async def _exported(run: Run, deadline: float) -> set[tuple[str, str]]:
    """Client and directory of each export, of whomever."""
    outcome = await succeed(run, ["exportfs", "-s"], deadline)
    return set(read_exports(outcome.output))


def read_exports(text: str) -> Iterator[tuple[str, str]]:
    """The lines of `exportfs -s`: `/mnt/data/share  192.0.2.0/24(sync,wdelay,...)`."""
    for line in text.splitlines():
        if match := re.fullmatch(r"(\S+)\s+(\S+?)\(\S*\)\s*", line):
            directory = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), match[1])
            yield match[2], directory


# --- the daemons beside nfsd -----------------------------------------------------------------------------------------


def _mountd_argv(nfs: Nfs) -> list[str]:
    return ["rpc.mountd", "-N", "2"] if nfs.version3 else ["rpc.mountd", "-N", "2", "-N", "3"]


def _statd_argv(nfs: Nfs) -> list[str]:
    return ["rpc.statd", "-L", "-P", f"{nfs.state_dir}/statd"]


def _nfsdcld(nfs: Nfs) -> list[int]:
    return [pid for pid, argv in processes.running("nfsdcld") if nfs.state_dir in argv]


def _tracked(trackers: Sequence[int]) -> bool:
    """Whether nfsd has taken nfsdcld: it has the kernel's pipe open.

    The kernel waits a second for that. On a busy machine it then takes another way to remember its clients, one that
    does not go along with the volume.
    """
    return any(processes.has_open(pid, "/nfsd/cld") for pid in trackers)


def _statd(nfs: Nfs) -> list[int]:
    return [pid for pid, argv in processes.running("rpc.statd") if f"{nfs.state_dir}/statd" in argv]


def _sm_notify(nfs: Nfs) -> list[int]:
    """It goes on asking clients that don't answer, for a quarter of an hour, and its directory is on the volume."""
    return [pid for pid, argv in processes.running("sm-notify") if f"{nfs.state_dir}/statd" in argv]


def _mountd(nfs: Nfs) -> list[int]:
    return [pid for pid, argv in processes.running("rpc.mountd") if argv[1:] == _mountd_argv(nfs)[1:]]


def _pipefs() -> str:
    """Where rpc_pipefs is mounted; empty: nowhere."""
    return next((each.point for each in holders.mounts() if each.file_system == "rpc_pipefs"), "")
