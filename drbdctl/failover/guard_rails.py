"""The rules before any promotion, whatever DRBD says: 17 split brain, 21 hanging commands, 22 to 25 what is known.

Rule 26, how often automation may act, is in drbdctl.failover.budget; rule 20, giving the role back, in
drbdctl.failover.fitness.
"""

from __future__ import annotations

from collections.abc import Iterator

from drbdctl.failover.group import Group
from drbdctl.failover.refusal import Refusal, Until, Verdict, verdict
from drbdctl.failover.seen import Seen
from drbdctl.status.state import Resource
from drbdctl.status.words import ConnectionState, DiskState, ReplicationState, Role


def no_split_brain(seen: Seen, group: Group) -> Verdict:
    """Rule 17: two sides have written; from then on only a human decides whose data are dropped."""
    why = "DRBD has found a split brain: both sides have data that the other lacks; nothing is done by itself any more"
    return verdict(
        17,
        (
            Refusal(17, each.name, why, f"compare the sides: `drbdctl split-brain {each.name}`", Until.OPERATOR)
            for each in group.managed
            if seen.sight(each.name).split_brain
        ),
    )


def nothing_stuck(seen: Seen, group: Group) -> Verdict:
    """Rule 21: beside a command that hangs in the kernel no other one is started."""
    hint = "see `dmesg`: it ends when its I/O does; otherwise only a reboot helps"
    return verdict(21, (Refusal(21, "", f"{each} hangs in the kernel", hint, Until.MACHINE) for each in seen.stuck))


def sources_agree(seen: Seen, group: Group) -> Verdict:
    """Rule 22: a status with a gap, or two sources that disagree, is no base to act on."""
    return verdict(
        22,
        [Refusal(22, "", f"what DRBD does can't be seen: {seen.gap}", "it is looked at again by itself", Until.TIME)]
        if seen.gap
        else (),
    )


def all_known(seen: Seen, group: Group) -> Verdict:
    """Rule 23: what can't be read, or is a word that is not known here, is unknown, and unknown never promotes."""
    return verdict(23, _unknown(seen, group))


def _unknown(seen: Seen, group: Group) -> Iterator[Refusal]:
    report = "please report it with the output of `drbdctl status --json`"
    for line in seen.status.unread:
        yield Refusal(23, "", f"a line of the status can't be read: {line[:60]!r}", report, Until.TIME)
    for resource in group.resources:
        found = seen.status.resource(resource.name)
        for what in () if found is None else _odd(found):
            yield Refusal(23, resource.name, what, report, Until.TIME)


def _odd(found: Resource) -> Iterator[str]:
    roles = {each.role or found.role for each in found.devices} or {found.role}
    if not roles <= {Role.PRIMARY, Role.SECONDARY}:
        yield "its role is not known"
    if found.suspended is None:
        yield "whether its I/O is suspended is not known"
    for each in found.devices:
        if each.disk in (DiskState.UNRECOGNIZED, DiskState.D_UNKNOWN):
            yield f"the state of the disk of volume {each.volume} is not known"
    for link in found.connections:
        if link.connection is ConnectionState.UNRECOGNIZED:
            yield f"the state of the connection to {link.name} is not known"
        elif link.connection is ConnectionState.CONNECTED and link.peer_role not in (Role.PRIMARY, Role.SECONDARY):
            yield f"the role of {link.name} is not known"
        for peer in link.peer_devices if link.connection is ConnectionState.CONNECTED else ():
            if DiskState.UNRECOGNIZED is peer.peer_disk or peer.replication is ReplicationState.UNRECOGNIZED:
                yield f"the state of volume {peer.volume} at {link.name} is not known"


def machine_checked(seen: Seen, group: Group) -> Verdict:
    """Rules 24 and 25: what the checks of drivers and machine have found."""
    return Verdict(25, seen.checks)


GUARD_RAILS = (no_split_brain, nothing_stuck, sources_agree, all_known, machine_checked)
