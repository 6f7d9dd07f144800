"""What our daemon does when somebody works against it: addresses and interfaces that go away, signals, death."""

import signal

import pytest
from lab_nodes import Node, Segment, instance, wait_holder

from pyvrrp.demo.lab import Lab, eventually
from pyvrrp.demo.probe import Probe, Responder

VIP = "192.0.2.100"
VIP6 = "2001:db8::100"


@pytest.fixture
def node(lab: Lab) -> Node:
    return Node(lab, "pyvrrp", "n1", "192.0.2.11/24", "2001:db8::11/64")


def fast(priority: int = 200) -> str:
    """VRRPv3 at 200 ms."""
    return instance(51, priority, VIP, version=3, advert_int=0.2)


def calm(*vips: str) -> str:
    """VRRPv3 at 1 s, where no peer is to notice anything: three of them may pass before one does."""
    return instance(51, 200, *(vips or (VIP,)), version=3)


def the_instance(node: Node) -> dict:
    return node.status()["instances"][0]


def test_a_vip_that_somebody_removes_comes_back_without_leaving_master(node: Node, segment: Segment) -> None:
    node.start(calm(), instance(52, 200, "fe80::100", VIP6, version=3))
    since = segment.wait_advertised(node, 51)
    segment.wait_advertised(node, 52)
    for vip, length in ((VIP, 32), (VIP6, 128)):
        wait_holder(vip, node, [])
        node.host.run(["ip", "addr", "del", f"{vip}/{length}", "dev", "eth0"])
        wait_holder(vip, node, [])
    segment.wait_advertised(node, 51, count=3)
    for vrid in (51, 52):
        assert all(seen.priority == 200 for _, seen in segment.heard(node, vrid))
        assert segment.largest_pause(node, vrid, since) < 3
    assert [each["counters"]["addresses_restored"] for each in node.status()["instances"]] == [1, 1]


def test_an_interface_that_is_deleted_and_made_again(node: Node, segment: Segment) -> None:
    node.start(fast())
    segment.wait_advertised(node, 51)
    node.host.delete_interface()
    eventually(lambda: node.state() == "FAULT", "FAULT", every=0.1)
    assert any("eth0" in fault for fault in the_instance(node)["faults"])
    node.host.create_interface()
    node.identify()
    segment.wait_advertised(node, 51)
    wait_holder(VIP, node, [])


def test_an_interface_that_appears_after_the_start(node: Node, segment: Segment) -> None:
    node.host.delete_interface()
    node.configure(fast())
    node.process = node.host.start(node.argv(), stdout=node.log)
    eventually(lambda: node.state() == "FAULT", "FAULT", 30, every=0.2)
    node.host.create_interface()
    node.identify()
    segment.wait_advertised(node, 51)


@pytest.mark.parametrize(("advert_int", "lease"), [(0.2, 1.0), (1, 3.0)])
def test_killed_it_loses_the_vip_by_itself(
    lab: Lab, segment: Segment, node: Node, advert_int: float, lease: float
) -> None:
    """The lease ends when a backup may take over at the earliest (never before a second is over)."""
    Responder(node.host)
    node.start(instance(51, 200, VIP, advert_int=advert_int, version=3))
    segment.wait_advertised(node, 51)
    probe = Probe(lab.host("client", "192.0.2.20/24"), VIP)
    segment.wait_advertised(node, 51, count=2)
    node.kill()
    told = segment.heard(node, 51)[-1][0]
    wait_holder(VIP, None, [node])
    last_answer = probe.answers[-1].time
    # killed between an advertisement and its renewal; the kernel looks at lifetimes up to a second late
    assert lease - advert_int - 0.1 < last_answer - told < lease + 1.0


def test_reload_without_a_change_is_not_noticed(node: Node, segment: Segment) -> None:
    node.start(calm())
    segment.wait_advertised(node, 51)
    wait_holder(VIP, node, [])
    since = segment.wait_advertised(node, 51, count=3)
    for _ in range(5):
        node.process.signal(signal.SIGHUP)
        segment.wait_advertised(node, 51)
    eventually(lambda: (node.status()["last_reload"] or {}).get("ok") is True, "the reload is done")
    assert segment.largest_pause(node, 51, since) < 3
    assert all(seen.priority == 200 for _, seen in segment.heard(node, 51))
    assert the_instance(node)["counters"]["became_master"] == 1
    assert not any(frame.announced for frame in segment.capture if frame.time > since + 5), "announced again"


def test_reload_takes_over_a_changed_vip_list_as_master(node: Node, segment: Segment) -> None:
    node.start(calm())
    since = segment.wait_advertised(node, 51)
    node.configure(calm(VIP, "192.0.2.101"))
    node.process.signal(signal.SIGHUP)
    wait_holder("192.0.2.101", node, [])
    assert segment.wait_announced("192.0.2.101", node, since)
    node.configure(calm("192.0.2.101"))
    node.process.signal(signal.SIGHUP)
    wait_holder(VIP, None, [node])
    segment.wait_advertised(node, 51, count=2)
    assert segment.largest_pause(node, 51, since) < 3
    assert the_instance(node)["counters"]["became_master"] == 1


def test_reload_of_a_broken_file_keeps_the_old_configuration(node: Node, segment: Segment) -> None:
    node.start(fast())
    segment.wait_advertised(node, 51)
    node.configure("vrrp_instance VI_51 { virtual_router_id 300 }")
    node.process.signal(signal.SIGHUP)
    eventually(lambda: node.status()["last_reload"] is not None, "the reload is refused", every=0.1)
    assert node.status()["last_reload"]["ok"] is False
    segment.wait_advertised(node, 51, count=3)
    assert node.host.holds(VIP)


def test_a_daemon_that_starts_again_takes_what_the_killed_one_left(node: Node, segment: Segment) -> None:
    node.start(fast())
    segment.wait_advertised(node, 51)
    wait_holder(VIP, node, [])
    node.kill()
    node.start(fast(priority=100))
    segment.wait_advertised(node, 51)
    wait_holder(VIP, node, [])
    assert node.process.stop() == 0
    assert not node.host.holds(VIP)


def test_a_second_start_is_refused(node: Node, segment: Segment) -> None:
    node.start(fast())
    segment.wait_advertised(node, 51)
    second = node.host.run(node.argv(), check=False)
    assert second.returncode == 1
    assert "already running" in second.stderr
    assert "Traceback" not in second.stderr
    segment.wait_advertised(node, 51, count=2)
