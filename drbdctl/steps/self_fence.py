"""Takes this machine down at once, without a sync: a write that hangs must not reach the disk after the peer took over.

A watchdog is armed first, where there is one: it resets the machine even when the kernel can't do so itself any more.
Then sysrq, which resets it now.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
from contextlib import suppress
from pathlib import Path

_LOG = logging.getLogger("pyvrrp.drbdctl")
WATCHDOGS = ("/dev/watchdog0", "/dev/watchdog")
SYSRQ = Path("/proc/sys/kernel/sysrq")
TRIGGER = Path("/proc/sysrq-trigger")
_TIMEOUT = 2
"seconds; a watchdog that can't be so quick takes its shortest"
_WDIOC_SETTIMEOUT = 0xC0045706
"linux/watchdog.h: _IOWR('W', 6, int)"


def go_down(why: str) -> None:
    """Does not come back, where it can be done at all."""
    _LOG.critical("%s: this machine resets itself", why)
    armed = _arm()
    try:
        with suppress(OSError):  # the trigger works whatever the switch says, for root
            SYSRQ.write_text("1")
        TRIGGER.write_text("b")
    except OSError as error:
        if armed:
            _LOG.critical("%s: no sysrq (%s); %s resets it within seconds", why, error.strerror, armed)
        else:
            _LOG.critical("%s: it can't be reset: no watchdog, and no sysrq (%s); switch it off", why, error.strerror)


def _arm() -> str:
    """Open a watchdog and never serve it: its name; empty: there is none, or somebody has it."""
    for path in WATCHDOGS:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            continue
        with suppress(OSError):
            fcntl.ioctl(descriptor, _WDIOC_SETTIMEOUT, struct.pack("i", _TIMEOUT))
        return path
    return ""
