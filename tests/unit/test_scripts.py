"""Real commands, run by the real launcher process, on both event loops."""

import asyncio
import grp
import os
import pwd
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from pyvrrp.config.model import Command, Globals
from pyvrrp.host import scripts
from pyvrrp.host.scripts import Ending, Launcher, Outcome, Run

ME = pwd.getpwuid(os.geteuid()).pw_name
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="switching users needs root")


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner


class Bench:
    """A launcher and scripts for it."""

    def __init__(self, runner: asyncio.Runner, directory: Path) -> None:
        self.runner = runner
        self.directory = directory
        self.launcher = Launcher(Globals(script_user=ME), kill_grace=0.1, restart_delay=0.0)

    def script(self, text: str, name: str = "script", *, mode: int = 0o755, shebang: str = "#!/bin/sh\n") -> str:
        path = self.directory / name
        path.write_text(shebang + text)
        path.chmod(mode)
        return str(path)

    def start(self, *argv: str, timeout: float = 5.0, user: str | None = None, open_test: bool = False) -> Run:
        async def ask() -> Run:
            return self.launcher.run(Command(argv, user), timeout, open_test=open_test)

        return self.runner.run(ask())

    def outcome(self, run: Run) -> Outcome:
        async def wait() -> Outcome:
            return await run.outcome

        return self.runner.run(wait())

    def gone(self, run: Run) -> None:
        async def wait() -> None:
            await run.gone

        self.runner.run(wait())

    def run(self, *argv: str, timeout: float = 5.0, user: str | None = None) -> Outcome:
        return self.outcome(self.start(*argv, timeout=timeout, user=user))

    def fifo(self) -> "Fifo":
        return Fifo(self.directory / "fifo")


class Fifo:
    """Where scripts tell what they do."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self._file = os.fdopen(os.open(path, os.O_RDWR), "r+b", buffering=0)

    def line(self) -> str:
        told, _, _ = select.select([self._file], [], [], 5)
        assert told, "nobody has written"
        return self._file.readline().decode().strip()

    def close(self) -> None:
        self._file.close()


def wait_until_dead(pid: int) -> None:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([process], [], [], 5)[0], f"process {pid} lives on"
    finally:
        os.close(process)


@pytest.fixture
def bench(runner: asyncio.Runner, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(runner, tmp_path)
    runner.run(bench.launcher.start())
    yield bench
    runner.run(bench.launcher.stop())


def test_exit_status_0_is_ok_and_its_output_is_kept(bench: Bench) -> None:
    asked = time.monotonic()
    outcome = bench.run(bench.script("echo fine; echo 'on stderr' >&2"), "an argument")
    assert outcome.ok
    assert (outcome.ending, outcome.code, outcome.output) == (Ending.EXITED, 0, "fine\non stderr\n")
    assert outcome.command == f"{bench.directory}/script 'an argument'"
    assert outcome.sentence == "exit status 0"
    assert asked <= outcome.started <= outcome.started + outcome.duration <= time.monotonic()


def test_any_other_exit_status_is_a_failure_that_quotes_the_last_line(bench: Bench) -> None:
    outcome = bench.run(bench.script("echo trying; echo 'nginx is not running'; exit 3"))
    assert not outcome.ok
    assert outcome.sentence == "exit status 3: nginx is not running"


def test_death_by_a_signal_is_a_failure(bench: Bench) -> None:
    outcome = bench.run(bench.script("kill -SEGV $$"))
    assert (outcome.ending, outcome.code, outcome.ok) == (Ending.KILLED, signal.SIGSEGV, False)
    assert outcome.result == "killed by signal 11 (Segmentation fault)"


def test_arguments_reach_the_program_without_a_shell(bench: Bench) -> None:
    outcome = bench.run("printf", "%s\n", "$HOME", "&&", "a b", "ünï", "*")
    assert outcome.output == "$HOME\n&&\na b\nünï\n*\n"


def test_a_script_without_a_first_line_for_the_kernel_is_read_by_the_shell(bench: Bench) -> None:
    """keepalived 2.2.7 does not run it at all, and counts that as success."""
    outcome = bench.run(bench.script('echo "ran with $1"; exit 4', shebang=""), "a b")
    assert (outcome.code, outcome.output) == (4, "ran with a b\n")


def test_it_gets_no_dangerous_environment_no_input_and_no_descriptors(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("IFS", "LD_PRELOAD", "LD_LIBRARY_PATH", "NOTIFY_SOCKET", "KEPT"):
        monkeypatch.setenv(name, "x")
    leak = os.open("/dev/zero", os.O_RDONLY)
    os.set_inheritable(leak, True)
    bench.runner.run(bench.launcher.stop())
    bench.runner.run(bench.launcher.start())
    os.close(leak)
    outcome = bench.run(
        sys.executable,
        "-ISc",
        "import os, signal\n"
        "print(sorted(os.environ.keys() & {'IFS', 'LD_PRELOAD', 'LD_LIBRARY_PATH', 'NOTIFY_SOCKET', 'KEPT'}))\n"
        "fds = [fd for fd in range(100) if os.path.exists(f'/proc/self/fd/{fd}')]\n"
        "print(fds, os.readlink('/proc/self/fd/0'), os.getpgrp() == os.getpid())\n"
        "print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, signal.pthread_sigmask(signal.SIG_BLOCK, []))\n",
    )
    assert outcome.output == "['KEPT']\n[0, 1, 2] /dev/null True\nTrue set()\n"


@as_root
def test_it_runs_as_its_user_with_all_groups_of_that_user(bench: Bench) -> None:
    outcome = bench.run("/usr/bin/id", user="nobody")
    nobody = pwd.getpwnam("nobody")
    group = grp.getgrgid(nobody.pw_gid).gr_name
    groups = [f"{gid}({grp.getgrgid(gid).gr_name})" for gid in os.getgrouplist("nobody", nobody.pw_gid)]
    assert outcome.output == (f"uid={nobody.pw_uid}(nobody) gid={nobody.pw_gid}({group}) groups={','.join(groups)}\n")


@as_root
def test_a_script_that_its_user_can_not_reach_is_not_run(bench: Bench) -> None:
    path = bench.script("exit 0")
    bench.directory.chmod(0o700)
    outcome = bench.run(path, user="nobody")
    assert outcome.ending is Ending.NOT_RUN
    assert "out of reach for user nobody" in outcome.sentence


def test_what_can_not_be_run_is_no_success_and_says_why(bench: Bench) -> None:
    not_executable = bench.run(bench.script("exit 0", mode=0o644))
    missing = bench.run("/nonexistent/check", "arg")
    not_in_path = bench.run("no-such-program-anywhere")
    nobody = bench.run("/bin/true", user="no-such-user")
    no_interpreter = bench.run(bench.script("", "odd", shebang="#!/nonexistent/interpreter\n"))
    for outcome, why in [
        (not_executable, "is not executable by user"),
        (missing, "/nonexistent: No such file or directory"),
        (not_in_path, "is not in the PATH"),
        (nobody, "user no-such-user does not exist"),
        (bench.run(), "it names no program"),
        (bench.run("/bin/true", "a\0b"), "embedded null byte"),
        (no_interpreter, "odd: No such file or directory"),
    ]:
        assert (outcome.ending, outcome.ok) == (Ending.NOT_RUN, False)
        assert outcome.sentence.startswith("could not be run: ")
        assert why in outcome.sentence


@as_root
def test_with_script_security_root_runs_nothing_that_others_can_change(bench: Bench) -> None:
    path = bench.script("exit 0", mode=0o777)
    assert bench.run(path).ok
    bench.launcher.settings = Globals(script_user="root", enable_script_security=True)
    outcome = bench.run(path)
    assert outcome.ending is Ending.NOT_RUN
    assert "insecure" in outcome.reason


def test_at_the_deadline_it_has_failed_and_its_group_is_terminated(bench: Bench) -> None:
    fifo = bench.fifo()
    run = bench.start(bench.script(f"sleep 100 & echo $$ $! > {fifo.path}; echo waiting; wait"), timeout=0.1)
    shell, sleep = map(int, fifo.line().split())
    outcome = bench.outcome(run)
    assert (outcome.ending, outcome.ok, outcome.output) == (Ending.TIMED_OUT, False, "waiting\n")
    assert outcome.sentence == f"timed out after {outcome.duration:.3g} s: waiting"
    assert 0.1 <= outcome.duration < 1.0
    bench.gone(run)
    wait_until_dead(shell)
    wait_until_dead(sleep)
    fifo.close()


def test_a_script_that_catches_sigterm_and_exits_0_is_too_late_all_the_same(bench: Bench) -> None:
    """keepalived counts it as a success."""
    fifo = bench.fifo()
    run = bench.start(
        bench.script(f"trap 'echo caught > {fifo.path}; exit 0' TERM; while :; do sleep 0.01; done"), timeout=0.1
    )
    assert bench.outcome(run).ending is Ending.TIMED_OUT
    bench.gone(run)
    assert fifo.line() == "caught"
    fifo.close()


def test_what_ignores_sigterm_is_killed_with_all_its_group(bench: Bench) -> None:
    fifo = bench.fifo()
    run = bench.start(bench.script(f"trap '' TERM; sleep 100 & echo $! > {fifo.path}; wait"), timeout=0.05)
    sleep = int(fifo.line())
    assert bench.outcome(run).ending is Ending.TIMED_OUT
    assert not run.gone.done()
    bench.gone(run)
    wait_until_dead(sleep)
    fifo.close()


def test_a_process_left_behind_neither_delays_the_outcome_nor_is_harmed_by_it(bench: Bench) -> None:
    fifo, go = bench.fifo(), bench.directory / "go"
    os.mkfifo(go)
    behind = f"(read line < {go}; echo printed later; echo survived > {fifo.path}) &"
    outcome = bench.run(bench.script(f"{behind}\necho started"))
    assert (outcome.ok, outcome.output) == (True, "started\n")
    go.write_text("now\n")
    assert fifo.line() == "survived"
    fifo.close()


def test_of_much_output_the_end_is_kept(bench: Bench) -> None:
    outcome = bench.run(bench.script("yes 0123456789abcde | head -c 2000000; echo; echo the end"))
    assert outcome.ok
    assert len(outcome.output) == 4096
    assert outcome.output.endswith("\nthe end\n")


def test_output_that_is_no_text_is_shown_as_well_as_possible(bench: Bench) -> None:
    assert bench.run("printf", "a\\377b").output == "a\ufffdb"


def test_a_killed_run_says_so(bench: Bench) -> None:
    fifo = bench.fifo()
    run = bench.start(bench.script(f"echo ready > {fifo.path}; sleep 100"))
    assert fifo.line() == "ready"
    run.kill()
    assert bench.outcome(run).result == "killed by signal 9 (Killed)"
    bench.gone(run)
    run.kill()
    fifo.close()


@pytest.mark.parametrize("there", [True, False])
def test_an_open_test_looks_whether_the_file_can_be_opened(bench: Bench, there: bool) -> None:
    path = bench.directory / "flag"
    if there:
        os.mkfifo(path)  # nobody writes to it: must not wait
    outcome = bench.outcome(bench.start(str(path), open_test=True))
    assert outcome.ok is there
    assert outcome.command == f"open {path}"
    if not there:
        assert outcome.sentence == f"exit status 1: {path}: No such file or directory"


def test_many_at_once_each_have_their_own_outcome(bench: Bench) -> None:
    path = bench.script("exit $1")
    runs = [bench.start(path, str(number)) for number in range(60)]
    assert [bench.outcome(run).code for run in runs] == list(range(60))


def test_when_the_launcher_dies_what_ran_has_failed_and_the_next_one_runs(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    fifo = bench.fifo()
    run = bench.start(bench.script(f"echo $PPID > {fifo.path}; exec sleep 0.3"))
    os.kill(int(fifo.line()), signal.SIGKILL)
    outcome = bench.outcome(run)
    assert (outcome.ending, outcome.reason) == (Ending.NOT_RUN, "the script launcher ended")
    bench.gone(run)

    async def until_it_runs() -> None:
        while not (await bench.launcher.run(Command(("true",)), 5.0).outcome).ok:
            pass

    bench.runner.run(until_it_runs())
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == ["the script launcher"]
    fifo.close()


def test_a_launcher_that_hangs_makes_no_check_look_healthy(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "_SLACK", 0.05)
    launcher = int(bench.run("/bin/sh", "-c", "echo $PPID").output)
    os.kill(launcher, signal.SIGSTOP)
    try:
        run = bench.start("/bin/true", timeout=0.05)
        assert bench.outcome(run).ending is Ending.TIMED_OUT
        assert not run.gone.done()
    finally:
        os.kill(launcher, signal.SIGCONT)
    bench.gone(run)


def test_before_the_start_and_after_the_end_nothing_runs(runner: asyncio.Runner) -> None:
    launcher = Launcher(Globals())

    async def ask() -> Outcome:
        return await launcher.run(Command(("true",)), 1.0).outcome

    assert runner.run(ask()).sentence == "could not be run: the script launcher is not running"
    runner.run(launcher.stop())


def test_stop_ends_what_runs(runner: asyncio.Runner, tmp_path: Path) -> None:
    bench = Bench(runner, tmp_path)
    runner.run(bench.launcher.start())
    fifo = bench.fifo()
    run = bench.start(bench.script(f"trap '' TERM; sleep 100 & echo $! > {fifo.path}; wait"))
    sleep = int(fifo.line())
    runner.run(bench.launcher.stop())
    assert bench.outcome(run).reason == "the daemon leaves"
    wait_until_dead(sleep)
    fifo.close()


def test_no_script_outlives_a_daemon_that_is_killed(tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    daemon = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import asyncio, sys\n"
            "from pyvrrp.config.model import Command, Globals\n"
            "from pyvrrp.host.scripts import Launcher\n"
            "async def main():\n"
            "    launcher = Launcher(Globals())\n"
            "    await launcher.start()\n"
            "    script = 'trap \"\" TERM HUP; sleep 100 & echo $! > ' + sys.argv[1] + '; wait'\n"
            "    await launcher.run(Command(('/bin/sh', '-c', script)), 60.0).outcome\n"
            "asyncio.run(main())\n",
            fifo.path,
        ]
    )
    sleep = int(fifo.line())
    daemon.kill()
    daemon.wait()
    wait_until_dead(sleep)
    fifo.close()


def test_the_launcher_stays_small() -> None:
    """It is forked for every script: what it imports, every fork pays for."""
    root = str(Path(scripts.__file__).parents[2])
    code = (
        f"import sys; sys.path.append({root!r}); import pyvrrp.host.launcher\n"
        "print(sorted({'asyncio', 'ipaddress', 'logging', 'pyvrrp.config', 'pyvrrp.core'} & sys.modules.keys()))"
    )
    assert subprocess.check_output([sys.executable, "-I", "-S", "-c", code], text=True) == "[]\n"
