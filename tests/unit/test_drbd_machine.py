"""What the fail-over of a storage does, step by step, with a node on paper and a clock that is turned by hand."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from drbdctl.failover.events import (
    Acknowledge,
    Adopted,
    Alarm,
    Closed,
    GaveUp,
    Kill,
    Look,
    Opened,
    Override,
    Reboot,
    Run,
    StepDone,
    StepFailed,
    Tell,
    TimerExpired,
    WantPrimary,
    WantSecondary,
)
from drbdctl.failover.exits import HELD_OPEN, PEER_NOT_OUTDATED, TWO_PRIMARIES, Failure
from drbdctl.failover.group import Group, Limits, OnDemoteFailure
from drbdctl.failover.machine import Failover, Phase
from drbdctl.failover.plan import (
    Demote,
    MountVolume,
    Promote,
    StartService,
    Step,
    StopService,
    UnmountVolume,
    Verify,
)
from drbdctl.failover.seen import DRBD_MAJOR, Mounted, Seen
from drbdctl.status.state import Status
from drbdctl.status.words import Role
from pyvrrp.core.events import Hindrance
from tests.unit.drbd_seen import GROUP, R0, network, resource, seen, with_policy

R1 = replace(R0, name="r1", volumes=(replace(R0.volumes[0], minor=1, device="/dev/drbd1"),))
PAIR = replace(GROUP, resources=(R0, R1))


class Bench:
    """Carries out what the machine asks for, on a node that exists on paper."""

    def __init__(self, group: Group = GROUP, *, ours: bool = False) -> None:
        self.machine = Failover(group, ours=ours)
        self.group = group
        self.now = 1000.0
        self.primary: set[str] = set()
        self.mounted = self.running = False
        self.peer: Role | None = Role.SECONDARY
        self.gap = ""
        self.looks: Callable[[Seen], Seen] = lambda found: found
        self.fails: dict[type, list[Failure] | Failure] = {}
        self.hangs: set[type] = set()
        self.log: list[str] = []
        "steps and answers, in their order"
        self.told: list[str] = []

    def look(self) -> Seen:
        resources = [
            resource(
                each.name,
                role=Role.PRIMARY if each.name in self.primary else Role.SECONDARY,
                peer=self.peer,
                minors=(each.volumes[0].minor,),
            )
            for each in self.group.resources
        ]
        found = seen(
            *resources,
            mounts=(Mounted("/mnt/data", DRBD_MAJOR, 0),) if self.mounted else (),
            services={"nfs": self.running},
            networks=(replace(network(), heard=self.now - 0.5),),
            gap=self.gap,
        )
        return self.looks(replace(found, at=self.now, status=Status() if self.gap else found.status))

    def tell(self, event: object) -> None:
        for action in self.machine.handle(event, self.now):
            match action:
                case Look():
                    self.tell(self.look())
                case Run(planned, intent):
                    assert str(planned.step) in intent
                    self.log.append(str(planned.step))
                    if type(planned.step) not in self.hangs:
                        self.finish(planned.step)
                case Kill(step):
                    self.log.append(f"kill: {step}")
                case Opened() | Closed() | GaveUp() | Reboot() | Alarm():
                    self.log.append(type(action).__name__)
                    self.told.append(getattr(action, "why", ""))
                case Tell(what):
                    self.told.append(what)

    def finish(self, step: Step) -> None:
        self.now += 0.1
        failure = self.fails.get(type(step))
        if isinstance(failure, list):
            failure = failure.pop(0) if failure else None
        if failure is not None:
            self.tell(StepFailed(step, failure))
            return
        match step:
            case Promote(name):
                self.primary.add(name)
            case Demote(name):
                self.primary.discard(name)
            case MountVolume() | UnmountVolume():
                self.mounted = isinstance(step, MountVolume)
            case StartService() | StopService():
                self.running = isinstance(step, StartService)
        self.tell(StepDone(step))

    def pass_time(self, seconds: float) -> None:
        """Deliver every timer that falls into it."""
        until = self.now + seconds
        for _ in range(10_000):
            deadline = self.machine.deadline
            if deadline is None or deadline > until:
                break
            self.now = max(self.now, deadline)
            self.tell(TimerExpired())
        self.now = until

    @property
    def nothing_is_up(self) -> bool:
        return not (self.primary or self.mounted or self.running)


def serving(group: Group = GROUP) -> Bench:
    bench = Bench(group)
    bench.tell(WantPrimary())
    assert bench.log[-1] == "Opened"
    bench.log.clear()
    return bench


UP = ["promote r0", "mount /dev/drbd0 on /mnt/data", "start nfs", "verify that all of it works"]
DOWN = ["stop nfs", "unmount /mnt/data", "demote r0"]


def test_the_gate_opens_after_everything_was_verified_and_closes_after_everything_is_back():
    bench = Bench()
    bench.tell(WantPrimary())
    assert bench.log == [*UP, "Opened"]
    assert bench.machine.phase is Phase.PRIMARY
    bench.tell(WantSecondary())
    assert bench.log == [*UP, "Opened", *DOWN, "Closed"]
    assert bench.nothing_is_up


@pytest.mark.parametrize("kind", [MountVolume, StartService, Verify])
def test_rule_9_what_was_begun_is_taken_back_when_a_step_fails(kind):
    bench = Bench()
    bench.fails[kind] = Failure("it does not work")
    bench.tell(WantPrimary())
    assert "GaveUp" in bench.log
    assert "Opened" not in bench.log
    assert "it does not work; all of it is undone (rule 9)" in bench.told[0]
    assert bench.nothing_is_up


def test_rule_9_of_several_resources_all_or_none():
    bench = Bench(PAIR)
    bench.fails[Promote] = [None, Failure("drbdadm primary r1: needs access", 17, -2)]
    bench.tell(WantPrimary())
    assert bench.log == ["promote r0", "promote r1", "GaveUp", "demote r0"]
    assert bench.nothing_is_up


def test_rule_3_a_primary_that_lives_is_asked_so_many_times_and_no_more():
    bench = Bench()
    bench.fails[Promote] = Failure("Multiple primaries not allowed", 11, TWO_PRIMARIES)
    bench.tell(WantPrimary())
    bench.pass_time(25.0)
    assert bench.log.count("promote r0") == 5
    assert bench.log[5] == "GaveUp"


@pytest.mark.parametrize(
    ("found", "may_serve"),
    [
        (resource(peer=Role.PRIMARY), Hindrance.HOLDER),
        (resource(peer=None), Hindrance.UNSEEN),
        (resource(peer=Role.SECONDARY), None),
        (resource(peer=None, role=Role.PRIMARY), None),
    ],
    ids=["it is Primary", "it can't be seen", "it is Secondary", "this node is Primary"],
)
def test_whether_the_peer_may_serve(found, may_serve):
    assert seen(found).peer_may_serve(GROUP) is may_serve


@pytest.mark.parametrize(("peer", "hindered"), [(Role.PRIMARY, Hindrance.HOLDER), (Role.SECONDARY, None)])
def test_who_is_kept_from_it_while_the_peer_may_serve_is_hindered(peer, hindered):
    bench = Bench()
    bench.peer = peer
    if peer is Role.SECONDARY:  # the connection may be dead: it waits (rule 4)
        bench.looks = lambda found: replace(found, networks=(replace(network(), heard=None, since=found.at),))
    assert bench.machine.hindered is None, "nothing is wanted of it"
    bench.tell(WantPrimary())
    assert (bench.machine.phase, bench.log) == (Phase.PROMOTING, [])
    assert bench.machine.hindered is hindered


def test_the_peer_that_serves_is_waited_for_without_an_end():
    bench = Bench()
    bench.peer = Role.PRIMARY
    bench.tell(WantPrimary())
    bench.pass_time(300.0)
    assert (bench.machine.phase, bench.log) == (Phase.PROMOTING, [])
    bench.gap = "no answer within 2 s"
    bench.pass_time(29.0)
    assert bench.log == [], "the time for a promotion counts from here"
    bench.pass_time(2.0)
    assert bench.log == ["GaveUp"]


def test_who_promotes_is_hindered_no_more_and_again_when_the_peer_turns_out_to_live():
    bench = Bench()
    bench.hangs = {Promote}
    bench.tell(WantPrimary())
    assert (bench.log, bench.machine.hindered) == (["promote r0"], None)
    bench.peer = Role.PRIMARY
    bench.tell(StepFailed(Promote("r0"), Failure("Multiple primaries not allowed", 11, TWO_PRIMARIES)))
    bench.pass_time(1.0)
    assert (bench.log, bench.machine.hindered) == (["promote r0"], Hindrance.HOLDER)


def test_who_serves_is_not_hindered():
    bench = serving()
    assert bench.machine.hindered is None
    bench.hangs = {StopService}
    bench.tell(WantSecondary())
    assert bench.machine.hindered is None


def test_rule_7_fencing_is_tried_once_more_and_no_more():
    bench = Bench()
    bench.fails[Promote] = [Failure("peer not outdated", 11, PEER_NOT_OUTDATED)]
    bench.tell(WantPrimary())
    assert bench.log == ["promote r0", *UP, "Opened"]
    again = Bench()
    again.fails[Promote] = Failure("peer not outdated", 11, PEER_NOT_OUTDATED)
    again.tell(WantPrimary())
    assert again.log == ["promote r0", "promote r0", "GaveUp"]


def test_rule_11_who_is_not_up_in_time_lets_others_try():
    bench = Bench()
    bench.gap = "no answer within 2 s"
    bench.tell(WantPrimary())
    assert bench.log == []
    bench.pass_time(29.0)
    assert bench.log == []
    bench.pass_time(2.0)
    assert bench.log == ["GaveUp"]
    assert "does not serve after 30 s" in bench.told[-1]
    assert "no answer within 2 s" in bench.told[-1]


def test_rule_11_exit_status_0_that_changes_nothing_is_no_promotion():
    bench = Bench()
    bench.looks = lambda found: replace(found, status=Status((resource(),)))
    bench.tell(WantPrimary())
    bench.pass_time(40.0)
    assert "GaveUp" in bench.log
    assert "ends well each time, and nothing changes" in " ".join(bench.told)


def test_rule_13_a_step_that_fails_keeps_the_later_ones_from_being_begun():
    bench = serving()
    bench.fails[StopService] = Failure("nfsd does not end")
    bench.tell(WantSecondary())
    bench.pass_time(20.0)
    assert set(bench.log) == {"stop nfs"}
    assert bench.primary == {"r0"}
    bench.fails.clear()
    bench.pass_time(3.0)
    assert bench.log[-4:] == [*DOWN, "Closed"]


def test_rule_15_hold_who_can_t_let_go_stays_primary_without_the_address():
    bench = serving()
    bench.fails[Demote] = Failure("State change failed", 11, HELD_OPEN)
    bench.tell(WantSecondary())
    bench.pass_time(31.0)
    assert bench.machine.phase is Phase.HELD
    assert bench.log.count("Alarm") == 1
    assert "Closed" not in bench.log
    assert bench.told[-1].startswith("it can't let go within 30 s; left to do: demote r0")
    bench.fails.clear()
    bench.pass_time(5.0)
    assert bench.log[-1] == "Closed", "it goes on trying"


def test_rule_15_reboot_where_somebody_takes_over():
    bench = serving(with_policy(on_demote_failure=OnDemoteFailure.REBOOT))
    bench.fails[Demote] = Failure("State change failed", 11, HELD_OPEN)
    bench.tell(WantSecondary())
    bench.pass_time(31.0)
    assert bench.log[-2:] == ["Alarm", "Reboot"]


def test_rule_15_no_reboot_while_nobody_could_take_over():
    bench = serving(with_policy(on_demote_failure=OnDemoteFailure.REBOOT))
    bench.peer = None
    bench.fails[Demote] = Failure("State change failed", 11, HELD_OPEN)
    bench.tell(WantSecondary())
    bench.pass_time(60.0)
    assert "Reboot" not in bench.log
    assert "it does not reset itself: the peer of r0 is not connected" in " ".join(bench.told)
    bench.peer = Role.SECONDARY  # it is back, and has everything
    bench.pass_time(5.0)
    assert bench.log[-1] == "Reboot"


def test_rule_16_what_can_t_be_seen_is_not_given_back():
    bench = serving()
    bench.gap = "drbdsetup: no answer"
    bench.running = bench.mounted = False
    bench.primary.clear()
    bench.tell(WantSecondary())
    bench.pass_time(10.0)
    assert "Closed" not in bench.log
    bench.gap = ""
    bench.pass_time(1.0)
    assert bench.log[-1] == "Closed"


def test_rule_21_what_hangs_is_killed_and_nothing_is_begun_beside_it():
    bench = serving()
    bench.hangs.add(UnmountVolume)
    bench.tell(WantSecondary())
    bench.pass_time(60.0)
    assert bench.log == ["stop nfs", "unmount /mnt/data", "kill: unmount /mnt/data", "Alarm", "Alarm"]
    assert "hangs in the kernel: its I/O does not end (rule 21)" in " ".join(bench.told)
    assert bench.machine.phase is Phase.HELD
    bench.hangs.clear()
    bench.finish(UnmountVolume(GROUP.mounts[0]))
    bench.pass_time(3.0)
    assert bench.log[-2:] == ["demote r0", "Closed"]


def test_a_promotion_that_hangs_is_given_up_and_undone_when_it_ends():
    bench = Bench()
    bench.hangs.add(MountVolume)
    bench.tell(WantPrimary())
    bench.pass_time(20.0)
    assert bench.log == [*UP[:2], f"kill: {UP[1]}", "Alarm", "GaveUp"]
    bench.hangs.clear()
    bench.tell(WantSecondary())
    bench.finish(MountVolume(GROUP.mounts[0]))  # it was done after all
    bench.pass_time(5.0)
    assert bench.log[-3:] == ["unmount /mnt/data", "demote r0", "Closed"]


def test_rule_23_unknown_is_waited_for_and_never_promoted():
    bench = Bench()
    bench.gap = "drbdsetup status --json: no answer within 10 s"
    bench.tell(WantPrimary())
    bench.pass_time(29.0)
    assert bench.log == []
    bench.gap = ""
    bench.pass_time(0.9)
    assert bench.log == [*UP, "Opened"]


def test_rule_26_after_failures_it_holds_until_somebody_has_looked():
    bench = Bench(replace(GROUP, limits=Limits(failures=2, back_off=1.0)))
    bench.fails[MountVolume] = Failure("wrong fs type")
    for _ in range(2):
        bench.tell(WantPrimary())
        bench.tell(WantSecondary())
        bench.pass_time(60.0)
    bench.log.clear()
    bench.tell(WantPrimary())
    assert bench.log == ["GaveUp"]
    assert "2 promotions in a row have failed" in bench.told[-1]
    bench.fails.clear()
    bench.tell(WantSecondary())
    bench.tell(Acknowledge("root"))
    bench.tell(WantPrimary())
    assert bench.log[-1] == "Opened"


def test_rule_27_an_override_is_logged_with_who_why_and_what_it_was_about():
    bench = Bench()
    bench.peer = None
    bench.looks = lambda found: replace(found, networks=(network(),))
    bench.tell(WantPrimary())
    assert bench.log == ["GaveUp"]
    bench.tell(WantSecondary())
    assert {each.rule for each in bench.machine.fitness.faults} == {6}, "it does not stand by"
    bench.tell(Override(frozenset({5, 6, 2}), "alice", "the other one has burnt down"))
    assert bench.machine.fitness.faults == (), "now its virtual router may take the role"
    assert bench.told[-1] == (
        "alice sets rule 5, 6 aside for the next promotion: the other one has burnt down "
        "(r0/0 A5A5000000000010:0000000000000000); rule 2 can't be set aside"
    )
    bench.tell(WantPrimary())
    assert bench.log[-1] == "Opened"
    bench.tell(WantSecondary())
    bench.tell(WantPrimary())
    assert bench.log[-1] == "GaveUp", "for one promotion only"


def test_an_override_does_not_last():
    bench = Bench()
    bench.peer = None
    bench.looks = lambda found: replace(found, networks=(network(),))
    bench.tell(bench.look())
    bench.tell(Override(frozenset({5, 6}), "alice", "now"))
    bench.now += 601.0
    bench.tell(WantPrimary())
    assert bench.log == ["GaveUp"]


def test_rule_12_after_a_restart_the_facts_count_and_not_the_note():
    bench = Bench(ours=True)
    bench.primary, bench.mounted = {"r0"}, True
    bench.tell(WantSecondary())
    assert bench.log == ["unmount /mnt/data", "demote r0", "Closed"]
    nothing = Bench(ours=True)
    nothing.tell(WantSecondary())
    assert nothing.log == ["Closed"]


def test_what_others_have_promoted_is_left_to_them():
    bench = Bench()
    bench.primary = {"r0"}
    bench.tell(WantSecondary())
    assert bench.log == ["Closed"]
    assert bench.primary == {"r0"}


def test_adopted_it_goes_on():
    bench = Bench(ours=True)
    bench.primary, bench.mounted, bench.running = {"r0"}, True, True
    bench.tell(Adopted())
    assert (bench.log, bench.machine.phase) == ([], Phase.PRIMARY)
    bench.tell(WantPrimary())
    assert bench.log == ["Opened"]


def test_a_wish_that_changes_waits_for_the_step_that_runs():
    bench = Bench()
    bench.hangs.add(StartService)
    bench.tell(WantPrimary())
    bench.tell(WantSecondary())
    assert bench.log == UP[:3], "nothing is begun beside it"
    bench.hangs.clear()
    bench.finish(StartService("nfs"))
    assert bench.log == [*UP[:3], *DOWN, "Closed"]


def test_early_and_repeated_timers_do_no_harm():
    bench = Bench()
    bench.peer = Role.PRIMARY
    bench.tell(WantPrimary())
    for _ in range(5):
        bench.tell(TimerExpired())
    assert bench.log == []
    bench.peer = Role.SECONDARY
    bench.pass_time(0.5)
    assert bench.log == [*UP, "Opened"]


def test_an_older_look_is_not_believed():
    bench = Bench()
    good = bench.look()
    bench.now += 5.0
    bench.peer = Role.PRIMARY
    bench.tell(bench.look())
    bench.tell(good)
    assert bench.machine.seen.at == bench.now


def test_fence_peer_may_say_that_the_peer_is_dead_only_while_a_promotion_is_allowed():
    bench = Bench()
    assert bench.machine.fence_answer("r0") == (1, "r0: no promotion of it has been allowed here")
    bench.hangs.add(Promote)
    bench.tell(WantPrimary())
    assert bench.machine.fence_answer("r0")[0] == 5
    assert bench.machine.fence_answer("r1")[0] == 1
    bench.hangs.clear()
    bench.finish(Promote("r0"))
    assert bench.machine.fence_answer("r0")[0] == 1
