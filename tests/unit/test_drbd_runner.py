"""The gate of a storage: what acquire and release mean, and what the tracker says; with a node that exists on paper."""

import asyncio
import json
import time
from collections.abc import Callable

import pytest

from drbdctl.daemon import runner as runner_module
from drbdctl.daemon.intent import Intent
from drbdctl.daemon.runner import StorageRunner
from drbdctl.failover.exits import Failure
from drbdctl.failover.group import Group, GroupResource, Limits, Mount, Service
from drbdctl.failover.machine import Phase
from drbdctl.failover.plan import (
    Demote,
    MountVolume,
    Planned,
    Promote,
    StartService,
    StopService,
    UnmountVolume,
    Verify,
)
from drbdctl.failover.seen import DRBD_MAJOR, Mounted, Seen
from drbdctl.metrics import families
from drbdctl.rehearsal.check import hindrances
from drbdctl.report import entries, summary
from drbdctl.settings import Program, Storage
from drbdctl.status.proc_drbd import parse, status
from drbdctl.steps.effect import until
from pyvrrp.core.metrics import exposition
from pyvrrp.core.report import Mood
from pyvrrp.daemon.plugins import CommandRefused, GateFailed, Hindrance

PROC = """version: 8.4.11 (api:1/proto:86-101)
srcversion: F73C670A7EC572DB9CF3E5B
 0: cs:Connected ro:{here}/{there} ds:UpToDate/UpToDate C r-----
    ns:0 nr:0 dw:0 dr:0 al:0 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:0
"""
STORAGE = Storage(
    group=Group(
        name="S",
        resources=(GroupResource(name="r0", link_timeout=0.0),),
        mounts=(Mount("/dev/drbd0", "/mnt/data"),),
        services=(Service("db"),),
        limits=Limits(failures=0),
    ),
    instance="VI",
    services=(Program(name="db", start=("/bin/true",), stop=("/bin/true",), check=("/bin/true",)),),
)


class Node:
    """What is Primary, mounted, running here; and what was done."""

    tidings: Callable[[], None]
    "DRBD says something new"

    def __init__(self) -> None:
        self.primary = self.mounted = self.running = False
        self.peer = "Secondary"
        self.done: list[str] = []
        self.fails: dict[type, Failure] = {}
        self.slow: type | None = None
        self.looks = 0
        self.mistake: Exception | None = None
        "what the next look raises"

    def seen(self) -> Seen:
        text = PROC.format(here="Primary" if self.primary else "Secondary", there=self.peer)
        if self.peer == "gone":
            text = (
                text.replace("cs:Connected", "cs:WFConnection")
                .replace("/gone", "/Unknown")
                .replace("/UpToDate", "/DUnknown")
            )
        return Seen(
            at=time.monotonic(),
            status=status(parse(text.encode()), {0: ("r0", 0)}),
            mounts=(Mounted("/mnt/data", DRBD_MAJOR, 0),) if self.mounted else (),
            services={"db": self.running},
        )

    async def do(self, planned: Planned) -> Failure | None:
        step = planned.step
        self.done.append(str(step))
        if type(step) is self.slow:
            await asyncio.sleep(3600)
        if failure := self.fails.get(type(step)):
            return failure
        match step:
            case Promote() | Demote():
                self.primary = isinstance(step, Promote)
            case MountVolume() | UnmountVolume():
                self.mounted = isinstance(step, MountVolume)
            case StartService() | StopService():
                self.running = isinstance(step, StartService)
            case Verify():
                pass
        return None


@pytest.fixture
def node(monkeypatch, tmp_path) -> Node:
    node = Node()

    class Eyes:
        def __init__(self, *_: object) -> None:
            pass

        status = None

        async def check(self) -> tuple[()]:
            return ()

        async def look(self, *_: object, **__: object) -> Seen:
            node.looks += 1
            await asyncio.sleep(0)
            if node.mistake is not None:
                mistake, node.mistake = node.mistake, None
                raise mistake
            return node.seen()

    class Hands:
        stuck = ()

        def __init__(self, *_: object) -> None:
            pass

        async def do(self, planned: Planned) -> Failure | None:
            return await node.do(planned)

    class Watch:
        def __init__(self, _instances: object, _witness: object, _dead: float, changed: Callable[[], None], *_: object):
            node.tidings = changed

        async def run(self) -> None:
            await asyncio.sleep(3600)

        def heard(self, *_: object) -> None:
            pass

    monkeypatch.setattr(runner_module, "Eyes", Eyes)
    monkeypatch.setattr(runner_module, "Hands", Hands)
    monkeypatch.setattr(runner_module, "PeerWatch", Watch)
    monkeypatch.setattr(runner_module, "Intent", lambda name: Intent(name, tmp_path / "run"))
    exclusive = runner_module.transaction.exclusive
    monkeypatch.setattr(runner_module.transaction, "exclusive", lambda name: exclusive(name, tmp_path / "locks"))
    return node


def scenario(node: Node, work) -> None:
    async def main() -> None:
        runner = StorageRunner(STORAGE, ())
        runner.start()
        try:
            async with asyncio.timeout(20):
                await work(runner)
        finally:
            await runner.stop()

    asyncio.run(main())


def test_acquired_is_verified_and_released_is_secondary(node: Node):
    async def work(runner: StorageRunner) -> None:
        await runner.acquire()
        assert node.done == ["promote r0", "mount /dev/drbd0 on /mnt/data", "start db", "verify that all of it works"]
        assert runner.machine.phase is Phase.PRIMARY
        steps = runner.status()["steps"]
        assert [(each["number"], each["step"], each["failure"]) for each in steps][:2] == [
            (1, "promote r0", ""),
            (2, "mount /dev/drbd0 on /mnt/data", ""),
        ]
        await runner.acquire()  # once more: nothing is left to do
        node.done.clear()
        await runner.release()
        assert node.done == ["stop db", "unmount /mnt/data", "demote r0"]
        await runner.release()
        assert len(node.done) == 3
        assert runner.status()["tally"] == {"takeovers": 1, "gave_up": 0, "steps_failed": 0, "alarms": 0}

    scenario(node, work)


def test_what_serves_is_told_in_a_line_and_in_numbers(node: Node):
    async def work(runner: StorageRunner) -> None:
        await runner.acquire()
        found = {"storages": {"S": runner.status()}}
        json.dumps(found)
        assert runner.problems == []
        assert summary(found)[0] == "storage S: primary; r0 Primary UpToDate"
        text = "".join(exposition(families(found)))
        assert 'drbdctl_storage_phase{storage="S",phase="primary"} 1\n' in text
        assert 'drbdctl_resource_role{storage="S",resource="r0",role="Primary"} 1\n' in text
        assert 'drbdctl_takeovers_total{storage="S"} 1\n' in text
        runner.alarm = "somebody should come"
        assert runner.problems == ["storage S: somebody should come"]
        [entry] = entries({"storages": {"S": runner.status()}})
        assert (entry.mood, entry.sentences[0]) == (Mood.BAD, "somebody should come")

    scenario(node, work)


def test_a_step_that_fails_is_the_gate_s_sentence_and_everything_is_taken_back(node: Node):
    node.fails[StartService] = Failure("start db: no socket")

    async def work(runner: StorageRunner) -> None:
        with pytest.raises(GateFailed, match="no socket"):
            await runner.acquire()
        await runner.release()
        assert (node.primary, node.mounted, node.running) == (False, False, False)
        tally = runner.status()["tally"]
        assert (tally["takeovers"], tally["gave_up"]) == (0, 1)
        assert tally["steps_failed"] >= 1

    scenario(node, work)


def test_a_rule_that_forbids_it_is_the_gate_s_sentence(node: Node):
    node.peer = "Primary"

    async def work(runner: StorageRunner) -> None:
        attempt = asyncio.create_task(runner.acquire())
        # it waits for the peer to give way, and says so
        assert await until(lambda: "the peer is Primary" in str(runner.status()["refusals"]), 5.0)
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
        await runner.release()
        assert node.done == []

    scenario(node, work)


def test_while_the_peer_has_it_the_gate_is_hindered(node: Node, monkeypatch):
    node.peer = "Primary"

    async def work(runner: StorageRunner) -> None:
        said: list[tuple[Hindrance | None, list[str]]] = []
        runner.hindered = lambda hindered: said.append((hindered, list(node.done)))
        attempt = asyncio.create_task(runner.acquire())
        assert await until(lambda: "the peer is Primary" in str(runner.status()["refusals"]), 5.0)
        assert said[0] == (Hindrance.UNSEEN, []), "it has not looked yet"
        assert said[-1] == (Hindrance.HOLDER, [])
        assert runner.problems == []
        monkeypatch.setattr(runner_module, "_STALE", 0.0)
        assert "it was to take over and has waited for 0 s: r0: the peer is Primary" in runner.problems[0]
        node.peer = "Secondary"
        await attempt
        begun = [done for hindered, done in said if hindered is None]
        assert begun[0] == [], "it is said before anything is done"
        assert said[-1][0] is None

    scenario(node, work)


def test_who_is_hindered_and_gives_up_does_not_say_that_it_begins(node: Node):
    """It would advertise for a moment, and depose the peer that serves."""
    node.peer = "Primary"

    async def work(runner: StorageRunner) -> None:
        said: list[Hindrance | None] = []
        runner.hindered = said.append
        attempt = asyncio.create_task(runner.acquire())
        assert await until(lambda: Hindrance.HOLDER in said, 5.0)
        node.peer = "gone"
        with pytest.raises(GateFailed, match="the peer is not connected"):
            await attempt
        await runner.release()
        assert None not in said

    scenario(node, work)


def test_the_role_is_told_while_it_serves_and_until_it_has_let_go(node: Node):
    async def work(runner: StorageRunner) -> None:
        reports: list[tuple[bool, str]] = []
        tracking = asyncio.create_task(runner.report_role(lambda ok, detail: reports.append((ok, detail))))
        await asyncio.sleep(0)
        assert not reports[-1][0]
        await runner.acquire()
        assert await until(lambda: reports[-1] == (True, "primary"), 5.0)
        node.slow = StopService
        leaving = asyncio.create_task(runner.release())
        assert await until(lambda: reports[-1] == (True, "demoting"), 5.0)
        leaving.cancel()
        tracking.cancel()

    scenario(node, work)


def test_a_cancelled_acquisition_is_taken_back(node: Node):
    node.slow = StartService

    async def work(runner: StorageRunner) -> None:
        attempt = asyncio.create_task(runner.acquire())
        assert await until(lambda: "start db" in node.done, 5.0)
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
        assert node.primary, "the step that runs is not torn out of the middle"

    scenario(node, work)


def test_a_storage_that_a_successor_finds_broken_gives_the_role_away(node: Node):
    node.fails[Verify] = Failure("db: it does not answer")

    async def work(runner: StorageRunner) -> None:
        reports: list[tuple[bool, str]] = []
        tracking = asyncio.create_task(runner.report(lambda ok, detail: reports.append((ok, detail))))
        runner.hold()  # the addresses are here already, adopted from the process before
        assert await until(lambda: any(not ok and "does not answer" in detail for ok, detail in reports), 5.0)
        await runner.release()
        tracking.cancel()
        assert not node.primary

    scenario(node, work)


def test_what_the_command_line_may_ask(node: Node):
    async def work(runner: StorageRunner) -> None:
        await runner.acquire()
        rules = {each["rule"] for each in runner.command(["why"])}
        assert {2, 3, 6, 21, 23} <= rules
        assert runner.command(["fence-peer", "r0"]) == {
            "status": 1,
            "why": "r0: no promotion of it has been allowed here",
        }
        assert runner.command(["acknowledge", "root"]) == {}
        ready = runner.command(["after-move"])
        assert (ready["refusals"], sorted(ready["fingerprint"])[:2]) == ([], ["minors", "mounts"])
        # What a rehearsal reads of both daemons is there under these names.
        whole = json.loads(json.dumps({"plugins": {"drbdctl": {"storages": {"S": runner.status()}}}}))
        assert list(hindrances("S", whole, ready, ready, "n2")) == []
        with pytest.raises(CommandRefused, match="does not understand 'dance'"):
            runner.command(["dance"])
        await runner.release()

    scenario(node, work)


def test_each_step_is_followed_by_one_look_and_the_verification_by_none(node: Node, monkeypatch):
    """A hand-over waits for each of them: a client does."""
    monkeypatch.setattr(runner_module, "_IDLE", 3600.0)
    do = node.do

    async def do_and_tell(planned: Planned) -> Failure | None:
        failure = await do(planned)
        node.tidings()  # DRBD's own word of what the step has changed
        return failure

    async def work(runner: StorageRunner) -> None:
        assert await until(lambda: runner.machine.seen is not None, 5.0)
        node.looks = 0
        node.do = do_and_tell
        await runner.acquire()
        assert (len(node.done), node.looks) == (4, 4), "one before the first step"
        node.tidings()
        assert await until(lambda: node.looks == 5, 5.0), "what comes from elsewhere is looked at at once"

    scenario(node, work)


def test_with_a_mistake_of_ours_in_the_watch_it_is_still_promoted_and_demoted(node: Node, monkeypatch, caplog):
    """One that comes each time: it is told once, and what is held can be given back."""
    monkeypatch.setattr(runner_module, "_IDLE", 0.01)

    async def run(watch: object) -> None:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(runner_module.PeerWatch, "run", run)

    async def work(runner: StorageRunner) -> None:
        await runner.acquire()
        await runner.release()
        assert node.done[-1] == "demote r0"
        assert caplog.text.count("watching it failed") == 1

    scenario(node, work)


def test_a_look_that_fails_by_a_mistake_of_ours_is_taken_again(node: Node, monkeypatch, caplog):
    monkeypatch.setattr(runner_module, "_IDLE", 0.01)

    async def work(runner: StorageRunner) -> None:
        node.mistake = ZeroDivisionError("a mistake")
        assert await until(lambda: "watching it failed" in caplog.text, 5.0)
        await runner.acquire()
        await runner.release()

    scenario(node, work)
