"""The filter of the tap, run by the kernel on packets of any kind."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from pyvrrp.core.datagram import build_ipv4
from pyvrrp.host.netlink_filter import attach
from pyvrrp.host.vrrp_tap import tap_filter

GROUP4, GROUP6 = IPv4Address("224.0.0.18"), IPv6Address("ff02::12")


def ipv4(source: str, protocol: int) -> bytes:
    return build_ipv4(IPv4Address(source), GROUP4, b"payload", protocol=protocol, identification=1)


def ipv6(source: str, protocol: int) -> bytes:
    return b"\x6c\0\0\0\0\7" + bytes((protocol, 255)) + IPv6Address(source).packed + GROUP6.packed + b"payload"


def passes(family: int, sources: list[str], *packets: bytes) -> list[bytes]:
    """What comes through; a filter sees a datagram of any socket from its first byte on."""
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        receiver.setblocking(False)
        attach(receiver, tap_filter(family, [ip_address(source) for source in sources]))
        for packet in packets:
            sender.send(packet)
        found = []
        while True:
            try:
                found.append(receiver.recv(1000))
            except BlockingIOError:
                return found


@pytest.mark.parametrize("protocol", [112, 51])
def test_only_the_sources_that_are_sought(protocol):
    wanted = [ipv4("192.0.2.7", protocol), ipv4("192.0.2.8", protocol)]
    others = [ipv4("192.0.2.9", protocol), ipv4("10.0.2.7", protocol), ipv4("192.0.2.7", 17)]
    assert passes(4, ["192.0.2.7", "192.0.2.8"], *wanted, *others) == wanted


def test_ipv6_addresses_are_compared_to_the_end():
    wanted = [ipv6("fe80::1:2:3:4", 112), ipv6("fe80::1:2:3:5", 112), ipv6("2001:db8::1", 51)]
    others = [
        ipv6("fe80::1:2:3:6", 112),
        ipv6("fe80::1:2:4:4", 112),
        ipv6("fe80:0:0:1:1:2:3:4", 112),
        ipv6("2001:db8::2", 112),
        ipv6("fe80::1:2:3:4", 58),
    ]
    assert passes(6, ["fe80::1:2:3:4", "2001:db8::1", "fe80::1:2:3:5"], *others, *wanted) == wanted


def test_nobody_is_sought():
    assert passes(4, [], ipv4("192.0.2.7", 112)) == []


def test_too_many_to_be_told_apart():
    sources = [f"10.0.{n}.1" for n in range(100)]
    assert passes(4, sources, ipv4("192.0.2.7", 112), ipv4("192.0.2.7", 6)) == [ipv4("192.0.2.7", 112)]
    assert passes(4, sources[:64], ipv4("192.0.2.7", 112), ipv4("10.0.63.1", 112)) == [ipv4("10.0.63.1", 112)]


@pytest.mark.parametrize("length", [0, 1, 6, 9, 10, 12, 15])
def test_a_packet_that_is_cut_off(length):
    assert passes(4, ["192.0.2.7"], ipv4("192.0.2.7", 112)[:length]) == []
