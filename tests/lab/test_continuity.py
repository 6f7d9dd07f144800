"""What a service has in the kernel goes on over a fall and a restart of the speaker, and ends with this node's role."""

import os
import signal
import sys

import continued_plugin
import pytest
from lab_nodes import ROOT, Segment, instance
from test_guard import VIP, Guarded, owner

from pyvrrp.demo.lab import Lab, eventually

PYVRRP = [sys.executable, "-m", "pyvrrp"]


class Continuing(Guarded):
    """A guarded node with the plugin, and the reading ends of its pipes."""

    def __init__(self, lab: Lab, name: str, number: int) -> None:
        super().__init__(lab, name, number)
        self.place = self.host.directory / "plugin"
        continued_plugin.install(self.place)
        self.host.environment |= {"PYTHONPATH": f"{ROOT}:{self.place}", "PYVRRP_TEST_DIRECTORY": str(self.place)}
        self.pipes = {name: os.open(self.place / name, os.O_RDONLY | os.O_NONBLOCK) for name in ("first", "second")}

    def has(self, pipe: str) -> bool:
        """Whether any process has its other end."""
        try:
            return os.read(self.pipes[pipe], 1) != b""
        except BlockingIOError:
            return True

    def has_table(self) -> bool:
        return "table inet continued" in self.host.run(["nft", "list", "tables"]).stdout

    def until_gone(self) -> None:
        eventually(lambda: not self.has("first") and not self.has("second"), "nobody has the pipes", 20)
        eventually(lambda: not self.has_table(), "the table is gone", 5)

    @property
    def told(self) -> list[str]:
        return (self.place / "said").read_text().splitlines()

    def until_master(self, segment: Segment) -> int:
        segment.wait_advertised(self, 51)
        eventually(lambda: self.host.holds(VIP), "it has the address")
        assert self.has("first")
        assert self.has_table()
        return self.speaker


@pytest.fixture
def node(lab: Lab):
    made = Continuing(lab, "n1", 11)
    yield made
    for pipe in made.pipes.values():
        os.close(pipe)


AGAIN = "start ['pipe', 'table'] ['VI_51']"


def test_killed_and_restarted_it_goes_on_from_the_moment_of_its_start(node: Continuing, segment: Segment) -> None:
    node.start(owner(node, advert_int=4))
    first = node.until_master(segment)
    handle = node.host.run(["nft", "-a", "list", "tables"]).stdout
    os.kill(first, signal.SIGKILL)
    second = node.until_another(first)["pid"]
    assert node.told == ["start [] []", AGAIN]
    assert node.has("first")
    node.host.run([*PYVRRP, "restart"])
    node.until_another(second)
    assert node.told == ["start [] []", AGAIN, AGAIN]
    assert node.has("first")
    assert node.host.run(["nft", "-a", "list", "tables"]).stdout == handle, "never deleted, never made anew"
    assert node.process.stop() == 0
    assert not node.has("first")
    assert not node.has_table()


def test_what_changes_while_it_runs_is_what_its_successor_gets(node: Continuing, segment: Segment) -> None:
    node.start(owner(node, advert_int=4))
    first = node.until_master(segment)
    (node.place / "change").touch()
    eventually(lambda: not node.has("first") and node.has("second"), "the guard has the new pipe alone")
    os.kill(first, signal.SIGKILL)
    second = node.until_another(first)["pid"]
    assert node.has("second")
    (node.place / "many").touch()
    line = node.logged("can't go on over a restart")
    assert "plugin continuing: it can't go on over a restart: its descriptors are not kept: it has 300" in line
    os.kill(second, signal.SIGKILL)
    node.until_gone()


def test_who_falls_again_and_again_loses_it_with_its_role(node: Continuing, segment: Segment) -> None:
    node.start(owner(node))
    first = node.until_master(segment)
    node.configure(instance(51, 100, VIP))
    os.kill(first, signal.SIGKILL)
    os.kill(node.until_another(first)["pid"], signal.SIGKILL)
    node.until_gone()
    assert "its role is given up" in node.logged("its role is given up")
    eventually(lambda: node.state() == "BACKUP", "it is BACKUP", 20, 0.1)
    assert node.told[2:] == ["start [] []"]
    os.kill(node.speaker, signal.SIGKILL)
    node.until_gone()


def test_a_speaker_that_hangs_in_its_start_loses_it(node: Continuing, segment: Segment) -> None:
    node.start(owner(node))
    first = node.until_master(segment)
    node.configure("vrrp_instance VI_51 {")  # a successor can't start
    os.kill(first, signal.SIGKILL)
    node.until_gone()


@pytest.mark.parametrize("whom", ["guard", "both"])
def test_without_a_guard_nothing_is_left(node: Continuing, segment: Segment, whom: str) -> None:
    node.start(owner(node))
    node.until_master(segment)
    if whom == "guard":
        node.process.signal(signal.SIGKILL)
    else:
        node.kill()
    node.until_gone()


def test_unguarded_it_ends_with_the_process(node: Continuing, segment: Segment) -> None:
    node.extra = ["--no-guard"]
    node.start(owner(node))
    os.kill(node.until_master(segment), signal.SIGKILL)
    node.until_gone()


def test_a_configuration_without_the_plugin_does_not_go_on_with_it(node: Continuing, segment: Segment) -> None:
    node.start(owner(node))
    first = node.until_master(segment)
    (node.place / "continued_plugin-1.dist-info" / "entry_points.txt").unlink()
    node.host.run([*PYVRRP, "restart"])
    node.until_another(first)
    node.until_gone()
    assert "2 descriptors of plugin continuing, closed" in node.logged("left by the process before")


def test_a_reload_ends_what_the_old_service_had(node: Continuing, segment: Segment) -> None:
    node.start(owner(node))
    first = node.until_master(segment)
    (node.place / "change").touch()
    eventually(lambda: node.has("second"), "it has changed")
    (node.place / "said").write_text("")
    node.configure(owner(node), instance(52, 100, "192.0.2.101"))
    os.kill(node.process.pid, signal.SIGHUP)
    eventually(lambda: "stop" in node.told, "the old service has ended", 20)
    assert node.told[0] == "start [] ['VI_51']"
    eventually(lambda: node.has("first") and not node.has("second"), "the guard has what the new one has")
    os.kill(first, signal.SIGKILL)
    node.until_another(first)
    assert node.has("first")


def test_no_script_inherits_it(node: Continuing, segment: Segment) -> None:
    node.script.write_text(
        f"#!/bin/sh\nls -l /proc/$$/fd > {node.notified}.new; mv {node.notified}.new {node.notified}\n"
    )
    node.start(owner(node))
    first = node.until_master(segment)
    os.kill(first, signal.SIGKILL)
    node.until_another(first)
    eventually(node.notified.exists, "a script has run")
    node.notified.unlink()
    node.process.stop()
    eventually(node.notified.exists, "a script has run")
    assert not [line for line in node.said if "plugin/" in line or "socket:" in line]
