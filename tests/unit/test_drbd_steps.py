"""Steps are believed by the facts: what a command says, and what the kernel shows afterwards."""

import asyncio
import os
from collections.abc import Callable, Sequence

import pytest

from drbdctl.failover.exits import Again
from drbdctl.failover.group import Group, GroupResource
from drbdctl.failover.plan import Demote, Planned, Promote, StartService, StopService, Verify
from drbdctl.settings import Program, Storage, Unit
from drbdctl.status.proc_drbd import parse, status
from drbdctl.status.state import Status
from drbdctl.steps import drbdadm, services
from drbdctl.steps.command import Outcome, run
from drbdctl.steps.effect import StepFailed
from drbdctl.steps.hands import Hands

PROC = """version: 8.4.11 (api:1/proto:86-101)
srcversion: F73C670A7EC572DB9CF3E5B
 0: cs:Connected ro:{here}/Secondary ds:UpToDate/UpToDate C r-----
    ns:0 nr:0 dw:0 dr:0 al:0 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:0
 1: cs:Connected ro:{there}/Secondary ds:UpToDate/UpToDate C r-----
    ns:0 nr:0 dw:0 dr:0 al:0 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:0
"""
REFUSED = "{}: State change failed: {}\nCommand 'drbdsetup-84 {} 0' terminated with exit code 11\n"


class Kernel:
    """A two-volume resource whose roles a scripted drbdadm changes."""

    def __init__(self, *roles: str) -> None:
        self.roles = list(roles)
        self.said: list[tuple[int, str]] = []
        self.asked: list[str] = []
        self.change: Callable[[], None] = lambda: None

    def see(self) -> Status:
        text = PROC.format(here=self.roles[0], there=self.roles[1])
        return status(parse(text.encode()), {0: ("r0", 0), 1: ("r0", 1)})

    async def run(self, argv: Sequence[str], deadline: float) -> Outcome:
        self.asked.append(" ".join(argv))
        self.change()
        code, output = self.said.pop(0) if self.said else (0, "")
        return Outcome(argv=tuple(argv), status=code, output=output, seconds=0.0)

    def becomes(self, *roles: str) -> None:
        def change() -> None:
            self.roles = list(roles)

        self.change = change


def hands(kernel: Kernel, *runnables: object) -> Hands:
    group = Group(name="S", resources=(GroupResource(name="r0"),))
    return Hands(Storage(group=group, instance="VI", services=tuple(runnables)), kernel.see, kernel.run)


def do(kernel: Kernel, step: object, *runnables: object):
    return asyncio.run(hands(kernel, *runnables).do(Planned(step, "", 5.0)))


def test_a_promotion_that_the_kernel_shows():
    kernel = Kernel("Secondary", "Secondary")
    kernel.becomes("Primary", "Primary")
    assert do(kernel, Promote("r0")) is None
    assert kernel.asked == ["drbdadm primary r0"]


def test_exit_status_0_is_no_proof():
    failure = do(Kernel("Secondary", "Secondary"), Promote("r0"))
    assert failure.why == "drbdadm primary r0 ended with 0, and the role has not changed"


def test_a_promotion_of_one_volume_of_two_has_failed():
    kernel = Kernel("Secondary", "Secondary")
    kernel.becomes("Primary", "Secondary")
    kernel.said = [(17, "(-2) Need access to UpToDate data\n")]
    failure = do(kernel, Promote("r0"))
    assert (failure.status, failure.reason) == (17, -2)


def test_the_reason_of_the_kernel_is_told_and_not_which_command_failed():
    kernel = Kernel("Secondary", "Secondary")
    kernel.said = [(11, REFUSED.format(0, "(-1) Multiple primaries not allowed by config", "primary"))]
    failure = do(kernel, Promote("r0"))
    assert failure.why == "drbdadm primary r0: exit status 11, (-1) Multiple primaries not allowed by config"
    assert failure.again is Again.PEER_LIVES


def test_a_device_that_is_held_open_is_told_with_its_holders(monkeypatch):
    monkeypatch.setattr(drbdadm, "held_by", lambda device: f"process 4711 (mysqld) on minor {device[1]}")
    kernel = Kernel("Primary", "Primary")
    kernel.said = [(11, REFUSED.format(0, "(-12) Device is held open by someone", "secondary"))]
    failure = do(kernel, Demote("r0"))
    assert "(-12) Device is held open by someone: /dev/drbd0: process 4711 (mysqld) on minor 0" in failure.why
    assert failure.again is Again.WHEN_FREE


def test_a_resource_that_is_not_up():
    kernel = Kernel("Secondary", "Secondary")
    assert do(kernel, Promote("r1")).why == "r1 is not up on this node; `drbdadm up r1`"


def test_while_a_command_hangs_in_the_kernel_nothing_else_is_begun():
    kernel = Kernel("Primary", "Primary")

    async def stuck(argv: Sequence[str], deadline: float) -> Outcome:
        kernel.asked.append(" ".join(argv))
        return Outcome(argv=tuple(argv), status=None, output="", seconds=5.0, stuck=True, pid=os.getpid(), failure="D")

    kernel.run = stuck
    doer = hands(kernel)
    first = asyncio.run(doer.do(Planned(Demote("r0"), "", 5.0)))
    assert first.stuck
    assert doer.stuck == ("drbdadm secondary r0",)
    second = asyncio.run(doer.do(Planned(Demote("r0"), "", 5.0)))
    assert second.why == "demote r0: not begun, for drbdadm secondary r0 still hangs in the kernel"
    assert kernel.asked == ["drbdadm secondary r0"]


def program(tmp_path, **commands: str) -> Program:
    argv = {name: ("/bin/sh", "-c", text.replace("FLAG", str(tmp_path / "flag"))) for name, text in commands.items()}
    return Program(name="it", **argv)


def test_a_command_service_is_started_checked_and_stopped(tmp_path):
    service = program(tmp_path, start="touch FLAG", stop="rm -f FLAG", check="test -e FLAG")
    assert asyncio.run(services.works(service, 5.0)) is False
    asyncio.run(services.start(service, 5.0))
    assert asyncio.run(services.works(service, 5.0)) is True
    asyncio.run(services.verify(service, 5.0))
    asyncio.run(services.stop(service, 5.0))
    assert asyncio.run(services.works(service, 5.0)) is False


def test_a_check_that_does_not_answer_is_unknown(tmp_path):
    service = program(tmp_path, start="true", stop="true", check="sleep 60")
    assert asyncio.run(services.works(service, 0.2)) is None


def test_a_service_that_does_not_work_says_so(tmp_path):
    service = program(tmp_path, start="true", stop="true", check="echo no socket; exit 3")
    with pytest.raises(StepFailed, match="exit status 3, no socket; it does not work"):
        asyncio.run(services.verify(service, 5.0))


def test_a_unit_counts_as_stopped_only_when_systemd_says_so():
    async def answers(argv: Sequence[str], deadline: float) -> Outcome:
        return Outcome(argv=tuple(argv), status=3, output="deactivating\n", seconds=0.0)

    with pytest.raises(StepFailed, match=r"see `systemctl status db\.service`"):
        asyncio.run(services.stop(Unit(name="db.service"), 1.0, answers))


def test_the_commands_of_a_step_have_its_deadline_together(tmp_path):
    kernel = Kernel("Primary", "Primary")
    kernel.run = run
    service = program(tmp_path, start="sleep 0.3", stop="true", check="sleep 60; true")
    failure = asyncio.run(hands(kernel, service).do(Planned(StartService("it"), "", 0.2)))
    assert "no time left of 0.2 s" in failure.why or "no end within" in failure.why


def test_a_step_about_no_mounts_and_no_services_is_verified():
    assert do(Kernel("Primary", "Primary"), Verify()) is None


def test_a_stop_that_fails_names_the_command(tmp_path):
    kernel = Kernel("Primary", "Primary")
    kernel.run = run
    failure = do(kernel, StopService("it"), program(tmp_path, start="true", stop="echo busy; exit 1"))
    assert failure.why.endswith("exit status 1, busy")
