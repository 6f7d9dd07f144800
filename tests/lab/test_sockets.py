"""Two hosts on one segment, our sockets at both ends: what goes over the wire, and what the kernel makes of it."""

import logging
import select
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from scapy.layers.inet6 import IPv6

from pyvrrp.core.announcement import gratuitous_arp, unsolicited_na
from pyvrrp.core.datagram import PROTOCOL_AH, PROTOCOL_VRRP, build_ipv4
from pyvrrp.core.discard import Discard, DiscardReason
from pyvrrp.demo.lab import Host, Lab, eventually
from pyvrrp.demo.namespaces import ip
from pyvrrp.host.packet_socket import PacketSocket
from pyvrrp.host.vrrp_socket import VrrpSocket

GROUP = {4: IPv4Address("224.0.0.18"), 6: IPv6Address("ff02::12")}
OTHER_GROUP = {4: IPv4Address("224.0.0.81"), 6: IPv6Address("ff02::81")}
FAMILIES = pytest.mark.parametrize("family", [4, 6])
BODY = b"an advertisement, or so"


class Speaker:
    """A host with a VrrpSocket, and its addresses."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.address = {4: self._address(4), 6: self._link_local()}
        self.unicast = {4: self._address(4), 6: self._address(6)}
        self.sockets: list[VrrpSocket] = []

    def open(self, family: int, *groups: IPv4Address | IPv6Address, **options: object) -> VrrpSocket:
        opened = self.host.call(lambda: VrrpSocket(family, "eth0", self.index, **options))
        self.sockets.append(opened)
        for group in groups:
            opened.join(group)
        return opened

    def send(self, through: VrrpSocket, to: IPv4Address | IPv6Address, body: bytes = BODY, *, ttl: int = 255) -> None:
        source = self.address[to.version] if to.is_multicast else self.unicast[to.version]
        packet = build_ipv4(source, to, body, ttl=ttl, identification=1) if to.version == 4 else body
        through.send(packet, source, to, ttl)

    @property
    def index(self) -> int:
        return self.host.call(lambda: socket.if_nametoindex("eth0"))

    @property
    def mac(self) -> bytes:
        return bytes.fromhex(self.host.run(["cat", "/sys/class/net/eth0/address"]).stdout.replace(":", ""))

    def neighbour(self, address: IPv4Address | IPv6Address) -> bytes:
        """The MAC that this host believes `address` to have."""
        words = self.host.run(["ip", "neigh", "show", str(address), "dev", "eth0"]).stdout.split()
        return bytes.fromhex(words[words.index("lladdr") + 1].replace(":", "")) if "lladdr" in words else b""

    def _address(self, version: int) -> IPv4Address | IPv6Address:
        return next(a for a in self.host.addresses() if a.version == version and not a.is_link_local)

    def _link_local(self) -> IPv6Address:
        return next(a for a in self.host.addresses() if a.version == 6 and a.is_link_local)


@pytest.fixture
def speakers(lab: Lab):
    pair = [Speaker(lab.host(f"n{n}", f"192.0.2.{n}/24", f"2001:db8::{n}/64")) for n in (1, 2)]
    yield pair
    for speaker in pair:
        for each in speaker.sockets:
            each.close()


def arrived(at: VrrpSocket, timeout: float = 5.0):
    """Wait for something and return all of it."""
    select.select(at.receivers, [], [], timeout)
    return list(at.receive())


def quiet(at: VrrpSocket) -> bool:
    """Nothing has arrived, and nothing does within a moment that is long for a veth."""
    return arrived(at, 0.1) == []


def gets_through(here: Speaker, sender: VrrpSocket, receiver: VrrpSocket, group: IPv4Address | IPv6Address) -> bool:
    here.send(sender, group)
    return bool(arrived(receiver, 0.1))


@FAMILIES
def test_multicast_both_ways(speakers, family):
    ends = [speaker.open(family, GROUP[family]) for speaker in speakers]
    for sender, receiver in ((0, 1), (1, 0)):
        speakers[sender].send(ends[sender], GROUP[family])
        (datagram,) = arrived(ends[receiver])
        assert (datagram.source, datagram.destination) == (speakers[sender].address[family], GROUP[family])
        assert (datagram.ttl, datagram.protocol, datagram.payload) == (255, PROTOCOL_VRRP, BODY)
        assert len(datagram.header) == (20 if family == 4 else 0)
    assert not select.select([end._sender for end in ends], [], [], 0)[0], "nothing piles up where nobody reads"


@FAMILIES
def test_own_packets_do_not_come_back(speakers, family):
    here, there = speakers
    own, other, peer = (
        here.open(family, GROUP[family]),
        here.open(family, GROUP[family]),
        there.open(family, GROUP[family]),
    )
    here.send(own, GROUP[family])
    assert len(arrived(peer)) == 1
    assert quiet(own)
    assert quiet(other)


@FAMILIES
@pytest.mark.parametrize("ttl", [255, 64])
def test_unicast_with_its_ttl(speakers, family, ttl):
    here, there = speakers
    sender, receiver = here.open(family), there.open(family)
    here.send(sender, there.unicast[family], ttl=ttl)
    (datagram,) = arrived(receiver)
    assert (datagram.source, datagram.destination) == (here.unicast[family], there.unicast[family])
    assert (datagram.ttl, datagram.payload) == (ttl, BODY)


def test_ipv4_packets_go_out_byte_for_byte(speakers, segment):
    here, _ = speakers
    sender = here.open(4)
    packet = build_ipv4(here.address[4], GROUP[4], BODY, identification=0x1234)
    sender.send(packet, here.address[4], GROUP[4])
    frame = segment.capture.wait(lambda frame: frame.data[12:14] == b"\x08\x00", "an IPv4 packet")
    assert frame.data == bytes.fromhex("01005e000012") + here.mac + b"\x08\x00" + packet


def test_ipv6_packets_have_the_header_of_control_traffic(speakers, segment):
    here, _ = speakers
    here.send(here.open(6), GROUP[6])
    frame = segment.capture.wait(
        lambda frame: frame.data[12:14] == b"\x86\xdd" and frame.data[20] == PROTOCOL_VRRP, "an IPv6 packet"
    )
    header = IPv6(frame.data[14:])
    assert frame.data[:6] == bytes.fromhex("333300000012")
    assert (header.tc, header.hlim, header.nh, header.plen) == (0xC0, 255, PROTOCOL_VRRP, len(BODY))
    assert (IPv6Address(header.src), IPv6Address(header.dst)) == (here.address[6], GROUP[6])
    assert frame.data[54:] == BODY, "the kernel must not write a checksum into it"


def test_ah_arrives_at_a_socket_that_asks_for_it(speakers):
    here, there = speakers
    sender = here.open(4)
    both = there.open(4, GROUP[4], protocols=(PROTOCOL_VRRP, PROTOCOL_AH))
    plain = there.open(4, GROUP[4])
    packet = build_ipv4(here.address[4], GROUP[4], BODY, protocol=PROTOCOL_AH, identification=1)
    sender.send(packet, here.address[4], GROUP[4])
    (datagram,) = arrived(both)
    assert (datagram.protocol, datagram.header + datagram.payload) == (PROTOCOL_AH, packet)
    assert quiet(plain)


@FAMILIES
def test_only_joined_groups_arrive(speakers, family):
    here, there = speakers
    sender, receiver = here.open(family), there.open(family, GROUP[family])
    there.open(family, OTHER_GROUP[family])  # somebody else on the host wants it
    here.send(sender, OTHER_GROUP[family])
    assert quiet(receiver)

    receiver.join(GROUP[family])
    receiver.leave(GROUP[family])
    here.send(sender, GROUP[family])
    assert len(arrived(receiver)) == 1, "one of two joins is left"

    receiver.leave(GROUP[family])
    here.send(sender, GROUP[family])
    assert quiet(receiver)


@pytest.fixture
def second_interface(speakers):
    """`other` on the second speaker's host, with its index."""
    there = speakers[1].host
    ip(
        "link add other type veth peer name another",
        "link set other up",
        "link set another up",
        namespace=there.namespace,
    )
    return there.call(lambda: socket.if_nametoindex("other"))


def test_other_interfaces_are_not_heard(speakers, second_interface):
    here, there = speakers
    other = there.host.call(lambda: VrrpSocket(4, "other", second_interface))
    other.join(GROUP[4])
    here.send(here.open(4), GROUP[4])
    assert quiet(other)
    other.close()


def test_what_came_before_the_socket_was_bound_is_not_heard(speakers, second_interface):
    """A raw socket hears every interface from its creation on."""
    here, there = speakers
    sender = here.open(4)

    class Overtaken(VrrpSocket):
        def _open(self, protocol: int) -> socket.socket:
            opened = super()._open(protocol)
            if protocol == PROTOCOL_VRRP:
                here.send(sender, there.unicast[4])
                assert select.select([opened], [], [], 5.0)[0]
            return opened

    other = there.host.call(lambda: Overtaken(4, "other", second_interface))
    assert quiet(other)
    other.close()


@FAMILIES
def test_a_flood_is_taken_in_portions(speakers, family):
    here, there = speakers
    sender, receiver = here.open(family), there.open(family, GROUP[family], receive_buffer=1 << 20)
    for number in range(200):
        here.send(sender, GROUP[family], bytes([number]))
    portions = []
    while portion := arrived(receiver, 0.1):
        portions.append([datagram.payload[0] for datagram in portion])
    assert max(len(portion) for portion in portions) <= 64
    assert [number for portion in portions for number in portion] == list(range(200))


@FAMILIES
def test_an_oversized_packet_is_a_length_error(speakers, family):
    here, there = speakers
    receiver = there.open(family)
    raw_family = socket.AF_INET if family == 4 else socket.AF_INET6
    with here.host.call(lambda: socket.socket(raw_family, socket.SOCK_RAW, PROTOCOL_VRRP)) as fragmenting:
        fragmenting.sendto(bytes(9000), (str(there.unicast[family]), 0))
    (refused,) = arrived(receiver)
    assert isinstance(refused, Discard)
    assert refused.reason is DiscardReason.LENGTH


@FAMILIES
def test_membership_survives_the_link(speakers, family):
    here, there = speakers
    receiver = there.open(family, GROUP[family])
    sender = here.open(family)
    ip("link set eth0 down", namespace=there.host.namespace)
    assert quiet(receiver)
    ip("link set eth0 up", namespace=there.host.namespace)
    eventually(lambda: gets_through(here, sender, receiver, GROUP[family]), "multicast after link up")


@FAMILIES
def test_sending_on_a_link_that_is_down_is_an_error_and_works_again_after(speakers, family):
    here, there = speakers
    sender, receiver = here.open(family), there.open(family, GROUP[family])
    ip("link set eth0 down", namespace=here.host.namespace)
    with pytest.raises(OSError, match=r"unreachable|Invalid"):
        here.send(sender, GROUP[family])
    ip("link set eth0 up", namespace=here.host.namespace)
    here.address[6] = here._link_local()

    def send() -> bool:
        try:
            return gets_through(here, sender, receiver, GROUP[family])
        except OSError:  # IPv6: the addresses come a moment later
            return False

    eventually(send, "sending after link up")


@FAMILIES
def test_a_deleted_interface_is_quiet_and_a_new_socket_serves_the_new_one(speakers, family, caplog):
    here, there = speakers
    sender = here.open(family)
    old = there.open(family, GROUP[family])
    index = there.index
    there.host.delete_interface()
    assert not select.select(old.receivers, [], [], 0.1)[0], "the loop must not spin on it"
    assert list(old.receive()) == []
    with pytest.raises(OSError, match="No such device"):
        there.send(old, GROUP[family])
    with pytest.raises(OSError, match="No such device"):
        old.join(OTHER_GROUP[family])

    there.host.create_interface()
    assert there.index != index
    new = there.open(family, GROUP[family])
    eventually(lambda: gets_through(here, sender, new, GROUP[family]), "multicast at the new interface")
    assert quiet(old)
    old.leave(GROUP[family])
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_closed_while_a_callback_is_waiting(speakers, caplog):
    here, _ = speakers
    gone = here.open(4)
    gone.close()
    gone.close()
    assert list(gone.receive()) == []
    assert caplog.records == []


def test_a_firewall_that_forbids_is_an_error_of_send(speakers):
    here, _ = speakers
    sender = here.open(4)
    here.host.run(["nft", "add table ip t; add chain ip t out { type filter hook output priority 0; policy drop; }"])
    with pytest.raises(PermissionError):
        here.send(sender, GROUP[4])
    here.host.run(["nft", "delete table ip t"])
    here.send(sender, GROUP[4])


def test_the_receive_buffer_may_exceed_the_system_limit(speakers):
    here, _ = speakers
    limit = int(here.host.run(["cat", "/proc/sys/net/core/rmem_max"]).stdout)
    (receiver,) = here.open(4, receive_buffer=limit * 2).receivers
    assert receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == limit * 4, "the kernel doubles what is asked"


@pytest.mark.parametrize("family", [4, 6])
def test_a_missing_interface_is_named(speakers, family):
    with pytest.raises(OSError, match="eth7"):
        speakers[0].host.call(lambda: VrrpSocket(family, "eth7", 99))
    with pytest.raises(OSError, match="eth7"):
        speakers[0].host.call(lambda: PacketSocket("eth7"))


# --- announcements ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["192.0.2.100", "2001:db8::64"])
def test_an_announcement_moves_the_address_in_the_neighbours_cache(speakers, segment, address):
    here, there = speakers
    vip = ip_address(address)
    ip(f"neigh replace {vip} lladdr 02:00:00:00:00:99 dev eth0 nud reachable", namespace=there.host.namespace)
    frame = gratuitous_arp(here.mac, vip) if vip.version == 4 else unsolicited_na(here.mac, vip, router=True)
    packets = here.host.call(lambda: PacketSocket("eth0"))
    packets.send(frame)
    eventually(lambda: there.neighbour(vip) == here.mac, "the neighbour knows the new MAC", 5)
    assert segment.capture.wait(lambda frame: frame.announced == vip, "the announcement").data == frame
    packets.close()


def test_packet_socket_across_link_down_and_deletion(speakers):
    here, _ = speakers
    frame = gratuitous_arp(here.mac, IPv4Address("192.0.2.100"))
    packets = here.host.call(lambda: PacketSocket("eth0"))
    ip("link set eth0 down", namespace=here.host.namespace)
    with pytest.raises(OSError, match="Network is down"):
        packets.send(frame)
    ip("link set eth0 up", namespace=here.host.namespace)
    packets.send(frame)
    here.host.delete_interface()
    with pytest.raises(OSError, match="No such device"):
        packets.send(frame)
    packets.close()
