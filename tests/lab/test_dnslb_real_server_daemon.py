"""The local_real_server block in the daemon: leases, withdrawal, reload, and the two-box cluster."""

import json
import os
import signal
import socket
import sys
import time

import pytest
from lab_nodes import instance, wait_holder
from real_server_nodes import OWN4, OWN6, VIP4, VIP6, Client, Questions, RealServer

from pyvrrp.demo.lab import eventually

CHECK = "vrrp_dns_check resolver { name www.example.com  interval 0.2  timeout 0.2  fall 2 }"
LISTED = tuple(f"interface: {each}" for each in ("127.0.0.1", VIP4, VIP6))
SETTINGS = {
    "net.ipv4.conf.all.arp_ignore": 1,
    "net.ipv4.conf.all.arp_announce": 2,
    "net.ipv4.ip_nonlocal_bind": 1,
    "net.ipv6.ip_nonlocal_bind": 1,
}


def block(*vips, extra=""):
    return f"local_real_server {{ virtual_ipaddress {{\n{chr(10).join(vips)}\n}}\n{extra}\n}}"


class Daemon(RealServer):
    def __init__(self, lab, name="rs1", last=11):
        super().__init__(lab, name, last)
        self.file = self.host.directory / "keepalived.conf"
        self.log = self.host.directory / "daemon.log"

    def start(self, *blocks):
        self.configure(*blocks)
        self.process = self.host.start([sys.executable, "-m", "pyvrrp", "run", "-f", self.file], stdout=self.log)
        eventually(lambda: self.status() != {}, "the daemon answers", 40)

    def configure(self, *blocks):
        self.file.write_text("\n".join(blocks))

    def status(self):
        done = self.host.run([sys.executable, "-m", "pyvrrp", "status", "--json"], check=False)
        return json.loads(done.stdout or "{}")

    def real_server(self):
        """What the status says of it; nothing while the daemon does not answer."""
        return self.status().get("plugins", {}).get("dnslb", {"blocks": [{"state": ""}], "findings": None})

    def holds(self, vip):
        return self.host.holds(vip)

    def settings(self):
        return {name: self.sysctl(name) for name in SETTINGS}


@pytest.fixture
def daemon(lab):
    return Daemon(lab)


@pytest.fixture
def client(lab, daemon):
    return Client(lab, daemon)


# The guard leaves a speaker half of what its peers would wait: on a busy machine, let them wait long.
UNRELATED = instance(7, 100, "198.51.100.7/32", advert_int=4)


def test_the_addresses_come_and_go_with_the_daemon(daemon, client):
    daemon.unbound("interface: 0.0.0.0", "interface: ::0", "interface-automatic: yes")
    before = daemon.host.run(["ip", "-d", "addr", "show", "dev", "lo"]).stdout
    daemon.start(UNRELATED, block(VIP4, VIP6))
    eventually(lambda: daemon.on("lo", VIP4, VIP6), "VIPs on lo")
    assert daemon.settings() == SETTINGS
    assert client.answered() == [True] * 4
    shown = daemon.host.run(["ip", "-d", "addr", "show", "dev", "lo"]).stdout
    assert "inet 192.0.2.53/32 scope host deprecated dynamic lo:dnslb" in shown
    assert daemon.process.stop() == 0
    assert daemon.host.run(["ip", "-d", "addr", "show", "dev", "lo"]).stdout == before
    assert daemon.settings() == dict.fromkeys(SETTINGS, 0)


def test_a_killed_daemon_leaves_nothing(daemon):
    """The leases end by themselves, 10 s after the last renewal; the guard's command puts the settings back."""
    daemon.start(UNRELATED, block(VIP4, VIP6))
    eventually(lambda: daemon.on("lo", VIP4, VIP6), "VIPs on lo")
    daemon.process.kill()
    eventually(lambda: not daemon.on("lo", VIP4) and not daemon.on("lo", VIP6), "VIPs gone")
    assert daemon.settings() == SETTINGS
    assert daemon("remove", "--daemon", VIP4, VIP6).returncode == 0
    assert daemon.settings() == dict.fromkeys(SETTINGS, 0)


def test_when_the_guard_gives_up_it_takes_everything_back(daemon):
    """Two falls of the speaker in a row; nobody waits for the leases."""
    daemon.start(UNRELATED, block(VIP4, VIP6))
    eventually(lambda: daemon.on("lo", VIP4, VIP6), "VIPs on lo")
    first = daemon.status()["pid"]
    os.kill(first, signal.SIGKILL)
    eventually(lambda: daemon.status().get("pid") not in (None, first), "another speaker")
    os.kill(daemon.status()["pid"], signal.SIGKILL)
    eventually(lambda: f"remove --daemon {VIP4} {VIP6}`: ok" in daemon.log.read_text(), "the guard has undone it")


def test_what_a_killed_daemon_left_is_taken_back_by_one_that_is_to_hold_nothing(daemon):
    daemon.start(UNRELATED, block(VIP4, VIP6))
    eventually(lambda: daemon.on("lo", VIP4, VIP6), "VIPs on lo")
    daemon.process.kill()
    daemon.start(UNRELATED)
    eventually(lambda: daemon.settings() == dict.fromkeys(SETTINGS, 0), "the settings are as they were")
    assert not daemon.on("lo", VIP4)
    assert not daemon.on("lo", VIP6)


def test_a_restarted_daemon_goes_on(daemon, client):
    daemon.unbound("interface: 0.0.0.0", "interface: ::0", "interface-automatic: yes")
    daemon.start(UNRELATED, CHECK, block(VIP4, VIP6, extra="track_dns { resolver }"))
    eventually(lambda: client.answered() == [True] * 4, "answers")
    questions = [Questions(client.host, vip) for vip in (VIP4, VIP6)]
    daemon.process.kill()
    daemon.start(UNRELATED, CHECK, block(VIP4, VIP6, extra="track_dns { resolver }"))
    eventually(lambda: daemon.real_server()["blocks"][0]["state"] == "held", "checked and held")
    time.sleep(0.3)
    for each in questions:
        each.close()
        assert each.asked > 100
        assert each.lost == 0
    assert daemon.process.stop() == 0
    assert daemon.settings() == dict.fromkeys(SETTINGS, 0), "what they were before the first one"


def test_withdrawn_while_the_server_is_dead(daemon, client):
    """It is started again although it lists a VIP that is not there: net.*.ip_nonlocal_bind."""
    daemon.start(UNRELATED, CHECK, block(VIP4, VIP6, extra="track_dns { resolver }"))
    eventually(lambda: "withdrawn" in json.dumps(daemon.real_server()), "nobody answers yet")
    assert not daemon.on("lo", VIP4)
    server = daemon.unbound(*LISTED)
    eventually(lambda: daemon.on("lo", VIP4, VIP6), "VIPs on lo")
    assert client.answered() == [True] * 4
    server.kill()
    eventually(lambda: not daemon.on("lo", VIP4) and not daemon.on("lo", VIP6), "withdrawn")
    assert daemon.real_server()["blocks"][0]["state"] == "withdrawn"
    assert daemon.settings() == SETTINGS
    server = daemon.unbound(*LISTED)
    eventually(lambda: client.answered() == [True] * 4, "VIPs on lo again")
    server.freeze()
    eventually(lambda: not daemon.on("lo", VIP4), "a server that hangs is as bad")
    server.thaw()
    eventually(lambda: daemon.on("lo", VIP4), "and comes back")


@pytest.mark.parametrize("way", ["", "redirect\n"])
def test_a_reload_interrupts_nothing(daemon, client, way):
    daemon.unbound("interface: 0.0.0.0", "interface: ::0", "interface-automatic: yes")
    daemon.start(UNRELATED, CHECK, block(VIP4, VIP6, extra=way))
    eventually(lambda: client.answered() == [True] * 4, "answers")
    questions = Questions(client.host, VIP4)
    daemon.configure(UNRELATED, CHECK, block(VIP4, extra=f"{way}track_dns {{ resolver }}"))
    daemon.process.signal(signal.SIGHUP)
    eventually(lambda: not client.ask(VIP6), "one VIP left the file")
    eventually(lambda: daemon.real_server()["blocks"][0]["state"] == "held", "checked and held")
    daemon.configure(UNRELATED, CHECK, block(VIP4, VIP6, extra=way))
    daemon.process.signal(signal.SIGHUP)
    eventually(lambda: client.ask(VIP6), "and is back")
    questions.close()
    assert questions.asked > 100
    assert questions.lost == 0


def test_what_is_there_for_good_is_left_alone(daemon):
    daemon("add", VIP4)
    daemon.start(UNRELATED, block(VIP4, VIP6))
    eventually(lambda: daemon.on("lo", VIP6), "the other one is added")
    assert daemon.process.stop() == 0
    assert daemon.on("lo", VIP4)
    assert not daemon.on("lo", VIP6)
    assert daemon.sysctl("net.ipv4.conf.all.arp_ignore") == 1, "the operator's VIP needs it"
    assert daemon("remove").returncode == 0
    assert daemon.settings() == dict.fromkeys(SETTINGS, 0)


def test_redirection_by_the_daemon(daemon, client):
    """The kernel deletes the rules with the process, however it ends."""
    daemon.unbound(f"interface: {OWN4}", f"interface: {OWN6}", "interface: 127.0.0.1")
    daemon.start(UNRELATED, CHECK, block(VIP4, VIP6, extra="redirect\ntrack_dns { resolver }"))
    eventually(lambda: client.answered() == [True] * 4, "answers")
    assert not daemon.on("lo", VIP4)
    daemon.process.kill()
    eventually(lambda: daemon.host.run(["nft", "list", "ruleset"]).stdout == "", "the rules are gone")


def test_traps_are_named_in_log_and_status(daemon):
    daemon.unbound("interface: 0.0.0.0", "interface: ::0")
    daemon.start(UNRELATED, block(VIP4))
    eventually(
        lambda: (
            [(each["subject"], each["code"]) for each in daemon.real_server()["findings"] or ()]
            == [(f"{VIP4} port 53/udp", "wrong-source")]
        ),
        "the trap is named",
        60,
        0.5,
    )
    assert "the server listens on a wildcard UDP socket" in daemon.log.read_text()


# --- two boxes: each is balancer and DNS server ----------------------------------------------------------------------


class TcpClient:
    """A connection over which queries go before and after."""

    def __init__(self, host, vip):
        family = socket.AF_INET6 if ":" in vip else socket.AF_INET
        self._socket = host.call(lambda: socket.socket(family, socket.SOCK_STREAM))
        self._socket.settimeout(10)
        self._socket.connect((vip, 53))

    def ask(self):
        query = b"\x00\x07" + bytes.fromhex("00000001000000000000") + b"\x03www\x07example\x03com\x00\x00\x01\x00\x01"
        self._socket.sendall(len(query).to_bytes(2, "big") + query)
        return self._socket.recv(512)[2:4] == b"\x00\x07"

    def close(self):
        self._socket.close()


@pytest.mark.parametrize("kind", ["unbound", "named"])
def test_two_boxes(lab, kind):
    """A VIP that a VRRP speaker puts on eth0 stays on lo too: no answer is lost in either direction.

    A client whose queries come to rs2, as its balancer would send them, notices nothing of rs2's becoming MASTER and
    BACKUP again; ARP is answered by the MASTER alone.
    """
    nodes = [Daemon(lab, "rs1", 11), Daemon(lab, "rs2", 12)]
    for node, priority in zip(nodes, (150, 100), strict=True):
        if kind == "unbound":
            node.unbound("interface: 0.0.0.0", "interface: ::0", "interface-automatic: yes")
        else:
            node.named()
        node.start(
            CHECK,
            instance(51, priority, f"{VIP4}/24 dev eth0", advert_int=2, version=3),
            instance(52, priority, "fe80::53", f"{VIP6}/64", advert_int=2, version=3),
            block(VIP4, VIP6, extra="track_dns { resolver }"),
        )
    first, second = nodes
    wait_holder(VIP4, node_of(first), [node_of(second)])
    wait_holder(VIP6, node_of(first), [node_of(second)])
    eventually(lambda: all(node.on("lo", VIP4, VIP6) for node in nodes), "VIPs on lo of both")

    behind = Client(lab, second)
    eventually(lambda: behind.answered() == [True] * 4, "the BACKUP answers what is sent to it")

    newcomer = lab.host("newcomer", "192.0.2.102/24", "2001:db8::102/64")
    eventually(lambda: {owner(newcomer, vip) for vip in (VIP4, VIP6)} == {first.mac}, "the MASTER answers ARP")

    questions = [Questions(behind.host, vip) for vip in (VIP4, VIP6)]
    connections = [TcpClient(behind.host, vip) for vip in (VIP4, VIP6)]
    assert all(each.ask() for each in connections)
    time.sleep(0.5)
    first.host.isolate()
    eventually(lambda: second.holds(VIP4) and second.holds(VIP6), "rs2 is MASTER")
    assert second.on("lo", VIP4, VIP6)
    eventually(lambda: {owner(newcomer, vip) for vip in (VIP4, VIP6)} == {second.mac}, "the new MASTER answers ARP")
    assert all(each.ask() for each in connections)
    time.sleep(0.5)
    first.host.rejoin()
    eventually(lambda: not second.holds(VIP4) and not second.holds(VIP6), "rs2 is BACKUP again")
    eventually(lambda: {owner(newcomer, vip) for vip in (VIP4, VIP6)} == {first.mac}, "the old one again")
    assert all(each.ask() for each in connections)
    time.sleep(0.5)
    for each in (*questions, *connections):
        each.close()
    for each in questions:
        assert each.asked > 200
        print(f"the longest answer took {each.longest:.3f} s")
        assert each.lost == 0
    eventually(lambda: all(node.real_server()["findings"] == [] for node in nodes), "nothing is wrong", 60, 0.5)
    assert "there before us" not in second.log.read_text()


def node_of(daemon):
    """As lab_nodes wants one."""

    class Holder:
        host = daemon.host

        def __str__(self):
            return daemon.host.name

    return Holder()


def owner(host, vip):
    """The MAC address of who answers for a VIP."""
    host.run(["ip", "neigh", "flush", "all"])
    host.run(["ping", "-c1", "-W1", vip], check=False)
    table = host.run(["ip", "neigh", "show", vip]).stdout
    return table.split("lladdr ")[1].split()[0] if "lladdr" in table else None
