"""The capabilities the daemon works with, and which of them this process lacks."""

from __future__ import annotations

from pathlib import Path

_CAPABILITIES = {"CAP_NET_RAW": (13, "VRRP and ARP sockets"), "CAP_NET_ADMIN": (12, "addresses")}
"name: bit (linux/capability.h), what it is for"


class MissingCapability(Exception):
    """The kernel refused something for want of a capability; the text is one line and says what to do."""

    def __init__(self, *names: str) -> None:
        wants = ", ".join(f"{name} ({_CAPABILITIES[name][1]})" for name in names)
        super().__init__(f"missing {wants}: run as root, or grant it (systemd: AmbientCapabilities={' '.join(names)})")
        self.names = names


def missing(*names: str) -> list[str]:
    """Those of the named capabilities that are not effective; without names, all that the daemon works with.

    Raises OSError when /proc is not there.
    """
    status = Path("/proc/self/status").read_text()
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    return [name for name in names or _CAPABILITIES if not effective >> _CAPABILITIES[name][0] & 1]
