"""Moving the process into a network namespace before it opens anything."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_NAMED = Path("/run/netns")


def enter_namespace(name: str) -> None:
    """Enter the namespace that `ip netns add NAME` made; only this thread and those it starts afterwards.

    Raises OSError with the namespace as its file name.
    """
    path = _NAMED / name
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)  # os.setns is Python 3.12
        if libc.setns(fd, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(fd)
