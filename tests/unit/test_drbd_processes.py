"""Processes by name, with real ones."""

import asyncio
import os
import shutil
import signal
import subprocess

import pytest

from drbdctl.steps import processes
from drbdctl.steps.effect import StepFailed

NAME = f"sleeper-{os.getpid()}-with-a-long-name"
"longer than the kernel keeps, and of this test process alone"


@pytest.fixture
def sleeper(tmp_path):
    """A program of that name."""
    program = shutil.copy(shutil.which("sleep"), tmp_path / NAME)
    with subprocess.Popen([program, "1000"], stdout=subprocess.PIPE) as child:
        yield child
        child.kill()


def test_a_process_is_known_by_name_and_command_line(sleeper):
    assert processes.named(NAME) == [sleeper.pid]
    assert [(pid, argv[1:]) for pid, argv in processes.running(NAME)] == [(sleeper.pid, ["1000"])]
    assert processes.named(NAME[:14]) == []
    assert list(processes.running(f"{NAME[:15]}-another-end")) == [], "the kernel keeps fifteen bytes of the name"
    assert processes.has_open(sleeper.pid, "]"), "its pipe"
    assert not processes.has_open(sleeper.pid, "/nfsd/cld")


def test_a_process_is_ended_and_a_zombie_is_none(sleeper):
    asyncio.run(processes.end([sleeper.pid], 10.0))
    assert not processes.alive(sleeper.pid), "nobody has reaped it yet"
    assert sleeper.wait() == -signal.SIGTERM
    assert processes.named(NAME) == []


def test_one_that_does_not_end_is_named(monkeypatch, sleeper):
    monkeypatch.setattr(processes, "alive", lambda pid: True)
    with pytest.raises(StepFailed, match=f"processes {sleeper.pid} do not end") as failed:
        asyncio.run(processes.end([sleeper.pid], 0.1))
    assert failed.value.failure.stuck


def test_a_directory_that_is_gone_has_none(tmp_path):
    (tmp_path / "12").mkdir()
    assert processes.named("nfsd", str(tmp_path)) == []
    (tmp_path / "12/comm").write_text("nfsd\n")
    assert processes.named("nfsd", str(tmp_path)) == [12]
    assert processes.named("nfsd", os.fspath(tmp_path / "nowhere")) == []
