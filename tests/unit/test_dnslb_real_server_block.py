"""The local_real_server block: what it says, what is said about it, and what the service makes of checks."""

import asyncio
import sys
from ipaddress import ip_address

import pytest

from dnslb.plugin import DnsPlugin
from dnslb.real_server.block import KEYWORDS, LOCAL_REAL_SERVER, LocalRealServer, read_blocks
from dnslb.real_server.holdings import Claim
from dnslb.real_server.service import RealServerService
from pyvrrp.config.load import load_text
from pyvrrp.config.model import NOWHERE
from pyvrrp.daemon.plugins import TrackerSpec

VIP4, VIP6 = ip_address("192.0.2.53"), ip_address("2001:db8::53")
CHECKS = {"resolver": ip_address("127.0.0.1"), "at-vip": VIP4}


class Plugin:
    name = "test"
    keywords = (*DnsPlugin.keywords, *KEYWORDS)
    instance_keywords = DnsPlugin.instance_keywords


INSTANCE = """
vrrp_instance OTHER {
    interface eth0
    virtual_router_id 7
    virtual_ipaddress {
        198.51.100.7
    }
}
"""


def read(text):
    loaded = load_text(text + INSTANCE, name="f", plugins=[Plugin()])
    blocks = [block for block in loaded.config.plugin_blocks if block.name == LOCAL_REAL_SERVER]
    return read_blocks(blocks, CHECKS, loaded.diagnostics), loaded.diagnostics


def test_all_that_it_can_say():
    (found,), diagnostics = read(
        """
        local_real_server {
            virtual_ipaddress {
                192.0.2.53/32
                2001:db8::53
            }
            port 53 853
            redirect
            track_dns {
                resolver
            }
        }
        """
    )
    assert list(diagnostics) == []
    assert (found.vips, found.ports, found.redirect, found.tracks) == ((VIP4, VIP6), (53, 853), True, ("resolver",))


def test_on_one_line_with_the_defaults():
    (found,), diagnostics = read("local_real_server { virtual_ipaddress { 192.0.2.53 } track_dns { resolver } }")
    assert list(diagnostics) == []
    assert (found.vips, found.ports, found.redirect, found.tracks) == ((VIP4,), (53,), False, ("resolver",))


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ("port 53", "no-address", "it has no virtual_ipaddress"),
        ("virtual_ipaddress { 192.0.2.53/24 }", "prefix-length", "write 192.0.2.53"),
        ("virtual_ipaddress { 192.0.2 }", "bad-address", "'192.0.2' is no IP address"),
        ("virtual_ipaddress { 127.0.0.1 }", "bad-address", "no balancer can hold it"),
        ("virtual_ipaddress { fe80::1 }", "bad-address", "another host on each link"),
        ("virtual_ipaddress { 224.0.0.18 }", "bad-address", "no holder"),
        ("virtual_ipaddress { 192.0.2.53 dev eth0 }", "extra-argument", "'dev' after the address means nothing here"),
        ("virtual_ipaddress { 192.0.2.53 }\nport 0", "bad-number", "'port 0'"),
        ("virtual_ipaddress { 192.0.2.53 }\ntrack_dns { resolvr }", "undefined-name", "did you mean 'resolver'?"),
        ("virtual_ipaddress { 192.0.2.53 }\ntrack_dns { at-vip }", "server-is-virtual", "127.0.0.1"),
        ("virtual_ipaddress { 192.0.2.53 }\ntrack_dns { resolver weight 5 }", "extra-argument", "it has no weight"),
    ],
)
def test_what_it_can_not_mean(body, code, says):
    _, diagnostics = read(f"local_real_server {{\n{body}\n}}")
    (found,) = [each for each in diagnostics if each.code == code]
    assert says in str(found)
    assert found.position.file == "f"
    assert found.fatal or code == "extra-argument"


def test_an_address_of_two_blocks():
    _, diagnostics = read("local_real_server { virtual_ipaddress { 192.0.2.53 } }\n" * 2)
    (found,) = diagnostics
    assert str(found) == (
        "f:2:1: error[duplicate-address]: local_real_server: 192.0.2.53 stands in the block at f:1:1 already;"
        " keep one of them"
    )


# --- the service -----------------------------------------------------------------------------------------------------


class Holdings:
    """Remembers what it was told, and refuses while `refuses` says so."""

    def __init__(self):
        self.claims = asyncio.Queue()
        self.left = False
        self.refuses = None

    async def tend(self, owner, claim):
        self.claims.put_nowait(claim)
        if self.refuses:
            raise self.refuses
        return []

    async def leave(self, owner):
        self.left = True
        return []


def block(*vips, **more):
    return LocalRealServer(vips=vips, position=NOWHERE, **more)


def run(scenario, *blocks, checks=()):
    async def main():
        holdings = Holdings()
        service = RealServerService(blocks, holdings, checks)
        await service.start()
        try:
            await asyncio.wait_for(scenario(service, holdings), 5)
        finally:
            await service.stop()
        assert holdings.left

    asyncio.run(main())


def check(results, **more):
    """A check that reports what is put into the queue; an exception is raised."""

    async def report_all(report):
        while True:
            result = await results.get()
            if isinstance(result, Exception):
                raise result
            report(result, "as told")

    return TrackerSpec(kind="dns", name="resolver", run=report_all, **more)


def test_without_a_check_it_holds_at_once():
    async def scenario(service, holdings):
        assert await holdings.claims.get() == Claim(wanted=frozenset({VIP4, VIP6}), redirects=frozenset())
        (shown,) = service.status()["blocks"]
        assert (shown["virtual_ipaddress"], shown["state"]) == (["192.0.2.53", "2001:db8::53"], "held")

    run(scenario, block(VIP4, VIP6))


def test_results_of_a_check_reach_the_daemon_and_the_addresses():
    """Unknown is not healthy, but takes nothing away; rise and fall are those of the check."""
    results, heard = asyncio.Queue(), []

    async def scenario(service, holdings):
        assert await holdings.claims.get() == Claim(undecided=frozenset({VIP4}))
        (spec,) = service.trackers
        task = asyncio.create_task(spec.run(lambda ok, detail: heard.append((ok, detail))))
        results.put_nowait(True)
        assert await holdings.claims.get() == Claim(wanted=frozenset({VIP4}))
        results.put_nowait(False)
        results.put_nowait(False)
        assert await holdings.claims.get() == Claim(withdrawn=frozenset({VIP4}))
        assert service.status()["blocks"][0]["state"] == "withdrawn"
        results.put_nowait(True)
        assert await holdings.claims.get() == Claim(wanted=frozenset({VIP4}))
        results.put_nowait(ValueError("a mistake of ours"))
        results.put_nowait(ValueError("a mistake of ours"))
        with pytest.raises(ValueError, match="of ours"):
            await task
        with pytest.raises(ValueError, match="of ours"):
            await spec.run(lambda ok, detail: None)
        assert await holdings.claims.get() == Claim(withdrawn=frozenset({VIP4}))
        assert [ok for ok, _ in heard] == [True, False, False, True]

    run(scenario, block(VIP4, tracks=("resolver",)), checks=[check(results, fall=2)])


def test_a_redirection_without_an_answering_server_is_none():
    results = asyncio.Queue()

    async def scenario(service, holdings):
        rules = frozenset({(VIP4, 53), (VIP4, 853)})
        assert await holdings.claims.get() == Claim(undecided_redirects=rules)
        task = asyncio.create_task(service.trackers[0].run(lambda ok, detail: None))
        results.put_nowait(True)
        assert await holdings.claims.get() == Claim(redirects=rules)
        results.put_nowait(False)
        assert await holdings.claims.get() == Claim()
        task.cancel()
        assert service.undo == []

    run(scenario, block(VIP4, ports=(53, 853), redirect=True, tracks=("resolver",)), checks=[check(results)])


def test_what_is_refused_is_told_once_and_shown(caplog):
    results = asyncio.Queue()

    async def scenario(service, holdings):
        holdings.refuses = PermissionError(1, "Operation not permitted", "net.ipv4.conf.all.arp_ignore")
        task = asyncio.create_task(service.trackers[0].run(lambda ok, detail: None))
        await holdings.claims.get()
        results.put_nowait(True)
        await holdings.claims.get()
        assert service.status()["problem"] == "net.ipv4.conf.all.arp_ignore: Operation not permitted"
        task.cancel()

    run(scenario, block(VIP4, tracks=("resolver",)), checks=[check(results)])
    assert [each.getMessage() for each in caplog.records] == [
        "192.0.2.53: net.ipv4.conf.all.arp_ignore: Operation not permitted; trying again every 3 s"
    ]


def test_the_commands_of_the_guard():
    service = RealServerService([block(VIP4), block(VIP6, redirect=True)], Holdings(), [])
    assert service.undo == [[sys.executable, "-m", "dnslb.real_server", "remove", "--daemon", "192.0.2.53"]]


def test_without_blocks_it_does_nothing():
    service = RealServerService([], Holdings(), [])
    asyncio.run(service.start())
    asyncio.run(service.stop())
    assert service.status() == {"blocks": [], "findings": [], "problem": ""}
