"""The balancer as its command line sees it: explain, drain, status; the operator's words; the tracker."""

import asyncio
import json
from ipaddress import ip_address

import pytest

from dnslb import config as virtual_servers
from dnslb.balancer import sampling
from dnslb.balancer.admin import FILE
from dnslb.balancer.balancer import Balancer
from dnslb.balancer.commands import carry_out
from dnslb.balancer.setup import setup
from dnslb.balancer.status import summary
from dnslb.balancer.tracker import ability
from dnslb.dataplane import DataPlaneError
from dnslb.flow_hash import bucket_of_source_port
from dnslb.forwarding import Counters
from dnslb.maglev import maglev_table
from dnslb.metrics import families
from dnslb.plugin import DnsPlugin
from dnslb.pool_events import Admin
from pyvrrp.config.load import load_text
from pyvrrp.core.metrics import exposition
from pyvrrp.daemon.plugins import CommandRefused

TEXT = """
vrrp_instance DNS {
    interface lo
    virtual_router_id 53
    virtual_ipaddress {
        192.0.2.53/24
    }
}
virtual_server 192.0.2.53 53 {
    name dns
    protocol DNS
    lb_kind DR
    vip_check off
    %s
    real_server 192.0.2.11 53 {
        name ns1
        mac 02:00:00:00:00:11
        weight 1
    }
    real_server 192.0.2.12 53 {
        name ns2
        mac 02:00:00:00:00:12
        weight 3
    }
}
"""


class Plane:
    """An engine that does as it is told, and counts."""

    name, mode, reason = "nft", "", ""

    def install(self, forwarding):
        self.forwarding = forwarding

    def hold(self, addresses):
        self.held = addresses

    def counters(self):
        return Counters(packets={0: 10, 1: 30}, octets={0: 800, 1: 2400})

    def close(self):
        pass


class SamplingPlane(Plane):
    """One that puts a packet aside each time it is asked, as long as it is to."""

    one_in = 0
    broken = ""

    def sample(self, one_in):
        if self.broken:
            raise DataPlaneError(self.broken)
        self.one_in = one_in

    def samples(self):
        yield from [(ip_address("2001:db8::7"), b"\x12\x34")] if self.one_in else []


def on_balancer(scene, tmp_path, extra="", text=TEXT, plane=None):
    async def main():
        nonlocal plane
        plane = plane or Plane()
        balancer = Balancer(lambda *_: (plane, "nft on lo"), tmp_path / FILE)
        try:
            configure(balancer, extra, text)
            await until(balancer, lambda: balancer.interfaces and balancer.interfaces["lo"].plane)
            await balancer.interfaces["lo"].settled()
            await scene(balancer, plane)
        finally:
            await balancer.close()

    asyncio.run(main())


async def until(balancer, condition):
    """Wait for what the kernel, and then the engine, make of the configuration."""
    changed = asyncio.Event()
    balancer.observers.add(changed.set)
    async with asyncio.timeout(60):
        while not condition():
            changed.clear()
            await changed.wait()


def configure(balancer, extra="", text=TEXT):
    loaded = load_text(text % extra, plugins=[DnsPlugin()])
    found = virtual_servers.read(loaded.config, loaded.diagnostics)
    balancer.configure(setup(loaded.config, found, loaded.diagnostics))
    assert not loaded.diagnostics.errors, list(loaded.diagnostics)


def test_explain_names_the_server_by_the_hash_of_all_engines(tmp_path):
    async def scene(balancer, plane):
        (way,) = await carry_out(balancer, ["explain", "198.51.100.7:4242"])
        bucket = bucket_of_source_port(bytes([198, 51, 100, 7]), 4242, 4093)
        table = maglev_table({"192.0.2.11": 100, "192.0.2.12": 300})
        assert (way["bucket"], way["address"], way["hash"]) == (
            bucket,
            table[bucket],
            "jhash(198.51.100.7, 4242) mod 4093",
        )
        assert way["here"] is False
        assert way["protocols"] == ["UDP", "TCP"]
        balancer.hold("DNS", True)
        assert (await carry_out(balancer, ["explain", "198.51.100.7:4242"]))[0]["here"] is True
        (unclear,) = await carry_out(balancer, ["explain", "198.51.100.7"])
        assert (unclear["server"], unclear["why"]) == (None, "say the client's port")

    on_balancer(scene, tmp_path)


def test_explain_by_name_tells_udp_from_tcp(tmp_path):
    async def scene(balancer, plane):
        upper, tcp = await carry_out(balancer, ["explain", "198.51.100.7:4242", "WWW.Example.com"])
        lower, _ = await carry_out(balancer, ["explain", "198.51.100.9:1", "www.example.com."])
        assert (upper["protocols"], tcp["protocols"]) == (["UDP"], ["TCP"])
        assert upper["bucket"] == lower["bucket"]
        with pytest.raises(CommandRefused, match="is no domain name"):
            await carry_out(balancer, ["explain", "198.51.100.7:4242", "a..b"])

    on_balancer(scene, tmp_path, "lb_algo qname")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["explain", "nobody"], "is no client: write"),
        (["explain", "192.0.2.7:99999"], "99999 is no port"),
        (["explain", "[2001:db8::7]:53"], "no virtual server has an IPv6 address"),
        (["drain", "ns9"], "there is no real server ns9; there are: ns1, ns2"),
        (["drain"], "dnslb does not know the command 'drain'"),
        (["dance"], "dnslb does not know the command 'dance'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(tmp_path, words, why):
    async def scene(balancer, plane):
        with pytest.raises(CommandRefused, match=why.replace("[", r"\[")):
            await carry_out(balancer, words)

    on_balancer(scene, tmp_path)


def test_an_engine_that_no_packet_socket_sees_is_sampled_by_the_daemon(tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "_EVERY", 0.0)

    async def scene(balancer, plane):
        found = await carry_out(balancer, ["sample", "lo", "8", "0.01"])
        assert found[0] == ("2001:db8::7", "1234")
        assert plane.one_in == 0, "the program is as it was"
        first = asyncio.ensure_future(carry_out(balancer, ["sample", "lo", "8", "9"]))
        await asyncio.sleep(0)
        with pytest.raises(CommandRefused, match="lo is being sampled already"):
            await carry_out(balancer, ["sample", "lo", "8", "1"])
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await balancer.interfaces["lo"].do(lambda: None)
        assert plane.one_in == 0, "whoever asked is gone"
        plane.broken = "lo: an old kernel"
        with pytest.raises(CommandRefused, match="it can't be sampled: lo: an old kernel"):
            await carry_out(balancer, ["sample", "lo", "8", "1"])

    on_balancer(scene, tmp_path, plane=SamplingPlane())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["lo", "1", "1"], "lo has engine nft: listen there with a packet socket"),
        (["eth9", "1", "1"], "nothing is balanced on eth9"),
        (["lo", "one", "1"], "two numbers are needed"),
        (["lo", "0", "1"], "at least 1"),
        (["lo", "1", "11"], "at most 10 s at a time"),
        (["lo", "1", "nan"], "at most 10 s at a time"),
    ],
)
def test_what_can_not_be_sampled_is_refused_in_one_line(tmp_path, words, why):
    async def scene(balancer, plane):
        with pytest.raises(CommandRefused, match=why):
            await carry_out(balancer, ["sample", *words])

    on_balancer(scene, tmp_path)


def test_a_drained_server_is_out_of_the_table_and_stays_so_in_the_next_process(tmp_path):
    async def scene(balancer, plane):
        said = await carry_out(balancer, ["drain", "ns1"])
        assert said == [{"virtual_server": "dns", "server": "ns1", "word": "drain"}]
        await balancer.interfaces["lo"].settled()
        assert set(plane.forwarding.services[0].table) == {1}
        assert set(plane.forwarding.destinations) == {0, 1}, "it keeps its connections"

    async def later(balancer, plane):
        assert balancer.served["dns"].pool.members[ip_address("192.0.2.11")].admin is Admin.DRAIN
        assert set(plane.forwarding.services[0].table) == {1}
        await carry_out(balancer, ["auto", "192.0.2.11"])
        await balancer.interfaces["lo"].settled()
        assert set(plane.forwarding.services[0].table) == {0, 1}
        assert not (tmp_path / FILE).exists()

    on_balancer(scene, tmp_path)
    assert json.loads((tmp_path / FILE).read_text()) == {"dns": {"192.0.2.11": "drain"}}
    on_balancer(later, tmp_path)


def test_words_that_can_not_be_read_drain_nobody(tmp_path, caplog):
    (tmp_path / FILE).write_text('{"dns": {"192.0.2.11": "dance"}}')

    async def scene(balancer, plane):
        assert set(plane.forwarding.services[0].table) == {0, 1}

    on_balancer(scene, tmp_path)
    assert "no server is drained or forced" in caplog.text


def test_words_that_can_not_be_written_change_nothing(tmp_path):
    async def scene(balancer, plane):
        tmp_path.joinpath(f"{FILE}.new").mkdir()
        with pytest.raises(CommandRefused, match="nothing was changed"):
            await carry_out(balancer, ["down", "ns1"])
        assert balancer.served["dns"].pool.members[ip_address("192.0.2.11")].admin is Admin.AUTO

    on_balancer(scene, tmp_path)


def test_the_status_has_what_each_server_gets(tmp_path):
    async def scene(balancer, plane):
        found = await carry_out(balancer, ["status"])
        json.dumps(found)
        assert found["interfaces"]["lo"]["engine"] == "nft"
        first, second = found["virtual_servers"]["dns"]["servers"]
        assert (first["name"], first["standing"], first["share"], first["packets"]) == ("ns1", "up", 0.25, 10)
        assert (second["name"], second["share"], second["octets"]) == ("ns2", 0.75, 2400)
        assert summary(balancer) == ["dns: 2 of 2 servers in use, not here, nft on lo"]
        little = await carry_out(balancer, ["counters"])
        assert [each["packets"] for each in little["virtual_servers"]["dns"]] == [10, 30]
        assert found["problems"] == []
        assert first["effective_weight"] * 3 == second["effective_weight"] > 0
        text = "".join(exposition(families(found)))
        assert 'dnslb_server_packets_total{virtual_server="dns",server="ns1",address="192.0.2.11"} 10\n' in text
        assert 'dnslb_server_share_ratio{virtual_server="dns",server="ns2",address="192.0.2.12"} 0.75\n' in text
        balancer.interfaces["lo"].plane = None
        balancer.interfaces["lo"].problem = "no engine is left"
        found = await carry_out(balancer, ["status"])
        assert found["problems"] == ["dns: NOT BALANCED: no engine is left"]
        assert 'dnslb_engine_running{intf="lo"} 0\n' in "".join(exposition(families(found)))
        balancer.interfaces["lo"].plane = plane

    on_balancer(scene, tmp_path)


def test_a_reload_keeps_the_engine_the_addresses_and_the_words(tmp_path):
    async def scene(balancer, plane):
        interface = balancer.interfaces["lo"]
        balancer.hold("DNS", True)
        await carry_out(balancer, ["drain", "ns1"])
        configure(balancer, "quorum 2")
        await interface.settled()
        assert balancer.interfaces["lo"] is interface
        assert plane.held == {ip_address("192.0.2.53")}
        assert set(plane.forwarding.services[0].table) == {1}
        configure(balancer, text=TEXT.replace("vrrp_instance DNS", "vrrp_instance RENAMED"))
        await interface.settled()
        assert plane.held == {ip_address("192.0.2.53")}, "it still holds what it held"
        balancer.hold("RENAMED", False)
        await interface.settled()
        assert plane.held == frozenset()

    on_balancer(scene, tmp_path)


def test_the_tracker_says_what_keeps_the_node_from_serving(tmp_path):
    async def scene(balancer, plane):
        assert ability(balancer, "dns") == (True, "its quorum is there, engine nft")
        assert ability(balancer, "other") == (False, "there is no such virtual_server")
        interface = balancer.interfaces["lo"]
        interface.problem = "no engine is left"
        assert ability(balancer, "dns") == (False, "lo: no engine is left")
        interface.problem = ""
        await carry_out(balancer, ["down", "ns1", "ns2"])
        assert ability(balancer, "dns") == (False, "its quorum is lost")

    on_balancer(scene, tmp_path)


def test_an_interface_that_is_missing_is_told_and_waited_for(tmp_path, caplog):
    async def scene(balancer, plane):
        configure(balancer, text=TEXT.replace("interface lo", "interface gone0"))
        await until(balancer, lambda: balancer.served["dns"].problem)
        assert ability(balancer, "dns") == (False, "there is no interface gone0")
        assert summary(balancer) == ["dns: NOT BALANCED: there is no interface gone0"]
        assert balancer.interfaces == {}

    on_balancer(scene, tmp_path)
    assert "dns: it is not balanced: there is no interface gone0" in caplog.text
