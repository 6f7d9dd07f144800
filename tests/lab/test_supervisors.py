"""Under runit and daemontools: they watch the guard, and the guard watches the speaker."""

import os
import shlex
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from lab_nodes import Node, Segment, instance

from pyvrrp.demo.lab import Lab, eventually
from pyvrrp.demo.processes import Process

VIP = "192.0.2.100"


@dataclass
class Supervisor:
    """One service, the daemon in the foreground, as a service directory of D. J. Bernstein's kind describes it."""

    node: Node
    program: str
    down: list[str]
    process: Process

    @property
    def guard(self) -> int:
        """The process that it supervises; 0: none runs."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def stop(self) -> None:
        self.node.host.run([*self.down, str(self.node.host.directory / "service")])


@pytest.fixture(params=[("runsv", ["sv", "force-stop"]), ("supervise", ["svc", "-d"])], ids=["runit", "daemontools"])
def supervisor(request, lab: Lab) -> Iterator[Supervisor]:
    program, down = request.param
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    node = Node(lab, "pyvrrp", "n1", "192.0.2.11/24")
    node.configure(instance(51, 255, VIP, advert_int=4).replace("state BACKUP", "state MASTER"))
    service = node.host.directory / "service"
    service.mkdir()
    run = service / "run"
    run.write_text(f"#!/bin/sh\nexec {shlex.join(map(str, node.argv()))} >>{node.log} 2>&1\n")
    run.chmod(0o755)
    process = node.host.start([program, str(service)])
    yield Supervisor(node, program, down, process)
    node.host.run([*down, str(service)], check=False)


def test_a_speaker_that_falls_is_the_guard_s_business_alone(supervisor: Supervisor, segment: Segment) -> None:
    node = supervisor.node
    segment.wait_advertised(node, 51)
    guard, speaker = supervisor.guard, node.status()["pid"]
    assert guard not in (0, speaker)
    os.kill(speaker, signal.SIGKILL)
    eventually(lambda: node.status().get("pid") not in (None, speaker), "another speaker", 20)
    assert supervisor.guard == guard
    assert node.status()["instances"][0]["reason"] == "taken over from the process before"


def test_stopped_it_leaves_in_order(supervisor: Supervisor, segment: Segment) -> None:
    node = supervisor.node
    segment.wait_advertised(node, 51)
    supervisor.stop()
    eventually(lambda: not supervisor.guard, "the service is down")
    assert not node.host.holds(VIP)
    assert segment.heard(node, 51)[-1][1].priority == 0


def test_with_the_guard_killed_both_are_started_again(supervisor: Supervisor, segment: Segment) -> None:
    node = supervisor.node
    segment.wait_advertised(node, 51)
    guard, speaker = supervisor.guard, node.status()["pid"]
    os.kill(guard, signal.SIGKILL)
    eventually(lambda: supervisor.guard not in (0, guard), "another guard", 20)
    eventually(lambda: node.status().get("pid") not in (None, speaker), "another speaker", 20)
    eventually(lambda: node.host.holds(VIP), "it is MASTER again", 20)
