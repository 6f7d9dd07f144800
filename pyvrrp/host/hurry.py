"""The hurry of a speaker that is to adopt a role: until it advertises, it goes before all other work of the machine.

Its peers wait a few seconds at most, and what made the last speaker fall may have been a busy machine. A nice value
alone says little: the kernel divides the processors among sessions (sched_autogroup) and services (control groups)
first. The lowest real-time priority goes before all of them. Where the kernel does not allow that (CAP_SYS_NICE or
RLIMIT_RTPRIO; a control group without real time), it is the best nice value; where not even that, nothing changes.
"""

from __future__ import annotations

import contextlib
import os


def begin() -> None:
    """Hurry; threads that are started meanwhile do too."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, 0, -20)


def end(like: int) -> None:
    """Go on as the process `like` does, in every thread; raises OSError when there is no such process."""
    nice, policy, parameter = (
        os.getpriority(os.PRIO_PROCESS, like),
        os.sched_getscheduler(like),
        os.sched_getparam(like),
    )
    for thread in map(int, os.listdir("/proc/self/task")):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, nice)
        with contextlib.suppress(OSError):
            os.sched_setscheduler(thread, policy, parameter)
