"""`drbdctl promote` and `demote` by hand: all or nothing, told step by step; on a node that exists on paper."""

import asyncio
from dataclasses import replace

import pytest

from drbdctl.failover.exits import HELD_OPEN, Failure
from drbdctl.failover.plan import (
    Demote,
    MountVolume,
    Planned,
    Promote,
    StartService,
    StopService,
    UnmountVolume,
    Verify,
)
from drbdctl.failover.seen import DRBD_MAJOR, Mounted, Seen
from drbdctl.settings import Storage
from drbdctl.status.state import Status
from drbdctl.status.words import Role
from drbdctl.steps import transaction
from drbdctl.steps.transaction import Busy, Refused, exclusive
from tests.unit.drbd_seen import GROUP, R0, network, resource, seen

R1 = replace(R0, name="r1", volumes=(replace(R0.volumes[0], minor=1, device="/dev/drbd1"),))
STORAGE = Storage(group=replace(GROUP, resources=(R0, R1)), instance="VI")


class Node:
    def __init__(self) -> None:
        self.primary: set[str] = set()
        self.mounted = self.running = False
        self.peer: Role | None = Role.SECONDARY
        self.fails: dict[type, list[Failure | None]] = {}
        self.users: list[bool] = []

    async def look(self, users: bool) -> Seen:
        self.users.append(users)
        found = [
            resource(
                each.name,
                role=Role.PRIMARY if each.name in self.primary else Role.SECONDARY,
                peer=self.peer,
                minors=(each.volumes[0].minor,),
            )
            for each in STORAGE.group.resources
        ]
        return seen(
            *found,
            status=Status(tuple(found)),
            mounts=(Mounted("/mnt/data", DRBD_MAJOR, 0),) if self.mounted else (),
            services={"nfs": self.running},
            networks=(network(0.5),),
        )

    async def do(self, planned: Planned) -> Failure | None:
        step = planned.step
        planned_failures = self.fails.get(type(step), [])
        if planned_failures and (failure := planned_failures.pop(0)) is not None:
            return failure
        match step:
            case Promote(name):
                self.primary.add(name)
            case Demote(name):
                self.primary.discard(name)
            case MountVolume() | UnmountVolume():
                self.mounted = isinstance(step, MountVolume)
            case StartService() | StopService():
                self.running = isinstance(step, StartService)
            case Verify():
                pass
        return None

    def run(self, what, *arguments) -> list[str]:
        async def told() -> list[str]:
            lines = []
            async for each in what(STORAGE, self.look, self.do, *arguments):
                if isinstance(each, Refused):
                    lines.append(f"refused: {each.refusals[0].rule}")
                elif each.ended:
                    lines.append(f"{each.planned.step}{': failed' if each.failure else ''}")
            return lines

        return asyncio.run(told())


UP = ["promote r0", "promote r1", "mount /dev/drbd0 on /mnt/data", "start nfs", "verify that all of it works"]
DOWN = ["stop nfs", "unmount /mnt/data", "demote r1", "demote r0"]


def test_up_and_down():
    node = Node()
    assert node.run(transaction.promote) == UP
    assert node.run(transaction.promote) == ["refused: 1"], "by hand, what is Primary already was promoted by somebody"
    assert node.run(transaction.demote) == DOWN
    assert node.run(transaction.demote) == []


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (Promote, ["promote r0", "promote r1: failed", "demote r0"]),
        (MountVolume, [*UP[:2], f"{UP[2]}: failed", *DOWN[2:]]),
        (StartService, [*UP[:3], "start nfs: failed", *DOWN[1:]]),
        (Verify, [*UP[:4], f"{UP[4]}: failed", *DOWN]),
    ],
)
def test_when_a_step_fails_all_of_it_is_taken_back(kind, told):
    node = Node()
    failure = Failure("no")
    node.fails[kind] = [None, failure] if kind is Promote else [failure]
    assert node.run(transaction.promote) == told
    assert (node.primary, node.mounted, node.running) == (set(), False, False)


def test_what_was_refused_is_not_undone():
    node = Node()
    node.peer = Role.PRIMARY
    node.mounted = True  # somebody else's business
    assert node.run(transaction.promote) == ["refused: 3"]
    assert node.mounted


def test_what_is_held_open_is_tried_again_and_the_holders_are_looked_for():
    node = Node()
    node.run(transaction.promote)
    node.users.clear()
    node.fails[Demote] = [Failure("held", 11, HELD_OPEN)] * 2
    assert node.run(transaction.demote) == [
        *DOWN[:2],
        "demote r1: failed",
        "demote r1: failed",
        "demote r1",
        "demote r0",
    ]
    assert node.users[0] is False
    assert node.users[-1] is True


def test_a_step_that_fails_for_good_ends_it():
    node = Node()
    node.run(transaction.promote)
    node.fails[UnmountVolume] = [Failure("busy")] * 10
    assert node.run(transaction.demote) == ["stop nfs", "unmount /mnt/data: failed"]
    assert node.primary == {"r0", "r1"}


def test_a_step_that_ends_well_and_changes_nothing_is_not_repeated_for_ever():
    node = Node()
    node.run(transaction.promote)
    look = node.look

    async def always_running(users: bool) -> Seen:
        return replace(await look(users), services={"nfs": True})

    node.look = always_running
    assert node.run(transaction.demote) == ["stop nfs", "stop nfs"]


def test_an_operator_s_word_sets_rules_aside():
    node = Node()
    node.peer = None
    assert node.run(transaction.promote) == ["refused: 5"]
    assert node.run(transaction.promote, frozenset({5, 6})) == UP


def test_two_do_not_act_on_one_storage(tmp_path):
    with exclusive("S", tmp_path):
        with pytest.raises(Busy, match="another drbdctl or pyvrrp acts on it; wait for it"), exclusive("S", tmp_path):
            pass
        with exclusive("T", tmp_path):
            pass
    with exclusive("S", tmp_path):
        pass
