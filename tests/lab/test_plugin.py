"""The plugin protocol in a real speaker: the address follows the service (DESIGN of the gates and trackers)."""

import signal
import sys
from pathlib import Path

import pytest

from pyvrrp.demo.lab import eventually

pytestmark = pytest.mark.lab
PROGRAM = Path(__file__).with_name("gated_speaker.py")
ROOT = Path(__file__).parents[2]
VIP = "192.0.2.100"


class Speaker:
    def __init__(self, lab, priority):
        self.host = lab.host("gated", "192.0.2.11/24")
        self.host.environment["PYTHONPATH"] = str(ROOT)
        self.directory = self.host.directory
        self.log = self.directory / "log"
        self.process = self.host.start(
            ["sh", "-c", f"cd {self.directory} && exec {sys.executable} {PROGRAM} {priority}"], stdout=self.log
        )

    def file(self, name):
        return self.directory / name

    @property
    def lines(self):
        """(time, what, the VIP is there) of each step."""
        found = [line.split() for line in self.log.read_text().splitlines()] if self.log.exists() else []
        steps = [each for each in found if len(each) == 3 and each[0][0].isdigit()]
        return [(float(at), what, vip == "vip") for at, what, vip in steps]

    @property
    def said(self):
        return [what for _, what, _ in self.lines]

    def until(self, what, count=1):
        eventually(lambda: self.said.count(what) >= count, f"{what} in {self.said}", 15)

    def at(self, what):
        return next((at, vip) for at, said, vip in self.lines if said == what)


@pytest.fixture
def speaker(lab):
    return Speaker(lab, 200)


def test_the_address_comes_after_the_gate_and_goes_before_it(speaker, lab, segment):
    speaker.until("acquire")
    eventually(lambda: len(segment.capture.advertisements(51)) >= 3, "it advertises while it acquires", 10)
    assert not speaker.host.holds(VIP)
    assert "MASTER" not in speaker.said
    speaker.file("open").touch()
    speaker.until("MASTER")
    eventually(lambda: speaker.host.holds(VIP), "the VIP is on")
    speaker.file("slow").touch()
    speaker.process.signal(signal.SIGTERM)
    speaker.until("stop")
    assert speaker.said == ["start", "BACKUP", "acquire", "acquired", "MASTER", "release", "released", "INIT", "stop"]
    released, vip = speaker.at("release")
    assert not vip
    gone, _ = speaker.at("released")
    eventually(lambda: segment.capture.advertisements(51)[-1][1].priority == 0, "priority 0 is said")
    advertised = [(at, seen.priority) for at, seen in segment.capture.advertisements(51)]
    assert [priority for _, priority in advertised].count(0) == 1
    assert advertised[-1][0] > gone - 0.01
    assert any(released < at < gone for at, _ in advertised), "it advertises while it releases"


def test_a_gate_that_refuses_leads_to_fault_and_is_tried_again(speaker, segment):
    speaker.file("refuse").touch()
    speaker.until("FAULT")
    assert speaker.said == ["start", "BACKUP", "acquire", "release", "released", "FAULT"]
    assert not speaker.host.holds(VIP)
    speaker.file("refuse").unlink()
    speaker.file("open").touch()
    speaker.until("MASTER")
    eventually(lambda: speaker.host.holds(VIP), "the VIP is on")


def test_a_check_that_fails_takes_the_address_away(speaker, segment):
    speaker.file("open").touch()
    speaker.until("MASTER")
    speaker.file("unhealthy").touch()
    speaker.until("FAULT")
    assert not speaker.host.holds(VIP)
    assert speaker.said[-3:] == ["release", "released", "FAULT"]
    speaker.file("unhealthy").unlink()
    speaker.until("MASTER", 2)
