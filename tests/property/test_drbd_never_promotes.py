"""Whatever is seen, in whatever combination: what is promoted has good data, and nobody else who could write."""

import os
from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from drbdctl.failover.budget import Budget
from drbdctl.failover.evidence import Link, Network, Sight, Witness, Word
from drbdctl.failover.fitness import serving, standby
from drbdctl.failover.group import Fencing, Group, GroupResource, Policy, Takeover
from drbdctl.failover.planner import plan_demote, plan_promote
from drbdctl.failover.seen import Seen
from drbdctl.status.generation import Generation
from drbdctl.status.state import Connection, Device, PeerDevice, Resource, Status
from drbdctl.status.words import ConnectionState, DiskState, ReplicationState, Role
from tests.unit.drbd_seen import CURRENT, NOW, OLD

LOOKS = 8_000


class Draw:
    """Mostly what is usual: where everything is wrong at once, nothing is found out."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def likely(self, usual, others, often: float = 0.85):
        return usual if self.random.random() < often else self.random.choice(list(others))

    def one(self, *choices):
        return self.random.choice(choices)

    def resource(self) -> Resource:
        connected = self.one(True, False)
        state = ConnectionState.CONNECTED if connected else ConnectionState.CONNECTING
        peer = PeerDevice(
            0,
            self.likely(ReplicationState.ESTABLISHED if connected else ReplicationState.OFF, ReplicationState),
            self.likely(DiskState.UP_TO_DATE if connected else DiskState.D_UNKNOWN, DiskState),
        )
        role = self.likely(Role.SECONDARY if connected else Role.UNKNOWN, Role)
        link = Connection("peer", None, self.likely(state, ConnectionState), role, peer_devices=(peer,))
        device = Device(
            0,
            0,
            self.likely(DiskState.UP_TO_DATE, DiskState),
            self.likely(Role.SECONDARY, Role),
            quorum=self.likely(None, (True, False)),
        )
        return Resource(
            "r0",
            role=self.likely(Role.SECONDARY, Role),
            suspended=self.likely("no", ("user", "quorum", "fencing", "", None)),
            force_io_failures=self.likely(None, (False, True)),
            devices=(device,),
            connections=(link,),
        )

    def sight(self) -> Sight:
        ago, complete = self.one(0.0, 5.0, 20.0, 60.0), self.likely(True, (False,))
        return Sight(
            self.likely(Link.LOST, Link, 0.6),
            NOW - ago,
            self.likely(Role.PRIMARY, Role, 0.6),
            frozenset({0} if complete else ()),
            NOW - ago if complete else None,
            self.likely(False, (True,), 0.7),
            (CURRENT,),
            self.likely(False, (True,)),
            self.likely(None, (1, 4, 5, 6, 7)),
            self.likely(False, (True,)),
            self.likely(False, (True,)),
        )

    def networks(self) -> tuple[Network, ...]:
        return tuple(
            Network(
                name,
                self.likely(True, (False,)),
                NOW - self.likely(500.0, (1.0, 10.0)),
                self.one(None, *(NOW - each for each in (0.5, 2.0, 5.0, 20.0, 60.0))),
            )
            for name in self.one((), ("eth0",), ("eth0",), ("eth0", "eth1"))
        )

    def look(self) -> Seen:
        identifiers = Generation(
            self.likely(CURRENT, (OLD, 4)),
            self.one(0, 0, 0, OLD),
            (OLD, 0),
            *(self.one(True, False) for _ in range(7)),
        )
        word = self.one(None, None, *Word)
        return Seen(
            at=NOW,
            status=Status((self.resource(),)),
            gap=self.likely("", ("no answer",), 0.95),
            generations=self.likely({"r0": (identifiers,)}, ({},), 0.95),
            sights={"r0": self.sight()},
            networks=self.networks(),
            witness=None if word is None else Witness(word, NOW, None),
            mounts=(),
            claimed=self.one(None, NOW - 1.0, NOW - 60.0),
            stuck=self.likely((), (("umount",),), 0.95),
        )

    def group(self) -> Group:
        resource = GroupResource(
            name="r0",
            protocol=self.likely("C", "AB"),
            fencing=self.likely(Fencing.DONT_CARE, Fencing),
            fence_handler=self.one("", "drbdctl fence-peer", "/usr/sbin/shoot"),
            quorum=self.likely(False, (True,)),
        )
        policy = Policy(
            takeover=self.one(*Takeover),
            asynchronous_takeover=self.one(True, False),
            witness=self.likely(False, (True,), 0.7),
            promote_while_syncing=self.likely(False, (True,)),
        )
        return Group(name="S", resources=(resource,), policy=policy)


def because(seen: Seen, group: Group) -> str:
    """On what a promotion rests; fails where there is nothing."""
    (resource,), sight = seen.status.resources, seen.sights["r0"]
    (device,), (link,), configured = resource.devices, resource.connections, group.resources[0]
    served = link.connection is ConnectionState.CONNECTED and link.peer_devices[0].peer_disk is DiskState.UP_TO_DATE
    assert not seen.gap
    assert not seen.stuck
    assert not sight.split_brain
    assert device.role is Role.SECONDARY
    assert resource.suspended == "no"
    assert resource.force_io_failures is not True
    assert device.quorum is not False
    assert link.connection is not ConnectionState.STANDALONE
    assert device.disk in (DiskState.UP_TO_DATE, DiskState.CONSISTENT) or served
    if link.connection is ConnectionState.CONNECTED and link.peer_role is Role.SECONDARY:
        return "DRBD arbitrates"
    if configured.quorum and device.quorum:
        return "quorum"
    heard = max((each.heard for each in seen.networks if each.heard is not None), default=None)
    assert heard is None or NOW - heard >= group.policy.dead_interval, "who is heard is not gone"
    assert any(each.up for each in seen.networks), "somebody has listened"
    wrote_alone = all(each.wrote_alone for each in seen.generations["r0"])
    if wrote_alone and group.bitmap_proves(configured):
        return "it wrote alone"
    assert sight.link is not Link.NEVER, "old data, whatever UpToDate says"
    assert wrote_alone or 0 in sight.complete, "old data, whatever UpToDate says"
    if sight.peer_role is Role.PRIMARY and configured.protocol != "C" and not sight.in_order:
        assert group.policy.asynchronous_takeover
    dead = seen.witness is not None and seen.witness.word is Word.PEER_DEAD
    if sight.in_order or sight.fence in (4, 5, 7) or configured.fenced or dead:
        return "a proof"
    assert group.policy.takeover is Takeover.AVAILABILITY_FIRST, "silence is no proof"
    return "silence"


def check(seed: int, looks: int) -> Counter[str]:
    draw, found = Draw(seed), Counter[str]()
    for _ in range(looks):
        seen, group = draw.look(), draw.group()
        plan = plan_promote(seen, group)
        for each in plan.refusals:
            assert 1 <= each.rule <= 27
            assert each.why
            assert each.hint
        if plan.allowed:
            try:
                found[because(seen, group)] += 1
            except AssertionError as error:
                error.add_note(f"seed {seed}: {plan.because}\n{seen}\n{group}")
                raise
        assert standby(seen, group, Budget()) is not None
        ours = replace(seen, ours=True)
        assert serving(ours, group) is not None
        if plan_demote(ours, group).done:
            assert not seen.gap
            assert seen.status.resources[0].devices[0].role is Role.SECONDARY
    return found


@pytest.mark.parametrize("seed", range(2))
def test_what_is_promoted_is_safe_by_every_word(seed):
    found = check(seed, LOOKS)
    reasons = ("DRBD arbitrates", "quorum", "it wrote alone", "a proof", "silence")
    assert min(found[each] for each in reasons) >= 3, found


def test_fresh_looks_are_safe_too():
    check(int.from_bytes(os.urandom(4)), LOOKS // 2)
