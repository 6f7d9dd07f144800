"""What operators get wrong, seen by the whole balancer: traffic goes on where it can, and the diagnosis is there.

Beside these: a VIP that is missing, a server without TCP, a stale secondary (test_dnslb_health), ARP leaks, cookies and
names (test_dnslb_neighbourhood), and what a real server finds out about itself (test_dnslb_real_server).
"""

import shutil
import sys

import pytest
from balancer_nodes import Balancer, Client, serve, virtual_server, vrrp
from health_nodes import EVERYWHERE, VIP4, VIP6, DnsServer
from lab_nodes import instance

from pyvrrp.demo.lab import Lab, eventually
from pyvrrp.demo.namespaces import ip

pytestmark = pytest.mark.skipif(
    shutil.which("unbound") is None or shutil.which("named") is None, reason="needs unbound and bind9"
)
BIG = (
    *EVERYWHERE,
    "  max-udp-size: 4096",
    '  local-zone: "big.example." static',
    *(f"  local-data: 'big.example. TXT \"{number} {'x' * 200}\"'" for number in range(10)),
)


@pytest.fixture
def servers(lab: Lab) -> list[DnsServer]:
    found = [DnsServer(lab, number) for number in (1, 2, 3)]
    serve(*found)
    return found


def test_a_name_that_no_server_can_resolve_takes_nobody_out(lab: Lab, servers: list[DnsServer]) -> None:
    """The probe's own mistake is no outage: all are used, and the log, the status and the summary shout."""
    balancer, client = Balancer(lab), Client(lab)
    balancer.start(vrrp(), virtual_server(*servers, extra="engine nft", check="expect_rcode SERVFAIL"))
    eventually(lambda: balancer.host.holds(VIP4), "the balancer is MASTER")
    balancer.until("panic", *servers)
    for vip in (VIP4, VIP6):
        eventually(lambda vip=vip: set(client.spread(60, vip)) == {"ns1", "ns2", "ns3"}, f"all answer on {vip}")
    served = balancer.balancing()["virtual_servers"]["dns"]
    why = "every server fails the same check, so all are used: DNS_CHECK www.example.com A"
    assert served["panic"].startswith(why)
    assert why in balancer.process.output
    assert "PANIC" in balancer.dnslb("status").stdout.upper()


def test_answers_of_more_than_1232_octets_that_are_dropped_on_the_way(lab: Lab) -> None:
    server, balancer = DnsServer(lab, 1), Balancer(lab)
    server.unbound(*BIG)
    small = "DNS_CHECK { name www.example.com  type A  transport udp }"
    large = "DNS_CHECK { name big.example  type TXT  transport udp  edns_size 4096 }"
    one = "DNS_CHECK { name www.example.com type A  }"
    balancer.start(vrrp(), virtual_server(server, extra="engine nft").replace(one, f"{small}\n{large}"))
    balancer.serving(server)
    server.host.run(["nft", "add table inet filter"])
    server.host.run(["nft", "add chain inet filter out { type filter hook output priority 0; }"])
    server.host.run(["nft", "add rule inet filter out udp sport 53 udp length > 1240 drop"])
    balancer.until("down", server)
    checks = {each["check"]: each for each in balancer.servers()[0]["checks"]}
    assert checks["DNS_CHECK www.example.com A over udp"]["healthy"]
    failing = checks["DNS_CHECK big.example TXT over udp"]
    assert "it may have more than 1232 octets: is something on the way that drops those?" in failing["detail"]


def test_two_balancers_that_have_each_other_as_their_server_send_no_packet_round_in_circles(lab: Lab) -> None:
    """Both balance always, for no vrrp_instance has the address; what comes from the other one is answered here."""
    client = Client(lab)
    servers = [DnsServer(lab, number, vip=False) for number in (1, 2)]
    serve(*servers)
    boxes = [Balancer(lab, host=server.host) for server in servers]
    for box, other in zip(boxes, reversed(servers), strict=True):
        box.start(instance(7, 100, "198.51.100.7/32"), virtual_server(other, extra="engine nft"))
    ip(f"addr add {VIP4}/24 dev eth0", f"addr add {VIP6}/64 dev eth0 nodad", namespace=boxes[0].host.namespace)
    servers[1].add_vip()
    for box, other in zip(boxes, reversed(servers), strict=True):
        box.until("up", other)
    capture = lab.capture()
    eventually(lambda: client.spread(40) == {"ns2": 40}, "the other one answers what the first sends it")
    sent = [frame for frame in capture if (asked := frame.asked) and str(asked.source) == "192.0.2.100"]
    relayed = [frame for frame in sent if frame.data[6:12] != client.mac]
    assert relayed, "the first one balances"
    assert {frame.data[6:12] for frame in relayed} == {boxes[0].mac}, "the second one does not"
    passed = boxes[1].balancing()["interfaces"]["eth0"]["passed"]
    assert passed["peer"] >= 40, passed
    assert "peer" in boxes[1].dnslb("status").stdout
    checked = boxes[0].host.run([sys.executable, "-m", "pyvrrp", "check", "-f", boxes[0].file], check=False)
    assert "no vrrp_instance" in checked.stdout
