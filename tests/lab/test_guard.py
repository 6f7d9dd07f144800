"""The guard with the real daemon: who falls and is back at once keeps its role, who does not gives it up in time."""

import os
import signal
import socket
import struct
import sys
from pathlib import Path

import pytest
import spinning_plugin
from lab_nodes import ROOT, Node, Segment, instance, wait_holder

from pyvrrp.cli.control_client import ControlError, NotRunning, call
from pyvrrp.demo.lab import Lab, eventually

VIP, OTHER, VIP6 = "192.0.2.100", "192.0.2.101", "2001:db8::100"
PYVRRP = [sys.executable, "-m", "pyvrrp"]


class Guarded(Node):
    """A node with our daemon; every address that goes is noted, and every notify script that runs."""

    def __init__(self, lab: Lab, name: str, number: int) -> None:
        super().__init__(lab, "pyvrrp", name, f"192.0.2.{number}/24", f"2001:db8::{number}/64")
        self.notified = self.host.directory / "notified"
        self.deleted = self.host.directory / "deleted"
        self.script = self.host.directory / "notify"
        self.script.write_text(f'#!/bin/sh\necho "$2 $3" >> {self.notified}\n')
        self.script.chmod(0o755)
        self.host.start(["stdbuf", "-oL", "ip", "-o", "monitor", "address"], stdout=self.deleted)
        self.extra: list[str] = []

    def argv(self) -> list[str | Path]:
        return [*super().argv(), *self.extra]

    def has_lost(self, vip: str) -> bool:
        """Whether the kernel has ever taken the address off."""
        return any("Deleted" in line and f" {vip}/" in line for line in self.deleted.read_text().splitlines())

    @property
    def said(self) -> list[str]:
        return self.notified.read_text().splitlines() if self.notified.exists() else []

    @property
    def speaker(self) -> int:
        return self.until_another(0)["pid"]

    def status(self) -> dict:
        """Asked by ourselves: a program that is started again and again would slow the starts down that we wait for."""
        try:
            return call(self.host.directory / "run" / "control", "status", timeout=1.0)
        except (NotRunning, ControlError):
            return {}

    def until_another(self, pid: int) -> dict:
        """Wait until another process than `pid` speaks; its status."""
        found: dict = {}

        def speaks() -> bool:
            found.clear()
            found.update(self.status())
            return found.get("pid") not in (None, pid)

        eventually(speaks, f"{self}: another than {pid} speaks", 20)
        return found

    def until_notified(self, *lines: str) -> None:
        eventually(lambda: self.said == list(lines), f"{self}: {lines}, it was {self.said}")


@pytest.fixture
def node(lab: Lab) -> Guarded:
    return Guarded(lab, "n1", 11)


@pytest.fixture
def peer(lab: Lab) -> Guarded:
    return Guarded(lab, "n2", 12)


CALM = 4
"""advert_int where a role is to be adopted: the new speaker has 6 s for it, and no machine is that busy. At 1 s it has
1.5 s, the product's own limit, which benchmarks/start.py measures."""
AH = "authentication {\n auth_type AH\n auth_pass secret\n}"
EXCLUDED = f"virtual_ipaddress_excluded {{\n {VIP6}/64\n}}"


def owner(node: Guarded, *vips: str, name: str = "VI_51", vrid: int = 51, extra: str = "", **more) -> str:
    """MASTER as soon as it is started."""
    text = instance(vrid, 255, *(vips or (VIP,)), name=name, extra=f"notify {node.script}\n{extra}", **more)
    return text.replace("state BACKUP", "state MASTER")


def hang(node: Guarded) -> None:
    """Make its loop stand still."""
    (node.host.directory / "plugin" / "spin").touch()


def with_plugin(node: Guarded) -> None:
    place = node.host.directory / "plugin"
    spinning_plugin.install(place)
    node.host.environment |= {"PYTHONPATH": f"{ROOT}:{place}", "PYVRRP_TEST_DIRECTORY": str(place)}


# --- back at once ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP, "spin"], ids=["SIGKILL", "SIGSTOP", "blocked loop"])
def test_a_speaker_that_falls_costs_no_failover(node: Guarded, peer: Guarded, segment: Segment, fault) -> None:
    with_plugin(node)
    peer.start(instance(51, 100, VIP, extra=EXCLUDED, advert_int=CALM))
    node.start(owner(node, extra=EXCLUDED, advert_int=CALM))
    began = segment.wait_advertised(node, 51)
    wait_holder(VIP, node, [peer])
    node.until_notified("VI_51 BACKUP", "VI_51 MASTER")
    first = node.speaker
    segment.wait_advertised(node, 51)  # the peers begin to wait now: the time until the guard notices is in it
    if fault == "spin":
        hang(node)
    else:
        os.kill(first, fault)
    after = node.until_another(first)
    segment.wait_advertised(node, 51, count=2)
    assert not node.has_lost(VIP)
    assert not node.has_lost(VIP6)
    assert segment.largest_pause(node, 51, began) < 3 * CALM
    assert {seen.priority for _, seen in segment.heard(node, 51)} == {255}
    assert segment.heard(peer, 51) == []
    assert node.said == ["VI_51 BACKUP", "VI_51 MASTER"]
    assert (after["restarts"], after["guard"]) == (1, node.process.pid)
    (router,) = after["instances"]
    assert (router["state"], router["reason"]) == ("MASTER", "taken over from the process before")
    assert router["counters"]["became_master"] == 0
    assert node.process.stop() == 0
    assert not node.host.holds(VIP)
    assert segment.heard(node, 51)[-1][1].priority == 0


def test_restart_takes_new_code_and_configuration_without_a_failover(
    node: Guarded, peer: Guarded, segment: Segment
) -> None:
    peer.start(instance(51, 100, VIP, OTHER, advert_int=CALM))
    node.start(owner(node, VIP, "192.0.2.99", advert_int=CALM))
    began = segment.wait_advertised(node, 51)
    node.until_notified("VI_51 BACKUP", "VI_51 MASTER")
    first = node.speaker
    node.configure("vrrp_instance VI_51 { virtual_router_id 300 }")
    refused = node.host.run([*PYVRRP, "restart"], check=False)
    assert refused.returncode == 2
    assert "can't be run" in refused.stderr
    assert node.speaker == first
    node.configure(owner(node, VIP, OTHER, advert_int=CALM))
    done = node.host.run([*PYVRRP, "restart"])
    assert "1 MASTER as before" in done.stdout
    assert node.speaker != first
    wait_holder(OTHER, node, [peer])
    wait_holder("192.0.2.99", None, [node])
    assert not node.has_lost(VIP)
    segment.wait_advertised(node, 51)
    assert {seen.priority for _, seen in segment.heard(node, 51, began)} == {255}
    assert segment.heard(peer, 51) == []
    assert node.said == ["VI_51 BACKUP", "VI_51 MASTER"]


def test_where_a_start_takes_longer_than_the_peers_wait_a_restart_is_refused(node: Guarded, segment: Segment) -> None:
    node.start(owner(node, version=3, advert_int=0.2))
    segment.wait_advertised(node, 51)
    before = node.speaker
    refused = node.host.run([*PYVRRP, "restart"], check=False)
    assert refused.returncode == 4
    assert "peers wait 0.6 s for an advertisement, less than a start may take" in refused.stderr
    assert node.speaker == before


def test_after_a_switchover_a_restart_does_not_take_the_address_back(
    node: Guarded, peer: Guarded, segment: Segment
) -> None:
    peer.start(instance(51, 100, VIP, advert_int=CALM))
    node.start(owner(node, advert_int=CALM))
    segment.wait_advertised(node, 51)
    node.configure(instance(51, 150, VIP, advert_int=CALM))
    node.host.run([*PYVRRP, "restart"])
    node.host.run([*PYVRRP, "switchover"])
    wait_holder(VIP, peer, [node])
    node.host.run([*PYVRRP, "restart"])
    began = segment.wait_advertised(peer, 51)
    segment.wait_advertised(peer, 51, count=4)
    assert segment.heard(node, 51, began) == []
    assert node.state() == "BACKUP"


def test_a_sync_group_and_its_gates_are_adopted_whole_with_what_the_trackers_said(
    node: Guarded, segment: Segment
) -> None:
    with_plugin(node)
    script = node.host.directory / "check"
    script.write_text("#!/bin/sh\n[ ! -e $0.slow ] || exec sleep 20\n")
    script.chmod(0o755)
    group = f"vrrp_sync_group G {{\n group {{\n GATED\n VI_52\n }}\n notify {node.script}\n}}"
    check = f"vrrp_script check {{\n script {script}\n interval 1\n timeout 30\n weight 20\n}}"
    tracked = "track_script {\n check\n}"
    first = instance(51, 100, VIP, name="GATED", extra=f"{tracked}\n{AH}", advert_int=CALM)
    second = instance(52, 100, OTHER, name="VI_52", extra=tracked, advert_int=CALM)
    group = group.replace("notify ", "sync_group_tracking_weight\n notify ")
    node.start("global_defs {\n script_user root\n vrrp_down_timer_adverts 3\n}", check, group, first, second)
    segment.wait_advertised(node, 51, 52)
    wait_holder(OTHER, node, [])
    node.until_notified("G BACKUP", "G MASTER")
    script.with_name("check.slow").touch()
    before = node.status()
    assert {each["effective_priority"] for each in before["instances"]} == {120}
    os.kill(before["pid"], signal.SIGKILL)
    after = node.until_another(before["pid"])
    assert [each["state"] for each in after["instances"]] == ["MASTER", "MASTER"]
    assert {each["effective_priority"] for each in after["instances"]} == {120}
    assert after["groups"][0]["state"] == "MASTER"
    segment.wait_advertised(node, 51, 52, count=2)
    assert {seen.priority for _, seen in (*segment.heard(node, 51), *segment.heard(node, 52))} == {120}
    assert not node.has_lost(VIP)
    assert node.said == ["G BACKUP", "G MASTER"]
    assert (node.host.directory / "plugin" / "gate").read_text() == "acquired\n"
    assert node.process.stop() == 0
    assert (node.host.directory / "plugin" / "gate").read_text() == "acquired\nreleased\n"


def test_a_peer_that_checks_sequence_numbers_accepts_the_successor(
    node: Guarded, peer: Guarded, segment: Segment
) -> None:
    peer.start(instance(51, 100, VIP, extra=AH, advert_int=CALM))
    node.start(owner(node, extra=AH, advert_int=CALM))
    segment.wait_advertised(node, 51, count=2)
    first = node.speaker
    os.kill(first, signal.SIGKILL)
    node.until_another(first)
    segment.wait_advertised(node, 51, count=3)
    assert segment.heard(peer, 51) == []
    (router,) = peer.status()["instances"]
    assert (router["state"], sum(router["discarded"].values())) == ("BACKUP", 0)


def test_a_backup_stays_backup_and_runs_no_script(node: Guarded, peer: Guarded, segment: Segment) -> None:
    peer.start(owner(peer, advert_int=CALM))
    segment.wait_advertised(peer, 51)
    node.start(instance(51, 100, VIP, extra=f"notify {node.script}", advert_int=CALM))
    node.until_notified("VI_51 BACKUP")
    first = node.speaker
    os.kill(first, signal.SIGKILL)
    (router,) = node.until_another(first)["instances"]
    assert (router["state"], router["reason"]) == ("BACKUP", "taken over from the process before")
    segment.wait_advertised(peer, 51, count=2)
    assert node.said == ["VI_51 BACKUP"]


def test_thousands_of_addresses_are_held_and_adopted(node: Guarded, segment: Segment) -> None:
    """What is done for each address, at a takeover and at an adoption, must not take longer the more there are."""
    lists = {vrid: "\n".join(f"10.9.{vrid}.{number}" for number in range(2, 41)) for vrid in range(1, 101)}
    many = [
        owner(
            node,
            f"10.9.{vrid}.1",
            name=f"VI_{vrid}",
            vrid=vrid,
            advert_int=CALM,
            extra=f"virtual_ipaddress_excluded {{\n{others}\n}}",
        )
        for vrid, others in lists.items()
    ]
    node.start(*many)
    eventually(lambda: len(node.host.addresses()) >= 4000, "all are there", 30)
    segment.wait_advertised(node, 100)
    first = node.speaker
    os.kill(first, signal.SIGKILL)
    after = node.until_another(first)
    assert {each["reason"] for each in after["instances"]} == {"taken over from the process before"}
    segment.wait_advertised(node, 1, 100)
    assert not any("Deleted" in line for line in node.deleted.read_text().splitlines())
    assert "guard: its role is given up" not in node.log.read_text()


# --- given up --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vip", [VIP, VIP6], ids=["IPv4 and AH", "IPv6"])
def test_who_falls_again_and_again_gives_its_role_up(node: Guarded, peer: Guarded, segment: Segment, vip: str) -> None:
    """The peers accept the priority 0 that was prepared, AH sequence and all, and take over in the skew time."""
    extra, version = (f"{AH}\n{EXCLUDED}", 2) if vip == VIP else ("", 3)
    peer.start(instance(51, 250, vip, version=version, extra=f"nopreempt\n{extra}"))
    node.start(owner(node, vip, version=version, extra=extra))
    segment.wait_advertised(node, 51)
    wait_holder(VIP6, node, [peer])
    node.configure(
        instance(51, 100, vip, version=version, extra=extra)
    )  # once it is no MASTER any more it is to remain BACKUP
    first = node.speaker
    os.kill(first, signal.SIGKILL)
    os.kill(node.until_another(first)["pid"], signal.SIGKILL)
    gone = segment.capture.wait(
        lambda frame: frame.advertised is not None and frame.advertised.priority == 0, "priority 0", 10
    ).time
    taken = segment.wait_advertised(peer, 51)
    assert taken - gone < 0.4
    wait_holder(vip, peer, [node])
    wait_holder(VIP6, peer, [node])
    assert f"removed {vip}/" in node.log.read_text()
    eventually(lambda: node.state() == "BACKUP", "it is BACKUP", 20, 0.1)
    assert "guard: its role is given up; it starts again as BACKUP in" in node.log.read_text()


def test_a_role_in_another_network_namespace_is_given_up_there(lab: Lab, node: Guarded, segment: Segment) -> None:
    outside = lab.host("outside", "192.0.2.99/24")
    node.configure(f"net_namespace {node.host.namespace}", owner(node))
    outside.environment |= node.host.environment
    node.process = outside.start(node.argv(), stdout=node.log)
    segment.wait_advertised(node, 51)
    wait_holder(VIP, node, [])
    first = node.speaker
    os.kill(first, signal.SIGKILL)
    os.kill(node.until_another(first)["pid"], signal.SIGKILL)
    segment.capture.wait(
        lambda frame: frame.advertised is not None and frame.advertised.priority == 0, "priority 0", 10
    )
    eventually(lambda: "removed 192.0.2.100/32 from eth0" in node.log.read_text(), "the address is removed")
    eventually(lambda: node.has_lost(VIP), "the kernel has told of it")


def test_a_gated_role_is_undone_before_priority_zero(node: Guarded, segment: Segment) -> None:
    with_plugin(node)
    node.start(owner(node, name="GATED"))
    plugin = node.host.directory / "plugin"
    wait_holder(VIP, node, [])
    assert (plugin / "held").exists()
    node.configure("vrrp_instance GATED {")  # a successor can't start
    os.kill(node.speaker, signal.SIGKILL)
    segment.capture.wait(
        lambda frame: frame.advertised is not None and frame.advertised.priority == 0, "priority 0", 15
    )
    assert (plugin / "undone").exists()
    assert not (plugin / "held").exists()
    assert not node.host.holds(VIP)


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_with_both_gone_the_lease_ends(node: Guarded, peer: Guarded, segment: Segment, fault: int) -> None:
    peer.start(instance(51, 100, VIP))
    node.start(owner(node))
    segment.wait_advertised(node, 51)
    wait_holder(VIP, node, [peer])
    os.killpg(node.process.pid, fault)
    last = segment.heard(node, 51)[-1][0]
    taken = segment.wait_advertised(peer, 51)
    assert taken - last < 3.9
    wait_holder(VIP, peer, [node], 1.0)
    if fault == signal.SIGSTOP:
        os.killpg(node.process.pid, signal.SIGCONT)
        eventually(lambda: node.state() != "", "it answers again", 20, 0.1)
        assert node.process.returncode is None


def test_without_its_guard_the_speaker_leaves_in_order(node: Guarded, segment: Segment) -> None:
    node.start(owner(node))
    segment.wait_advertised(node, 51)
    node.until_notified("VI_51 BACKUP", "VI_51 MASTER")
    node.process.signal(signal.SIGKILL)
    segment.capture.wait(lambda frame: frame.advertised is not None and frame.advertised.priority == 0, "priority 0", 5)
    wait_holder(VIP, None, [node], 5)
    node.until_notified("VI_51 BACKUP", "VI_51 MASTER", "VI_51 STOP")


def test_what_a_crash_of_both_left_is_cleared_away_at_the_next_start(node: Guarded, segment: Segment) -> None:
    with_plugin(node)
    forever = "global_defs {\n vip_lease off\n}"
    node.start(forever, owner(node, VIP, OTHER, name="GATED"))
    wait_holder(OTHER, node, [])
    node.kill()
    assert node.host.holds(VIP)
    plugin = node.host.directory / "plugin"
    assert (plugin / "held").exists()
    node.start(forever, instance(52, 100, VIP))
    wait_holder(VIP, None, [node])
    wait_holder(OTHER, None, [node])
    eventually((plugin / "undone").exists, "the undo command has run")
    log = node.log.read_text()
    for line in (f"GATED: removed {VIP}/32 from eth0", f"GATED: removed {OTHER}/32 from eth0", "GATED: undo: `rm "):
        assert f"left by the process before: {line}" in log


def test_restart_ends_the_pause_after_falls(node: Guarded, segment: Segment) -> None:
    """Each fall makes the pause twice as long; who asks for a start has mended what was wrong, or wants to see it."""
    node.start(owner(node))
    segment.wait_advertised(node, 51)
    pid_file = node.host.directory / "run" / "pyvrrp.pid"
    good = node.file.read_text()
    node.configure("vrrp_instance X {")
    os.kill(node.speaker, signal.SIGKILL)
    eventually(lambda: "BACKUP in 4 s" in node.log.read_text(), "given up three times", 30)
    refused = node.host.run([*PYVRRP, "status"], check=False)
    assert refused.returncode == 3, refused.stdout
    node.configure(good)
    done = node.host.run([*PYVRRP, "restart"])
    assert "there was no speaker; started: pid " in done.stdout
    assert "asked to, it starts again now" in node.log.read_text()
    assert int(pid_file.read_text()) == node.process.pid
    segment.wait_advertised(node, 51)


# --- how it is run ---------------------------------------------------------------------------------------------------


def test_the_guard_is_small_and_one_process_holds_the_pid_file(node: Guarded) -> None:
    node.start(owner(node))
    eventually(lambda: node.state() == "MASTER", "MASTER", every=0.05)
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    assert resident <= 15 * 1024
    pid_file = node.host.directory / "run" / "pyvrrp.pid"
    assert pid_file.read_text() == f"{node.process.pid}\n"
    os.kill(node.speaker, signal.SIGKILL)
    second = node.host.run(node.argv(), check=False)
    assert (second.returncode, f"pid {node.process.pid}" in second.stderr) == (1, True), second.stderr
    assert node.process.stop() == 0
    assert list(pid_file.parent.iterdir()) == []


@pytest.mark.parametrize(("text", "status"), [("vrrp_instance X {", 2), (None, 6)])
def test_exit_statuses_of_a_failed_start_are_passed_through(node: Guarded, text: str | None, status: int) -> None:
    if text is not None:
        node.configure(text)
    done = node.host.run(node.argv(), check=False)
    assert done.returncode == status
    assert "Traceback" not in done.stderr


def test_without_a_guard_there_is_one_process(node: Guarded, segment: Segment) -> None:
    node.extra = ["--no-guard"]
    node.start(owner(node))
    segment.wait_advertised(node, 51)
    status = node.status()
    assert (status["pid"], status["guard"], status["restarts"]) == (node.process.pid, None, 0)
    refused = node.host.run([*PYVRRP, "restart"], check=False)
    assert refused.returncode == 4
    assert "without a guard" in refused.stderr
    assert node.process.stop() == 0


def test_keepalived_s_form_in_the_background(node: Guarded, segment: Segment) -> None:
    """The starter comes back when the speaker is ready; -p is the guard's file, -r the speaker's."""
    pids = [node.host.directory / name for name in ("a.pid", "b.pid")]
    node.configure(owner(node, advert_int=CALM))
    command = f"cd {node.host.directory} && exec {' '.join(PYVRRP)} -P -f keepalived.conf -p a.pid -r b.pid -g log"
    node.host.run(["sh", "-c", command])
    guard, speaker = (int(path.read_text()) for path in pids)
    assert Path(f"/proc/{guard}/comm").read_text() == "pyvrrp-guard\n"
    assert node.speaker == speaker
    segment.wait_advertised(node, 51)
    os.kill(speaker, signal.SIGKILL)
    node.until_another(speaker)
    assert int(pids[0].read_text()) == guard
    assert int(pids[1].read_text()) == node.speaker
    assert not node.has_lost(VIP)
    os.kill(guard, signal.SIGTERM)
    eventually(lambda: not any(path.exists() for path in pids), "it ends")


def test_systemd_hears_the_main_process_only(node: Guarded) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(node.host.directory / "notify-socket"))
        manager.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        manager.settimeout(20)
        node.host.environment |= {
            "NOTIFY_SOCKET": str(node.host.directory / "notify-socket"),
            "WATCHDOG_USEC": "1000000",
        }
        heard: dict[str, int] = {}

        def until(word: str) -> None:
            while word not in heard:
                text, ancillary, _, _ = manager.recvmsg(1000, 100)
                pid, _, _ = struct.unpack("iII", ancillary[0][2])
                heard.update(dict.fromkeys(text.decode().splitlines(), pid))

        node.start(owner(node))
        until("READY=1")
        until("WATCHDOG=1")
        os.kill(node.speaker, signal.SIGKILL)
        heard.clear()
        until("READY=1")
        node.process.signal(signal.SIGTERM)
        until("STOPPING=1")
        assert set(heard.values()) == {node.process.pid}
        assert node.process.wait() == 0


def test_as_process_one_it_reaps_what_others_leave_behind(node: Guarded, segment: Segment) -> None:
    node.configure(
        f"vrrp_script orphan {{\n script {node.script}\n interval 1\n}}",
        owner(node, extra="track_script {\n orphan\n}"),
    )
    # A daemon made by a script: its parent ends at once, so it becomes a child of process 1, and ends too.
    node.script.write_text("#!/bin/sh\nsetsid sh -c 'sleep 0.2 & exit' &\nexit 0\n")
    node.process = node.host.start(["unshare", "--pid", "--fork", "--mount-proc", *node.argv()], stdout=node.log)
    segment.wait_advertised(node, 51, count=4)
    (guard,) = Path(f"/proc/{node.process.pid}/task/{node.process.pid}/children").read_text().split()
    eventually(lambda: len(children(int(guard))) == 1, "the speaker alone, and no zombies", 5)
    os.kill(int(guard), signal.SIGTERM)
    assert node.process.wait() == 0


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_no_script_inherits_what_the_guard_says(node: Guarded) -> None:
    node.script.write_text(f"#!/bin/sh\nenv > {node.notified}.new; mv {node.notified}.new {node.notified}\n")
    node.host.environment["NOTIFY_SOCKET"] = "/nowhere"
    node.start(owner(node))
    eventually(lambda: node.notified.exists(), "a script has run")
    names = {line.partition("=")[0] for line in node.said}
    assert not names & {"PYVRRP_GUARD", "PYVRRP_ADOPT", "PYVRRP_RESTARTS", "NOTIFY_SOCKET"}
