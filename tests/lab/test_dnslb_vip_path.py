"""VIP_CHECK on a real link: which server has its VIP, what it says when not, and that the balancer keeps silent."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import dns.name
import dns.rdatatype
import pytest
from health_nodes import EVERYWHERE, VIP4, VIP6, Balancer, DnsServer, mac
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6
from scapy.layers.l2 import Ether

from dnslb.health.check import VipProbe
from dnslb.health.query import DnsCheck
from dnslb.health.verdict import Transport, Verdict
from dnslb.health.vip_path import Hop, VipPath
from dnslb.model import Endpoint
from pyvrrp.demo.lab import Lab, eventually
from pyvrrp.demo.namespaces import ip
from pyvrrp.demo.wire import Frame

pytestmark = pytest.mark.skipif(shutil.which("unbound") is None, reason="needs unbound (apt install unbound)")

UDP, TCP_ = Transport.UDP, Transport.TCP
FOUR, SIX = Endpoint(ip_address(VIP4), 53), Endpoint(ip_address(VIP6), 53)
EACH_VIP = pytest.mark.parametrize("vip", [FOUR, SIX], ids=["ipv4", "ipv6"])
EACH_WAY = pytest.mark.parametrize("transport", [UDP, TCP_], ids=["udp", "tcp"])


@pytest.fixture
def balancer(lab: Lab) -> Balancer:
    return Balancer(lab)


@pytest.fixture
def server(lab: Lab) -> DnsServer:
    return DnsServer(lab, 1)


def ask(
    balancer: Balancer,
    server: DnsServer,
    vips: Sequence[Endpoint] = (FOUR, SIX),
    transports: tuple[Transport, ...] = (UDP, TCP_),
    hop: Hop | None = None,
    timeout: float = 5.0,
) -> Verdict:
    question = DnsCheck(
        name=dns.name.root,
        rdtype=dns.rdatatype.SOA,
        server=server.address,
        transports=transports,
        timeout=timeout,
        recursion=False,
        expect_rcode=(),
        empty=True,
    )
    where = hop or Hop("eth0", mac(server.host))

    async def probe() -> Verdict:
        path = VipPath(lambda address: where)
        try:
            return await path.probe(VipProbe(question, None), vips)
        finally:
            path.close()

    return balancer.run(probe())


def complaints(frames: Sequence[Frame], own: str) -> list[str]:
    """What the balancer's stack said about answers that it had not asked for."""
    found = []
    for frame in frames:
        packet = Ether(frame.data)
        if packet.src != own:
            continue
        if ICMP in packet or ICMPv6DestUnreach in packet:
            found.append(packet.summary())
        if TCP in packet and "R" in packet[TCP].flags and packet[TCP].ack:
            found.append(packet.summary())  # the stack's reset acknowledges, ours does not
    return found


@pytest.mark.parametrize("master", [True, False], ids=["master", "backup"])
def test_a_server_that_has_the_vip_is_good_and_nobody_else_hears_of_it(
    lab: Lab, balancer: Balancer, server: DnsServer, master: bool
) -> None:
    other = lab.host("lb2", "192.0.2.3/24", "2001:db8::3/64")
    holder = balancer.host if master else other
    ip(f"addr add {VIP4}/32 dev eth0", f"addr add {VIP6}/128 dev eth0 nodad", namespace=holder.namespace)
    server.unbound()
    wire = lab.capture()
    for _ in range(3):
        verdict = ask(balancer, server)
        assert verdict.ok, verdict
    own = mac(balancer.host).hex(":")
    frames = list(wire)
    assert complaints(frames, own) == []
    probes = [Ether(frame.data) for frame in frames if Ether(frame.data).src == own]
    to_vip = [
        each for each in probes if (IP in each and each[IP].dst == VIP4) or (IPv6 in each and each[IPv6].dst == VIP6)
    ]
    assert len(to_vip) == 3 * (2 + 4), "a datagram, a SYN and a reset for each VIP, three times"
    assert {each.dst for each in to_vip} == {mac(server.host).hex(":")}, "never to the MASTER"
    assert {each[IP].src for each in to_vip if IP in each} == {"192.0.2.2"}, "from our own address"
    half_open = ["ss", "-tan", "state", "syn-recv"]
    eventually(lambda: not server.host.run(half_open).stdout.splitlines()[1:], "no connection is left half open")


@EACH_VIP
@EACH_WAY
@pytest.mark.parametrize("master", [True, False], ids=["master", "backup"])
def test_a_server_without_the_vip_is_not_though_its_own_address_answers(
    balancer: Balancer, server: DnsServer, vip: Endpoint, transport: Transport, master: bool
) -> None:
    if master:
        balancer.hold_vip()
    server.unbound()
    server.remove_vip()
    verdict = ask(balancer, server, [vip], (transport,), timeout=0.4)
    assert (verdict.ok, verdict.cause) == (False, "timeout")
    assert verdict.detail == (
        f"no answer from {vip} through 192.0.2.11 over {transport.value} within 0.4 s:"
        " is that address on its loopback, and does the server listen on it?"
    )
    server.add_vip()
    assert ask(balancer, server, [vip], (transport,)).ok


@EACH_VIP
@EACH_WAY
def test_a_dead_server_refuses(balancer: Balancer, server: DnsServer, vip: Endpoint, transport: Transport) -> None:
    verdict = ask(balancer, server, [vip], (transport,))
    assert (verdict.ok, verdict.cause) == (False, "refused")
    assert verdict.detail == (
        f"refused by {vip} through 192.0.2.11 over {transport.value}: the address is there, but nothing listens on it"
    )


@EACH_VIP
def test_one_that_answers_from_its_own_address_is_named(balancer: Balancer, server: DnsServer, vip: Endpoint) -> None:
    server.unbound(*EVERYWHERE[:2])
    verdict = ask(balancer, server, [vip], (UDP,))
    assert (verdict.ok, verdict.cause) == (False, "wrong source")
    own = server.own4 if vip is FOUR else server.own6
    assert verdict.detail.startswith(f"the answer from {vip} through 192.0.2.11 over udp comes from {own}: ")
    assert ask(balancer, server, [vip], (TCP_,)).ok, "with TCP there is no such trap"


def test_a_mac_address_that_is_learnt_just_now_is_waited_for(balancer: Balancer, server: DnsServer) -> None:
    server.unbound()
    hop = Hop("eth0", mac(server.host))
    looks = iter([None, None, hop])
    question = DnsCheck(
        name=dns.name.root, server=server.address, timeout=5.0, recursion=False, expect_rcode=(), empty=True
    )

    async def probe() -> Verdict:
        path = VipPath(lambda address: next(looks))
        try:
            return await path.probe(VipProbe(question, None), [FOUR])
        finally:
            path.close()

    assert balancer.run(probe()).ok


def test_a_server_that_is_gone(lab: Lab, balancer: Balancer, server: DnsServer) -> None:
    server.unbound()
    server.host.isolate()
    assert ask(balancer, server, timeout=0.4).cause == "timeout"


def test_a_cable_that_is_pulled_and_put_back(balancer: Balancer, server: DnsServer) -> None:
    """Also the interface itself: its packet socket hears again, and another interface of that name gets another one."""
    server.unbound()
    hop = Hop("eth0", mac(server.host))
    question = DnsCheck(
        name=dns.name.root, server=server.address, timeout=1.0, recursion=False, expect_rcode=(), empty=True
    )

    async def main() -> list[bool]:
        path = VipPath(lambda address: hop)
        loop = asyncio.get_running_loop()

        async def good() -> bool:
            return (await path.probe(VipProbe(question, None), [FOUR])).ok

        found = [await good()]
        for away, back in (
            (balancer.host.cut, balancer.host.mend),
            (balancer.host.delete_interface, balancer.host.create_interface),
        ):
            await loop.run_in_executor(None, away)
            found.append(await good())
            await loop.run_in_executor(None, back)
            for _ in range(20):
                if await good():
                    break
            else:
                found.append(False)
        path.close()
        return found

    assert balancer.run(main()) == [True, False, False]


def test_the_server_on_this_node_is_asked_on_the_vip(lab: Lab) -> None:
    """Two boxes, each balancer and server: a question to a VIP that is missing must not go to the MASTER."""
    box, master = Balancer(lab), DnsServer(lab, 9)
    ip(f"addr add {VIP4}/32 dev eth0", f"addr add {VIP6}/128 dev eth0 nodad", namespace=master.host.namespace)
    master.unbound()
    local = DnsServer.__new__(DnsServer)
    local.name, local.own4, local.own6, local.host, local.process = "lb1", "192.0.2.2", "2001:db8::2", box.host, None
    here = Hop("eth0", bytes(6), local=True)
    local.unbound()
    missing = ask(box, local, [FOUR], (UDP,), here)
    assert (missing.ok, missing.detail) == (False, f"{VIP4} is not on this node: put it on the loopback interface")
    local.add_vip()
    # The kernel makes the local route of an IPv6 address a moment after the address.
    eventually(lambda: ask(box, local, [FOUR, SIX], (UDP, TCP_), here).ok, "an answer on both VIPs")
    local.stop()
    assert ask(box, local, [FOUR], (UDP,), here).cause == "refused"


def test_a_balancer_with_nothing_but_the_vip_says_so(lab: Lab, server: DnsServer) -> None:
    balancer = Balancer(lab, "lb3", 4)
    balancer.hold_vip()
    ip("addr del 192.0.2.4/24 dev eth0", namespace=balancer.host.namespace)
    verdict = ask(balancer, server, [FOUR])
    assert (verdict.ok, verdict.cause) == (False, "no source")
    assert "has no address of its own to ask from" in verdict.detail


def test_a_server_with_ipv4_alone_is_asked_on_the_ipv6_vip(balancer: Balancer, server: DnsServer) -> None:
    """Only the MAC address of a packet is changed: the family of the server's own address does not matter."""
    server.unbound()
    question = replace(
        DnsCheck(name=dns.name.root, server=ip_address(server.own4), recursion=False, expect_rcode=(), empty=True),
        transports=(UDP, TCP_),
    )
    ip("addr del 2001:db8::2/64 dev eth0", namespace=balancer.host.namespace)
    balancer.host.run(["sysctl", "-qw", "net.ipv6.conf.eth0.addr_gen_mode=0"])
    balancer.host.delete_interface()
    balancer.host.create_interface()
    ip("addr del 2001:db8::2/64 dev eth0", namespace=balancer.host.namespace)
    hop = Hop("eth0", mac(server.host))

    async def probe() -> Verdict:
        path = VipPath(lambda address: hop)
        for _ in range(50):  # until the link-local address has passed duplicate address detection
            verdict = await path.probe(VipProbe(question, None), [SIX])
            if verdict.ok:
                break
            await asyncio.sleep(0.1)
        path.close()
        return verdict

    verdict = balancer.run(probe())
    assert verdict.ok, verdict
