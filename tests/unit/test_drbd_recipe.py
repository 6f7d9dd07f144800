"""What undoes a storage travels as one word and comes back the same, as far as undoing needs it."""

import pytest

from drbdctl.daemon.recipe import from_recipe, recipe
from drbdctl.failover.group import Deadlines, Group, GroupResource, GroupVolume, Mount, Policy, Service
from drbdctl.failover.planner import plan_demote
from drbdctl.failover.seen import Seen
from drbdctl.settings import Export, Nfs, Program, Storage, Unit

NFS = Nfs(
    state_dir="/mnt/a/.nfs",
    scope="s",
    exports=(Export(directory="/mnt/a/x", clients=("*",), options=("rw",), fsid="1", mount_point="/mnt/a"),),
)
SERVICES = (NFS, Unit(name="db.service"), Program(name="p", start=("/bin/a",), stop=("/bin/b", "c"), check=("/bin/d",)))
STORAGE = Storage(
    group=Group(
        name="S",
        resources=(
            GroupResource(name="r0", volumes=(GroupVolume(0, 0), GroupVolume(1, 1, "/dev/drbd1"))),
            GroupResource(name="ocfs", volumes=(GroupVolume(0, 7, "/dev/drbd7"),), two_primaries=True),
        ),
        mounts=(Mount("/dev/drbd0", "/mnt/a", "xfs", "noatime"),),
        services=tuple(Service(each.name) for each in SERVICES),
        policy=Policy(end_holders=False),
        deadlines=Deadlines(unmount=7.5),
    ),
    instance="VI",
    services=SERVICES,
)


def test_there_and_back():
    found = from_recipe(recipe(STORAGE))
    assert found.services == STORAGE.services
    assert found.group.mounts == STORAGE.group.mounts
    assert [each.name for each in found.group.resources] == ["r0"], "what has two Primaries is left alone"
    assert found.group.resources[0].volumes == STORAGE.group.resources[0].volumes
    assert (found.group.policy.end_holders, found.group.deadlines.unmount) == (False, 7.5)
    assert "\n" not in recipe(STORAGE)


def test_nothing_is_done_where_nothing_is_held():
    found = from_recipe(recipe(STORAGE))
    nothing = Seen(at=0.0, mounts=(), services=dict.fromkeys((each.name for each in SERVICES), False))
    assert plan_demote(nothing, found.group).done


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"name":"S","services":[{"kind":"rocket"}]}'])
def test_what_is_no_recipe_is_one_sentence(text: str):
    with pytest.raises(ValueError, match="this is no recipe of a storage"):
        from_recipe(text)
