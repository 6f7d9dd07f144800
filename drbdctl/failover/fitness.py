"""Whether this node is fit to hold the address: for the tracker that lets its virtual router take part in the election.

Who could not promote even if the peer handed over or vanished now must not become MASTER at all (rule 20 among them);
who serves gives up only for what it knows to be broken, never for what it does not know (rule 23).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drbdctl.failover.budget import Budget
from drbdctl.failover.evidence import Link, Sight, Word
from drbdctl.failover.group import Group, GroupResource, Takeover
from drbdctl.failover.guard_rails import GUARD_RAILS
from drbdctl.failover.refusal import Refusal, Until, Verdict, verdict
from drbdctl.failover.rules import PROMOTION, data_lost, peer_agrees, peer_not_primary
from drbdctl.failover.seen import Seen
from drbdctl.failover.takeover import heard_lately, last_heard, lost_at, peer_silent, pending
from drbdctl.status.peers import connected, peer_is_primary, served_by_peer
from drbdctl.status.words import DiskState

_OF_THE_MOMENT = (peer_not_primary, peer_agrees, peer_silent)
"rules 3 to 5: the peer's going, or giving way, is what a standby waits for"


@dataclass(frozen=True, slots=True)
class Fitness:
    """A fault puts the virtual router into FAULT; what is degraded may lower its priority."""

    faults: tuple[Refusal, ...] = ()
    degraded: tuple[str, ...] = ()


def standby(seen: Seen, group: Group, budget: Budget, *, accepted: frozenset[int] = frozenset()) -> Fitness:
    """Of a node that does not serve."""
    lasting = (*(rule for rule in PROMOTION if rule not in _OF_THE_MOMENT), steady_before_fail_back)
    rules = GUARD_RAILS if seen.gap else (*lasting, *GUARD_RAILS)
    verdicts = (*(rule(seen, group) for rule in rules), budget.verdict(seen.at))
    return Fitness(tuple(each for one in verdicts for each in one.refusals if each.rule not in accepted))


def steady_before_fail_back(seen: Seen, group: Group) -> Verdict:
    """Rule 20: from a healthy Primary the role is taken back only after a while of being connected and UpToDate."""
    return verdict(20, (each for resource in pending(seen, group) for each in _unsteady(seen, group, resource)))


def _unsteady(seen: Seen, group: Group, resource: GroupResource) -> Iterator[Refusal]:
    found, sight, policy = seen.resource(resource.name), seen.sight(resource.name), group.policy
    if not connected(found):
        heard = last_heard(seen)
        if heard is not None and heard > _missed(seen, sight) and heard_lately(seen, group):
            why = "the peer serves, and is not connected, so this node can't take over from it"
            yield Refusal(20, resource.name, why, "mend the link", Until.PEER)
    elif peer_is_primary(found) and sight.steady_since is None:
        yield Refusal(20, resource.name, "the peer serves, and not everything is here", "wait for it", Until.SYNC)
    elif peer_is_primary(found) and seen.at - (sight.steady_since or 0.0) < policy.fail_back_delay:
        why = f"the peer serves, and everything has been here for {seen.at - (sight.steady_since or 0.0):.0f} s only"
        yield Refusal(20, resource.name, why, f"fail_back_delay is {policy.fail_back_delay:g} s", Until.TIME)


def _missed(seen: Seen, sight: Sight) -> float:
    """When the connection was missed; a peer that was never connected has been missed all the time."""
    return float("-inf") if sight.link is Link.NEVER else lost_at(seen, sight)


def serving(seen: Seen, group: Group) -> Fitness:
    """Of a node that serves; whether it is cut off it has to know even while DRBD can't be seen."""
    cut_off = tuple(_cut_off(seen, group))
    if not seen.trusted:
        return Fitness(cut_off)
    return Fitness((*_broken(seen, group), *cut_off), tuple(_degraded(seen, group)))


def _broken(seen: Seen, group: Group) -> Iterator[Refusal]:
    for resource in group.resources:
        if seen.demoted(resource):
            yield Refusal(11, resource.name, "it is not Primary any more", "see who demoted it", Until.OPERATOR)
        yield from data_lost(seen, resource)
    for mount in group.mounts if seen.mounts is not None else ():
        there = seen.mounted(mount.point)
        hint = "see `dmesg`"
        if there is None:
            yield Refusal(11, mount.point, "it is not mounted any more", hint, Until.OPERATOR)
        elif there.read_only and "ro" not in mount.options.split(","):
            yield Refusal(11, mount.point, "its file system has become read-only", hint, Until.OPERATOR)
    for service in group.services:
        if seen.services.get(service.name) is False:
            yield Refusal(11, service.name, "it does not work any more", "see its log", Until.MACHINE)


def _cut_off(seen: Seen, group: Group) -> Iterator[Refusal]:
    if isolated(seen, group):
        why = "neither the peer nor the witness is reached, so the peer may take over"
        yield Refusal(5, "", why, "mend this node's network", Until.MACHINE)


def isolated(seen: Seen, group: Group) -> bool:
    """A Primary that the peer may take for dead: no connection, nobody heard, no witness, for isolation_interval.

    A connection that can't be seen is none: the peer counts on this node's giving up.
    """
    policy, witness, heard = group.policy, seen.witness, last_heard(seen)
    if not policy.witness or policy.takeover is Takeover.PROVEN or witness is None or not group.managed:
        return False
    sights = [seen.sight(each.name) for each in group.managed]
    lost = [lost_at(seen, each) for each in sights if each.link is not Link.NEVER]
    alone = all(not connected(seen.resource(each.name)) for each in group.managed)
    times = [*lost, *(each for each in (heard, witness.reached) if each is not None)]
    return alone and witness.word is Word.UNREACHABLE and seen.at - max(times, default=0.0) >= policy.isolation_interval


def _degraded(seen: Seen, group: Group) -> Iterator[str]:
    for resource in group.resources:
        found = seen.resource(resource.name)
        if seen.sight(resource.name).split_brain:
            yield f"{found.name}: split brain: `drbdctl split-brain {found.name}`"
        if not connected(found):
            yield f"{found.name}: the peer is not connected: there is no second copy of what is written now"
        for each in found.devices:
            if each.disk is not DiskState.UP_TO_DATE and served_by_peer(found, each.volume):
                yield f"{found.name}/{each.volume}: its disk is {each.disk.value}: the peer's is used"
