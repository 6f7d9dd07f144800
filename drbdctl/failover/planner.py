"""From what is seen to a plan; `drbdctl plan`, `drbdctl why` and the real thing ask the same functions.

plan_promote(seen, group)      promote all resources, mount, start the services, verify
plan_demote(seen, group)       stop the services, unmount, demote, in the reverse order (rules 13 to 16)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from drbdctl.failover.budget import Budget
from drbdctl.failover.group import Group, GroupResource
from drbdctl.failover.guard_rails import GUARD_RAILS
from drbdctl.failover.plan import (
    Demote,
    MountVolume,
    Plan,
    Planned,
    Promote,
    StartService,
    StopService,
    UnmountVolume,
    Verify,
)
from drbdctl.failover.refusal import Refusal, Until, Verdict
from drbdctl.failover.rules import PROMOTION
from drbdctl.failover.seen import DRBD_MAJOR, Mounted, Seen
from drbdctl.failover.takeover import pending


def judge(seen: Seen, group: Group, budget: Budget | None = None) -> tuple[Verdict, ...]:
    """What every rule of a promotion says, in their order; all of them are asked."""
    asked = GUARD_RAILS if seen.gap else (*PROMOTION, *GUARD_RAILS)  # of what can't be seen nothing else is true
    rules = [rule(seen, group) for rule in asked]
    return tuple(rules) if budget is None else (*rules, budget.verdict(seen.at))


def plan_promote(
    seen: Seen,
    group: Group,
    budget: Budget | None = None,
    *,
    accepted: frozenset[int] = frozenset(),
    verified: bool = False,
) -> Plan:
    """The way to serve; rules in `accepted` were set aside by an operator, `verified`: that step is done."""
    verdicts = judge(seen, group, budget)
    refusals = tuple(each for one in verdicts for each in one.refusals if each.rule not in accepted)
    because = tuple(each for one in verdicts for each in one.because)
    return Plan(tuple(_up(seen, group, because, verified)), refusals, because)


def _up(seen: Seen, group: Group, because: tuple[str, ...], verified: bool) -> Iterator[Planned]:
    deadlines = group.deadlines
    for resource in pending(seen, group):
        why = [each.removeprefix(f"{resource.name}: ") for each in because if each.startswith(f"{resource.name}: ")]
        yield Planned(Promote(resource.name), "; ".join(why), deadlines.promote)
    for mount in group.mounts:
        if seen.mounted(mount.point) is None:
            yield Planned(MountVolume(mount), "it is not mounted", deadlines.mount)
    for service in group.services:
        if seen.services.get(service.name) is not True:
            yield Planned(StartService(service.name), _state(seen, service.name), deadlines.start)
    if not verified:
        yield Planned(Verify(), "the addresses come up only behind what works", deadlines.verify)


def _state(seen: Seen, service: str) -> str:
    return "it does not run" if seen.services.get(service) is False else "whether it runs is not known"


def plan_demote(seen: Seen, group: Group) -> Plan:
    """The way to give everything back; each step only when those before it are done (rule 13)."""
    return Plan(tuple(_down(seen, group)), tuple(_held_up(seen, group)))


def _down(seen: Seen, group: Group) -> Iterator[Planned]:
    deadlines = group.deadlines
    for service in reversed(group.services):
        if (running := seen.services.get(service.name)) is not False:
            why = "it uses the storage" if running else "whether it runs is not known"
            yield Planned(StopService(service.name), why, deadlines.stop)
    for mount in reversed(group.mounts):
        if seen.mounts is None or _mounted(seen, group.minor(mount)):
            why = _users(seen.holders.get(mount.point, ()), group.policy.end_holders) or "it is mounted"
            yield Planned(UnmountVolume(mount, group.policy.end_holders), why, deadlines.unmount)
    for resource in reversed(group.managed):
        if not seen.secondary(resource):
            held = _users(seen.holders.get(resource.name, ()), end=False)
            yield Planned(Demote(resource.name), held or _role(seen, resource), deadlines.demote)


def _mounted(seen: Seen, minor: int | None) -> list[Mounted]:
    """Where a volume is mounted, in any mount namespace."""
    return [each for each in seen.mounts or () if (each.major, each.minor) == (DRBD_MAJOR, minor)]


def _users(holders: Iterable[str], end: bool) -> str:
    found = ", ".join(holders)
    if not found:
        return ""
    return f"in use by {found}{': SIGTERM, then SIGKILL for the processes' if end else ''}"


def _role(seen: Seen, resource: GroupResource) -> str:
    if not seen.trusted:
        return f"its role is not known: {seen.gap or 'a line of the status can not be read'}"
    return "it is Primary" if seen.primary(resource) else "not every volume is Secondary"


def _held_up(seen: Seen, group: Group) -> Iterator[Refusal]:
    """What would hang: rules 14 and 21."""
    for each in seen.stuck:
        hint = "see `dmesg`: it ends when its I/O does; otherwise only a reboot helps"
        yield Refusal(21, "", f"{each} hangs in the kernel", hint, Until.MACHINE)
    for resource in group.resources:
        suspended = seen.resource(resource.name).suspended
        minors = [volume.minor for volume in resource.volumes if _mounted(seen, volume.minor)]
        if minors and suspended not in (None, "no"):
            why = f"its I/O is suspended ({suspended}): to unmount it would hang until it goes on"
            hint = f"`drbdadm resume-io {resource.name}`, or let the fence handler answer"
            yield Refusal(14, resource.name, why, hint, Until.TIME)
