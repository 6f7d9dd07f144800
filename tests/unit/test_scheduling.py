"""What the kernel is told about scheduling, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import os, resource, signal, subprocess, sys, threading, time
from pyvrrp.config.model import Scheduling
from pyvrrp.host.scheduling import schedule
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
threads = list(map(int, os.listdir("/proc/self/task")))
%s
sys.stdout.flush()
os._exit(0)
"""
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs CAP_SYS_NICE and CAP_IPC_LOCK")


def real_time():
    """Whether the kernel grants it; a control group may have none to give."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return False
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return True


REAL_TIME = pytest.mark.skipif(
    not real_time(), reason="needs real time: CAP_SYS_NICE, and a control group that has some"
)


def run(code):
    done = subprocess.run([sys.executable, "-c", PROGRAM % code], cwd=ROOT, capture_output=True, text=True, timeout=30)
    return done.stdout.split(), done.stderr


def test_nice_is_for_every_thread():
    told, _ = run("schedule(Scheduling(nice=7)); print(*(os.getpriority(os.PRIO_PROCESS, each) for each in threads))")
    assert told == ["7", "7"]


@REAL_TIME
def test_real_time_is_for_every_thread_and_for_no_child():
    child = "print(os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0), flush=True)"
    told, _ = run(
        "schedule(Scheduling(rt_priority=5)); "
        "print(*(os.sched_getscheduler(each) & 7 for each in threads), os.sched_getparam(0).sched_priority)\n"
        f"sys.stdout.flush(); subprocess.run([sys.executable, '-c', 'import os; {child}'])"
    )
    assert told == ["2", "2", "5", "0", "0"]


@REAL_TIME
def test_who_spins_in_real_time_becomes_an_ordinary_process():
    told, said = run(
        "schedule(Scheduling(rt_priority=5, rlimit_rttime=50_000))\n"
        "end = time.monotonic() + 10\n"
        "while os.sched_getscheduler(0) & 7 == os.SCHED_RR and time.monotonic() < end: pass\n"
        "print(os.sched_getscheduler(0) & 7)"
    )
    assert told == ["0"]
    assert "goes on without vrrp_rt_priority" in said


@ROOT_ONLY
def test_who_hurries_goes_on_as_its_guard_does():
    """A control group may have no real time to give: then it is nice -20."""
    told, _ = run(
        "from pyvrrp.host import hurry\n"
        "hurry.begin(); hurried = os.sched_getscheduler(0) & 7 == os.SCHED_RR or os.getpriority(os.PRIO_PROCESS, 0)\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "guard = subprocess.Popen(['sleep', '60'], preexec_fn=lambda: "
        "(os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0)), os.setpriority(os.PRIO_PROCESS, 0, 3)))\n"
        "hurry.end(guard.pid); guard.kill()\n"
        "threads = list(map(int, os.listdir('/proc/self/task')))\n"
        "print(hurried, *((os.sched_getscheduler(each), os.getpriority(os.PRIO_PROCESS, each)) for each in threads))"
    )
    assert told[0] in ("True", "-20")
    assert told[1:] == ["(0,", "3)"] * 3


def test_processors():
    one = min(os.sched_getaffinity(0))
    told, _ = run(f"schedule(Scheduling(cpu_affinity=frozenset({{{one}}}))); print(os.sched_getaffinity(threads[1]))")
    assert told == [f"{{{one}}}"]


def test_what_the_kernel_refuses_is_one_line_and_no_end():
    told, said = run("schedule(Scheduling(cpu_affinity=frozenset({8000}))); print('on')")
    assert told == ["on"]
    assert said.startswith("vrrp_cpu_affinity: Invalid argument; it stays as it is")
    assert said.count("\n") == 1


@ROOT_ONLY
def test_memory_is_locked():
    told, _ = run("schedule(Scheduling(no_swap=True)); print(open('/proc/self/status').read())")
    locked = int(told[told.index("VmLck:") + 1])
    assert locked > 1000
