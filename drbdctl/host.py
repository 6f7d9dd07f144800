"""What this machine is, for the checks of a drbd.conf: names, addresses, file modes, units enabled at boot.

Everything is read; nothing is changed. What can't be found out is None and its check is left out.
"""

from __future__ import annotations

import ipaddress
import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

BOOT_UNITS = ("drbd.service", "nfs-server.service", "nfs-kernel-server.service")
_SYSTEMCTL_DEADLINE = 5.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What the checks ask about the machine they run on."""

    name: str
    "as `uname -n` says it"
    addresses: frozenset[str] | None = None
    "IPv4 and IPv6, as ipaddress writes them"
    modes: dict[str, int] = field(default_factory=dict)
    "the permission bits of the configuration files"
    boot_units: tuple[str, ...] = ()
    "those of BOOT_UNITS that are enabled"


def look(files: Iterable[str]) -> Machine:
    """What is known of the machine this runs on, with the modes of `files`."""
    modes: dict[str, int] = {}
    for file in files:
        try:
            modes[file] = os.stat(file).st_mode & 0o7777
        except OSError:
            continue
    return Machine(os.uname().nodename, local_addresses(), modes, enabled_units())


def local_addresses(proc: Path = Path("/proc/net")) -> frozenset[str] | None:
    """The addresses of this network namespace, without asking netlink; None when /proc does not tell."""
    try:
        found = local_ipv4((proc / "fib_trie").read_text())
    except OSError:
        return None
    try:
        lines = (proc / "if_inet6").read_text().splitlines()
    except OSError:  # IPv6 is switched off
        lines = []
    return found | {str(ipaddress.IPv6Address(int(line.split()[0], 16))) for line in lines if line}


def local_ipv4(fib_trie: str) -> frozenset[str]:
    """The addresses that /proc/net/fib_trie has as `host LOCAL`."""
    return frozenset(re.findall(r"\|-- ([0-9.]+)\n\s+/32 host LOCAL", fib_trie))


def enabled_units(command: str = "systemctl", units: tuple[str, ...] = BOOT_UNITS) -> tuple[str, ...]:
    """Those that systemd starts at boot; none where systemctl is not there or does not answer."""
    # An unknown unit has its answer on stderr, so each is asked for by itself.
    return tuple(unit for unit in units if _enabled(command, unit))


def _enabled(command: str, unit: str) -> bool:
    try:
        done = subprocess.run(
            [command, "is-enabled", unit],
            capture_output=True,
            timeout=_SYSTEMCTL_DEADLINE,
            check=False,
            stdin=subprocess.DEVNULL,
            text=True,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    # The exit status is 0 also for `alias`, `static` and `indirect`, which start nothing at boot.
    return done.stdout.strip() in ("enabled", "enabled-runtime")
