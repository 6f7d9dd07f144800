"""How the kernel schedules this process: nice, SCHED_RR, processors, memory that is not swapped out."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from pyvrrp.config.model import Scheduling

_CAP_IPC_LOCK = 14
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_LOG = logging.getLogger("pyvrrp")


def schedule(wanted: Scheduling) -> None:
    """Apply it to every thread that there is; again is harmless. What the kernel refuses is logged.

    A child does not inherit nice and SCHED_RR, so no script competes with the daemon; neither does a thread that is
    started later.
    """
    if wanted.cpu_affinity:
        _each_thread("vrrp_cpu_affinity", lambda thread: os.sched_setaffinity(thread, wanted.cpu_affinity))
    if wanted.rt_priority:
        parameter = os.sched_param(wanted.rt_priority)
        policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
        _each_thread("vrrp_rt_priority", lambda thread: os.sched_setscheduler(thread, policy, parameter))
    elif wanted.nice:
        _each_thread("vrrp_priority", lambda thread: _renice(thread, wanted.nice))
    if wanted.rt_priority and wanted.rlimit_rttime:
        _try("vrrp_rlimit_rttime", lambda: _limit(wanted.rlimit_rttime))
    if wanted.no_swap:
        _try("vrrp_no_swap", _lock_memory)


def _each_thread(keyword: str, change: Callable[[int], None]) -> None:
    def change_all() -> None:
        for thread in map(int, os.listdir("/proc/self/task")):
            change(thread)

    _try(keyword, change_all)


def _try(keyword: str, change: Callable[[], None]) -> None:
    try:
        change()
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        _LOG.error("%s: %s; it stays as it is (is CAP_SYS_NICE or CAP_IPC_LOCK missing?)", keyword, why)


def _renice(thread: int, nice: int) -> None:
    os.setpriority(os.PRIO_PROCESS, thread, nice)
    os.sched_setscheduler(thread, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))


def _limit(microseconds: int) -> None:
    """SIGXCPU comes after so long without a pause, and again every second."""
    _, hard = resource.getrlimit(resource.RLIMIT_RTTIME)
    resource.setrlimit(resource.RLIMIT_RTTIME, (microseconds, hard))
    signal.signal(signal.SIGXCPU, _too_long)


def _too_long(_: int, __: FrameType | None) -> None:
    """Real time is for those who give it back: one that spins would take the machine along."""
    for thread in map(int, os.listdir("/proc/self/task")):
        os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
    _LOG.error("vrrp_rlimit_rttime: it ran too long without a pause, and goes on without vrrp_rt_priority")


def _lock_memory() -> None:
    # A limit would make an allocation fail some day, where without a lock it would have been swapped out.
    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if limit != resource.RLIM_INFINITY and not _has_capability(_CAP_IPC_LOCK):
        raise OSError(errno.EPERM, f"only {limit} bytes may be locked (LimitMEMLOCK=infinity)")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _has_capability(bit: int) -> bool:
    status = Path("/proc/self/status").read_text()
    return any(int(line.split()[1], 16) >> bit & 1 for line in status.splitlines() if line.startswith("CapEff:"))
