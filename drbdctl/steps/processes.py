"""The processes of this machine by name, cheaply: they are looked for every second, where there may be thousands."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from drbdctl.steps.effect import StepFailed, until

_COMM = 15
"bytes of a name that the kernel keeps"


def named(name: str, proc: str = "/proc") -> list[int]:
    """The processes of a name, kernel threads too.

    Of the others only the name is read: the command line of one that hangs in the kernel can make its reader hang too.
    """
    wanted = name.encode()[:_COMM] + b"\n"
    found = []
    with suppress(OSError):
        for each in os.listdir(proc):
            if each.isdecimal() and _first_bytes(f"{proc}/{each}/comm") == wanted:
                found.append(int(each))
    return found


def _first_bytes(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 64)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def running(program: str) -> Iterator[tuple[int, list[str]]]:
    """The processes of a program, with their command lines."""
    for pid in named(program):
        with suppress(OSError):
            argv = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            if argv and os.path.basename(argv[0]) == program:
                yield pid, argv


def has_open(pid: int, end: str) -> bool:
    """Whether a process has a file open whose path ends so."""
    with suppress(OSError):
        for each in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if os.readlink(each).endswith(end):
                    return True
    return False


def alive(pid: int) -> bool:
    """Whether it is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


async def end(pids: Sequence[int], deadline: float) -> None:
    """SIGTERM, then SIGKILL, and wait until they are gone; raises StepFailed."""
    began = time.monotonic()
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        left = deadline / 2 if number is signal.SIGTERM else deadline - (time.monotonic() - began)
        if await until(lambda: not any(map(alive, pids)), left):
            return
    raise StepFailed(f"processes {', '.join(map(str, filter(alive, pids)))} do not end", stuck=True)
