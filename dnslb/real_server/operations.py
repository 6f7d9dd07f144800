"""The steps of plan.py, carried out and recorded; each function returns a line for each thing that it did.

All of them block for milliseconds and raise OSError, which names what was refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping

from dnslb.real_server import machine, plan, record, redirect
from dnslb.real_server.plan import SetSysctl, Take
from dnslb.real_server.record import Record
from dnslb.real_server.redirect import Rule
from dnslb.real_server.seen import Seen
from pyvrrp.core.events import IPAddress


def add(vips: Collection[IPAddress]) -> list[str]:
    """Put the VIPs on lo until they are removed, with the settings that hide them; all of it or nothing."""
    seen = machine.look()
    puts = plan.additions(vips, seen)
    new = {put.address for put in puts}
    with record.opened(record.path(), machine.net_namespace()) as noted:
        noted.added |= new
        noted.save()
        try:
            lines = _set(plan.settings(vips, seen, nonlocal_bind=False), noted)
            for put in puts:
                machine.put_on_loopback(put.address, put.seconds)
                lines.append(f"{put.address} is on lo now")
        except OSError:
            with contextlib.suppress(OSError):  # the first refusal is the one to be told
                _take(plan.removals(new, machine.look()))
                noted.added -= new
                _restore(noted)
            raise
    return lines


def add_redirect(vips: Collection[IPAddress], ports: Collection[int]) -> list[str]:
    """Redirect what comes for the VIPs to this node, until it is removed."""
    with record.opened(record.path(), machine.net_namespace()) as noted:
        before, wanted = dict(noted.redirected), sorted(set(ports))
        noted.redirected |= dict.fromkeys(vips, wanted)
        noted.save()
        redirect.replace(_rules(noted.redirected))
    at = ", ".join(map(str, wanted))
    return [f"{vip} port {at} is redirected to this node now" for vip in vips if before.get(vip) != wanted]


def remove(vips: Collection[IPAddress]) -> list[str]:
    """Undo what `add` and `add_redirect` did for these VIPs, and the settings when nothing needs them any more."""
    lines = []
    seen = machine.look()
    with record.opened(record.path(), machine.net_namespace()) as noted:
        lines += _take(plan.removals((vip for vip in vips if vip in _added(seen, noted)), seen))
        noted.added -= set(vips)
        if gone := [vip for vip in vips if vip in noted.redirected]:
            noted.redirected = {vip: ports for vip, ports in noted.redirected.items() if vip not in gone}
            redirect.replace(_rules(noted.redirected))
            lines += [f"{vip} is not redirected any more" for vip in gone]
        lines += _restore(noted)
    return lines


def added() -> tuple[set[IPAddress], set[IPAddress]]:
    """What was added on this node and not removed: on lo, and redirected."""
    noted = record.read(record.path(), machine.net_namespace())
    return _added(machine.look(), noted), set(noted.redirected)


def held() -> tuple[set[IPAddress], set[IPAddress]]:
    """What this node is a real server of: on lo, by `add` or as leases of a daemon, and redirected by `add`."""
    on_lo, redirected = added()
    return on_lo | {each.address for each in machine.look().marked()}, redirected


def _added(seen: Seen, noted: Record) -> set[IPAddress]:
    """The record may have gone with the run directory, when the daemon's unit was stopped."""
    return {each.address for each in seen.marked() if not each.leased} | noted.added


def tend(
    wanted: Collection[IPAddress], undecided: Collection[IPAddress], withdrawn: Collection[IPAddress], seconds: int
) -> list[str]:
    """Hold the wanted VIPs on lo for another `seconds`, take off what is withdrawn; the settings serve all of them.

    A setting that somebody changed back is set again.
    """
    seen = machine.look()
    every = {*wanted, *undecided, *withdrawn}
    with record.opened(record.path(), machine.net_namespace()) as noted:
        noted.daemon |= every
        noted.save()
        lines = _set(plan.settings(every, seen, nonlocal_bind=True), noted)
        for put in plan.renewals(wanted, seen, seconds):
            machine.put_on_loopback(put.address, put.seconds)
            if not seen.hidden(put.address):
                lines.append(f"{put.address} is on lo now")
        lines += _take(plan.withdrawals(withdrawn, seen))
    return lines


def leave(vips: Collection[IPAddress]) -> list[str]:
    """Take off lo what a daemon had put there, and put the settings back when nothing needs them any more."""
    seen = machine.look()
    with record.opened(record.path(), machine.net_namespace()) as noted:
        lines = _take(plan.withdrawals(vips, seen))
        noted.daemon -= set(vips)
        lines += _restore(noted)
    return lines


def _take(steps: Iterable[Take]) -> list[str]:
    lines = []
    for step in steps:
        machine.take_off_loopback(step.address)
        lines.append(f"{step.address} is not on lo any more")
    return lines


def _set(steps: Iterable[SetSysctl], noted: Record) -> list[str]:
    lines = []
    for step in steps:
        before = machine.read_sysctl(step.name)
        if before is None:  # IPv6 is switched off, for instance
            continue
        noted.remember(step.name, before, step.value)
        noted.save()
        machine.write_sysctl(step.name, step.value)
        lines.append(f"{step.name} is {step.value} now, it was {before}")
    return lines


def _restore(noted: Record) -> list[str]:
    """Put back what is still as we made it; what somebody has changed since is theirs."""
    lines = []
    for name, (before, ours) in list(noted.settings.items()) if noted.idle else ():
        if machine.read_sysctl(name) == ours:
            machine.write_sysctl(name, before)
            lines.append(f"{name} is {before} again")
        del noted.settings[name]
    return lines


def _rules(redirected: Mapping[IPAddress, Iterable[int]]) -> list[Rule]:
    return [(vip, port) for vip, ports in redirected.items() for port in ports]
