"""Whether drbd-utils and the kernel module fit each other; pure."""

from __future__ import annotations

import re

_CODE = re.compile(r"DRBDADM_VERSION_CODE=0x([0-9a-fA-F]{6})\b")


def utilities(said: str) -> tuple[int, int, int] | None:
    """The version of drbd-utils in the output of `drbdadm --version`; None: it does not say."""
    match = _CODE.search(said)
    if match is None:
        return None
    code = int(match[1], 16)
    return code >> 16, code >> 8 & 0xFF, code & 0xFF


def misfit(module: str, said: str) -> str:
    """Why they do not fit, for the release of /proc/drbd and the output of `drbdadm --version`; empty: they do.

    drbd-utils 9 drive every module from 8.3 on; older ones do not know module 9 (LINBIT/drbd-utils, drbdadm_main.c).
    """
    tools = utilities(said)
    if not module or tools is None or not module.startswith("9.") or tools[0] >= 9:
        return ""
    return f"drbd-utils {'.'.join(map(str, tools))} can't drive DRBD {module}, the kernel's module"
