"""The bytes that go to the kernel, what is understood of the answers, and the monitor's filter; no kernel needed."""

import errno
import socket
import struct
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from pyvrrp.config.model import VirtualAddress
from pyvrrp.host import netlink_codec as codec
from pyvrrp.host.leases import Lease
from pyvrrp.host.links import Address, Gone, Link
from pyvrrp.host.netlink_filter import renewal_filter

ADDRESS, LOCAL, LABEL, BROADCAST, CACHEINFO, FLAGS, PROTO = 1, 2, 3, 4, 6, 8, 11


def vip(text: str, **options: Any) -> VirtualAddress:
    return VirtualAddress(interface=ip_interface(text), device="eth0", **options)


def taken_apart(message: bytes) -> tuple[tuple[int, ...], tuple[int, ...], dict[int, bytes]]:
    """nlmsghdr (without the length), ifaddrmsg, attributes."""
    length, *header = struct.unpack_from("=IHHII", message)
    assert length == len(message)
    attributes, offset = {}, 24
    while offset < length:
        size, kind = struct.unpack_from("=HH", message, offset)
        attributes[kind] = message[offset + 4 : offset + size]
        offset += size + -size % 4
    return tuple(header), struct.unpack_from("=BBBBI", message, 16), attributes


def test_ipv4_messages() -> None:
    lease = Lease(vip("192.0.2.100/24", label="eth0:1", broadcast=ip_address("192.0.2.255"), scope=253), 3)
    local = ip_address("192.0.2.100").packed

    header, body, attributes = taken_apart(lease.add(7))
    assert header == (20, 0x505, lease.number, 0), "RTM_NEWADDR, REQUEST | ACK | REPLACE | CREATE"
    assert body == (socket.AF_INET, 24, 0, 253, 7)
    assert attributes == {
        LOCAL: local,
        ADDRESS: local,
        LABEL: b"eth0:1\0",
        BROADCAST: ip_address("192.0.2.255").packed,
        FLAGS: struct.pack("=I", 0),
        CACHEINFO: struct.pack("=IIII", 3, 3, 0, 0),
        PROTO: b"\x12",
    }
    header, *rest = taken_apart(lease.renewal(9))
    assert header == (20, 0x101, lease.number, 0), "REQUEST | REPLACE: no answer when all is well"
    assert rest == [(socket.AF_INET, 24, 0, 253, 9), attributes]

    header, body, attributes = taken_apart(lease.delete(7))
    assert header == (21, 0x005, lease.number, 0), "RTM_DELADDR, REQUEST | ACK"
    assert body[:2] == (socket.AF_INET, 24)
    assert attributes == {LOCAL: local, ADDRESS: local}, "without the label, which may be another's"


def test_ipv6_messages() -> None:
    lease = Lease(vip("2001:db8::100/128"), 3)
    _, body, attributes = taken_apart(lease.add(7))
    assert body == (socket.AF_INET6, 128, 0x02, 0, 7)
    assert attributes[FLAGS] == struct.pack("=I", 0x02), "IFA_F_NODAD"
    assert attributes[CACHEINFO] == struct.pack("=IIII", 0, 3, 0, 0), "a /128 is no source address"
    assert taken_apart(lease.delete(7, 64))[1] == (socket.AF_INET6, 64, 0, 0, 7)


@pytest.mark.parametrize(
    ("address", "options", "seconds", "lifetimes"),
    [
        ("192.0.2.1/32", {}, 3, (3, 3)),
        ("192.0.2.1/32", {}, None, (0xFFFFFFFF, 0xFFFFFFFF)),
        ("2001:db8::1/64", {}, 3, (3, 3)),
        ("2001:db8::1/128", {}, None, (0, 0xFFFFFFFF)),
        ("2001:db8::1/128", {"preferred_lft": 0xFFFFFFFF}, 3, (3, 3)),
        ("2001:db8::1/64", {"preferred_lft": 0}, 3, (0, 3)),
        ("192.0.2.1/32", {"preferred_lft": 60}, 3, (3, 3)),
    ],
)
def test_lifetimes(address: str, options: dict[str, Any], seconds: int | None, lifetimes: tuple[int, int]) -> None:
    _, _, attributes = taken_apart(Lease(vip(address, **options), seconds).add(1))
    assert struct.unpack("=IIII", attributes[CACHEINFO])[:2] == lifetimes


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({"nodad": False}, 0),
        ({"home": True}, 0x12),
        ({"mngtmpaddr": True}, 0x102),
        ({"noprefixroute": True}, 0x202),
        ({"autojoin": True}, 0x402),
    ],
)
def test_flags(options: dict[str, Any], flags: int) -> None:
    _, body, attributes = taken_apart(Lease(vip("2001:db8::1/64", **options), 3).add(1))
    assert struct.unpack("=I", attributes[FLAGS]) == (flags,)
    assert body[2] == flags & 0xFF


def test_a_peer_brings_its_own_prefix_length() -> None:
    lease = Lease(vip("198.51.100.1/32", peer=ip_interface("198.51.100.2/30")), 3)
    _, body, attributes = taken_apart(lease.add(1))
    assert body[1] == 30
    assert (attributes[LOCAL], attributes[ADDRESS]) == (b"\xc6\x33\x64\x01", b"\xc6\x33\x64\x02")
    assert str(lease) == "198.51.100.1/30 dev eth0"


def test_a_lease_shorter_than_the_kernel_can_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^lease of 0 s for 192\.0\.2\.1/32: 1 s or more$"):
        Lease(vip("192.0.2.1/32"), 0)


@pytest.mark.parametrize(
    ("found", "differences"),
    [
        ({}, []),
        ({"prefixlen": 24}, ["prefix length 24"]),
        ({"label": "eth0:9", "scope": 0, "broadcast": None}, ["label eth0:9", "brd None", "scope 0"]),
        ({"flags": 0x80}, ["valid_lft forever"]),
        ({"flags": 0x01, "proto": 0}, []),
    ],
)
def test_what_was_there_before_is_compared(found: dict[str, Any], differences: list[str]) -> None:
    broadcast = ip_address("192.0.2.255")
    lease = Lease(vip("192.0.2.1/32", label="eth0:1", broadcast=broadcast, scope=253), 3)
    same = {"prefixlen": 32, "label": "eth0:1", "broadcast": broadcast, "scope": 253}
    address = Address(**{"index": 1, "address": ip_address("192.0.2.1")} | same | found)
    assert list(lease.differences(address)) == differences


# --- what the kernel says: captured on Linux 6.18, little-endian -----------------------------------------------------

PEER = (
    "50000000140000000a0b036b38290000021e00000300000008000100c633640208000200c63364010900030061303a31000000000800080000"
    "000000140006003c0000003c000000c32c0500c32c0500"
)
TENTATIVE = (
    "480000001400000000000000000000000a40c000030000001400010020010db800000000000000000000000114000600ffffffffffffffffec"
    "2c0500ec2c050008000800c0000000"
)


def only(data: bytes) -> codec.Message:
    (message,) = codec.messages(data)
    return message


def test_addresses_of_the_kernel() -> None:
    assert codec.fact(only(bytes.fromhex(PEER))) == Address(
        index=3,
        address=ip_address("198.51.100.1"),
        prefixlen=30,
        label="a0:1",
        peer=ip_address("198.51.100.2"),
    )
    tentative = Address(index=3, address=ip_address("2001:db8::1"), prefixlen=64, flags=0xC0)
    assert not tentative.usable
    assert codec.fact(only(bytes.fromhex(TENTATIVE))) == tentative
    removed = bytearray.fromhex(TENTATIVE)
    removed[4] = 21
    assert codec.fact(only(bytes(removed))) == Gone(tentative)


def test_leases_are_what_pyroute2_would_say() -> None:
    """A decoder that is not ours reads every message that goes to the kernel."""
    everything = vip("192.0.2.100/24", label="eth0:1", broadcast=ip_address("192.0.2.255"), scope=253)
    for each in (everything, vip("2001:db8::1/64"), vip("198.51.100.1/32", peer=ip_interface("198.51.100.2/30"))):
        lease = Lease(each, 3)
        for data in (lease.add(7), lease.renewal(7), lease.delete(7)):
            read = ifaddrmsg(data)
            read.decode()
            again = ifaddrmsg()
            again["header"]["type"], again["header"]["flags"] = read["header"]["type"], read["header"]["flags"]
            again["header"]["sequence_number"] = lease.number
            for name in ("family", "prefixlen", "flags", "scope", "index"):
                again[name] = read[name]
            again["attrs"] = read["attrs"]
            again.encode()
            assert bytes(again.data) == data
            assert read.get_attr("IFA_LOCAL") == str(each.address)


LINKS = [
    {
        "index": 7,
        "ifi_type": 1,
        "flags": 0x11043,
        "attrs": [
            ("IFLA_IFNAME", "dummy0"),
            ("IFLA_MTU", 9000),
            ("IFLA_LINK", 0),
            ("IFLA_MASTER", 3),
            ("IFLA_ADDRESS", "02:00:00:00:00:07"),
        ],
    },
    {
        "index": 8,
        "ifi_type": 1,
        "flags": 0x1002,
        "attrs": [
            ("IFLA_IFNAME", "vlan8"),
            ("IFLA_MTU", 1500),
            ("IFLA_LINK", 7),
            ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "vlan")]}),
        ],
    },
    {
        "index": 9,
        "ifi_type": 65534,
        "flags": 0x1,
        "attrs": [("IFLA_IFNAME", "far"), ("IFLA_MTU", 1420), ("IFLA_LINK", 7), ("IFLA_LINK_NETNSID", 1)],
    },
]


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (
            LINKS[0],
            Link(index=7, name="dummy0", flags=0x11043, mtu=9000, mac=bytes.fromhex("020000000007"), master=3),
        ),
        (LINKS[1], Link(index=8, name="vlan8", flags=0x1002, parent=7, kind="vlan")),
        (LINKS[2], Link(index=9, name="far", flags=0x1, mtu=1420, arp_type=65534)),
    ],
    ids=["a port of a bridge", "a VLAN", "one whose parent is in another namespace"],
)
def test_links_are_read_as_pyroute2_writes_them(link: dict[str, Any], expected: Link) -> None:
    message = ifinfmsg()
    message["header"]["type"] = 16
    for name, value in link.items():
        message[name] = value
    message.encode()
    assert codec.fact(only(bytes(message.data))) == expected


def test_a_bridges_word_about_its_port_is_no_link() -> None:
    message = struct.pack("=IHHII", 32, 17, 0, 0, 0) + struct.pack("=BxHiII", 7, 1, 3, 0, 0)
    assert codec.fact(only(message)) is None


def test_an_answer_carries_the_kernels_sentence() -> None:
    sentence = b"ipv4: Address not found\0"
    request = struct.pack("=IHHII", 40, 21, 5, 77, 0)
    payload = struct.pack("=i", -errno.EADDRNOTAVAIL) + request + struct.pack("=HH", 4 + len(sentence), 1) + sentence
    refusal = only(struct.pack("=IHHII", 16 + len(payload), 2, 0x300, 77, 0) + payload)
    error = codec.answer(refusal)
    assert refusal[2] == 77
    assert error is not None
    assert (error.errno, str(error)) == (
        errno.EADDRNOTAVAIL,
        "Cannot assign requested address (ipv4: Address not found)",
    )
    assert codec.answer(only(struct.pack("=IHHIIi", 36, 2, 0x100, 78, 0, 0) + request)) is None


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", "an answer of the kernel that was cut off"),
        (struct.pack("=i", -(2**31)), "Unknown error 4095"),
        (struct.pack("=ix", -errno.EPERM), "Operation not permitted"),
    ],
    ids=["no number", "a number out of range", "a request that was cut off"],
)
def test_an_odd_answer_is_a_refusal_too(payload: bytes, says: str) -> None:
    error = codec.answer(only(struct.pack("=IHHII", 16 + len(payload), 2, 0x200, 77, 0) + payload))
    assert str(error) == says


def test_an_interface_may_have_a_name_that_is_no_text() -> None:
    attributes = struct.pack("=HH4s", 6, 3, b"l\xef") + struct.pack("=HHI", 8, 4, 1500)
    message = struct.pack("=IHHII", 32 + len(attributes), 16, 0, 0, 0) + struct.pack("=BxHiII", 0, 1, 7, 1, 0)
    link = codec.fact(only(message + attributes))
    assert isinstance(link, Link)
    assert link.name == r"l\xef"


def test_a_dump_that_broke_off_is_no_empty_host() -> None:
    def end(kind: int, *code: int) -> codec.Message:
        payload = b"".join(struct.pack("=i", each) for each in code)
        return only(struct.pack("=IHHII", 16 + len(payload), kind, 0x202, 9, 0) + payload)

    assert codec.is_end(end(3, 0))
    assert codec.is_end(end(3))
    assert not codec.is_end(only(bytes.fromhex(PEER)))
    for broken in (end(3, -errno.ENOMEM), only(struct.pack("=IHHIIi", 36, 2, 0, 9, 0, -errno.ENOMEM) + bytes(16))):
        with pytest.raises(codec.NetlinkError, match=r"^Cannot allocate memory$"):
            codec.is_end(broken)


@pytest.mark.parametrize("data", [b"", b"\0" * 16, struct.pack("=IHHII", 99, 20, 0, 0, 0), bytes.fromhex(PEER)[:40]])
def test_a_cut_message_is_none(data: bytes) -> None:
    assert list(codec.messages(data)) == []


# --- the filter ------------------------------------------------------------------------------------------------------


def runs(program: bytes, packet: bytes) -> int:
    """The number of bytes that a classic BPF program accepts, by the kernel's documentation of the machine."""
    a = x = at = 0
    scratch = [0] * 16
    while True:
        code, if_true, if_false, k = struct.unpack_from("=HBBI", program, at * 8)
        at += 1
        match code:
            case 0x00:
                a = k
            case 0x01:
                x = k
            case 0x20 if k == 0xFFFFF00C:
                a = next((offset for offset, kind in attributes_from(packet, a) if kind == x), 0)
            case 0x20:
                (a,) = struct.unpack_from("!I", packet, k)
            case 0x28:
                (a,) = struct.unpack_from("!H", packet, k)
            case 0x30:
                a = packet[k]
            case 0x40:
                (a,) = struct.unpack_from("!I", packet, x + k)
            case 0x50:
                a = packet[x + k]
            case 0x02:
                scratch[k] = a
            case 0x61:
                x = scratch[k]
            case 0x07:
                x = a
            case 0x15:
                at += if_true if a == k else if_false
            case 0x1D:
                at += if_true if a == x else if_false
            case 0x45:
                at += if_true if a & k else if_false
            case 0x06:
                return int(k)
            case _:
                raise AssertionError(hex(code))


def attributes_from(packet: bytes, offset: int) -> list[tuple[int, int]]:
    found = []
    while offset + 4 <= len(packet):
        size, kind = struct.unpack_from("=HH", packet, offset)
        found.append((offset, kind))
        offset += size + -size % 4
    return found


def told(
    kind: int = 20, family: int = 2, flags: int = 0, port: int = 4242, proto: int | None = 18, updated: int = 600
) -> bytes:
    """What the kernel tells everyone about an address that was made at 500."""
    address = (b"\x14\0\1\0" if family == 10 else b"\x08\0\1\0") + bytes(16 if family == 10 else 4)
    body = struct.pack("=BBBBI", family, 32, flags, 0, 3) + address
    body += struct.pack("=HHIIII", 20, CACHEINFO, 3, 3, 500, updated)
    if proto is not None:
        body += struct.pack("=HHBxxx", 5, PROTO, proto)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, port) + body


@pytest.mark.parametrize(
    ("message", "heard"),
    [
        (told(), False),
        (told(family=10, port=0), False),
        (told(updated=500), True),
        (told(family=10, port=0, updated=500), True),
        (told(kind=21), True),
        (told(family=10, port=0, kind=21), True),
        (told(port=77), True),
        (told(family=10, port=0, proto=None), True),
        (told(family=10, port=0, proto=3), True),
        (told(family=10, port=0, flags=0x40), True),
        (told(family=10, port=0, flags=0x08), True),
        (told(proto=None), False),
        (struct.pack("=IHHII", 16, 16, 0, 0, 4242), True),
        (told()[:24], True),
    ],
    ids=[
        "IPv4 renewal",
        "IPv6 renewal",
        "IPv4 addition by us",
        "IPv6 addition by us",
        "IPv4 removal by us",
        "IPv6 removal",
        "IPv4 change by another",
        "IPv6 change by another",
        "IPv6 change by the kernel (router advertisement)",
        "IPv6 tentative",
        "IPv6 duplicate",
        "IPv4 renewal before Linux 5.18",
        "a link",
        "no attributes",
    ],
)
def test_only_our_renewals_are_dropped(message: bytes, heard: bool) -> None:
    assert bool(runs(renewal_filter(port=4242, proto=18), message)) is heard
