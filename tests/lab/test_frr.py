"""Our daemon and FRR's vrrpd take over from each other: VRRPv2 and VRRPv3, another code base than keepalived's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from lab_nodes import Node, Segment, instance

from pyvrrp.demo.lab import Lab, eventually
from pyvrrp.demo.namespaces import ip
from pyvrrp.demo.processes import Process

FRR = Path("/usr/lib/frr")
VRID, VIP = 51, "192.0.2.100"
VERSIONS = pytest.mark.parametrize("version", [2, 3])

pytestmark = pytest.mark.skipif(not (FRR / "vrrpd").exists(), reason="needs FRR's vrrpd (apt install frr)")


class FrrNode(Node):
    """A host with zebra and vrrpd; its virtual router lives on a macvlan interface that FRR wants to find there."""

    def __init__(self, lab: Lab, name: str, address: str) -> None:
        super().__init__(lab, "frr", name, address)
        ip(
            f"link add vrrp4 link eth0 address 00:00:5e:00:01:{VRID:02x} type macvlan mode bridge",
            f"addr add {VIP}/24 dev vrrp4",
            "link set vrrp4 addrgenmode none up",
            namespace=self.host.namespace,
        )

    def start_frr(self, version: int, priority: int) -> None:
        """Start both daemons, as the user that the package has made for them."""
        self.place = self.host.directory / "frr"
        self.place.mkdir(exist_ok=True)
        shutil.chown(self.place, "frr", "frr")
        self.configure(
            "interface eth0",
            f" vrrp {VRID} version {version}",
            f" vrrp {VRID} priority {priority}",
            f" vrrp {VRID} ip {VIP}",
        )
        self.start_daemon("zebra")
        eventually((self.place / "zserv.api").exists, "zebra listens")
        self.process = self.start_daemon("vrrpd")
        eventually(self.listens, f"{self}: has a VRRP socket", 30)

    def start_daemon(self, name: str) -> Process:
        options = ["-f", self.file, "-i", self.place / f"{name}.pid", "-z", self.place / "zserv.api"]
        command = [FRR / name, *options, "--vty_socket", self.place, "-P", "0"]
        return self.host.start(command, stdout=self.host.directory / f"{name}.log")


@pytest.fixture
def frr(lab: Lab) -> FrrNode:
    return FrrNode(lab, "n1", "192.0.2.11/24")


@pytest.fixture
def ours(lab: Lab) -> Node:
    return Node(lab, "pyvrrp", "n2", "192.0.2.12/24")


@VERSIONS
def test_a_killed_frr_is_replaced_and_preempts(frr: FrrNode, ours: Node, segment: Segment, version: int) -> None:
    frr.start_frr(version, 200)
    segment.wait_advertised(frr, VRID)
    ours.start(instance(VRID, 100, f"{VIP}/24", version=version))
    segment.wait_advertised(frr, VRID, count=3)
    assert segment.heard(ours, VRID) == [], "it has heard the other one, and understood"
    frr.kill()
    segment.wait_announced(VIP, ours, since=segment.wait_advertised(ours, VRID) - 0.1)
    assert ours.host.holds(VIP)
    frr.start_frr(version, 200)
    back = segment.wait_advertised(frr, VRID)
    eventually(lambda: not ours.host.holds(VIP), "ours gives way", 5)
    segment.wait_advertised(frr, VRID, count=2)
    assert segment.heard(ours, VRID, since=back + 0.5) == []
    assert sum(ours.status()["instances"][0]["discarded"].values()) == 0


@VERSIONS
def test_frr_takes_over_and_gives_way(frr: FrrNode, ours: Node, segment: Segment, version: int) -> None:
    ours.start(instance(VRID, 200, f"{VIP}/24", version=version))
    segment.wait_advertised(ours, VRID)
    frr.start_frr(version, 100)
    segment.wait_advertised(ours, VRID, count=3)
    assert segment.heard(frr, VRID) == []
    assert ours.process is not None
    ours.process.stop()
    segment.wait_advertised(frr, VRID)
    assert segment.heard(ours, VRID)[-1][1].priority == 0
    assert not ours.host.holds(VIP)
    ours.start(instance(VRID, 200, f"{VIP}/24", version=version))
    back = segment.wait_advertised(ours, VRID, count=2)
    assert ours.host.holds(VIP)
    segment.wait_advertised(ours, VRID, count=2)
    assert segment.heard(frr, VRID, since=back) == []
