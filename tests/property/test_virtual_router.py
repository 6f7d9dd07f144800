"""Any event in any state, at any time: the machine never raises, never gets stuck, its actions obey the contract."""

from ipaddress import IPv4Address

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pyvrrp.core.advertisement import Advertisement
from pyvrrp.core.events import (
    AdvertisementReceived,
    GatesBegun,
    GatesClosed,
    GatesFailed,
    GatesHindered,
    GatesOpened,
    GroupDemoted,
    GroupFault,
    GroupPromoted,
    GroupReasserted,
    Hindrance,
    Shutdown,
    SourceChanged,
    Startup,
    State,
    Switchover,
    TimerExpired,
    TrackingChanged,
)
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.sync_group import SyncGroup
from pyvrrp.core.virtual_router import VirtualRouter
from tests.contract import Contract, together

SOURCES = [IPv4Address(f"192.0.2.{last}") for last in (10, 11, 12)]
OURS = SOURCES[1]

intervals = st.sampled_from([0.01, 0.29, 1.0, 40.95])
seconds = st.sampled_from([0.0, 0.5, 5.0])
repeats = st.integers(0, 5)


@st.composite
def parameters(draw, **fixed):
    version = fixed.get("version") or draw(st.sampled_from([2, 3]))
    drawn = {
        "vrid": 51,
        "version": version,
        "priority": draw(st.sampled_from([1, 100, 254, 255])),
        "advert_int": draw(intervals) if version == 3 else float(draw(st.sampled_from([1, 5, 255]))),
        "initial_state": draw(st.sampled_from([State.BACKUP, State.MASTER])),
        "nopreempt": draw(st.booleans()),
        "preempt_delay": draw(seconds),
        "down_timer_adverts": draw(st.integers(1, 4)),
        "garp_master_delay": draw(seconds),
        "garp_master_repeat": draw(repeats),
        "garp_master_refresh": draw(seconds),
        "garp_master_refresh_repeat": draw(st.integers(1, 5)),
        "garp_lower_prio_delay": draw(seconds),
        "garp_lower_prio_repeat": draw(repeats),
        "lower_prio_no_advert": draw(st.booleans()),
        "higher_prio_send_advert": draw(st.booleans()),
        "startup_delay": draw(seconds),
        "in_sync_group": draw(st.booleans()),
        "gated": draw(st.booleans()),
        "gate_timeout": draw(st.sampled_from([1.0, 60.0])),
        "gate_cool_down": draw(st.sampled_from([0.0, 30.0])),
    }
    return Parameters(**{**drawn, **fixed})


def advertisements(version):
    own = st.sampled_from([0, 1, 99, 100, 101, 254, 255])
    return st.builds(
        lambda priority, interval, source: AdvertisementReceived(
            Advertisement(version, 51, priority, interval, ()), source
        ),
        own,
        intervals,
        st.sampled_from(SOURCES),
    )


trackings = st.builds(
    TrackingChanged,
    weight=st.sampled_from([0, -50, 50, -253, 253]),
    faults=st.sampled_from([(), ("eth0 is down",)]),
    pending=st.sampled_from([(), ("script chk: no result yet",)]),
)
answers = st.sampled_from(
    [
        GatesBegun(),
        *map(GatesHindered, Hindrance),
        GatesOpened(),
        GatesFailed("drbd0: Outdated"),
        GatesClosed(),
    ]
)
"of the gates"
steps = st.sampled_from([0.0, 0.001, 0.3, 1.0, 3.7, 100.0, 10_000.0])
"how time moves on"


class AnyEvent(RuleBasedStateMachine):
    """One router that hears everything, also what nobody would say at that moment."""

    @initialize(parameters=parameters(), source=st.sampled_from([None, OURS]), master=st.booleans())
    def make(self, parameters, source, master):
        self.now = 1000.0
        self.router = VirtualRouter(parameters, source)
        self.contract = Contract(self.router)
        if master and source is not None:
            self.handle(Startup())
            while self.router.state is not State.MASTER:
                self.now = self.router.deadline
                self.handle(TimerExpired())
                self.handle(GroupPromoted())
            self.handle(GatesBegun())
            self.handle(GatesOpened())

    def handle(self, event):
        self.contract.check(self.router.handle(event, self.now))

    @rule(step=steps)
    def time_passes_unnoticed(self, step):
        """A stall: whatever was due is late now."""
        self.now += step

    @rule(step=steps)
    def time_passes(self, step):
        until = self.now + step
        for _ in range(50):
            if self.router.deadline is None or self.router.deadline > until:
                break
            self.timer()
        self.now = max(self.now, until)

    @precondition(lambda self: self.router.deadline is not None)
    @rule()
    def timer(self):
        """The deadline comes: at that very instant there is an end to what is to be done."""
        self.now = max(self.now, self.router.deadline)
        for _ in range(10):
            self.handle(TimerExpired())
            if self.router.deadline is None or self.router.deadline > self.now:
                return
        raise AssertionError(f"still due at {self.now}: {self.router.timers}")

    @rule()
    def timer_early_or_needless(self):
        before = self.router.deadline, self.router.state
        if before[0] is None or before[0] > self.now:
            assert list(self.router.handle(TimerExpired(), self.now)) == []
            assert (self.router.deadline, self.router.state) == before

    @rule(event=st.sampled_from([Startup(), Shutdown(), Switchover()]))
    def life(self, event):
        self.handle(event)

    @rule(data=st.data())
    def advertisement(self, data):
        self.handle(data.draw(advertisements(self.router.parameters.version)))

    @rule(event=trackings)
    def trackers(self, event):
        self.handle(event)

    @rule(source=st.sampled_from([None, *SOURCES]))
    def source(self, source):
        self.handle(SourceChanged(source))

    @rule(event=answers)
    def gates(self, event):
        self.handle(event)

    @rule(
        event=st.sampled_from(
            [GroupPromoted(), GroupDemoted("IN"), GroupFault(("IN",)), GroupFault(()), GroupReasserted()]
        )
    )
    def group(self, event):
        self.handle(event)

    @rule(data=st.data())
    def reload(self, data):
        changed = data.draw(parameters(version=self.router.parameters.version))
        self.contract.check(self.router.reconfigure(changed, self.now))

    @invariant()
    def what_can_be_asked_has_an_answer(self):
        router = self.router
        assert 1 <= router.effective_priority <= 255
        assert 0 < router.skew_time < router.master_down_interval
        assert not (router.state in (State.BACKUP, State.MASTER) and router.deadline is None)
        assert not router.serving or router.state is State.MASTER


class AnyGroup(RuleBasedStateMachine):
    """A sync group whose members hear everything that a member can hear, in any order: they move together."""

    @initialize(
        members=st.lists(parameters(in_sync_group=True, startup_delay=0.0), min_size=2, max_size=3),
        master=st.booleans(),
    )
    def make(self, members, master):
        self.now = 1000.0
        routers = {f"VI_{number}": VirtualRouter(each, OURS) for number, each in enumerate(members)}
        self.group = SyncGroup("G", routers)
        self.contracts = {name: Contract(router) for name, router in routers.items()}
        self.told = State.INIT
        if master:
            for name in routers:
                self.handle(name, Startup())
            while self.group.members["VI_0"].state is not State.MASTER:
                self.now, name = min((router.deadline, name) for name, router in routers.items())
                self.handle(name, TimerExpired())
            for name in routers:
                self.handle(name, GatesBegun())
                self.handle(name, GatesOpened())

    def handle(self, name, event):
        actions = {member: [] for member in self.group.members}
        for step in self.group.handle(name, event, self.now):
            if step.member is None:
                assert step.action.old is self.told
                self.told = step.action.new
            else:
                actions[step.member].append(step.action)
        for member, contract in self.contracts.items():
            contract.check(actions[member])

    def member(self, data):
        return data.draw(st.sampled_from(sorted(self.group.members)))

    @rule(step=steps)
    def time_passes(self, step):
        until = self.now + step
        for _ in range(30):
            deadline, name = min((r.deadline or until + 1, name) for name, r in self.group.members.items())
            if deadline > until:
                break
            self.now = max(self.now, deadline)
            self.handle(name, TimerExpired())
        self.now = max(self.now, until)

    @rule(data=st.data())
    def startup(self, data):
        self.handle(self.member(data), Startup())

    @rule()
    def shutdown(self):
        for name in self.group.members:
            self.handle(name, Shutdown())

    @precondition(lambda self: len({router.parameters.gated for router in self.group.members.values()}) == 1)
    @rule()
    def switchover(self):
        for name in self.group.members:
            self.handle(name, Switchover())

    @rule(data=st.data())
    def advertisement(self, data):
        name = self.member(data)
        self.handle(name, data.draw(advertisements(self.group.members[name].parameters.version)))

    @rule(data=st.data(), event=trackings)
    def trackers(self, data, event):
        self.handle(self.member(data), event)

    @rule(data=st.data(), event=answers)
    def gates(self, data, event):
        self.handle(self.member(data), event)

    @invariant()
    def all_are_master_or_none_is(self):
        routers = self.group.members.values()
        assert together(routers), [(router.state, router.phase) for router in routers]

    @invariant()
    def one_fault_is_everybodys(self):
        routers = self.group.members.values()
        if any(r.own_faults for r in routers):
            assert not any(r.serving for r in routers)
            assert all(r.state is not State.BACKUP for r in routers)

    @invariant()
    def the_group_is_master_only_when_all_serve(self):
        assert self.told is self.group.state
        if self.told is State.MASTER:
            assert all(contract.told is State.MASTER for contract in self.contracts.values())


TestAnyEvent = AnyEvent.TestCase
TestAnyEvent.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyGroup = AnyGroup.TestCase
TestAnyGroup.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
