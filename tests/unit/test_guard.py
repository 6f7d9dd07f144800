"""The guard with real processes: a fake speaker of a few words, real signals, sockets and files."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyvrrp.daemon.guard import _PROGRAM
from pyvrrp.daemon.pidfile import AlreadyRunning, PidFile

ROOT = Path(__file__).parents[2]
FAKE = Path(__file__).with_name("fake_speaker.py")


class Guarded:
    """A guard over fake speakers: the n-th start does what the n-th script says, the last one is for all others."""

    def __init__(self, directory, *scripts, environ=None, starter=None, log_file=None):
        self.log = directory / "log"
        settings = {
            "argv": [sys.executable, str(FAKE), str(self.log), *scripts],
            "directory": str(directory),
            "starter": starter,
            "log": {"level": 20, "destination": "console", "file": log_file, "facility": "daemon"},
        }
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, str(ROOT), json.dumps(settings)],
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[starter] if starter is not None else [],
        )

    @property
    def events(self):
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines]

    @property
    def starts(self):
        return [event for event in self.events if "start" in event]

    @property
    def signals(self):
        return [event["signal"] for event in self.events if "signal" in event]

    def until(self, condition, what):
        end = time.monotonic() + 40
        while not condition():
            assert time.monotonic() < end, f"{what}: {self.events}"
            time.sleep(0.005)

    def until_started(self, count):
        self.until(lambda: len(self.starts) >= count, f"{count} starts")
        return self.starts[count - 1]

    def end(self):
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@pytest.fixture
def guarded(tmp_path):
    made = []

    def make(*scripts, **more):
        made.append(Guarded(tmp_path, *scripts, **more))
        return made[-1]

    yield make
    for each in made:
        each.process.kill()
        each.process.wait()
        each.process.stderr.close()
        for start in each.starts:  # one that stands still does not hear that its guard is gone
            with contextlib.suppress(ProcessLookupError):
                os.kill(start["pid"], signal.SIGKILL)


def test_the_environment_says_who_guards_and_children_do_not_hear_of_it(guarded):
    guard = guarded("ready wait", environ={"NOTIFY_SOCKET": "/nowhere"})
    start = guard.until_started(1)
    assert start["guard"] == start["parent"] == guard.process.pid
    assert (start["start"], start["adopt"], start["left"], start["stored"]) == (0, False, [], {})


def test_a_dead_speaker_is_started_again_to_adopt_in_no_time(guarded):
    guard = guarded("ready wait", "ready wait")
    first = guard.until_started(1)
    guard.until(lambda: ready(guard), "ready")
    killed = time.monotonic()
    os.kill(first["pid"], signal.SIGKILL)
    second = guard.until_started(2)
    assert (second["start"], second["adopt"]) == (1, True)
    assert second["at"] - killed < 5, "it does not wait for anything"
    guard.process.terminate()
    status, said = guard.end()
    assert status == 0
    assert "the speaker was killed by signal 9 (Killed)" in said


def test_a_stopped_and_a_hanging_speaker_are_killed_after_the_timeout(guarded):
    guard = guarded("ready wait", "ready hang", "ready wait")
    first = guard.until_started(1)
    guard.until(lambda: ready(guard), "ready")
    stopped = time.monotonic()
    os.kill(first["pid"], signal.SIGSTOP)
    second = guard.until_started(2)
    assert 0.25 < second["at"] - stopped < 10
    third = guard.until_started(3)
    assert not third["adopt"], "it fell twice within ten seconds"
    guard.process.terminate()
    status, said = guard.end()
    assert status == 0
    assert said.count("silent for 0.4 s; killed") == 2
    assert said.count("it was stopped; in ") == 1
    assert said.count(" s for a processor") == 2
    assert "starts again as BACKUP in 1 s" in said


def test_signals_reach_the_speaker_and_its_exit_status_the_caller(guarded):
    guard = guarded("ready wait")
    guard.until_started(1)
    guard.until(lambda: ready(guard), "ready")
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGRTMIN + 2):
        guard.process.send_signal(number)
        guard.until(lambda number=number: number in guard.signals, f"signal {number}")
    guard.process.send_signal(signal.SIGINT)
    assert guard.end()[0] == 0
    assert guard.signals[-1] == signal.SIGTERM


@pytest.mark.parametrize(("script", "status"), [("exit 2", 2), ("exit 6", 6), ("exit 0", 0), ("abort", 134)])
def test_an_exit_before_ready_is_passed_through(guarded, script, status):
    guard = guarded(script)
    assert guard.end()[0] == status
    assert len(guard.starts) == 1


def test_a_program_that_can_not_be_executed_is_told(tmp_path):
    settings = {"argv": ["/nowhere/python"], "directory": "/", "starter": None, "log": {}}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _PROGRAM, str(ROOT), json.dumps(settings)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (127, "pyvrrp: /nowhere/python: No such file or directory\n")


def test_a_planned_restart(guarded):
    guard = guarded("ready exit 75", "ready wait")
    second = guard.until_started(2)
    assert second["adopt"]
    guard.process.terminate()
    assert guard.end()[0] == 0


def test_killed_the_guard_takes_the_speaker_along(guarded):
    guard = guarded("ready wait")
    guard.until_started(1)
    guard.until(lambda: ready(guard), "ready")
    guard.process.kill()
    guard.until(lambda: signal.SIGTERM in guard.signals, "the speaker hears of it")


def test_the_guard_keeps_the_pid_file_over_restarts_and_removes_it(guarded, tmp_path):
    path = tmp_path / "pyvrrp.pid"
    guard = guarded(f"pid_file {path} ready wait", "ready wait")
    first = guard.until_started(1)
    guard.until(lambda: ready(guard), "ready")
    assert path.read_text() == f"{guard.process.pid}\n"
    os.kill(first["pid"], signal.SIGKILL)
    guard.until_started(2)
    with pytest.raises(AlreadyRunning) as refused:
        PidFile(path).acquire()
    assert refused.value.pid == guard.process.pid
    guard.process.terminate()
    assert guard.end()[0] == 0
    assert not path.exists()


def test_giving_up_removes_the_journal(guarded, tmp_path):
    journal = tmp_path / "journal"
    journal.write_text("")
    guard = guarded(f"journal {journal} ready wait", "exit 1", "ready wait")
    first = guard.until_started(1)
    guard.until(lambda: ready(guard), "ready")
    os.kill(first["pid"], signal.SIGKILL)
    guard.until_started(3)
    assert not journal.exists()


@pytest.fixture
def fifo(tmp_path):
    """A FIFO, and whether anybody has its writing end."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def is_held():
        try:
            return os.read(reader, 1) != b""
        except BlockingIOError:
            return True

    yield path, is_held
    os.close(reader)


def test_the_guard_keeps_descriptors_for_the_next_speaker_until_it_gives_up(guarded, fifo):
    path, is_held = fifo
    guard = guarded(f"store {path} ready wait", "ready wait", "ready wait")
    first = guard.until_started(1)
    guard.until(lambda: ready(guard), "ready")
    os.kill(first["pid"], signal.SIGKILL)
    second = guard.until_started(2)
    assert second["stored"] == {"fake": ["fifo"]}
    assert is_held()
    os.kill(second["pid"], signal.SIGKILL)
    guard.until(lambda: not is_held(), "nobody has it")
    assert guard.until_started(3)["stored"] == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_is_kept_ends_with_the_guard(guarded, fifo, number):
    path, is_held = fifo
    guard = guarded(f"store {path} ready wait")
    guard.until_started(1)
    guard.until(lambda: ready(guard) and is_held(), "ready")
    guard.process.send_signal(number)
    guard.until(lambda: not is_held(), "nobody has it")


def test_a_helper_that_hangs_keeps_nothing(guarded, fifo, tmp_path):
    """Its log file can't be opened until somebody reads it."""
    path, is_held = fifo
    os.mkfifo(tmp_path / "hangs")
    guard = guarded(f"store {path} ready wait", "exit 1", "ready wait", log_file=str(tmp_path / "hangs"))
    first = guard.until_started(1)
    guard.until(lambda: ready(guard) and is_held(), "ready")
    os.kill(first["pid"], signal.SIGKILL)
    guard.until(lambda: not is_held(), "nobody has it")
    guard.until(lambda: len(children(guard.process.pid)) > 1, "a helper hangs, and a speaker runs or is to come")
    for helper in children(guard.process.pid):
        os.kill(int(helper), signal.SIGKILL)


NONSENSE = [
    "x",
    "7",
    "[]",
    '["ready"]',
    "[" * 30000,
    '{"journal":7}',
    '{"journal":"\\u0000"}',
    '{"journal":"\\ud800"}',
    '{"pid_file":null}',
    '{"ready":[1]}',
    '{"ready":["x",[]]}',
    '{"ready":[NaN,NaN]}',
    '{"beat":-1}',
    '{"beat":null}',
    f'{{"beat":1{"0" * 400}}}',
    '{"notify":7}',
    '{"store":7}',
    '{"store":[7,7]}',
    '{"store":["a",["x","y"]]}',
    '{"store":["a",[{}]]}',
    '{"store":["a",{"x":1}]}',
    '{"unknown":1}',
]


def test_nonsense_of_a_speaker_does_no_harm(guarded):
    words = " ".join(f"raw {each}" for each in NONSENSE for _ in range(3))
    guard = guarded(f"{words} ready wait")
    guard.until_started(1)
    guard.until(lambda: ready(guard), "ready")
    assert len(os.listdir(f"/proc/{guard.process.pid}/fd")) < 12
    guard.process.terminate()
    assert guard.end() == (0, "")


def test_a_speaker_that_talks_without_end_is_still_told_to_stop(guarded):
    guard = guarded("ready flood")
    guard.until_started(1)
    guard.until(lambda: ready(guard), "ready")
    guard.process.terminate()
    assert guard.end()[0] == 0


def children(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_systemd_hears_the_speaker_through_the_guard(guarded, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(40)
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        guard = guarded("ready notify READY=1 wait", "ready hang", environ=environ)
        first = guard.until_started(1)
        heard = set()
        while heard != {"READY=1", "WATCHDOG=1"}:
            heard.add(manager.recv(100).decode())
        os.kill(first["pid"], signal.SIGSTOP)
        manager.settimeout(0.3)
        heard = []
        with contextlib.suppress(TimeoutError):
            while len(heard) < 100:
                heard.append(manager.recv(100))
        assert len(heard) < 5, "no deadline is kept, and the watchdog is fed"


def test_the_starter_is_told_when_the_speaker_is_ready(guarded):
    reader, writer = os.pipe()
    guard = guarded("ready wait", starter=writer)
    os.close(writer)
    with open(reader, "rb") as pipe:
        assert pipe.read() == b"\0"
    guard.process.terminate()
    assert guard.end()[0] == 0


def test_the_starter_is_told_that_it_failed(guarded):
    reader, writer = os.pipe()
    guarded("exit 2", starter=writer)
    os.close(writer)
    with open(reader, "rb") as pipe:
        assert pipe.read() == b"\2"


def test_it_is_small(guarded):
    guard = guarded("ready wait", "ready wait")
    first = guard.until_started(1)
    guard.until(lambda: ready(guard), "ready")
    os.kill(first["pid"], signal.SIGKILL)
    guard.until_started(2)
    status = Path(f"/proc/{guard.process.pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    assert resident <= 15 * 1024, f"{resident} KiB"


def ready(guard):
    """The guard hands signals on only to a speaker that was ready."""
    if signal.SIGUSR1 not in guard.signals:
        guard.process.send_signal(signal.SIGUSR1)
    return signal.SIGUSR1 in guard.signals
