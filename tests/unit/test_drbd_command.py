import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from drbdctl.steps import command
from drbdctl.steps.command import run


def sh(script: str, deadline: float = 10.0):
    return asyncio.run(run(["sh", "-c", script], deadline))


def test_what_it_says_and_how_it_ends():
    done = sh("echo out; echo '(-2) Need access to UpToDate data' >&2; exit 17")
    assert (done.status, done.ok, done.stuck) == (17, False, False)
    assert done.output == "out\n(-2) Need access to UpToDate data\n"
    assert done.sentence.endswith("exit status 17, (-2) Need access to UpToDate data")


def test_a_program_that_is_not_there_is_a_sentence():
    done = asyncio.run(run(["drbdadm-of-nowhere", "primary", "r0"], 1.0))
    assert (done.status, done.ok) == (None, False)
    assert done.sentence == "drbdadm-of-nowhere primary r0: drbdadm-of-nowhere is not installed"


def test_a_signal_counts_as_shells_count_it():
    assert sh("kill -USR1 $$").status == 128 + signal.SIGUSR1


def test_after_its_deadline_it_is_killed_with_all_its_children(tmp_path: Path):
    done = sh(f"sleep 60 & echo $! > {tmp_path}/child; echo begun; wait", deadline=0.3)
    assert (done.status, done.failure, done.output) == (None, "no end within 0.3 s, killed", "begun\n")
    assert eventually_ended(int((tmp_path / "child").read_text()))


def test_one_that_ignores_sigterm_is_killed_all_the_same(monkeypatch):
    monkeypatch.setattr(command, "GRACE", 0.1)
    assert sh("trap '' TERM; sleep 60 & wait; sleep 60", deadline=0.3).failure == "no end within 0.3 s, killed"


def test_one_that_can_t_be_killed_is_stuck_and_reaped_when_it_ends(monkeypatch):
    monkeypatch.setattr(command, "GRACE", 0.1)
    monkeypatch.setattr(os, "killpg", lambda pid, number: None)

    async def scenario():
        done = await run(["sleep", "1"], 0.1)
        assert done.stuck
        assert "no end within 0.1 s, and it can't be killed" in done.sentence
        again = await run(["sleep", "1"], 0.1)
        assert (again.stuck, again.pid) == (True, done.pid)
        assert "not begun: one of before can't be killed" in again.sentence
        pid = int(done.failure.partition("pid ")[2].partition(",")[0])
        for _ in range(200):
            await asyncio.sleep(0.01)
            if ended(pid):
                # Whoever has its number by now is another one: the same command is begun again.
                monkeypatch.undo()
                assert not (await run(["sleep", "1"], 0.1)).stuck
                return
        raise AssertionError("nobody reaped it")

    asyncio.run(scenario())


def test_the_loop_goes_on_meanwhile_and_a_daemon_that_keeps_the_pipe_holds_nobody_up():
    async def scenario():
        began = time.monotonic()
        done = await run(["sh", "-c", "setsid sleep 5 & echo started"], 4.0)
        return done, time.monotonic() - began

    done, seconds = asyncio.run(scenario())
    assert (done.status, done.output) == (0, "started\n")
    assert seconds < 3.0


def test_a_cancelled_call_leaves_nothing_behind(tmp_path: Path):
    async def scenario():
        task = asyncio.create_task(run(["sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 60"], 60.0))
        await asyncio.to_thread(written, tmp_path / "pid")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert ended(int((tmp_path / "pid").read_text()))


def test_only_the_end_of_much_output_is_kept():
    done = sh("head -c 300000 /dev/zero | tr '\\0' x; echo end")
    assert done.output.endswith("xend\n")
    assert len(done.output) <= command.OUTPUT


def written(path: Path) -> None:
    while not path.exists() or not path.read_text():
        time.sleep(0.01)


def eventually_ended(pid: int) -> bool:
    for _ in range(100):
        if ended(pid):
            return True
        time.sleep(0.01)
    return False


def ended(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"
