"""Scripts on schedule, interfaces and plugins' checks, with real scripts on both event loops."""

import asyncio
import logging
import os
import pwd
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import uvloop

from pyvrrp.config.model import Command, Globals, SyncGroup, Track, VrrpScript
from pyvrrp.core.events import TrackingChanged
from pyvrrp.core.tracking import Tracker
from pyvrrp.daemon import trackers as module
from pyvrrp.daemon.plugins import Report, TrackerSpec
from pyvrrp.daemon.trackers import Check, Trackers
from pyvrrp.host.scripts import Launcher

ME = pwd.getpwuid(os.geteuid()).pw_name


class Bench:
    """Trackers of some scripts, and what changes in them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.launcher = Launcher(Globals(script_user=ME), kill_grace=0.05)
        self.changes: asyncio.Queue[Tracker] = asyncio.Queue()
        self.trackers: Trackers

    async def start(self, *checks: VrrpScript | TrackerSpec) -> None:
        await self.launcher.start()
        self.trackers = Trackers(self.launcher, *self.split(checks), self.changes.put_nowait)

    def reconfigure(self, *checks: VrrpScript | TrackerSpec) -> None:
        self.trackers.reconfigure(*self.split(checks))

    @staticmethod
    def split(checks: tuple[VrrpScript | TrackerSpec, ...]) -> tuple[list[VrrpScript], list[TrackerSpec]]:
        return (
            [check for check in checks if isinstance(check, VrrpScript)],
            [check for check in checks if isinstance(check, TrackerSpec)],
        )

    async def stop(self) -> None:
        await self.trackers.stop()
        await self.launcher.stop()

    def script(self, text: str, *, name: str = "chk", interval: float = 100.0, **options: object) -> VrrpScript:
        path = self.directory / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        options = {"timeout": 5.0} | options
        return VrrpScript(name=name, command=Command((str(path),)), interval=interval, **options)  # type: ignore[arg-type]

    def check(self, name: str = "chk") -> Check:
        return next(check for check in self.trackers if check.tracker.name == name)

    async def change(self) -> Tracker:
        async with asyncio.timeout(60):
            return await self.changes.get()

    def tracking(self, name: str = "chk", kind: str = "script", **options: object) -> TrackingChanged:
        return self.trackers.tracking([Track(kind, name, **options)])  # type: ignore[arg-type]


Body = Callable[[Bench], Awaitable[None]]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Body], None]]:
    async def with_bench(body: Body) -> None:
        bench = Bench(tmp_path)
        try:
            await body(bench)
        finally:
            await bench.stop()

    with asyncio.Runner(loop_factory=request.param) as runner:
        yield lambda body: runner.run(with_bench(body))


Run = Callable[[Body], None]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 (what scripts do to files raises no event)
            await asyncio.sleep(0.002)


# --- scripts ---------------------------------------------------------------------------------------------------------


def test_a_script_is_pending_until_its_first_result(run: Run) -> None:
    async def body(bench: Bench) -> None:
        await bench.start(bench.script("exit 0"))
        assert bench.tracking() == TrackingChanged(pending=("script chk: no result yet",))
        assert await bench.change() is bench.check().tracker
        assert bench.tracking() == TrackingChanged()

    run(body)


def test_a_failure_says_why_and_each_transition_is_logged_once(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def body(bench: Bench) -> None:
        flag = bench.directory / "flag"
        await bench.start(bench.script(f"test -e {flag} || {{ echo no flag; exit 2; }}", interval=0.01, fall=3))
        await bench.change()
        assert bench.tracking().faults == ("script chk: exit status 2: no flag",)
        await until(lambda: bench.check().tracker.failures > 3)
        flag.touch()
        await bench.change()
        await until(lambda: bench.check().tracker.successes > 3)
        assert bench.tracking() == TrackingChanged()

    with caplog.at_level(logging.INFO, "pyvrrp"):
        run(body)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "script chk is down: exit status 2: no flag"),
        ("INFO", "script chk is up: exit status 0"),
    ]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_script_that_is_missing_is_a_fault_and_never_healthy(run: Run, reverse: bool) -> None:
    async def body(bench: Bench) -> None:
        await bench.start(VrrpScript(name="chk", command=Command(("/nonexistent/chk",)), reverse=reverse))
        await bench.change()
        (fault,) = bench.tracking().faults
        assert "could not be run: /nonexistent: No such file or directory" in fault
        assert bench.tracking(weight=-30).weight == -30

    run(body)


def test_a_tracker_that_nobody_defines_is_a_fault(run: Run) -> None:
    async def body(bench: Bench) -> None:
        await bench.start()
        assert bench.tracking("nope", weight=10) == TrackingChanged(
            0, ("script nope: there is no such script; define it or do not track it",)
        )

    run(body)


def test_an_instance_may_give_its_own_weight_and_direction(run: Run) -> None:
    async def body(bench: Bench) -> None:
        await bench.start(bench.script("exit 1", weight=-20))
        await bench.change()
        assert bench.tracking() == TrackingChanged(-20)
        assert bench.tracking(weight=-5) == TrackingChanged(-5)
        assert bench.tracking(weight=7, reverse=True) == TrackingChanged(7)
        assert bench.tracking(weight=0).faults == ("script chk: exit status 1",)
        assert bench.tracking(weight=0, reverse=True) == TrackingChanged()

    run(body)


def test_init_fail_is_a_fault_from_the_start(run: Run) -> None:
    async def body(bench: Bench) -> None:
        await bench.start(bench.script("exit 0", init_fail=True))
        assert bench.tracking().faults == ("script chk: no result yet",)
        await bench.change()
        assert bench.tracking() == TrackingChanged()

    run(body)


def test_a_path_test_follows_the_file(run: Run) -> None:
    async def body(bench: Bench) -> None:
        flag = bench.directory / "flag"
        flag.touch()
        await bench.start(VrrpScript(name="chk", command=Command((str(flag),)), interval=0.01, path_test=True))
        await bench.change()
        assert bench.tracking() == TrackingChanged()
        flag.unlink()
        await bench.change()
        assert bench.tracking().faults == (f"script chk: exit status 1: {flag}: No such file or directory",)

    run(body)


def test_the_next_run_is_timed_from_the_start_of_the_one_before(run: Run) -> None:
    async def body(bench: Bench) -> None:
        await bench.start(bench.script("sleep 0.4", interval=0.5))
        starts: list[float] = []
        for count in (1, 2, 3, 4):
            await until(lambda count=count: bench.check().tracker.successes >= count)
            last = bench.check().last
            assert last is not None
            starts.append(last.started)
        pauses = [later - earlier for earlier, later in pairwise(starts)]
        assert min(pauses) < 0.8, "they are timed from the end"
        assert sum(pauses) > 1.25

    run(body)


def test_ticks_are_skipped_while_it_still_runs(run: Run) -> None:
    async def body(bench: Bench) -> None:
        lock, log = bench.directory / "lock", bench.directory / "log"
        await bench.start(
            bench.script(f"mkdir {lock} || echo overlap >> {log}; sleep 0.05; rmdir {lock}", interval=0.02)
        )
        await until(lambda: bench.check().tracker.successes >= 4)
        assert not log.exists()

    run(body)


def test_a_timeout_is_told_at_the_deadline_and_the_next_run_waits_for_its_death(run: Run) -> None:
    async def body(bench: Bench) -> None:
        runs = bench.directory / "runs"
        await bench.start(
            bench.script(f"trap '' TERM; echo run >> {runs}; while :; do sleep 0.01; done", interval=0.01, timeout=0.05)
        )
        await bench.change()
        (fault,) = bench.tracking().faults
        assert fault.startswith("script chk: timed out after 0.0")
        assert runs.read_text() == "run\n"
        assert bench.check().run is not None
        await until(lambda: runs.read_text() == "run\nrun\n")

    run(body)


def test_a_script_runs_once_however_many_instances_track_it(run: Run) -> None:
    async def body(bench: Bench) -> None:
        runs = bench.directory / "runs"
        await bench.start(bench.script(f"echo run >> {runs}"))
        await bench.change()
        for _ in range(5):
            assert bench.tracking() == TrackingChanged()
        assert runs.read_text() == "run\n"

    run(body)


def test_a_check_that_breaks_our_code_does_not_look_healthy(run: Run) -> None:
    async def body(bench: Bench) -> None:
        await bench.start(bench.script("exit 0", interval=0.0))
        await bench.change()
        await bench.change()
        (fault,) = bench.tracking().faults
        assert "it is not run any more: ZeroDivisionError" in fault

    run(body)


# --- sync groups -----------------------------------------------------------------------------------------------------


def test_a_member_of_a_sync_group_has_the_groups_trackers_and_no_weights_of_its_own(run: Run) -> None:
    async def body(bench: Bench) -> None:
        await bench.start(bench.script("exit 1", name="a"), bench.script("exit 1", name="b"))
        await bench.change()
        await bench.change()
        own = [Track("script", "a", weight=-20)]
        group = SyncGroup(name="G", members=("V",), tracks=(Track("script", "b"),))
        assert bench.trackers.tracking(own) == TrackingChanged(-20)
        assert bench.trackers.tracking(own, group) == TrackingChanged(0, ("script b: exit status 1",))
        weighted = SyncGroup(name="G", members=("V",), sync_group_tracking_weight=True)
        assert bench.trackers.tracking(own, weighted) == TrackingChanged(-20)

    run(body)


# --- interfaces ------------------------------------------------------------------------------------------------------


def test_an_interface_is_pending_then_follows_its_link(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def body(bench: Bench) -> None:
        await bench.start()
        assert bench.tracking("eth0", "interface").pending == ("interface eth0: no result yet",)
        bench.trackers.interface_changed("eth0", True)
        assert bench.changes.empty(), "the caller would be called from inside its own call"
        assert (await bench.change()).name == "eth0"
        assert bench.tracking("eth0", "interface") == TrackingChanged()
        bench.trackers.interface_changed("eth0", True)
        bench.trackers.interface_changed("eth0", False, "no carrier")
        await bench.change()
        assert bench.tracking("eth0", "interface").faults == ("interface eth0: no carrier",)
        assert bench.tracking("eth0", "interface", weight=-10) == TrackingChanged(-10)
        assert bench.changes.empty()

    with caplog.at_level(logging.INFO, "pyvrrp"):
        run(body)
    assert [record.getMessage() for record in caplog.records] == [
        "interface eth0 is up: up and running",
        "interface eth0 is down: no carrier",
    ]


# --- plugins ---------------------------------------------------------------------------------------------------------


def test_a_plugins_check_has_hysteresis_and_weight(run: Run) -> None:
    async def check(report: Report) -> None:
        for ok in (True, False, False):
            report(ok, f"said {ok}")
        await asyncio.Event().wait()

    async def body(bench: Bench) -> None:
        await bench.start(TrackerSpec(kind="dns", name="pool", run=check, fall=2, weight=-40))
        await bench.change()
        await bench.change()
        assert bench.tracking("pool", "dns") == TrackingChanged(-40)
        assert bench.tracking("pool", "dns", weight=0).faults == ("dns pool: said False",)

    run(body)


async def ends(report: Report) -> None:
    report(True, "fine")


async def fails(report: Report) -> None:
    report(True, "fine")
    raise OSError("no socket")


async def cancels_itself(report: Report) -> None:
    report(True, "fine")
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("check", "why"),
    [
        (ends, "the check ended by itself"),
        (fails, "the check failed: OSError: no socket"),
        (cancels_itself, "the check was cancelled from within"),
    ],
)
def test_a_plugins_check_that_ends_is_a_failure_and_is_started_again(
    run: Run, monkeypatch: pytest.MonkeyPatch, check: Callable[[Report], Awaitable[None]], why: str
) -> None:
    monkeypatch.setattr(module, "_BACK_OFF", (0.01, 0.01))

    async def body(bench: Bench) -> None:
        await bench.start(TrackerSpec(kind="dns", name="pool", run=check))
        tracker = bench.check("pool").tracker
        await until(lambda: tracker.failures == 1)
        assert bench.tracking("pool", "dns").faults == (f"dns pool: {why}",)
        await until(lambda: tracker.successes == 2)

    run(body)


def test_a_plugins_check_that_never_gets_anywhere_is_logged_once(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_BACK_OFF", (0.001, 0.002))

    async def check(report: Report) -> None:
        raise ValueError("bad block")

    async def body(bench: Bench) -> None:
        await bench.start(TrackerSpec(kind="dns", name="pool", run=check))
        await until(lambda: bench.check("pool").tracker.failures > 4)

    run(body)
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "dns pool: the check failed: ValueError: bad block; starting it again",
        "dns pool is down: the check failed: ValueError: bad block",
    ]
    assert all(record.exc_info is None for record in caplog.records if record.levelno > logging.DEBUG)


def test_the_back_off_grows_and_a_result_resets_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BACK_OFF", (0.02, 0.08))
    started: list[float] = []

    async def check(report: Report) -> None:
        started.append(asyncio.get_running_loop().time())
        if len(started) == 4:
            report(True, "fine")
        raise ValueError("bad block")

    async def body(bench: Bench) -> None:
        await bench.start(TrackerSpec(kind="dns", name="pool", run=check))
        await until(lambda: len(started) == 5)
        pauses = [later - earlier for earlier, later in pairwise(started)]
        assert pauses[1] > 0.035
        assert pauses[2] > 0.075
        assert pauses[3] < pauses[2]

    run(body)


# --- reload ----------------------------------------------------------------------------------------------------------


def test_a_reload_leaves_what_has_not_changed_alone(run: Run) -> None:
    async def check(report: Report) -> None:
        report(True, "fine")
        await asyncio.Event().wait()

    async def body(bench: Bench) -> None:
        runs = bench.directory / "runs"
        script = bench.script(f"echo run >> {runs}; sleep 0.05; echo end >> {runs}")
        spec = TrackerSpec(kind="dns", name="pool", run=check)
        await bench.start(script, spec)
        await until(runs.exists)
        before = list(bench.trackers)
        bench.reconfigure(bench.script("exit 1", name="other"), script, spec)
        await until(lambda: bench.check().tracker.up is not None)
        assert runs.read_text() == "run\nend\n"
        assert {check.tracker for check in before} < {check.tracker for check in bench.trackers}

    run(body)


def test_a_changed_script_keeps_its_state_until_its_first_result_counts_at_once(run: Run) -> None:
    async def body(bench: Bench) -> None:
        go = bench.directory / "go"
        os.mkfifo(go)
        await bench.start(bench.script("exit 0"))
        await bench.change()
        bench.reconfigure(bench.script(f"read line < {go}; exit 1", interval=50.0, fall=3))
        assert bench.tracking() == TrackingChanged()
        await asyncio.get_running_loop().run_in_executor(None, go.write_text, "now\n")
        await bench.change()
        assert bench.tracking().faults == ("script chk: exit status 1",)

    run(body)


def test_what_left_the_configuration_is_killed_and_is_no_tracker_any_more(run: Run) -> None:
    async def body(bench: Bench) -> None:
        pid = bench.directory / "pid"
        await bench.start(bench.script(f"echo $$ > {pid}; exec sleep 100", timeout=100.0))
        await until(lambda: pid.exists() and pid.read_text())
        bench.reconfigure()
        await until(lambda: not Path(f"/proc/{pid.read_text().strip()}").exists())
        assert bench.tracking().faults

    run(body)


def test_a_check_that_was_replaced_reports_into_nothing(run: Run) -> None:
    reports: list[Report] = []

    async def check(report: Report) -> None:
        reports.append(report)
        report(True, "fine")
        await asyncio.Event().wait()

    async def body(bench: Bench) -> None:
        await bench.start(TrackerSpec(kind="dns", name="pool", run=check))
        await bench.change()
        bench.reconfigure(TrackerSpec(kind="dns", name="pool", run=check, rise=2))
        await until(lambda: len(reports) == 2)
        reports[0](False, "late")
        assert bench.tracking("pool", "dns") == TrackingChanged()

    run(body)
