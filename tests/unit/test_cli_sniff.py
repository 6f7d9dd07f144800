"""`pyvrrp sniff`: what scapy makes of advertisements that keepalived sent."""

import pytest
from scapy.layers import inet, inet6, vrrp  # noqa: F401
from scapy.layers.l2 import Ether

from pyvrrp.cli.sniff import describe, is_vrrp
from tests.pcap import frames


@pytest.mark.parametrize(
    ("vector", "expected"),
    [
        ("pass-v2", "192.0.2.11 > 224.0.0.18 ttl 255 VRRPv2 vrid 61 prio 120 intvl 1 s auth 1 192.0.2.105"),
        ("plain-v3", "192.0.2.11 > 224.0.0.18 ttl 255 VRRPv3 vrid 63 prio 120 intvl 0.25 s 192.0.2.107, 192.0.2.108"),
        (
            "plain-v3-ipv6",
            "fe80::8c09:2dff:fecc:2d4b > ff02::12 ttl 255 VRRPv3 vrid 64 prio 120 intvl 1 s fe80::64, 2001:db8::64",
        ),
    ],
)
def test_a_line_for_each_packet(vector, expected):
    packet = Ether(frames(vector)[0])
    assert is_vrrp(packet)
    assert describe(packet).split(" ", 1)[1] == expected


def test_ah_is_seen_though_not_read():
    packet = Ether(frames("ah-v2")[0])
    assert is_vrrp(packet)
    assert "Authentication Header" in describe(packet)
