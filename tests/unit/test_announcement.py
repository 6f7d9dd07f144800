from ipaddress import IPv4Address, IPv6Address

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

from pyvrrp.core.announcement import Announcer, Frame, announcement, gratuitous_arp, unsolicited_na

MAC = bytes.fromhex("00005e000133")
VIP = IPv4Address("192.0.2.100")
VIP6 = IPv6Address("2001:db8::64")


def arp(last: int, data: bytes = b"") -> Frame:
    return Frame("eth0", IPv4Address(f"192.0.2.{last}"), data)


def na(last: int) -> Frame:
    return Frame("eth0", IPv6Address(f"2001:db8::{last}"), b"")


A1, A2, A3, B1, B2 = arp(1), arp(2), arp(3), arp(11), arp(12)


def sent(announcer: Announcer, until: float = 1000.0) -> list[tuple[float, Frame]]:
    """Everything that goes out when the loop is always in time."""
    found = []
    while (now := announcer.deadline) is not None and now <= until:
        found += [(now, frame) for frame in announcer.due(now)]
    return found


# --- frames ----------------------------------------------------------------------------------------------------------


def test_gratuitous_arp_is_a_broadcast_request_with_an_all_ones_target():
    frame = Ether(gratuitous_arp(MAC, VIP))
    assert (frame.src, frame.dst, frame.type) == ("00:00:5e:00:01:33", "ff:ff:ff:ff:ff:ff", 0x0806)
    request = frame[ARP]
    assert (request.hwtype, request.ptype, request.hwlen, request.plen) == (1, 0x0800, 6, 4)
    assert request.op == 1
    assert (request.hwsrc, request.psrc) == ("00:00:5e:00:01:33", "192.0.2.100")
    assert (request.hwdst, request.pdst) == ("ff:ff:ff:ff:ff:ff", "192.0.2.100")
    assert len(gratuitous_arp(MAC, VIP)) == 42


@pytest.mark.parametrize("router", [True, False])
def test_unsolicited_na_overrides_at_all_nodes(router):
    frame = Ether(unsolicited_na(MAC, VIP6, router=router))
    assert (frame.src, frame.dst, frame.type) == ("00:00:5e:00:01:33", "33:33:00:00:00:01", 0x86DD)
    header = frame[IPv6]
    assert (header.src, header.dst, header.hlim, header.nh) == ("2001:db8::64", "ff02::1", 255, 58)
    assert header.plen == len(bytes(header)) - 40 == 32
    message = frame[ICMPv6ND_NA]
    assert (message.R, message.S, message.O, message.res) == (router, 0, 1, 0)
    assert (message.type, message.code, message.tgt) == (136, 0, "2001:db8::64")
    option = frame[ICMPv6NDOptDstLLAddr]
    assert (option.type, option.len, option.lladdr) == (2, 1, "00:00:5e:00:01:33")


def test_unsolicited_na_has_the_checksum_that_scapy_computes():
    ours = unsolicited_na(MAC, VIP6, router=True)
    frame = Ether(ours)
    del frame[ICMPv6ND_NA].cksum
    assert bytes(frame) == ours


def test_announcement_chooses_by_family():
    assert announcement("eth0", MAC, VIP, router=True) == Frame("eth0", VIP, gratuitous_arp(MAC, VIP))
    assert announcement("eth0", MAC, VIP6, router=True) == Frame("eth0", VIP6, unsolicited_na(MAC, VIP6, router=True))


def test_a_mac_that_is_not_ethernet_is_refused():
    with pytest.raises(ValueError, match="empty MAC"):
        gratuitous_arp(b"", VIP)
    with pytest.raises(ValueError, match="no Ethernet MAC"):
        unsolicited_na(bytes(20), VIP6, router=False)


# --- pacing ----------------------------------------------------------------------------------------------------------


def test_without_intervals_everything_is_due_at_once_in_rounds():
    announcer = Announcer()
    announcer.announce("A", [A1, A2], 3, now=10.0)
    assert announcer.deadline == 10.0
    assert announcer.due(10.0) == [A1, A2, A1, A2, A1, A2]
    assert announcer.deadline is None
    assert announcer.due(11.0) == []


def test_an_interval_separates_the_frames_of_a_burst():
    announcer = Announcer(garp_interval=0.5)
    announcer.announce("A", [A1, A2], 2, now=10.0)
    assert sent(announcer) == [(10.0, A1), (10.5, A2), (11.0, A1), (11.5, A2)]


def test_nothing_is_due_early_and_a_late_loop_does_not_catch_up():
    announcer = Announcer(garp_interval=1.0)
    announcer.announce("A", [A1], 3, now=10.0)
    assert announcer.due(10.0) == [A1]
    assert announcer.due(10.999) == []
    assert announcer.due(14.0) == [A1]
    assert announcer.deadline == 15.0


def test_bursts_keep_their_distance_too():
    announcer = Announcer(garp_interval=1.0)
    announcer.announce("A", [A1], 1, now=10.0)
    assert announcer.due(10.0) == [A1]
    announcer.announce("B", [B1], 1, now=10.2)
    assert announcer.deadline == 11.0
    announcer.withdraw("B")
    announcer.announce("B", [B1], 1, now=30.0)
    assert announcer.deadline == 30.0


def test_arp_and_na_have_their_own_pace():
    announcer = Announcer(garp_interval=1.0, gna_interval=0.25)
    announcer.announce("A", [A1, na(1)], 2, now=0.0)
    assert sent(announcer) == [(0.0, A1), (0.0, na(1)), (0.25, na(1)), (1.0, A1)]


def test_unpaced_arp_does_not_wait_for_paced_na():
    announcer = Announcer(gna_interval=2.0)
    announcer.announce("A", [na(1), A1], 2, now=0.0)
    assert announcer.due(0.0) == [A1, A1, na(1)]


def test_instances_take_turns():
    announcer = Announcer(garp_interval=1.0)
    announcer.announce("A", [A1, A2, A3], 2, now=0.0)
    announcer.announce("B", [B1], 2, now=0.0)
    assert [frame for _, frame in sent(announcer)] == [A1, B1, A2, B1, A3, A1, A2, A3]


def test_withdraw_drops_the_instance_and_nothing_else():
    announcer = Announcer(garp_interval=1.0, gna_interval=1.0)
    announcer.announce("A", [A1, na(1)], 5, now=0.0)
    announcer.announce("B", [B1], 1, now=0.0)
    announcer.due(0.0)
    announcer.withdraw("A")
    assert sent(announcer) == [(1.0, B1)]
    announcer.withdraw("unknown")
    assert announcer.deadline is None


def test_a_burst_while_one_is_waiting_does_not_pile_up():
    """A lower-priority master that keeps advertising asks for a burst each second."""
    announcer = Announcer(garp_interval=10.0)
    for second in range(100):
        announcer.announce("A", [A1, A2], 5, now=float(second))
    assert len(sent(announcer)) == 10


def test_a_later_burst_is_sent_in_full():
    announcer = Announcer(garp_interval=1.0)
    announcer.announce("A", [A1, A2], 2, now=0.0)
    announcer.due(0.0)
    announcer.announce("A", [A2, A3], 2, now=0.5)
    assert [frame for _, frame in sent(announcer)] == [A2, A1, A3, A2, A3]


def test_a_new_mac_replaces_the_frame_that_is_waiting():
    announcer = Announcer(garp_interval=1.0)
    announcer.announce("A", [arp(1, b"old")], 2, now=0.0)
    announcer.due(0.0)
    announcer.announce("A", [arp(1, b"new")], 1, now=0.5)
    assert sent(announcer) == [(1.0, arp(1, b"new"))]


def test_one_address_on_two_interfaces_is_two_announcements():
    other = Frame("eth1", A1.address, b"")
    announcer = Announcer()
    announcer.announce("A", [A1, other], 1, now=0.0)
    assert announcer.due(0.0) == [A1, other]


def test_repeat_zero_announces_nothing():
    announcer = Announcer()
    announcer.announce("A", [A1], 0, now=0.0)
    announcer.announce("A", [], 5, now=0.0)
    assert announcer.deadline is None


def test_thousands_of_addresses_come_in_batches_with_the_first_round_first():
    frames = [Frame("eth0", IPv4Address(0x0A000000 + n), b"") for n in range(1000)]
    announcer = Announcer()
    announcer.announce("A", frames, 5, now=7.0)
    first = announcer.due(7.0)
    assert 0 < len(first) <= 256
    assert announcer.deadline == 7.0
    assert [*first, *(frame for _, frame in sent(announcer))] == frames * 5
