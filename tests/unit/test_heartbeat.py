"""The speaker's end of the guard: a beat only while deadlines are kept, and nothing that blocks or raises."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest

from pyvrrp.config.model import Config, Globals, VrrpInstance
from pyvrrp.core.parameters import Parameters
from pyvrrp.daemon.heartbeat import GuardChannel, Heartbeat, adoption_time, connect, guard_timeout
from pyvrrp.daemon.pidfile import PidFile
from pyvrrp.daemon.timers import Deadline, Timers

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def config(*intervals, timeout=None):
    return Config(
        globals=Globals(guard_timeout=timeout),
        instances=tuple(
            VrrpInstance(
                name=f"V{number}",
                interface="eth0",
                parameters=Parameters(
                    vrid=number, version=3, advert_int=interval, addresses=(ip_address("192.0.2.1"),)
                ),
            )
            for number, interval in enumerate(intervals, 1)
        ),
    )


@pytest.mark.parametrize(
    ("made", "timeout", "adoption"),
    [
        (config(1), 1.0, 1.5),
        (config(5, 2), 2.0, 3.0),
        (config(0.1, 5), 1.0, 1.0),
        (config(1, timeout=0.5), 0.5, 1.5),
        (config(), 1.0, 1.0),
    ],
)
def test_the_times_follow_from_the_configuration(made, timeout, adoption):
    assert guard_timeout(made) == timeout
    assert adoption_time(made) == adoption


def test_it_beats_four_times_in_a_timeout_and_follows_its_change():
    async def run():
        now, beats, timeout = [100.0], [], [1.0]
        timers = Timers(lambda: now[0])
        heartbeat = Heartbeat(timers, lambda: timeout[0], lambda seconds: beats.append((now[0], seconds)))
        heartbeat.start(now[0])
        for step in (100.25, 100.5):
            now[0] = step
            timers._fire()
        timeout[0] = 2.0
        for step in (100.75, 101.0, 101.25):
            now[0] = step
            timers._fire()
        timers.close()
        return beats

    assert asyncio.run(run()) == [(100.0, 1.0), (100.25, 1.0), (100.5, 1.0), (100.75, 2.0), (101.25, 2.0)]


def test_a_loop_that_is_late_by_the_timeout_has_not_kept_its_deadlines():
    async def run():
        now, beats = [100.0], []
        timers = Timers(lambda: now[0])
        Heartbeat(timers, lambda: 1.0, lambda _: beats.append(now[0])).start(now[0])
        timers.set(Deadline(lambda _: None), 100.1)
        for step in (101.3, 101.6):
            now[0] = step
            timers._fire()
        timers.close()
        return beats

    assert asyncio.run(run()) == [100.0, 101.6]


def test_messages_are_json_and_what_nobody_reads_is_dropped(ends):
    ours, theirs = ends
    channel = GuardChannel(theirs, adopt=False, restarts=0)
    channel.tell(beat=1.0)
    assert json.loads(ours.recv(100)) == {"beat": 1.0}
    for _ in range(5000):
        channel.tell(notify="x" * 1000)
    ours.close()
    channel.tell(beat=1.0)


def test_the_guard_gets_the_lock_with_the_pid_file(ends, tmp_path):
    ours, theirs = ends
    channel = GuardChannel(theirs, adopt=False, restarts=0)
    pid_file = PidFile(tmp_path / "x.pid")
    pid_file.acquire(4711)
    channel.keep(pid_file)
    message, (descriptor,), _, _ = socket.recv_fds(ours, 1000, 1)
    pid_file.release()
    assert json.loads(message) == {"pid_file": str(tmp_path / "x.pid")}
    assert os.pread(descriptor, 100, 0) == b"4711\n"
    kept = PidFile(tmp_path / "x.pid", descriptor)
    kept.release()
    assert (tmp_path / "x.pid").exists(), "it names another process"


def test_without_a_guard_there_is_no_channel():
    environ = {"PATH": "/bin", "PYVRRP_ADOPT": "1"}
    assert connect(environ) is None
    assert environ == {"PATH": "/bin"}


def test_a_speaker_whose_guard_has_died_meanwhile_ends():
    code = (
        "import os, socket, time; from pyvrrp.daemon.heartbeat import connect\n"
        "guard = os.fork()\n"
        "if guard == 0:\n"
        "    parent = os.getpid()\n"
        "    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "    if os.fork() == 0:\n"
        "        while os.getppid() == parent: time.sleep(0.01)\n"
        "        connect({'PYVRRP_GUARD': str(theirs.detach())}); print('alive', flush=True)\n"
        "    os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_a_speaker_whose_guard_lives_goes_on():
    code = (
        "import os, socket; from pyvrrp.daemon.heartbeat import connect\n"
        "ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "if os.fork() == 0:\n"
        "    channel = connect({'PYVRRP_GUARD': str(theirs.detach()), 'PYVRRP_ADOPT': '1', 'PYVRRP_RESTARTS': '2'})\n"
        "    print(channel.adopt, channel.restarts, channel.pid == os.getppid(), flush=True); os._exit(0)\n"
        "os.wait()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.stdout == "True 2 True\n", done.stderr
