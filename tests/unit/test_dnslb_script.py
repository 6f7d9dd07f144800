"""MISC_CHECK with real programs, and TCP_CHECK, on both event loops."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from ipaddress import ip_address
from pathlib import Path

import pytest

from dnslb.health import process
from dnslb.health.check import MiscProbe, TcpProbe
from dnslb.health.query import Binding
from dnslb.health.script import Script
from dnslb.health.tcp import connect
from dnslb.health.verdict import Verdict
from dnslb.model import Endpoint
from pyvrrp.config.model import Command, Globals
from tests.unit.dns_responder import LOOPS, Run, on_loop

SERVER = Endpoint(ip_address("192.0.2.11"), 53)
OURSELVES = Globals(script_user=str(os.getuid()))


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    return on_loop(request.param)


def probe(*argv: str, timeout: float = 10.0, dynamic: bool = False, user: str | None = None) -> MiscProbe:
    return MiscProbe(server=SERVER, command=Command(argv, user), timeout=timeout, dynamic=dynamic)


def shell(text: str, *, timeout: float = 10.0, dynamic: bool = False) -> MiscProbe:
    return probe("/bin/sh", "-c", text, timeout=timeout, dynamic=dynamic)


def once(run: Run, wanted: MiscProbe, settings: Globals = OURSELVES) -> Verdict:
    return run(Script(wanted).run(settings))


@pytest.mark.parametrize(
    ("status", "dynamic", "ok", "weight"),
    [
        (0, False, True, None),
        (1, False, False, None),
        (2, False, False, None),
        (0, True, True, None),
        (1, True, False, None),
        (2, True, True, 0),
        (12, True, True, 10),
        (255, True, True, 253),
    ],
)
def test_exit_statuses_are_keepaliveds(run: Run, status: int, dynamic: bool, ok: bool, weight: int | None) -> None:
    verdict = once(run, shell(f"exit {status}", dynamic=dynamic))
    assert (verdict.ok, verdict.weight) == (ok, weight)
    assert verdict.cause == ("" if ok else f"exit {status}")


def test_the_last_line_says_why(run: Run) -> None:
    verdict = once(run, shell("echo first; echo 'zone is stale' >&2; exit 1"))
    assert verdict.detail.endswith(": exit status 1: zone is stale")


def test_a_script_that_talks_much_is_heard_to_the_end(run: Run) -> None:
    verdict = once(run, shell("head -c 300000 /dev/zero | tr '\\0' x; echo; echo done; exit 1"))
    assert verdict.detail.endswith(": done")


def test_a_script_that_is_killed(run: Run) -> None:
    verdict = once(run, shell("kill -9 $$"))
    assert (verdict.ok, verdict.cause) == (False, "signal 9")


def test_arguments_come_as_they_are(run: Run) -> None:
    verdict = once(run, probe("/bin/echo", "$HOME; exit 3", "*"))
    assert (verdict.ok, verdict.detail) == (True, "/bin/echo '$HOME; exit 3' '*': exit status 0")


def test_a_file_without_an_interpreter_line_is_read_by_the_shell(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "check"
    script.write_text("exit 1\n")
    script.chmod(0o755)
    assert once(run, probe(str(script))).cause == "exit 1"


@pytest.mark.parametrize(
    ("argv", "user", "told"),
    [
        (("/nonexistent/check",), None, "/nonexistent"),
        (("/etc/passwd",), None, "not executable"),
        (("/bin/true",), "nobody-of-that-name", "user nobody-of-that-name does not exist"),
    ],
)
def test_what_can_not_be_run_is_not_healthy(run: Run, argv: tuple[str, ...], user: str | None, told: str) -> None:
    verdict = once(run, probe(*argv, user=user))
    assert (verdict.ok, verdict.cause) == (False, "not run")
    assert told in verdict.detail


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_it_runs_as_the_user_that_is_named(run: Run) -> None:
    verdict = once(run, probe("/bin/sh", "-c", "id -un; id -Gn; exit 1", user="nobody"))
    assert verdict.detail.endswith(": nogroup")


@pytest.mark.skipif(os.geteuid() != 0, reason="the rule is about root")
def test_enable_script_security_holds_here_too(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "check"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o777)
    secure = Globals(script_user="root", enable_script_security=True)
    assert "is insecure" in once(run, probe(str(script)), secure).detail


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def ended(pids: list[int]) -> None:
    async with asyncio.timeout(60):
        while any(map(alive, pids)):  # noqa: ASYNC110 (they are not our children any more)
            await asyncio.sleep(0.01)


def pids_in(file: Path) -> list[int]:
    return [int(pid) for pid in file.read_text().split()]


def test_one_that_is_late_has_failed_and_its_whole_group_goes(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "KILL_GRACE", 0.2)
    file = tmp_path / "pids"
    script = shell(f"trap '' TERM; sleep 60 & echo $$ $! > {file}; wait; wait", timeout=0.3)

    async def main() -> None:
        began = time.monotonic()
        checker = Script(script)
        verdict = await checker.run(OURSELVES)
        assert time.monotonic() - began < 0.5, "the verdict does not wait for its end"
        assert (verdict.ok, verdict.cause) == (False, "timeout")
        again = await checker.run(OURSELVES)
        assert "still runs, though it timed out" in again.detail, "never two at a time"
        await ended(pids_in(file))
        assert (await checker.run(OURSELVES)).cause == "timeout"
        await ended(pids_in(file))

    run(main())


def test_a_check_that_is_given_up_takes_its_script_along(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "pids"

    async def main() -> None:
        task = asyncio.create_task(Script(shell(f"echo $$ > {file}; sleep 60")).run(OURSELVES))
        async with asyncio.timeout(60):
            while not file.exists() or not file.read_text():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await ended(pids_in(file))

    run(main())


def test_other_children_of_the_process_are_left_alone(run: Run) -> None:
    async def main() -> None:
        other = await asyncio.create_subprocess_exec("/bin/sleep", "60")
        assert (await Script(shell("exit 0")).run(OURSELVES)).ok
        other.send_signal(signal.SIGTERM)
        assert await other.wait() == -signal.SIGTERM

    run(main())


# --- TCP_CHECK -------------------------------------------------------------------------------------------------------


def test_a_connection_is_accepted_or_not(run: Run) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        endpoint = Endpoint(ip_address("127.0.0.1"), listening.getsockname()[1])
        refused = run(connect(TcpProbe(endpoint, 1.0, Binding())))
        assert (refused.ok, refused.cause) == (False, "refused")
        assert refused.detail == f"connection refused by {endpoint} over tcp: nothing listens there"
        listening.listen()
        accepted = run(connect(TcpProbe(endpoint, 1.0, Binding(source=ip_address("127.0.0.2")))))
        assert (accepted.ok, accepted.detail) == (True, f"{endpoint} accepts a connection over tcp")
        assert listening.accept()[1][0] == "127.0.0.2"


def test_a_full_backlog_is_a_timeout(run: Run) -> None:
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for other in (first, second):
            other.setblocking(False)
            other.connect_ex(listening.getsockname())
        endpoint = Endpoint(ip_address("127.0.0.1"), listening.getsockname()[1])
        verdict = run(connect(TcpProbe(endpoint, 0.05, Binding())))
        assert (verdict.ok, verdict.cause) == (False, "timeout")


def test_an_address_that_is_not_ours_can_not_be_bound(run: Run) -> None:
    endpoint = Endpoint(ip_address("127.0.0.1"), 53)
    verdict = run(connect(TcpProbe(endpoint, 1.0, Binding(source=ip_address("192.0.2.99")))))
    assert (verdict.ok, verdict.cause) == (False, "unreachable")
    assert "Cannot assign requested address" in verdict.detail
