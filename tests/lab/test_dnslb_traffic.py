"""What is no plain query, through the whole balancer: fragments, EDNS, truncation, ICMP errors, one name for all."""

import shutil
import socket

import dns.edns
import dns.message
import pytest
from balancer_nodes import WHO, Balancer, Client, said, serve, virtual_server, vrrp
from health_nodes import EVERYWHERE, VIP4, VIP6, DnsServer
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6
from scapy.layers.l2 import Ether
from test_dnslb_balancer import ENGINES, explained

from pyvrrp.demo.lab import Lab
from pyvrrp.demo.wire import Frame

pytestmark = pytest.mark.skipif(
    shutil.which("unbound") is None or shutil.which("named") is None, reason="needs unbound and bind9"
)
CLIENT4, CLIENT6 = "192.0.2.100", "2001:db8::100"


@pytest.fixture
def servers(lab: Lab) -> list[DnsServer]:
    found = [DnsServer(lab, number) for number in (1, 2, 3)]
    serve(*found)
    return found


@pytest.fixture
def client(lab: Lab) -> Client:
    return Client(lab)


@pytest.fixture
def balancer(lab: Lab, servers: list[DnsServer], options: str) -> Balancer:
    made = Balancer(lab)
    made.start(vrrp(), virtual_server(*servers, extra=options))
    made.serving(*servers)
    return made


@pytest.mark.parametrize("options", [f"engine {engine}" for engine in ENGINES])
def test_fragments_edns_and_icmp_errors(balancer: Balancer, client: Client, lab: Lab, servers: list[DnsServer]) -> None:
    captures = {server.name: lab.capture(server.host) for server in servers}
    for vip in (VIP4, VIP6):
        # All pieces of a query go to one server, which follows from the client's address alone.
        assert len({asked(client, vip, padded(3000)) for _ in range(8)}) == 1
        digged = client.host.run(["dig", f"@{vip}", WHO, "TXT", "+nsid", "+bufsize=4096", "+timeout=5", "+cookie"])
        assert "EDNS: version: 0" in digged.stdout
        assert "status: NOERROR" in digged.stdout
        for port in range(30001, 30009):
            client.host.call(lambda vip=vip, port=port: tell_too_big(balancer, client, vip, port))
            own = CLIENT6 if ":" in vip else CLIENT4
            owner = explained(balancer, f"[{own}]:{port}" if ":" in own else f"{own}:{port}")
            captures[owner].wait(lambda frame, port=port: is_error(frame, port), f"the error for {owner}, {port}")
        relayed = sum(is_error(frame) for capture in captures.values() for frame in capture)
        assert relayed == (8 if vip == VIP4 else 16), "each went to one server"


@pytest.mark.parametrize("options", ["engine xdp\n    lb_algo qname"])
def test_a_name_is_asked_of_one_server_however_it_is_written(balancer: Balancer, client: Client) -> None:
    names = [f"n{number}.{WHO}" for number in range(24)]
    for vip in (VIP4, VIP6):
        found = {}
        for name in names:
            (found[name],) = {client.ask(vip, name=each) for each in (name, name.upper(), name.title(), name)}
        assert set(found.values()) == {"ns1", "ns2", "ns3"}
        told = balancer.dnslb("explain", f"{CLIENT4}:4242", names[0]).stdout
        assert found[names[0]] in told


@pytest.mark.parametrize("options", ["engine nft"])
def test_a_truncated_answer_is_fetched_over_tcp(balancer: Balancer, client: Client, servers: list[DnsServer]) -> None:
    """From the VIP both times, whichever server it is."""
    big = ['  local-zone: "big.example." static'] + [
        f"  local-data: 'big.example. TXT \"{number} {'x' * 200}\"'" for number in range(10)
    ]
    for server in servers:
        server.unbound(*EVERYWHERE, *big)
    balancer.until("up", *servers)
    ask = ["big.example", "TXT", "+bufsize=512", "+timeout=5"]
    for vip in (VIP4, VIP6):
        for _ in range(6):
            digged = client.host.run(["dig", f"@{vip}", *ask]).stdout
            assert "Truncated, retrying in TCP mode" in digged
            assert digged.count("xxxxxxxx") >= 10
            assert f"({vip})" in digged


def padded(size: int) -> bytes:
    """A query of more octets than a frame has room for (RFC 7830)."""
    padding = dns.edns.GenericOption(dns.edns.OptionType.PADDING, bytes(size))
    return dns.message.make_query(WHO, "TXT", use_edns=0, payload=4096, options=[padding]).to_wire()


def asked(client: Client, vip: str, wire: bytes) -> str:
    """Who answers it, from a port of its own."""
    with client.socket(vip) as asking:
        asking.sendto(wire, (vip, 53))
        answer, sender = asking.recvfrom(65535)
        assert sender[0] == vip
        return said(answer)


def tell_too_big(balancer: Balancer, client: Client, vip: str, port: int) -> None:
    """What a router says of an answer of the VIP's to this port of the client."""
    answer = TCP(sport=53, dport=port, flags="A", seq=1, ack=1)
    error = (
        IPv6(src=CLIENT6, dst=vip) / ICMPv6PacketTooBig(mtu=1280) / IPv6(src=vip, dst=CLIENT6) / answer
        if ":" in vip
        else IP(src=CLIENT4, dst=vip) / ICMP(type=3, code=4, nexthopmtu=1280) / IP(src=vip, dst=CLIENT4) / answer
    )
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind(("eth0", 0))
        sender.send(bytes(Ether(dst=balancer.mac.hex(":"), src=client.mac.hex(":")) / error))


def is_error(frame: Frame, port: int | None = None) -> bool:
    packet = Ether(frame.data)
    inner = next((packet[layer] for layer in ("TCP in ICMP", "TCP") if layer in packet), None)
    about = (ICMP in packet and packet[ICMP].type == 3) or ICMPv6PacketTooBig in packet
    return bool(about) and inner is not None and inner.sport == 53 and port in (None, inner.dport)
