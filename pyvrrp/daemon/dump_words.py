"""What keepalived's text and JSON dumps say in the same words."""

from __future__ import annotations

from datetime import datetime

from pyvrrp.config.model import Command, VirtualAddress, VrrpInstance
from pyvrrp.daemon.status import InstanceStatus

_SCOPES = {0: "global", 200: "site", 253: "link", 254: "host"}


def error_count(instance: InstanceStatus, reason: str) -> int:
    """Packets refused for this reason; a differing address list counts as one, as in keepalived, though accepted."""
    accepted = instance.counters["address_list_mismatches"] if reason == "address_list_errors" else 0
    return instance.discarded[reason] + accepted


def address_lines(now: InstanceStatus, made: VrrpInstance) -> tuple[list[str], list[str]]:
    """The advertised and the excluded VIPs, a line each: `192.0.2.1/24 dev eth0 scope global set`."""
    held = {(each.address, each.device) for each in now.addresses if each.held}
    lines: tuple[list[str], list[str]] = ([], [])
    for vip in made.virtual_addresses:
        lines[vip.excluded].append(_address(vip) + " set" * ((str(vip.interface), vip.device) in held))
    return lines


def _address(vip: VirtualAddress) -> str:
    host = vip.interface.network.prefixlen == vip.address.max_prefixlen
    words = [str(vip.address if host else vip.interface)]
    if vip.broadcast:
        words += ["brd", str(vip.broadcast)]
    words += ["dev", vip.device, "scope", _SCOPES.get(vip.scope, str(vip.scope))]
    if vip.label:
        words += ["label", vip.label]
    if vip.peer:
        words += ["peer", str(vip.peer)]
    words += [word for word in ("home", "mngtmpaddr", "noprefixroute", "autojoin", "no_track") if getattr(vip, word)]
    if vip.address.version == 6 and not vip.nodad:
        words.append("-nodad")
    if vip.preferred_lft == 0:
        words.append("deprecated")
    elif vip.preferred_lft is not None:
        words.append(f"preferred_lft {vip.preferred_lft}")
    elif vip.address.version == 6:
        words.append("preferred_lft forever")
    return " ".join(words)


def command(script: Command) -> str:
    """The words of a command, each in quotes."""
    return " ".join(f"'{word}'" for word in script.argv)


def seconds(moment: str) -> float:
    """A point in time of the snapshot as seconds since the epoch."""
    return datetime.fromisoformat(moment).timestamp()
