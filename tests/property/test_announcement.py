from collections import Counter
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pyvrrp.core.announcement import Announcer, Frame

KEYS = ("A", "B", "C")
intervals = st.sampled_from([0.0, 0.001, 0.1, 1.0]) | st.floats(0.0, 5.0)
frame_lists = st.lists(
    st.builds(
        lambda key_bits, six: Frame("eth0", IPv6Address(key_bits) if six else IPv4Address(key_bits), b""),
        st.integers(1, 4),
        st.booleans(),
    ),
    unique=True,
    max_size=6,
)


def owned(key: str, frames: list[Frame]) -> list[Frame]:
    """Frames that tell whose they are."""
    return [Frame(frame.interface, frame.address, key.encode()) for frame in frames]


@given(frame_lists, st.integers(1, 5), intervals, st.lists(st.floats(0.0, 3.0)))
def test_one_burst_is_sent_in_rounds(frames, repeat, interval, delays):
    announcer = Announcer(interval, interval)
    announcer.announce("A", frames, repeat, now=100.0)
    now, found = 100.0, []
    for delay in delays:  # an irregular loop
        now += delay
        found += announcer.due(now)
    while announcer.deadline is not None:
        found += announcer.due(announcer.deadline)
    for version in (4, 6):
        kind = [frame for frame in frames if frame.address.version == version]
        assert [frame for frame in found if frame.address.version == version] == kind * repeat


class Pacing(RuleBasedStateMachine):
    """Bursts and withdrawals of several instances in any order, delivered by a loop that is late at times."""

    @initialize(garp_interval=intervals, gna_interval=intervals)
    def start(self, garp_interval, gna_interval):
        self.intervals = {4: garp_interval, 6: gna_interval}
        self.announcer = Announcer(garp_interval, gna_interval)
        self.now = 0.0
        self.last = {}
        self.owed: Counter[tuple[str, IPv4Address | IPv6Address]] = Counter()

    @rule(key=st.sampled_from(KEYS), frames=frame_lists, repeat=st.integers(0, 5))
    def announce(self, key, frames, repeat):
        self.announcer.announce(key, owned(key, frames), repeat, self.now)
        for frame in frames:
            self.owed[key, frame.address] = max(self.owed[key, frame.address], repeat)

    @rule(key=st.sampled_from(KEYS))
    def withdraw(self, key):
        self.announcer.withdraw(key)
        for owed in self.owed:
            if owed[0] == key:
                self.owed[owed] = 0

    @rule(delay=st.floats(0.0, 10.0))
    def pass_time(self, delay):
        self.now += delay
        self.deliver()

    @rule()
    def wait_for_the_deadline(self):
        if self.announcer.deadline is not None:
            self.now = max(self.now, self.announcer.deadline)
            assert self.deliver(), "something is due at the deadline"

    def deliver(self):
        frames = self.announcer.due(self.now)
        for frame in frames:
            version = frame.address.version
            if version in self.last:
                assert self.now >= self.last[version] + self.intervals[version]
            self.last[version] = self.now
            owed = frame.data.decode(), frame.address
            assert self.owed[owed] > 0, "sent though nobody asked, or withdrawn"
            self.owed[owed] -= 1
        return frames

    @invariant()
    def there_is_a_deadline_exactly_while_something_is_owed(self):
        assert (self.announcer.deadline is not None) == any(self.owed.values())

    def teardown(self):
        while self.announcer.deadline is not None:
            self.wait_for_the_deadline()
        assert not any(self.owed.values()), "announced and never sent"


TestPacing = Pacing.TestCase
