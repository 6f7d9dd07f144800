"""Rules 1 to 12 of docs/storage-rules.md: what forbids a promotion, word by word, and what allows it."""

from dataclasses import replace

import pytest

from drbdctl.failover.evidence import Witness, Word
from drbdctl.failover.group import Fencing, Group, Service, Takeover
from drbdctl.failover.planner import judge, plan_promote
from drbdctl.failover.refusal import OVERRIDABLE
from drbdctl.failover.seen import Mounted
from drbdctl.status.words import ConnectionState, DiskState, ReplicationState, Role
from tests.unit.drbd_seen import (
    GROUP,
    NOW,
    OLD,
    TWO_VOLUMES,
    alone,
    generation,
    network,
    resource,
    seen,
    serving,
    sight,
    with_policy,
    with_resource,
)


def refused(found, group: Group = GROUP) -> dict[int, str]:
    """The sentences by rule; each names its rule and a way out."""
    refusals = [each for verdict in judge(found, group) for each in verdict.refusals]
    assert all(each.hint and f"(rule {each.rule})" in str(each) for each in refusals)
    return {each.rule: f"{each.about}: {each.why}" for each in refusals}


def allowed(found, group: Group = GROUP) -> str:
    plan = plan_promote(found, group)
    assert plan.allowed, [str(each) for each in plan.refusals]
    return "; ".join(plan.because)


def test_a_connected_secondary_with_good_data_is_promoted_in_this_order():
    plan = plan_promote(seen(), GROUP)
    assert plan.allowed
    assert [str(each.step) for each in plan.steps] == [
        "promote r0",
        "mount /dev/drbd0 on /mnt/data",
        "start nfs",
        "verify that all of it works",
    ]


def test_rule_1_what_something_else_has_promoted_was_never_judged():
    assert refused(seen(resource(role=Role.PRIMARY))) == {1: "r0: it is Primary, and not by this daemon"}
    assert refused(serving()) == {}


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"disk": DiskState.INCONSISTENT, "peer": None}, "its disk is Inconsistent, and no connected peer is UpToDate"),
        ({"disk": DiskState.OUTDATED, "peer": None}, "its disk is Outdated, and no connected peer is UpToDate"),
        ({"disk": DiskState.DISKLESS, "peer": None}, "its disk is Diskless, and no connected peer is UpToDate"),
        ({"disk": DiskState.FAILED, "peer": None}, "its disk is Failed, and no connected peer is UpToDate"),
        ({"disk": DiskState.ATTACHING}, "its disk is Attaching"),
        ({"disk": DiskState.NEGOTIATING}, "its disk is Negotiating"),
        ({"disk": DiskState.OUTDATED}, "its disk is Outdated, the peer's is UpToDate"),
        (
            {"disk": DiskState.INCONSISTENT, "replication": ReplicationState.SYNC_TARGET},
            "it receives a resync and has not everything yet",
        ),
        ({"replication": ReplicationState.BEHIND}, "it receives a resync and has not everything yet"),
        ({"quorum": False}, "it has no quorum"),
    ],
)
def test_rule_2_data_that_are_not_good(state, told):
    assert refused(seen(resource(**state), sights={"r0": sight()}))[2] == f"r0/0: {told}"


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"peer": None, "link": ConnectionState.STANDALONE}, "it is StandAlone and does not look for its peer"),
        ({"suspended": "user"}, "its I/O is suspended (user)"),
        ({"suspended": "fencing"}, "its I/O is suspended (fencing)"),
        ({"suspended": "no-data,quorum"}, "its I/O is suspended (no-data,quorum)"),
    ],
)
def test_rule_2_a_resource_that_is_not_as_it_should_be(state, told):
    assert refused(seen(resource(**state)))[2] == f"r0: {told}"


def test_rule_2_a_device_whose_io_was_made_to_fail():
    assert "answers every I/O with an error" in refused(seen(replace(resource(), force_io_failures=True)))[2]


def test_rule_2_a_sync_target_may_be_promoted_where_that_is_wanted():
    found = seen(resource(disk=DiskState.INCONSISTENT, replication=ReplicationState.SYNC_TARGET))
    assert refused(found, with_policy(promote_while_syncing=True)) == {}


def test_rule_2_a_diskless_node_serves_from_its_peer():
    assert refused(seen(resource(disk=DiskState.DISKLESS), sights={"r0": sight(0.0)})) == {}


def test_rule_2_fewer_replicas_than_wanted():
    found = seen(resource(peer_disk=DiskState.INCONSISTENT, replication=ReplicationState.SYNC_SOURCE))
    told = refused(found, with_policy(minimum_up_to_date=2))
    assert told == {2: "r0/0: 1 of its replicas are UpToDate, and minimum_up_to_date is 2"}


def test_rule_3_a_peer_that_is_primary_has_to_hand_over():
    found = seen(resource(peer=Role.PRIMARY), networks=(network(0.5),))
    assert refused(found) == {3: "r0: the peer is Primary"}


def test_rule_3_a_primary_that_is_silent_everywhere_is_asked_by_a_promotion():
    """The fastest death detector: DRBD asks its peer when it is told to promote, long before ping-int is over."""
    found = seen(resource(peer=Role.PRIMARY), sights={"r0": sight(0.0)}, networks=(network(5.0),))
    because = allowed(found, with_policy(takeover=Takeover.AVAILABILITY_FIRST))
    assert "to promote makes DRBD ask it, and fails if it lives" in because


def test_rule_4_a_connection_that_may_be_dead_is_waited_for():
    claimed = seen(networks=(network(20.0),), claimed=NOW - 1.0)
    assert "the connection may be dead and DRBD not have noticed" in refused(claimed)[4]
    assert refused(replace(claimed, claimed=NOW - 11.0)) == {}, "by then ping-int and ping-timeout are over"
    assert refused(replace(claimed, networks=(network(1.5),))) == {}, "heard when the role was claimed"


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"networks": (network(1.0),)}, "r0: the peer is not connected, and was heard on eth0 1.0 s ago"),
        (
            {"networks": (network(20.0), network(0.5, name="eth1"))},
            "r0: the peer is not connected, and was heard on eth1 0.5 s ago",
        ),
        ({"networks": ()}, "r0: the peer is not connected, and nobody has listened for it: only the daemon does"),
        (
            {"networks": (network(up=False),)},
            "r0: no network is up on which the peer could be heard, so its silence says nothing",
        ),
        (
            {"networks": (network(since=NOW - 1.0),)},
            "r0: the peer has not been listened for during 3 s yet",
        ),
        (
            {"contacts": {"r0": NOW - 6.0}},
            "r0: the peer was alive 6 s ago and silent on VRRP, so its silence says nothing",
        ),
    ],
)
def test_rule_5_who_is_heard_is_not_gone(members, told):
    assert refused(alone(**members), with_policy(takeover=Takeover.AVAILABILITY_FIRST))[5] == told


def test_rule_5_between_two_advertisements_nobody_is_silent():
    """dead_interval is 3 s, the advertisements of eth1 are 4 s apart, and two of them may be lost."""
    slow = replace(network(11.0, name="eth1"), advert_int=4.0)
    policy = with_policy(takeover=Takeover.AVAILABILITY_FIRST)
    assert "was heard on eth1 11.0 s ago" in refused(alone(networks=(network(20.0), slow)), policy)[5]
    assert 5 not in refused(alone(networks=(network(20.0), replace(slow, heard=NOW - 12.5))), policy)
    listened = replace(slow, heard=None, since=NOW - 11.0)
    assert refused(alone(networks=(listened,)), policy)[5].endswith("not been listened for during 12 s yet")


@pytest.mark.parametrize(
    ("witness", "told"),
    [
        (None, "the witness has not been heard lately"),
        (Witness(Word.UNKNOWN, NOW), "the witness has not answered yet"),
        (Witness(Word.REACHED, NOW - 60.0), "the witness has not been heard lately"),
        (
            Witness(Word.UNREACHABLE, NOW),
            "neither the peer nor the witness can be reached: it may be this node that is cut off",
        ),
        (Witness(Word.PEER_ALIVE, NOW), "the witness says that the peer is alive"),
        (Witness(Word.REACHED, NOW), ""),
        (Witness(Word.PEER_DEAD, NOW), ""),
    ],
)
def test_rule_5_what_the_witness_says(witness, told):
    group = with_policy(takeover=Takeover.AVAILABILITY_FIRST, witness=True)
    assert refused(alone(witness=witness), group).get(5, "") == (f"r0: {told}" if told else "")


def test_rule_6_silence_is_no_proof():
    assert refused(alone()) == {6: "r0: the peer was lost 20 s ago, and nothing proves that it is not Primary"}


def test_rule_6_a_cold_start_without_a_peer_holds():
    """A node that booted alone with hours-old data says UpToDate as well: its bitmap UUID is 0."""
    told = refused(alone(sights={}))[6]
    assert told.startswith("r0: its bitmap UUID is 0, and the peer has not been seen since this daemon began")


def test_rule_6_who_wrote_alone_has_the_newest_data():
    assert "its bitmap UUID says that this node wrote alone last" in allowed(
        alone(sights={}, generations={"r0": (generation(bitmap=OLD),)})
    )


def test_rule_6_a_bitmap_in_one_volume_of_two_is_no_proof():
    group = replace(GROUP, resources=(TWO_VOLUMES,))
    found = resource(peer=None, minors=(0, 1))
    identifiers = {"r0": (generation(bitmap=OLD), generation())}
    assert 6 in refused(seen(found, generations=identifiers), group)
    crashed = {"r0": (generation(bitmap=OLD), generation(crashed_primary=True))}
    told = refused(seen(found, generations=crashed), group)[6]
    assert told, "the disk of that volume may have been gone, and its writes at the peer only"


def test_rule_6_the_crashed_flag_alone_is_no_proof():
    """Who was Primary and connected when its power failed has it too, and its peer has taken over."""
    assert 6 in refused(alone(sights={}, generations={"r0": (generation(crashed_primary=True, connected=True),)}))


def test_rule_6_identifiers_that_can_t_be_read():
    assert "its generation identifiers can't be read" in refused(alone(generations={}))[6]


@pytest.mark.parametrize(
    ("members", "group", "why"),
    [
        (
            {"sights": {"r0": sight(peer=Role.SECONDARY, in_order=True)}},
            GROUP,
            "the peer left in order 20 s ago, as Secondary",
        ),
        ({"sights": {"r0": sight(fence=4)}}, GROUP, "the fence-peer handler said 4"),
        ({"sights": {"r0": sight(fence=5)}}, GROUP, "the fence-peer handler said 5"),
        ({"sights": {"r0": sight(fence=7)}}, GROUP, "the fence-peer handler said 7"),
        (
            {},
            with_resource(fencing=Fencing.RESOURCE_ONLY, fence_handler="/usr/lib/drbd/crm-fence-peer.sh"),
            "DRBD has the peer fenced before it promotes",
        ),
        ({"found": resource(peer=None, quorum=True)}, with_resource(quorum=True), "it has quorum"),
        ({"witness": Witness(Word.PEER_DEAD, NOW)}, GROUP, "the witness says that the peer is off"),
        ({}, with_policy(takeover=Takeover.AVAILABILITY_FIRST), "the peer fell silent on every path"),
    ],
)
def test_rule_6_what_is_a_proof(members, group, why):
    assert why in allowed(alone(**members), group)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"sights": {"r0": sight(complete=())}}, "volume 0 did not have everything here"),
        ({"generations": {"r0": (generation(current=OLD),)}}, "something else has been at it"),
        (
            {"networks": (network(12.0),)},
            "it has gone on without this node, whose data are old, whatever UpToDate says",
        ),
        ({"sights": {"r0": sight(cut_off=True)}}, "the witness was out of reach after the peer was lost"),
        ({"networks": (network(since=NOW - 10.0),)}, "no network was listened to without a break"),
        ({"sights": {"r0": sight(in_order=True)}}, "took the connection down by itself 20 s ago: it goes on alone"),
    ],
)
def test_rule_6_data_that_may_be_old_whatever_the_policy_says(members, why):
    assert why in refused(alone(**members), with_policy(takeover=Takeover.AVAILABILITY_FIRST))[6]


def test_rule_6_a_primary_whose_connection_outlived_its_word():
    found = alone(networks=(network(60.0),))
    told = refused(found, with_policy(takeover=Takeover.AVAILABILITY_FIRST))[6]
    assert "lived on for 40 s after it fell silent on VRRP: it may live" in told


@pytest.mark.parametrize("protocol", ["A", "B"])
def test_rule_6_with_protocol_a_or_b_the_last_writes_may_be_missing(protocol):
    group = with_policy(with_resource(protocol=protocol), takeover=Takeover.AVAILABILITY_FIRST)
    assert (
        f"protocol {protocol}: the last writes of the Primary that was lost may not have arrived"
        in refused(alone(), group)[6]
    )
    assert refused(alone(), with_policy(group, asynchronous_takeover=True)) == {}
    assert refused(alone(sights={"r0": sight(peer=Role.SECONDARY, in_order=True)}), group) == {}, "it left in order"


def test_rule_6_a_peer_whose_disk_is_gone_may_have_had_newer_data():
    assert "the disk at the peer is gone" in refused(seen(resource(peer_disk=DiskState.DISKLESS)))[6]


def test_rule_6_a_bitmap_vouches_for_a_disk_whose_peer_s_is_gone_only_where_nobody_takes_over_by_silence():
    gone = seen(resource(peer_disk=DiskState.DISKLESS), generations={"r0": (generation(bitmap=OLD),)})
    assert refused(gone) == {}
    witness = with_policy(takeover=Takeover.AVAILABILITY_FIRST, witness=True)
    assert 6 in refused(replace(gone, witness=Witness(Word.REACHED, NOW)), witness), (
        "the peer may have written after it"
    )


@pytest.mark.parametrize(
    ("members", "fencing", "told"),
    [
        ({"sights": {"r0": sight(fencing=True)}}, {}, "the fence-peer handler is at work"),
        ({"sights": {"r0": sight(fence=6)}}, {}, "the fence-peer handler said that the peer is Primary"),
        ({}, {"fencing": Fencing.RESOURCE_ONLY}, "fencing resource-only and no fence-peer handler"),
        (
            {"found": resource(peer=None, disk=DiskState.CONSISTENT)},
            {},
            "its disk is Consistent: DRBD does not know yet whether the peer has newer data",
        ),
    ],
)
def test_rule_7_fencing_has_the_last_word(members, fencing, told):
    assert told in refused(alone(**members), with_resource(**fencing))[7]


def test_rule_8_what_only_force_can_promote_is_an_operator_s():
    new = seen(resource(disk=DiskState.INCONSISTENT, peer=None), generations={"r0": (generation(current=4),)})
    assert "it is new: neither side has data yet" in refused(new)[8]
    torn = seen(resource(disk=DiskState.INCONSISTENT, peer=None))
    assert "its data are a mixture of old and new" in refused(torn)[8]


def test_rule_9_a_group_is_promoted_whole_or_not_at_all():
    group = replace(GROUP, resources=(TWO_VOLUMES,))
    assert refused(seen(resource()), group)[9] == "r0/1: this volume is not up"
    assert refused(seen(generations={}, status=seen().status.__class__()))[9] == "r0: it is not up on this node"


def test_rule_9_two_primaries_are_left_alone():
    """`allow-two-primaries` is a cluster file system's: no step promotes or demotes it, and it has to be up already."""
    group = with_resource(two_primaries=True)
    assert "promote it by what manages it" in " ".join(
        str(each) for verdict in judge(seen(), group) for each in verdict.refusals if each.rule == 9
    )
    both = seen(resource(role=Role.PRIMARY, peer=Role.PRIMARY), networks=(network(0.5),))
    assert next(str(each.step) for each in plan_promote(both, group).steps) == "mount /dev/drbd0 on /mnt/data"


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"mounts": None}, ": the mount table can't be read"),
        ({"mounts": (Mounted("/mnt/data", 8, 1),)}, "/mnt/data: 8:1 is mounted there, and not /dev/drbd0"),
        ({"mounts": (Mounted("/mnt/data/x", 8, 1),)}, "/mnt/data: something is mounted below it, at /mnt/data/x"),
        (
            {"no_directory": frozenset({"/mnt/data"})},
            "/mnt/data: there is no such directory to mount /dev/drbd0 on",
        ),
    ],
)
def test_rule_10_the_mount_point_is_free(members, told):
    assert refused(seen(**members)) == {10: told}


def test_rule_10_never_the_disk_behind_it():
    group = replace(GROUP, mounts=(replace(GROUP.mounts[0], device="/dev/vg0/r0"),))
    assert refused(seen(), group) == {10: "/mnt/data: /dev/vg0/r0 is no volume of this group"}
    assert "never its disk" in next(group.problems())


def test_rule_11_what_can_t_be_checked_gets_no_address():
    group = replace(GROUP, services=(Service("db", checked=False),))
    assert refused(seen(services={"db": None}), group) == {11: "db: nothing can tell whether it works"}


def test_rule_12_without_a_note_nothing_is_begun():
    assert refused(seen(journal="/run/drbdctl/S.intent: No space left on device")) == {
        12: ": the intent can't be written down: /run/drbdctl/S.intent: No space left on device"
    }


@pytest.mark.parametrize("rule", [2, 3, 4, 7, 8, 9, 10, 11, 12, 21, 22, 23, 24, 25])
def test_what_no_operator_can_set_aside(rule):
    assert rule not in OVERRIDABLE


def test_a_volume_of_ours_is_not_judged_again_but_its_data_are():
    lost = serving(found=resource(role=Role.PRIMARY, peer=None, disk=DiskState.FAILED))
    assert refused(lost) == {2: "r0/0: its disk is Failed, and no connected peer is UpToDate"}
    assert refused(serving(found=resource(role=Role.PRIMARY, peer=None))) == {}
