"""Notify scripts in order, with real scripts on both event loops."""

import asyncio
import os
import pwd
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from pyvrrp.config.model import Command, Globals, Notify
from pyvrrp.daemon.notify import NotifyQueue
from pyvrrp.host.scripts import Ending, Launcher

ME = pwd.getpwuid(os.geteuid()).pw_name


class Bench:
    """Scripts that write down what they were called with."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "log"
        self.log.touch()
        self.launcher = Launcher(Globals(script_user=ME), kill_grace=0.05)

    def command(self, name: str, *arguments: str, text: str = "") -> Command:
        path = self.directory / name
        path.write_text(f'#!/bin/sh\n{text}\necho {name} "$@" >> {self.log}\n')
        path.chmod(0o755)
        return Command((str(path), *arguments))

    def all(self) -> Notify:
        return Notify(
            master=self.command("master"),
            backup=self.command("backup"),
            fault=self.command("fault"),
            stop=self.command("stop"),
            deleted=self.command("deleted"),
            any=self.command("any"),
            master_rx_lower_pri=self.command("lower"),
        )

    def queue(self, notify: Notify, *, kind: str = "INSTANCE", timeout: float = 5.0) -> NotifyQueue:
        return NotifyQueue("VI_1", kind, notify, self.launcher, timeout)

    def gate(self) -> tuple[str, Callable[[], int]]:
        """A command that waits, and what makes it go on."""
        gate = self.directory / "gate"
        os.mkfifo(gate)
        return f"read line < {gate}", lambda: gate.write_text("go\n")

    def called(self) -> list[str]:
        return self.log.read_text().splitlines()


Body = Callable[[Bench], Awaitable[None]]
Run = Callable[[Body], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    async def with_bench(body: Body) -> None:
        bench = Bench(tmp_path)
        await bench.launcher.start()
        try:
            await body(bench)
        finally:
            await bench.launcher.stop()

    with asyncio.Runner(loop_factory=request.param) as runner:
        yield lambda body: runner.run(with_bench(body))


def test_the_script_of_the_state_comes_first_and_bare_then_notify_with_four_words(run: Run) -> None:
    async def body(bench: Bench) -> None:
        queue = bench.queue(bench.all())
        for state, priority in [("BACKUP", 100), ("MASTER", 100), ("FAULT", 80), ("STOP", 100), ("DELETED", 0)]:
            queue.transition(state, priority)
        await queue.drain(5.0)
        assert bench.called() == [
            "backup",
            "any INSTANCE VI_1 BACKUP 100",
            "master",
            "any INSTANCE VI_1 MASTER 100",
            "fault",
            "any INSTANCE VI_1 FAULT 80",
            "stop",
            "any INSTANCE VI_1 STOP 100",
            "deleted",
            "any INSTANCE VI_1 DELETED 0",
        ]
        assert [keyword for keyword, _ in queue.outcomes][:4] == ["notify_backup", "notify", "notify_master", "notify"]

    run(body)


def test_the_four_words_come_after_its_own_arguments_and_a_group_has_priority_0(run: Run) -> None:
    async def body(bench: Bench) -> None:
        notify = Notify(master=bench.command("master", "a b"), any=bench.command("any", "own", "arguments"))
        queue = bench.queue(notify, kind="GROUP")
        queue.transition("MASTER", 150)
        await queue.drain(5.0)
        assert bench.called() == ["master a b", "any own arguments GROUP VI_1 MASTER 0"]

    run(body)


def test_a_deleted_instance_without_notify_deleted_says_fault_and_runs_no_fault_script(run: Run) -> None:
    async def body(bench: Bench) -> None:
        queue = bench.queue(Notify(fault=bench.command("fault"), any=bench.command("any")))
        queue.transition("DELETED", 100)
        await queue.drain(5.0)
        assert bench.called() == ["any INSTANCE VI_1 FAULT 100"]

    run(body)


def test_a_lower_priority_advertisement_runs_its_own_script_and_nothing_else(run: Run) -> None:
    async def body(bench: Bench) -> None:
        queue = bench.queue(bench.all())
        queue.lower_priority()
        await queue.drain(5.0)
        assert bench.called() == ["lower"]
        bench.queue(Notify()).lower_priority()

    run(body)


def test_the_next_script_waits_for_the_one_before_and_none_is_lost(run: Run) -> None:
    async def body(bench: Bench) -> None:
        wait, go_on = bench.gate()
        queue = bench.queue(Notify(master=bench.command("master", text=wait), backup=bench.command("backup")))
        queue.transition("MASTER", 100)
        for _ in range(4):
            queue.transition("BACKUP", 100)
        quick = bench.queue(Notify(fault=bench.command("fault")))
        quick.transition("FAULT", 100)
        await quick.drain(5.0)
        assert bench.called() == ["fault"], "another queue does not wait"
        assert queue.backlog == 4
        await asyncio.get_running_loop().run_in_executor(None, go_on)
        await queue.drain(5.0)
        assert bench.called() == ["fault", "master", "backup", "backup", "backup", "backup"]
        assert queue.backlog == 0

    run(body)


def test_a_script_that_is_too_late_is_killed_and_the_next_one_runs(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def body(bench: Bench) -> None:
        late = bench.command("master", text="trap '' TERM; while :; do sleep 0.01; done")
        queue = bench.queue(Notify(master=late, backup=bench.command("backup")), timeout=0.1)
        queue.transition("MASTER", 100)
        queue.transition("BACKUP", 100)
        await queue.drain(5.0)
        assert bench.called() == ["backup"]
        assert [outcome.ending for _, outcome in queue.outcomes] == [Ending.TIMED_OUT, Ending.EXITED]

    run(body)
    (record,) = caplog.records
    assert record.getMessage().startswith("VI_1: notify_master (")
    assert " failed: timed out after 0.1" in record.getMessage()


def test_a_failure_is_logged_with_its_outcome_and_stops_nothing(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def body(bench: Bench) -> None:
        notify = Notify(
            master=bench.command("master", text="echo 'no such device'; exit 5"),
            backup=Command(("/nonexistent/backup",)),
            any=bench.command("any"),
        )
        queue = bench.queue(notify)
        queue.transition("MASTER", 100)
        queue.transition("BACKUP", 100)
        await queue.drain(5.0)
        assert bench.called() == ["any INSTANCE VI_1 MASTER 100", "any INSTANCE VI_1 BACKUP 100"]

    run(body)
    failed, missing = (record.getMessage() for record in caplog.records)
    assert failed.endswith("master) failed: exit status 5: no such device")
    assert missing.startswith(
        "VI_1: notify_backup (/nonexistent/backup) failed: could not be run: /nonexistent: No such"
    )


def test_drain_kills_what_runs_too_long_and_says_what_was_not_run(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def body(bench: Bench) -> None:
        pid = bench.directory / "pid"
        stop = bench.command("stop", text=f"trap '' TERM; echo $$ > {pid}.new; mv {pid}.new {pid}; sleep 100")
        queue = bench.queue(Notify(stop=stop, any=bench.command("any")))
        queue.transition("STOP", 100)
        async with asyncio.timeout(60):
            while not pid.exists():  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        process = os.pidfd_open(int(pid.read_text()))
        dead = asyncio.Event()
        asyncio.get_running_loop().add_reader(process, dead.set)
        await queue.drain(0.01)
        async with asyncio.timeout(60):
            await dead.wait()
        asyncio.get_running_loop().remove_reader(process)
        os.close(process)
        assert bench.called() == []

    run(body)
    killed, dropped = (record.getMessage() for record in caplog.records)
    assert killed.startswith("VI_1: notify_stop (")
    assert killed.endswith("stop) killed: the daemon leaves")
    assert dropped.startswith("VI_1: no time left to run notify (")
    assert dropped.endswith("any INSTANCE VI_1 STOP 100)")


def test_the_queue_works_on_after_a_drain(run: Run) -> None:
    async def body(bench: Bench) -> None:
        queue = bench.queue(bench.all())
        await queue.drain(0.0)
        queue.transition("MASTER", 100)
        await queue.drain(0.0)
        queue.transition("BACKUP", 100)
        await queue.drain(5.0)
        assert bench.called()[-2:] == ["backup", "any INSTANCE VI_1 BACKUP 100"]

    run(body)


def test_the_last_outcomes_are_kept(run: Run) -> None:
    async def body(bench: Bench) -> None:
        queue = bench.queue(Notify(any=bench.command("any")))
        for priority in range(1, 24):
            queue.transition("BACKUP", priority)
        await queue.drain(5.0)
        assert len(bench.called()) == 23
        assert len(queue.outcomes) == 20
        assert queue.outcomes[-1][1].command.endswith("any INSTANCE VI_1 BACKUP 23")

    run(body)


def test_a_state_without_a_script_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="INIT"):
        NotifyQueue("VI_1", "INSTANCE", Notify(), Launcher(Globals()), 1.0).transition("INIT", 100)
