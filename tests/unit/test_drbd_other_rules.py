"""Rules 13 to 27 of docs/storage-rules.md, as far as they are decisions; what is done is in test_drbd_machine."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from drbdctl.failover.budget import Budget
from drbdctl.failover.evidence import Link, Sight, Witness, Word
from drbdctl.failover.fitness import serving as fit_to_serve
from drbdctl.failover.fitness import standby
from drbdctl.failover.group import Fencing, Limits, OnDemoteFailure, Takeover
from drbdctl.failover.planner import judge, plan_demote
from drbdctl.failover.refusal import Refusal, Until
from drbdctl.failover.seen import DRBD_MAJOR, Mounted
from drbdctl.failover.self_fence import pointless
from drbdctl.status.agreement import disagreement
from drbdctl.status.state import Status
from drbdctl.status.words import ConnectionState, DiskState, ReplicationState, Role
from tests.unit.drbd_seen import (
    GROUP,
    NOW,
    TWO_VOLUMES,
    alone,
    network,
    resource,
    seen,
    serving,
    sight,
    with_policy,
    with_resource,
)

ROOT = Path(__file__).parents[2]
BUDGET = Budget(Limits())


def refused(found, group=GROUP) -> dict[int, str]:
    refusals = [each for verdict in judge(found, group) for each in verdict.refusals]
    return {each.rule: f"{each.about}: {each.why}" for each in refusals}


def faults(found, group=GROUP) -> dict[int, str]:
    """Of a node that serves."""
    return {each.rule: f"{each.about}: {each.why}" for each in fit_to_serve(found, group).faults}


def unfit(found, group=GROUP, budget=BUDGET) -> dict[int, str]:
    """Of a node that does not."""
    return {each.rule: f"{each.about}: {each.why}" for each in standby(found, group, budget).faults}


# --- 13 to 16: giving back -------------------------------------------------------------------------------------------


def test_rule_13_services_then_mounts_then_the_role():
    assert [str(each.step) for each in plan_demote(serving(), GROUP).steps] == [
        "stop nfs",
        "unmount /mnt/data",
        "demote r0",
    ]


def test_rule_13_a_group_goes_down_in_the_reverse_order():
    group = replace(
        GROUP,
        resources=(*GROUP.resources, replace(TWO_VOLUMES, name="r1", volumes=(TWO_VOLUMES.volumes[1],))),
        mounts=(*GROUP.mounts, replace(GROUP.mounts[0], device="/dev/drbd1", point="/mnt/other")),
    )
    up = serving(mounts=(Mounted("/mnt/data", DRBD_MAJOR, 0), Mounted("/mnt/other", DRBD_MAJOR, 1)))
    found = replace(up, status=Status((resource(role=Role.PRIMARY), resource("r1", role=Role.PRIMARY, minors=(1,)))))
    assert [str(each.step) for each in plan_demote(found, group).steps] == [
        "stop nfs",
        "unmount /mnt/other",
        "unmount /mnt/data",
        "demote r1",
        "demote r0",
    ]


def test_rule_14_a_mount_in_another_namespace_counts():
    elsewhere = serving(mounts=(Mounted("/mnt/data", DRBD_MAJOR, 0, elsewhere=True),), services={"nfs": False})
    assert [str(each.step) for each in plan_demote(elsewhere, GROUP).steps] == ["unmount /mnt/data", "demote r0"]


def test_rule_14_to_unmount_while_io_is_suspended_would_hang():
    (refusal,) = plan_demote(serving(found=resource(role=Role.PRIMARY, suspended="fencing")), GROUP).refusals
    assert str(refusal) == (
        "r0: its I/O is suspended (fencing): to unmount it would hang until it goes on; `drbdadm resume-io r0`, or let "
        "the fence handler answer (rule 14)"
    )


def test_rule_14_who_uses_it_is_named_before_they_are_ended():
    found = serving(services={"nfs": False}, holders={"/mnt/data": ("vi (pid 42)",)})
    reason = plan_demote(found, GROUP).steps[0].because
    assert reason == "in use by vi (pid 42): SIGTERM, then SIGKILL for the processes"
    kept = plan_demote(found, with_policy(end_holders=False)).steps[0].because
    assert kept == "in use by vi (pid 42)"


def test_rule_14_no_step_is_lazy_or_forced():
    """There is no such word in what carries the steps out."""
    sources = [each.read_text() for each in (ROOT / "drbdctl/steps").glob("*.py")]
    assert not any(re.search(r'"--force"|"-l"|"umount", "-f"|"--lazy"', text) for text in sources)


def test_rule_16_demoted_is_what_the_kernel_says_of_every_volume():
    group = replace(GROUP, resources=(TWO_VOLUMES,), mounts=(), services=())
    one = resource(minors=(0, 1))
    half = replace(one, role=Role.PRIMARY, devices=(replace(one.devices[0], role=Role.PRIMARY), one.devices[1]))
    assert [str(each) for each in plan_demote(seen(half, services={}), group).steps] == [
        "demote r0: not every volume is Secondary"
    ]
    assert plan_demote(seen(one, services={}), group).done
    unread = seen(status=Status(), gap="drbdsetup: no answer", services={})
    assert not plan_demote(unread, group).done, "what can't be seen is not Secondary"


# --- 15: who can't let go --------------------------------------------------------------------------------------------

STUCK = {"found": resource(role=Role.PRIMARY, peer=None)}


@pytest.mark.parametrize(
    ("members", "group", "why"),
    [
        ({}, GROUP, ""),
        (STUCK, GROUP, "the peer of r0 is not connected and waits for a proof, so nobody would take over"),
        (STUCK, with_policy(takeover=Takeover.AVAILABILITY_FIRST), ""),
        (STUCK, with_resource(quorum=True), ""),
        (STUCK, with_resource(fencing=Fencing.RESOURCE_AND_STONITH, fence_handler="/usr/sbin/shoot"), ""),
        (
            {"found": resource(role=Role.PRIMARY, peer_disk=DiskState.INCONSISTENT)},
            GROUP,
            "the peer has not everything of r0/0, so nobody could take over",
        ),
        ({"gap": "no answer"}, GROUP, "whether the peer could take over can't be seen"),
        ({"gap": "no answer"}, with_policy(takeover=Takeover.AVAILABILITY_FIRST), ""),
    ],
)
def test_rule_15_it_goes_down_only_where_somebody_takes_over(members, group, why):
    assert pointless(serving(**members), group) == why


def test_rule_15_a_witness_and_hold_do_not_go_together():
    group = with_policy(takeover=Takeover.AVAILABILITY_FIRST, witness=True, on_demote_failure=OnDemoteFailure.HOLD)
    assert any("an isolated Primary that can't let go stays Primary" in each for each in group.problems())


# --- 17 to 20 --------------------------------------------------------------------------------------------------------


def test_rule_17_after_a_split_brain_nothing_is_done_by_itself():
    split = seen(resource(peer=None, link=ConnectionState.STANDALONE), sights={"r0": Sight(split_brain=True)})
    assert "both sides have data that the other lacks" in refused(split)[17]
    assert 17 in unfit(split), "it does not even stand by"


def test_rule_17_the_node_that_serves_goes_on():
    split = serving(
        found=resource(role=Role.PRIMARY, peer=None, link=ConnectionState.STANDALONE),
        sights={"r0": Sight(split_brain=True)},
    )
    assert faults(split) == {}
    assert "r0: split brain: `drbdctl split-brain r0`" in fit_to_serve(split, GROUP).degraded


def test_rule_18_the_loss_of_the_link_moves_nothing():
    found = serving(found=resource(role=Role.PRIMARY, peer=None), sights={"r0": sight(peer=Role.SECONDARY)})
    fitness = fit_to_serve(found, GROUP)
    assert fitness.faults == ()
    assert fitness.degraded == ("r0: the peer is not connected: there is no second copy of what is written now",)


def test_rule_19_mastership_lost_while_the_link_is_down_needs_a_proof():
    assert refused(seen(resource(peer=Role.SECONDARY))) == {}, "with the link up DRBD arbitrates"
    assert refused(alone())[6], "with the link down it can't"


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"sights": {"r0": sight(10.0, link=Link.CONNECTED)}}, "the peer serves, and not everything is here"),
        (
            {"sights": {"r0": sight(10.0, link=Link.CONNECTED, steady_since=NOW - 5.0)}},
            "the peer serves, and everything has been here for 5 s only",
        ),
        ({"sights": {"r0": sight(10.0, link=Link.CONNECTED, steady_since=NOW - 31.0)}}, ""),
    ],
)
def test_rule_20_the_role_is_taken_back_only_after_a_while(members, told):
    found = seen(resource(peer=Role.PRIMARY), networks=(network(0.5),), **members)
    assert unfit(found).get(20, "") == (f"r0: {told}" if told else "")


def test_rule_20_who_is_not_connected_to_a_serving_peer_can_t_take_over():
    found = alone(networks=(network(0.5),))
    assert unfit(found)[20] == "r0: the peer serves, and is not connected, so this node can't take over from it"


# --- 21 to 27 --------------------------------------------------------------------------------------------------------


def test_rule_21_nothing_is_begun_beside_what_hangs():
    found = seen(stuck=("umount /mnt/data (pid 42)",))
    assert refused(found) == {21: ": umount /mnt/data (pid 42) hangs in the kernel"}
    assert plan_demote(replace(found, ours=True), GROUP).refusals[0].rule == 21


@pytest.mark.parametrize("gap", ["drbdsetup status --json: no answer within 10 s", "a line that can't be read: 'x'"])
def test_rule_22_what_can_t_be_seen_is_the_only_thing_that_is_said(gap):
    found = seen(gap=gap, status=Status())
    assert refused(found) == {22: f": what DRBD does can't be seen: {gap}"}
    assert unfit(found) == refused(found)


def test_rule_22_two_sources_that_differ():
    good = Status((resource(),))
    assert disagreement(good, good) == ""
    for other, told in (
        (resource(disk=DiskState.INCONSISTENT), "disk 0 is UpToDate, the status Inconsistent"),
        (resource(role=Role.PRIMARY), "it is Secondary, the status Primary"),
        (resource(peer=None), "the peer is connected, the status not connected"),
    ):
        assert disagreement(good, Status((other,))) == f"r0: the events say {told}"
    assert disagreement(good, Status((resource(disk=DiskState.UNRECOGNIZED, role=Role.UNRECOGNIZED),))) == ""
    assert disagreement(good, Status()) == "", "what only one of them tells is no difference"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (resource(role=Role.UNRECOGNIZED), "r0: its role is not known"),
        (resource(disk=DiskState.UNRECOGNIZED), "r0: the state of the disk of volume 0 is not known"),
        (resource(link=ConnectionState.UNRECOGNIZED), "r0: the state of the connection to peer is not known"),
        (resource(peer=Role.UNRECOGNIZED), "r0: the role of peer is not known"),
        (resource(peer_disk=DiskState.UNRECOGNIZED), "r0: the state of volume 0 at peer is not known"),
        (resource(replication=ReplicationState.UNRECOGNIZED), "r0: the state of volume 0 at peer is not known"),
        (replace(resource(), suspended=None), "r0: whether its I/O is suspended is not known"),
    ],
)
def test_rule_23_a_word_that_is_not_known_never_promotes(found, told):
    assert refused(seen(found))[23] == told


@pytest.mark.parametrize(
    "members",
    [
        {"found": resource(role=Role.UNRECOGNIZED)},
        {"found": resource(role=Role.PRIMARY, disk=DiskState.UNRECOGNIZED, peer=None)},
        {"status": Status(), "gap": "drbdsetup: no answer"},
        {"status": Status(unread=("xyz",))},
        {"mounts": None},
        {"services": {"nfs": None}},
    ],
)
def test_rule_23_who_serves_lets_go_for_nothing_that_is_not_known(members):
    assert faults(serving(**members)) == {}


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"found": resource()}, {11: "r0: it is not Primary any more"}),
        (
            {"found": resource(role=Role.PRIMARY, peer=None, disk=DiskState.DISKLESS)},
            {2: "r0/0: its disk is Diskless, and no connected peer is UpToDate"},
        ),
        (
            {"found": resource(role=Role.PRIMARY, suspended="no-data")},
            {2: "r0: its I/O fails, or waits for data or quorum"},
        ),
        ({"found": resource(role=Role.PRIMARY, quorum=False)}, {2: "r0/0: it has no quorum"}),
        ({"read_only": frozenset({0})}, {2: "r0/0: the device refuses writes"}),
        ({"mounts": ()}, {11: "/mnt/data: it is not mounted any more"}),
        (
            {"mounts": (Mounted("/mnt/data", DRBD_MAJOR, 0, read_only=True),)},
            {11: "/mnt/data: its file system has become read-only"},
        ),
        ({"services": {"nfs": False}}, {11: "nfs: it does not work any more"}),
    ],
)
def test_who_serves_lets_go_for_what_is_known_to_be_broken(members, told):
    assert faults(serving(**members)) == told


def test_a_diskless_primary_that_its_peer_serves_goes_on():
    found = serving(found=resource(role=Role.PRIMARY, disk=DiskState.DISKLESS))
    assert faults(found) == {}
    assert fit_to_serve(found, GROUP).degraded == ("r0/0: its disk is Diskless: the peer's is used",)


def test_an_isolated_primary_gives_up_where_the_peer_takes_over():
    isolated = serving(
        found=resource(role=Role.PRIMARY, peer=None),
        sights={"r0": sight(peer=Role.SECONDARY)},
        witness=Witness(Word.UNREACHABLE, NOW, NOW - 30.0),
    )
    group = with_policy(takeover=Takeover.AVAILABILITY_FIRST, witness=True)
    assert faults(isolated, group) == {5: ": neither the peer nor the witness is reached, so the peer may take over"}
    assert faults(isolated, with_policy(group, takeover=Takeover.PROVEN)) == {}, "nobody takes over by silence"
    blind = replace(isolated, status=Status(), gap="drbdsetup: no answer", sights={})
    assert faults(blind, group).keys() == {5}, "the peer counts on it, whether or not DRBD can be seen"
    reached = replace(blind, witness=Witness(Word.REACHED, NOW, NOW))
    assert faults(reached, group) == {}, "not to see DRBD alone is no reason"


def test_rules_24_and_25_what_the_machine_lacks():
    lacks = Refusal(24, "drbdadm", "not installed", "install drbd-utils", Until.MACHINE)
    assert refused(seen(checks=(lacks,))) == {24: "drbdadm: not installed"}
    assert 24 in unfit(seen(checks=(lacks,)))
    assert faults(serving(checks=(lacks,))) == {}


def test_rule_26_so_many_takeovers_and_then_a_human():
    budget = Budget(Limits(takeovers=2, period=100.0))
    for when in (NOW - 150.0, NOW - 50.0, NOW - 10.0):
        assert budget.verdict(when).allowed
        budget = budget.promoted(when)
    (refusal,) = budget.verdict(NOW).refusals
    assert str(refusal) == (
        "it was promoted 2 times within 100 s; look why, then `drbdctl acknowledge`; by itself it goes on in 50 s "
        "(rule 26)"
    )
    assert unfit(seen(), budget=budget)[26], "the other node has its turn"
    assert budget.acknowledged().verdict(NOW).allowed
    assert budget.verdict(NOW + 51.0).allowed


def test_rule_26_each_failure_waits_twice_as_long():
    budget, waited = Budget(Limits(failures=0, back_off=5.0)), []
    for _ in range(8):
        budget = budget.failed(NOW)
        waited.append(budget.back_off)
        assert not budget.verdict(NOW + waited[-1] - 0.1).allowed
        assert budget.verdict(NOW + waited[-1]).allowed
    assert waited == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]


def test_rule_26_failures_in_a_row_hold():
    budget = Budget(Limits(failures=2)).failed(NOW).failed(NOW)
    assert "2 promotions in a row have failed" in str(budget.verdict(NOW + 600.0).refusals[0])
    assert budget.promoted(NOW).verdict(NOW).allowed, "one that works ends the row"


def test_rule_27_every_rule_has_its_place_in_the_manual():
    manual = (ROOT / "docs/storage-rules.md").read_text()
    assert {int(each) for each in re.findall(r"^\| (\d+) \|", manual, re.MULTILINE)} == set(range(1, 28))
    named = {
        int(each)
        for path in (ROOT / "drbdctl").rglob("*.py")
        for each in re.findall(r"Refusal\(\s*(\d+),", path.read_text())
    }
    assert named <= set(range(1, 28))
