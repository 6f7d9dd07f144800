"""Whether this node may become Primary without its peer: rules 5 and 6.

Two questions, neither of which `UpToDate` answers. Are the data here all there is (fresh)? Is the peer kept from being
Primary, now and later (exclusive)? The peer's silence answers the second one only where the policy says so, and only
when it fell silent on all paths together: who is heard on VRRP after the link was lost went on writing without us; who
was silent on VRRP while DRBD still had it on the line is alive and can't be heard.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from drbdctl.failover.evidence import MISSED, Link, Network, Sight, Word
from drbdctl.failover.group import Group, GroupResource, Takeover
from drbdctl.failover.refusal import Refusal, Until, Verdict, verdict
from drbdctl.failover.seen import Seen
from drbdctl.status.generation import Generation
from drbdctl.status.peers import compared, connected, device
from drbdctl.status.words import DiskState, Role

FENCED = (4, 5, 7)
"exit statuses of fence-peer: the peer's disk is outdated, it is unreachable and taken for dead, it was shot"
_ACCEPT = "bring the peer back; if it is lost for good, `drbdctl promote --accept-stale`"


def peer_silent(seen: Seen, group: Group) -> Verdict:
    """Rule 5: without the connection, the other paths are asked first; who answers is not gone."""
    return verdict(5, (each for resource in _alone(seen, group) for each in silence(seen, group, resource)))


def fresh_and_alone(seen: Seen, group: Group) -> Verdict:
    """Rule 6: without the connection, or with a peer whose disk is gone, a promotion needs a proof."""
    return verdict(6, (each for resource in _up(seen, group) for each in _proofs(seen, group, resource)))


def _proofs(seen: Seen, group: Group, resource: GroupResource) -> Iterator[Refusal | str]:
    if not connected(seen.resource(resource.name)):
        yield from proof(seen, group, resource)
    elif not _quorate(seen, resource):
        for volume in resource.volumes:
            yield from _unvouched(seen, group, resource, volume.number)


def _unvouched(seen: Seen, group: Group, resource: GroupResource, volume: int) -> Iterator[Refusal]:
    """DRBD compares two disks when they connect; where one is gone, the other may be the older one."""
    found = seen.resource(resource.name)
    here, identifiers = device(found, volume), seen.generation(resource, volume)
    has_disk = here is not None and here.disk is DiskState.UP_TO_DATE
    written_here = has_disk and identifiers is not None and identifiers.wrote_alone and group.bitmap_proves(resource)
    if compared(found, volume) or volume in seen.sight(resource.name).complete or written_here:
        return
    where = "at the peer" if has_disk else "here"
    why = f"the disk {where} is gone, and nothing tells whether the other one has everything that was on it"
    hint = "bring that disk back; if it is lost for good, `drbdctl promote --accept-stale`"
    yield Refusal(6, f"{resource.name}/{volume}", why, hint, Until.OPERATOR)


def pending(seen: Seen, group: Group) -> tuple[GroupResource, ...]:
    """The resources that are still to be promoted."""
    return tuple(each for each in group.managed if not (seen.ours and seen.primary(each)))


def presumed_dead(seen: Seen, group: Group, resource: GroupResource) -> bool:
    """DRBD still takes the peer for connected, everything else says that it is gone, and rules 5 and 6 would hold."""
    found = (*silence(seen, group, resource), *proof(seen, group, resource))
    return not any(isinstance(each, Refusal) for each in found)


def _alone(seen: Seen, group: Group) -> tuple[GroupResource, ...]:
    return tuple(each for each in _up(seen, group) if not connected(seen.resource(each.name)))


def _up(seen: Seen, group: Group) -> tuple[GroupResource, ...]:
    """Those still to be promoted that are there; of one that is not up rule 9 speaks."""
    return tuple(each for each in pending(seen, group) if seen.resource(each.name).devices)


# --- rule 5: who can be heard ----------------------------------------------------------------------------------------


def silence(seen: Seen, group: Group, resource: GroupResource) -> Iterator[Refusal]:
    """What speaks against the peer's being gone, or keeps us from knowing."""
    now = seen.at
    for network in heard_lately(seen, group):
        ago = f"{max(0.0, now - (network.heard or 0.0)):.1f} s ago"
        why = f"the peer is not connected, and was heard on {network.name} {ago}"
        yield Refusal(5, resource.name, why, "mend the link, or have the peer leave: `drbdctl move`", Until.PEER)
    if _quorate(seen, resource):
        return
    if not seen.networks:
        why = "the peer is not connected, and nobody has listened for it: only the daemon does"
        yield Refusal(5, resource.name, why, "start pyvrrp, and ask it: `drbdctl why`", Until.OPERATOR)
    elif not any(network.up for network in seen.networks):
        why = "no network is up on which the peer could be heard, so its silence says nothing"
        yield Refusal(5, resource.name, why, "mend this node's network", Until.MACHINE)
    elif not any(network.up and now - network.since >= _wanted(network, group) for network in seen.networks):
        least = min(_wanted(network, group) for network in seen.networks)
        why = f"the peer has not been listened for during {least:g} s yet"
        yield Refusal(5, resource.name, why, "wait", Until.TIME)
    contact, heard = seen.contacts.get(resource.name), last_heard(seen)
    sight = seen.sight(resource.name)
    if contact is not None and (heard is None or contact >= heard) and not _seen_secondary(sight, contact):
        why = f"the peer was alive {now - contact:.0f} s ago and silent on VRRP, so its silence says nothing"
        yield Refusal(5, resource.name, why, f"look at the daemon there; {_ACCEPT}", Until.PEER)
    if group.policy.witness:
        yield from _witness(seen, group, resource)


def heard_lately(seen: Seen, group: Group) -> list[Network]:
    """The networks on which the peer is not silent yet."""
    return [each for each in seen.networks if each.heard is not None and seen.at - each.heard < _wanted(each, group)]


def _wanted(network: Network, group: Group) -> float:
    """Seconds of silence on a network that say something."""
    return max(group.policy.dead_interval, network.patience)


def _seen_secondary(sight: Sight, contact: float) -> bool:
    return sight.link is not Link.NEVER and sight.peer_role is Role.SECONDARY and sight.at > contact


def last_heard(seen: Seen) -> float | None:
    """The last advertisement of the peer on any network."""
    return max((each.heard for each in seen.networks if each.heard is not None), default=None)


def _witness(seen: Seen, group: Group, resource: GroupResource) -> Iterator[Refusal]:
    witness = seen.witness
    if witness is None or seen.at - witness.at > group.policy.dead_interval:
        yield Refusal(5, resource.name, "the witness has not been heard lately", "wait, or look at it", Until.TIME)
        return
    match witness.word:
        case Word.UNKNOWN:
            yield Refusal(5, resource.name, "the witness has not answered yet", "wait, or look at it", Until.TIME)
        case Word.UNREACHABLE:
            why = "neither the peer nor the witness can be reached: it may be this node that is cut off"
            yield Refusal(5, resource.name, why, "mend this node's network, or the witness", Until.MACHINE)
        case Word.PEER_ALIVE:
            why = "the witness says that the peer is alive"
            yield Refusal(5, resource.name, why, "mend the link, or switch the peer off", Until.PEER)
        case Word.REACHED | Word.PEER_DEAD:
            pass


# --- rule 6: is it all here, and is it ours alone --------------------------------------------------------------------


def proof(seen: Seen, group: Group, resource: GroupResource) -> Iterator[Refusal | str]:
    """A sentence for what proves it, or refusals."""
    name = resource.name
    found = [seen.generation(resource, volume.number) for volume in resource.volumes]
    identifiers = [each for each in found if each is not None]
    if _quorate(seen, resource):
        yield f"{name}: it has quorum"
    elif len(identifiers) < len(found):
        why = "its generation identifiers can't be read, and nothing else tells old data from new"
        yield Refusal(6, name, why, f"see `drbdadm get-gi {name}`", Until.MACHINE)
    elif all(each.wrote_alone for each in identifiers) and group.bitmap_proves(resource):
        yield f"{name}: its bitmap UUID says that this node wrote alone last"
    else:
        stale = _stale(seen, resource, identifiers)
        yield from (stale,) if stale is not None else _exclusive(seen, group, resource)


def _quorate(seen: Seen, resource: GroupResource) -> bool:
    devices = seen.resource(resource.name).devices
    return resource.quorum and bool(devices) and all(each.quorum is True for each in devices)


def _stale(seen: Seen, resource: GroupResource, identifiers: Sequence[Generation]) -> Refusal | None:
    """Why the data here may not be all there is."""
    name, sight = resource.name, seen.sight(resource.name)
    if sight.link is Link.NEVER:
        if all(each.wrote_alone for each in identifiers):
            why = "it wrote alone, and so may the peer have, which has not been seen since this daemon began"
        else:
            why = "its bitmap UUID is 0, and the peer has not been seen since this daemon began: it may have newer data"
        return Refusal(6, name, why, _ACCEPT, Until.OPERATOR)
    lost = lost_at(seen, sight)
    ago = f"{seen.at - lost:.0f} s ago"
    current = tuple(each.current & ~1 for each in identifiers)
    numbered = zip(resource.volumes, identifiers, strict=True)
    lacking = [str(each.number) for each, its in numbered if not (its.wrote_alone or each.number in sight.complete)]
    if lacking:
        why = f"when the peer was lost {ago}, volume {', '.join(lacking)} did not have everything here"
    elif sight.current and sight.current != current and not all(each.wrote_alone for each in identifiers):
        was, now = (f"{next(iter(each)):016X}" for each in (sight.current, current))
        why = f"its current UUID was {was} with the peer and is {now} now: something else has been at it"
    elif (heard := last_heard(seen)) is not None and heard > lost:
        why = (
            f"its bitmap UUID is 0, and the peer was heard on VRRP {heard - lost:.1f} s after the link was lost {ago}: "
            "it has gone on without this node, whose data are old, whatever UpToDate says"
        )
        return Refusal(6, name, why, f"mend the link and let it resync; {_ACCEPT}", Until.PEER)
    elif sight.cut_off:
        why = f"the witness was out of reach after the peer was lost {ago}: the peer may have taken over meanwhile"
    elif not any(each.up and each.since <= lost for each in seen.networks):
        why = f"no network was listened to without a break since the peer was lost {ago}: it may have gone on"
    elif sight.in_order and sight.peer_role is Role.PRIMARY:
        why = f"the peer was Primary and took the connection down by itself {ago}: it goes on alone"
    else:
        return None
    return Refusal(6, name, why, _ACCEPT, Until.OPERATOR)


def lost_at(seen: Seen, sight: Sight) -> float:
    """When the connection was missed; now, where DRBD has not noticed."""
    return sight.at if sight.link is Link.LOST else seen.at


def _exclusive(seen: Seen, group: Group, resource: GroupResource) -> Iterator[Refusal | str]:
    """What keeps the peer from being Primary."""
    name, sight, policy = resource.name, seen.sight(resource.name), group.policy
    ago = f"{seen.at - lost_at(seen, sight):.0f} s ago"
    if sight.in_order:
        yield f"{name}: the peer left in order {ago}, as Secondary, with the same data"
        return
    if sight.peer_role is Role.PRIMARY and resource.protocol != "C" and not policy.asynchronous_takeover:
        why = f"protocol {resource.protocol}: the last writes of the Primary that was lost may not have arrived here"
        hint = f"`asynchronous_takeover` accepts that; {_ACCEPT}"
        yield Refusal(6, name, why, hint, Until.OPERATOR)
    if sight.fence in FENCED:
        yield f"{name}: the fence-peer handler said {sight.fence} after the peer was lost {ago}"
    elif resource.fenced:
        yield f"{name}: DRBD has the peer fenced before it promotes"
    elif seen.witness is not None and seen.witness.word is Word.PEER_DEAD:
        yield f"{name}: the witness says that the peer is off"
    elif policy.takeover is Takeover.PROVEN:
        why = f"the peer was lost {ago}, and nothing proves that it is not Primary"
        hint = f"{_ACCEPT}; fencing, or `takeover availability_first`, does this without you"
        yield Refusal(6, name, why, hint, Until.OPERATOR)
    elif sight.peer_role is Role.PRIMARY and (deaf := _deaf(seen, resource, sight)):
        yield Refusal(6, name, deaf, f"look at the daemon there; {_ACCEPT}", Until.OPERATOR)
    else:
        yield f"{name}: the peer fell silent on every path (takeover availability_first)"


def _deaf(seen: Seen, resource: GroupResource, sight: Sight) -> str:
    """Why a Primary's silence on VRRP does not mean that it is dead."""
    heard = last_heard(seen)
    if heard is None:
        return "the peer was Primary and was never heard on VRRP, so its silence says nothing"
    late = lost_at(seen, sight) - heard
    if late > resource.link_timeout + MISSED * max(each.advert_int for each in seen.networks):
        return f"the peer's connection lived on for {late:.0f} s after it fell silent on VRRP: it may live"
    return ""
