"""The register of senders: bounded, told once, told again when something changes."""

from ipaddress import IPv4Address

import pytest

from pyvrrp.core.advertisement import ChecksumForm
from pyvrrp.core.claim import Claim
from pyvrrp.core.senders import Register, named

SEVEN, EIGHT = IPv4Address("192.0.2.7"), IPv4Address("192.0.2.8")
KEY = (77, SEVEN)
MAC, OTHER_MAC = "52:54:00:aa:bb:cc", "52:54:00:dd:ee:ff"


def claim(vip="10.0.0.9", *, priority=100, advert_int=1.0) -> Claim:
    return Claim(2, 77, priority, advert_int, 0, (IPv4Address(vip),), ChecksumForm.MESSAGE)


def hear(
    register: Register, now: float, said: Claim | None = None, *, key=KEY, packet: object = None, **differs
) -> bool:
    said = said or claim()
    return register.heard(key, packet or (said, *differs.items()), now, lambda: (said, differs), vrid=key[0])


def told(register: Register, now: float) -> list[str]:
    return [sender.who for sender in register.due(now)]


def test_it_is_told_once_with_the_mac_that_the_next_packet_shows():
    register = Register(4)
    assert hear(register, 100.0)
    assert register.sought == {SEVEN}
    assert told(register, 100.0) == []
    register.saw(KEY, MAC, 101.0)
    assert told(register, 101.0) == [f"192.0.2.7 ({MAC})"]
    assert register.sought == set()
    assert register.deadline is None
    for second in range(102, 200):
        assert not hear(register, float(second))
    (sender,) = register
    assert (sender.count, sender.first, sender.last) == (99, 100.0, 199.0)


def test_without_another_packet_it_is_told_after_2_5_of_its_intervals_at_least_3_at_most_30_seconds():
    for advert_int, patience in ((0.1, 3.0), (1.0, 3.0), (4.0, 10.0), (255.0, 30.0)):
        register = Register(4)
        hear(register, 100.0, claim(advert_int=advert_int))
        assert register.deadline == 100.0 + patience
        assert told(register, 99.9 + patience) == []
        assert told(register, 100.0 + patience) == ["192.0.2.7 (MAC unknown)"]


def test_a_packet_is_taken_apart_only_when_it_is_another_one():
    register, asked = Register(4), []
    for packet in ("a", "a", "a", "b", "b", "a"):
        register.heard(KEY, packet, 100.0, lambda packet=packet: asked.append(packet) or (claim(), {}), vrid=77)
    assert asked == ["a", "b", "a"]
    assert next(iter(register)).count == 6


def test_another_priority_is_no_news_and_other_addresses_are_after_a_minute():
    register = Register(4)
    hear(register, 100.0)
    assert len(told(register, 103.0)) == 1
    assert not hear(register, 104.0, claim(priority=0))
    assert not hear(register, 105.0, claim("10.0.0.10"))
    assert not hear(register, 162.9, claim("10.0.0.10"))
    assert hear(register, 163.0, claim("10.0.0.10"))


def test_flapping_is_told_once_a_minute():
    register, lines = Register(4), 0
    for second in range(100, 700):
        hear(register, float(second), claim(f"10.0.0.{second % 2}"))
        register.saw(KEY, MAC, float(second))
        lines += len(told(register, float(second)))
    assert lines == 10


def test_a_mac_from_before_the_change_does_not_count_for_it():
    register = Register(4)
    hear(register, 100.0)
    register.saw(KEY, MAC, 101.0)
    told(register, 101.0)
    hear(register, 200.0, claim("10.0.0.10"))
    assert told(register, 200.5) == []
    register.saw(KEY, OTHER_MAC, 201.0)
    assert told(register, 201.0) == [f"192.0.2.7 ({OTHER_MAC}, before from {MAC})"]


def test_at_most_four_macs_of_one_sender_are_kept():
    register = Register(4)
    hear(register, 100.0)
    for number in range(6):
        register.saw(KEY, f"52:54:00:00:00:0{number}", 100.0 + number)
    assert next(iter(register)).mac == "52:54:00:00:00:05"
    assert len(next(iter(register)).macs) == 4


def test_agreement_is_told_a_minute_after_the_difference_and_ends_it():
    register = Register(4)
    hear(register, 100.0, version="3, ours is 2")
    assert register.agreed(KEY, 101.0) is None
    assert told(register, 103.0), "what was different is told, although it is over"
    assert list(register) == [], "nothing is the matter any more"
    assert register.agreed(KEY, 162.9) is None
    sender = register.agreed(KEY, 163.0)
    assert sender is not None
    assert sender.differs == {"version": "3, ours is 2"}
    assert register.senders == {}
    assert register.agreed(KEY, 164.0) is None


def test_a_difference_that_comes_back_is_there_again():
    register = Register(4)
    hear(register, 100.0, version="3, ours is 2")
    told(register, 103.0)
    register.agreed(KEY, 104.0)
    hear(register, 105.0, version="3, ours is 2")
    assert [sender.differs for sender in register] == [{"version": "3, ours is 2"}]
    assert register.agreed(KEY, 300.0) is not None


def test_after_a_transition_what_is_still_so_is_told_again():
    register = Register(4)
    hear(register, 100.0)
    told(register, 103.0)
    register.forget_told()
    assert hear(register, 104.0)


def test_who_was_silent_longest_makes_room_unless_that_was_within_a_minute():
    register = Register(2)
    for now, last in ((100.0, 1), (101.0, 2), (102.0, 1)):
        hear(register, now, key=(last, SEVEN))
    hear(register, 160.9, key=(3, SEVEN))
    assert [key[0] for key in register.senders] == [2, 1]
    hear(register, 161.0, key=(3, SEVEN))
    assert [key[0] for key in register.senders] == [1, 3]
    assert register.full == 2


def test_who_makes_room_is_sought_no_longer():
    register = Register(1)
    hear(register, 100.0)
    hear(register, 200.0, key=(77, EIGHT))
    assert register.sought == {EIGHT}
    assert told(register, 300.0) == ["192.0.2.8 (MAC unknown)"]


def test_twenty_lines_at_once_then_one_in_ten_seconds_and_everybody_has_a_turn():
    register, lines = Register(64), []
    for second in range(100, 400):
        for vrid in range(30):
            hear(register, float(second), key=(vrid, SEVEN))
        lines.append(len(told(register, second + 3.0)))
    assert sum(lines[:5]) == 20
    assert sum(lines) == 30


def test_a_vrid_that_becomes_ours_is_forgotten_and_the_others_are_judged_anew():
    register = Register(4)
    hear(register, 100.0, key=(77, SEVEN), packet="same")
    hear(register, 100.0, key=(78, SEVEN), packet="same")
    register.drop(77, 4)
    assert list(register.senders) == [(78, SEVEN)]
    assert register.sought == {SEVEN}
    hear(register, 101.0, key=(78, SEVEN), packet="same", virtual_router_id="78")
    assert next(iter(register)).differs == {"virtual_router_id": "78"}


@pytest.mark.parametrize(
    ("mac", "text"),
    [
        ("00:00:5e:00:01:33", "00:00:5e:00:01:33, the virtual MAC of VRID 51 over IPv4"),
        ("00:00:5e:00:02:ff", "00:00:5e:00:02:ff, the virtual MAC of VRID 255 over IPv6"),
        ("00:00:5e:00:03:33", "00:00:5e:00:03:33"),
        (MAC, MAC),
        ("", ""),
        ("00:00:5e:00:01:33:44:55", "00:00:5e:00:01:33:44:55"),
    ],
)
def test_a_virtual_mac_says_so(mac, text):
    assert named(mac) == text
