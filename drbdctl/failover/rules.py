"""The rules of a promotion, 1 to 12: each is a function of what is seen and says allowed, or refused and why.

They are asked together, so that an operator hears all that is in the way and not the first of it. Rules 5 and 6 are in
drbdctl.failover.takeover. A resource that we have promoted already is not asked again; its data still are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from drbdctl.failover.evidence import MISSED, Link
from drbdctl.failover.group import Fencing, Group, GroupResource
from drbdctl.failover.refusal import Refusal, Until, Verdict, verdict
from drbdctl.failover.seen import DRBD_MAJOR, Seen
from drbdctl.failover.takeover import fresh_and_alone, last_heard, lost_at, peer_silent, pending, presumed_dead
from drbdctl.status.generation import JUST_CREATED
from drbdctl.status.peers import connected, device, peer_is_primary, replication, served_by_peer, up_to_date_replicas
from drbdctl.status.state import Device, Resource
from drbdctl.status.words import DiskState, ReplicationState, Role

_READABLE = (DiskState.UP_TO_DATE, DiskState.CONSISTENT, DiskState.UNRECOGNIZED)
_PASSING = (DiskState.ATTACHING, DiskState.NEGOTIATING, DiskState.DETACHING)
_SYNC_TARGET = (
    ReplicationState.SYNC_TARGET,
    ReplicationState.PAUSED_SYNC_T,
    ReplicationState.WF_BITMAP_T,
    ReplicationState.STARTING_SYNC_T,
    ReplicationState.WF_SYNC_UUID,
    ReplicationState.BEHIND,
)
_FENCE_PEER_IS_PRIMARY = 6


def starts_in_secondary(seen: Seen, group: Group) -> Verdict:
    """Rule 1: a node starts as Secondary; what something else has promoted was never judged."""
    return verdict(
        1,
        (
            Refusal(
                1,
                each.name,
                "it is Primary, and not by this daemon",
                "see what promotes it (become-primary-on, auto-promote, drbd.service, fstab), then `drbdctl demote`",
                Until.OPERATOR,
            )
            for each in group.managed
            if not seen.ours and _role(seen, each) is Role.PRIMARY
        ),
    )


def _role(seen: Seen, resource: GroupResource) -> Role:
    found = seen.resource(resource.name)
    return next((each.role for each in found.devices if each.role is Role.PRIMARY), found.role)


def data_usable(seen: Seen, group: Group) -> Verdict:
    """Rule 2: UpToDate here, or at a connected peer; not syncing, StandAlone, suspended, failing or without quorum.

    What we have promoted already stays promoted as long as its data can be reached.
    """
    fresh = pending(seen, group)
    return verdict(
        2,
        (
            each
            for resource in group.resources
            for each in (_unusable(seen, group, resource) if resource in fresh else data_lost(seen, resource))
        ),
    )


def data_lost(seen: Seen, resource: GroupResource) -> Iterator[Refusal]:
    """Why a Primary can't go on with a resource."""
    found = seen.resource(resource.name)
    if found.force_io_failures or {"no-data", "quorum"} & set((found.suspended or "").split(",")):
        yield Refusal(2, found.name, "its I/O fails, or waits for data or quorum", "bring the peers back", Until.PEER)
    for volume in resource.volumes:
        here, about = device(found, volume.number), f"{found.name}/{volume.number}"
        if here is not None and here.disk not in _READABLE and not served_by_peer(found, here.volume):
            why = f"its disk is {here.disk.value}, and no connected peer is UpToDate"
            yield Refusal(2, about, why, "replace the disk, or bring the peer back", Until.PEER)
        if here is not None and here.quorum is False:
            yield Refusal(2, about, "it has no quorum", "bring back the nodes that are missing", Until.PEER)
        if volume.minor in seen.read_only:
            yield Refusal(2, about, "the device refuses writes", "see `dmesg`", Until.MACHINE)


def _unusable(seen: Seen, group: Group, resource: GroupResource) -> Iterator[Refusal]:
    found = seen.resource(resource.name)
    if not found.devices:
        return
    if found.standalone:
        hint = f"after a split brain `drbdctl split-brain {found.name}`, else `drbdadm connect {found.name}`"
        yield Refusal(2, found.name, "it is StandAlone and does not look for its peer", hint, Until.OPERATOR)
    if found.force_io_failures:
        why = "it answers every I/O with an error since it was forced to be Secondary"
        yield Refusal(2, found.name, why, f"`drbdadm down {found.name}` and `up`", Until.OPERATOR)
    if found.suspended not in (None, "no"):
        yield _suspended(found)
    for volume in resource.volumes:
        here = device(found, volume.number)
        if here is not None:
            yield from _volume_unusable(found, here, f"{found.name}/{volume.number}", group)


def _suspended(found: Resource) -> Refusal:
    by_user = "user" in (found.suspended or "")
    hint = f"`drbdadm resume-io {found.name}`" if by_user else "it goes on when the peer, or the fence handler, answers"
    until = Until.OPERATOR if by_user else Until.PEER
    return Refusal(2, found.name, f"its I/O is suspended ({found.suspended})", hint, until)


def _volume_unusable(found: Resource, here: Device, about: str, group: Group) -> Iterator[Refusal]:
    state, served = here.disk, served_by_peer(found, here.volume)
    if here.quorum is False:
        yield Refusal(2, about, "it has no quorum", "bring back the nodes that are missing", Until.PEER)
    if state in _PASSING:
        yield Refusal(2, about, f"its disk is {state.value}", "wait for it", Until.TIME)
    elif replication(found, here.volume) in _SYNC_TARGET and not (served and group.policy.promote_while_syncing):
        why = "it receives a resync and has not everything yet"
        yield Refusal(2, about, why, "wait for it, or serve from the peer meanwhile", Until.SYNC)
    elif state in (DiskState.INCONSISTENT, DiskState.OUTDATED, DiskState.DISKLESS, DiskState.FAILED):
        if not served:
            why = f"its disk is {state.value}, and no connected peer is UpToDate"
            yield Refusal(2, about, why, "bring the peer back; its data are the good ones", Until.PEER)
        elif state not in (DiskState.DISKLESS, DiskState.FAILED) and not group.policy.promote_while_syncing:
            yield Refusal(
                2, about, f"its disk is {state.value}, the peer's is UpToDate", "wait for a resync", Until.SYNC
            )
    wanted, there = group.policy.minimum_up_to_date, up_to_date_replicas(found, here.volume)
    if here.disk is not DiskState.CONSISTENT and 0 < there < wanted:
        why = f"{there} of its replicas are UpToDate, and minimum_up_to_date is {wanted}"
        yield Refusal(2, about, why, "bring the other replicas back", Until.PEER)


def peer_not_primary(seen: Seen, group: Group) -> Verdict:
    """Rule 3: a connected Primary hands over by itself; one that is silent everywhere, DRBD asks if it lives."""
    return verdict(3, (_beside_a_primary(seen, group, each) for each in pending(seen, group) if _faces(seen, each)))


def _faces(seen: Seen, resource: GroupResource) -> bool:
    return peer_is_primary(seen.resource(resource.name))


def _beside_a_primary(seen: Seen, group: Group, resource: GroupResource) -> Refusal | str:
    if connected(seen.resource(resource.name)) and presumed_dead(seen, group, resource):
        return f"{resource.name}: its Primary is silent everywhere; to promote makes DRBD ask it, and fails if it lives"
    return Refusal(
        3, resource.name, "the peer is Primary", "`drbdctl move` there, or wait until it gives it up", Until.PEER
    )


def peer_agrees(seen: Seen, group: Group) -> Verdict:
    """Rule 4: a connected Secondary peer and UpToDate data here; the connection must be known to be alive.

    DRBD promotes without asking when the connection turns out to be dead: that is noticed only after link_timeout. It
    is alive when the peer was heard on VRRP just before we claimed the role, or is still there link_timeout after it.
    """
    return verdict(4, (each for resource in pending(seen, group) for each in _agreement(seen, resource)))


def _agreement(seen: Seen, resource: GroupResource) -> Iterator[Refusal | str]:
    found = seen.resource(resource.name)
    if not connected(found) or peer_is_primary(found):
        return
    heard, claimed = last_heard(seen), seen.claimed
    if claimed is not None and not resource.quorum and seen.at - claimed < resource.link_timeout:
        recent = MISSED * max((each.advert_int for each in seen.networks), default=0.0)
        if heard is None or heard < claimed - recent:
            why = "nobody was heard on VRRP, so the connection may be dead and DRBD not have noticed"
            left = resource.link_timeout - (seen.at - claimed)
            yield Refusal(4, resource.name, why, f"wait {left:.1f} s (ping-int and ping-timeout)", Until.TIME)
            return
    yield f"{resource.name}: the peer is connected and Secondary"


def fencing_settled(seen: Seen, group: Group) -> Verdict:
    """Rule 7: with fencing, DRBD asks the handler once for each attempt; that the peer is Primary is its last word."""
    return verdict(7, (each for resource in pending(seen, group) for each in _unsettled(seen, resource)))


def _unsettled(seen: Seen, resource: GroupResource) -> Iterator[Refusal]:
    found, sight = seen.resource(resource.name), seen.sight(resource.name)
    if connected(found):
        return
    fenced = resource.fencing is not Fencing.DONT_CARE
    if sight.fencing:
        yield Refusal(7, found.name, "the fence-peer handler is at work", "wait for it", Until.TIME)
    elif sight.fence == _FENCE_PEER_IS_PRIMARY:
        why = "the fence-peer handler said that the peer is Primary"
        yield Refusal(7, found.name, why, "mend the link; the peer has the data", Until.PEER)
    elif fenced and not resource.fence_handler:
        why = f"fencing {resource.fencing.value} and no fence-peer handler: DRBD refuses without its peer"
        yield Refusal(7, found.name, why, "configure one in drbd.conf, `handlers { fence-peer ... }`", Until.OPERATOR)
    for each in found.devices:
        if each.disk is DiskState.CONSISTENT and not fenced:
            soon = sight.link is Link.LOST and seen.at - lost_at(seen, sight) < resource.link_timeout
            why = "its disk is Consistent: DRBD does not know yet whether the peer has newer data"
            hint = "wait for it" if soon else "bring the peer back"
            yield Refusal(7, f"{found.name}/{each.volume}", why, hint, Until.TIME if soon else Until.PEER)


def never_forced(seen: Seen, group: Group) -> Verdict:
    """Rule 8: nothing here uses --force; what only --force can promote is for an operator, once."""
    return verdict(8, (each for resource in pending(seen, group) for each in _needs_force(seen, resource)))


def _needs_force(seen: Seen, resource: GroupResource) -> Iterator[Refusal]:
    found = seen.resource(resource.name)
    for volume in resource.volumes:
        here, identifiers = device(found, volume.number), seen.generation(resource, volume.number)
        new = identifiers is not None and identifiers.current == JUST_CREATED
        if here is None or here.disk is not DiskState.INCONSISTENT or served_by_peer(found, volume.number):
            continue
        about = f"{found.name}/{volume.number}"
        if new:
            hint = f"on the node whose disk counts: `drbdadm primary --force {found.name}`, and let it sync"
            yield Refusal(8, about, "it is new: neither side has data yet", hint, Until.OPERATOR)
        else:
            hint = "bring back the peer that it was syncing from; --force would make a mixture of old and new the truth"
            yield Refusal(8, about, "its data are a mixture of old and new", hint, Until.PEER)


def whole_group(seen: Seen, group: Group) -> Verdict:
    """Rule 9: a group is promoted whole or not at all, so all of it has to be there."""
    return verdict(9, (each for resource in group.resources for each in _missing(seen, resource)))


def _missing(seen: Seen, resource: GroupResource) -> Iterator[Refusal]:
    found = seen.resource(resource.name)
    up = f"`drbdadm up {resource.name}`" if seen.status.resources else f"`modprobe drbd; drbdadm up {resource.name}`"
    if not found.devices:
        yield Refusal(9, resource.name, "it is not up on this node", up, Until.MACHINE)
        return
    for volume in resource.volumes:
        if device(found, volume.number) is None:
            yield Refusal(9, f"{resource.name}/{volume.number}", "this volume is not up", up, Until.MACHINE)
    if resource.two_primaries and not seen.primary(resource):
        why = "it has two Primaries, which is its cluster file system's business, and is not Primary here"
        yield Refusal(9, resource.name, why, "promote it by what manages it (OCFS2, GFS2)", Until.OPERATOR)


def mount_points_free(seen: Seen, group: Group) -> Verdict:
    """Rule 10: a DRBD device of the group, never its disk, on a mount point where nothing else is."""
    return verdict(10, _mount_problems(seen, group))


def _mount_problems(seen: Seen, group: Group) -> Iterator[Refusal]:
    if seen.mounts is None and group.mounts:
        yield Refusal(10, "", "the mount table can't be read", "see /proc/self/mountinfo", Until.MACHINE)
        return
    for mount in group.mounts:
        minor = group.minor(mount)
        there = seen.mounted(mount.point)
        if minor is None:
            why = f"{mount.device} is no volume of this group"
            yield Refusal(10, mount.point, why, "mount the DRBD device, never the disk behind it", Until.OPERATOR)
        elif there is not None and (there.major, there.minor) != (DRBD_MAJOR, minor):
            why = f"{there.major}:{there.minor} is mounted there, and not {mount.device}"
            yield Refusal(10, mount.point, why, f"`umount {mount.point}`", Until.OPERATOR)
        elif mount.point in seen.no_directory:
            why = f"there is no such directory to mount {mount.device} on"
            yield Refusal(10, mount.point, why, f"`mkdir -p {mount.point}`", Until.MACHINE)
        elif there is None and (below := _below(seen, mount.point)):
            why = f"something is mounted below it, at {below}"
            yield Refusal(10, mount.point, why, f"`umount {below}`", Until.OPERATOR)


def _below(seen: Seen, point: str) -> str:
    return next((each.point for each in seen.mounts or () if each.point.startswith(f"{point.rstrip('/')}/")), "")


def can_be_verified(seen: Seen, group: Group) -> Verdict:
    """Rule 11: the address comes up only behind a service that was checked, so each must have a check."""
    hint = "give it a check: a command that ends with 0 while it works"
    return verdict(
        11,
        (
            Refusal(11, each.name, "nothing can tell whether it works", hint, Until.OPERATOR)
            for each in group.services
            if not each.checked
        ),
    )


def intent_recorded(seen: Seen, group: Group) -> Verdict:
    """Rule 12: what is about to be done is written down first, for whoever finds this node dead."""
    hint = "see the run directory: is it full or read-only?"
    found = [Refusal(12, "", f"the intent can't be written down: {seen.journal}", hint, Until.MACHINE)]
    return verdict(12, found if seen.journal else ())


Rule = Callable[[Seen, Group], Verdict]
PROMOTION: tuple[Rule, ...] = (
    starts_in_secondary,
    data_usable,
    peer_not_primary,
    peer_agrees,
    peer_silent,
    fresh_and_alone,
    fencing_settled,
    never_forced,
    whole_group,
    mount_points_free,
    can_be_verified,
    intent_recorded,
)
"rules 1 to 12, in their order"
