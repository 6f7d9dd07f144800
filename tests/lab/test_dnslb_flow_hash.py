"""Our flow hash against the kernel's: nftables marks each packet with its bucket, a UDP socket reads the mark."""

import socket
import struct
from ipaddress import ip_address
from random import Random

import pytest

from dnslb.flow_hash import bucket_of_source, bucket_of_source_port
from dnslb.forwarding import SEED, TABLE_SIZE
from pyvrrp.demo.lab import Lab
from tests.dnslb_frames import client
from tests.dnslb_packets import UDP, ethernet, ip, udp

SO_RCVMARK = 75
BY_SOURCE_PORT, BY_SOURCE = 5301, 5302
FLOWS = 4000

RULES = f"""
table inet buckets {{
    chain prerouting {{
        type filter hook prerouting priority raw
        meta nfproto ipv4 th dport {BY_SOURCE_PORT} meta mark set jhash ip saddr . th sport mod {{size}} seed {SEED:#x}
        meta nfproto ipv6 th dport {BY_SOURCE_PORT} meta mark set jhash ip6 saddr . th sport mod {{size}} seed {SEED:#x}
        meta nfproto ipv4 th dport {BY_SOURCE} meta mark set jhash ip saddr mod {{size}} seed {SEED:#x}
        meta nfproto ipv6 th dport {BY_SOURCE} meta mark set jhash ip6 saddr mod {{size}} seed {SEED:#x}
    }}
}}
"""


@pytest.mark.parametrize("size", [TABLE_SIZE, 65537])
@pytest.mark.parametrize(("family", "own"), [(socket.AF_INET, "192.0.2.53"), (socket.AF_INET6, "2001:db8::53")])
def test_buckets_are_those_of_nftables(lab: Lab, family: int, own: str, size: int) -> None:
    balancer = lab.host("balancer", "192.0.2.53/24", "2001:db8::53/64")
    sender = lab.host("sender")
    balancer.run(["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.eth0.rp_filter=0"])
    balancer.run(["ip", "route", "add", "default", "dev", "eth0"])
    rules = balancer.directory / "rules"
    rules.write_text(RULES.replace("{size}", str(size)))
    balancer.run(["nft", "-f", rules])
    mac = bytes.fromhex(balancer.run(["cat", "/sys/class/net/eth0/address"]).stdout.replace(":", ""))
    receivers = [balancer.call(lambda port=port: listener(family, port)) for port in (BY_SOURCE_PORT, BY_SOURCE)]
    wire = sender.call(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
    wire.bind(("eth0", 0))

    random = Random(4093)
    buckets = set()
    for flow in range(FLOWS):
        source, port = client(random, own), random.randrange(1, 65536)
        receiver, to = (receivers[flow % 2], (BY_SOURCE_PORT, BY_SOURCE)[flow % 2])
        wire.send(ethernet(ip(source, own, UDP, udp(source, port, own, to, flow.to_bytes(4))), to=mac))
        data, ancillary, _, sender_address = receiver.recvmsg(16, 64)
        assert (int.from_bytes(data), sender_address[:2]) == (flow, (source, port))
        address = ip_address(source).packed
        ours = bucket_of_source_port(address, port, size) if flow % 2 == 0 else bucket_of_source(address, size)
        assert mark(ancillary) == ours, (source, port)
        buckets.add(ours)
    assert len(buckets) > min(FLOWS, size) / 2  # and no constant
    for each in (*receivers, wire):
        each.close()


def listener(family: int, port: int) -> socket.socket:
    receiver = socket.socket(family, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, SO_RCVMARK, 1)
    receiver.bind(("", port))
    receiver.settimeout(5)
    return receiver


def mark(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    values = [data for level, kind, data in ancillary if (level, kind) == (socket.SOL_SOCKET, socket.SO_MARK)]
    return struct.unpack("I", values[0])[0] if values else None
