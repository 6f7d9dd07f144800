"""Asking this node's DRBD: /proc/drbd, then with 9 `drbdsetup status --json`; nothing is changed, no module is loaded.

drbdsetup loads the kernel module when it is asked without one, so /proc/drbd comes first.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from drbdctl.status import proc_drbd
from drbdctl.status.drbdsetup_json import parse_json
from drbdctl.status.state import NotLoaded, Status, Unreadable

PROC = "/proc/drbd"
CONFIG = "/etc/drbd.conf"
STATUS_COMMAND = ("drbdsetup", "status", "--json")
EVENTS_COMMAND = ("drbdsetup", "events2", "--timestamps")
DEADLINE = 10.0
_MISSING = "drbdsetup is not installed; install drbd-utils"
NOT_LOADED = (
    "DRBD is not here: its kernel module is not loaded (there is no /proc/drbd); `modprobe drbd`, then `drbdadm up all`"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was seen, and who said it."""

    status: Status
    source: str
    release: str
    "of the kernel module"


def node_status(proc: str = PROC, config: str = CONFIG) -> Answer:
    """The state of this node, or of the file in place of /proc/drbd.

    Raises Unreadable when DRBD is not there or can't be asked: one sentence.
    """
    content = _read(proc)
    found = proc_drbd.parse(content)
    if not found.release:
        raise Unreadable(f"{proc} does not begin with DRBD's version; is this the file?")
    if found.names_resources:
        if proc != PROC:
            raise Unreadable(
                f"{proc} is of DRBD {found.release}, which tells its state in `drbdsetup status --json` only"
            )
        return Answer(parse_json(run(STATUS_COMMAND)), " ".join(STATUS_COMMAND), found.release)
    return Answer(proc_drbd.status(found, _names(config)), proc, found.release)


def run(command: Sequence[str], deadline: float = DEADLINE) -> str:
    """The output of a command that changes nothing.

    Raises Unreadable when it is not there, fails, or takes longer than `deadline` seconds.
    """
    text = " ".join(command)
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=deadline,
            check=False,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
    except FileNotFoundError:
        raise Unreadable(_MISSING) from None
    except OSError as error:
        raise Unreadable(f"{text}: {error.strerror}; see its permissions") from None
    except subprocess.TimeoutExpired:
        raise Unreadable(f"{text}: no answer within {deadline:g} s; see `dmesg` for a hung DRBD") from None
    if done.returncode:
        said = " ".join(done.stderr.split())[:200] or "it said nothing"
        raise Unreadable(f"{text}: exit status {done.returncode}, {said}")
    return done.stdout


def follow(proc: str = PROC) -> Iterator[str]:
    """The lines of `drbdsetup events2` as they come, whole ones only; it ends when that does.

    Raises Unreadable when DRBD or drbdsetup is not there.
    """
    _read(proc)
    try:
        process = subprocess.Popen(EVENTS_COMMAND, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise Unreadable(_MISSING if isinstance(error, FileNotFoundError) else f"drbdsetup: {error.strerror}") from None
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.endswith(b"\n"):
                yield line.decode("utf-8", "replace")
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):  # in D state it dies when the kernel lets it
            process.wait(timeout=1.0)


def _read(proc: str) -> bytes:
    try:
        return Path(proc).read_bytes()
    except FileNotFoundError:
        if proc == PROC:
            raise NotLoaded(NOT_LOADED) from None
        raise Unreadable(f"there is no file {proc}") from None
    except OSError as error:
        raise Unreadable(f"{proc} can't be read: {error.strerror}") from None


def _names(config: str) -> dict[int, tuple[str, int]]:
    """The resources behind the minors; without a readable configuration none is known."""
    from drbdctl.drbd_conf import load

    try:
        return load(config).config.minors(os.uname().nodename)
    except OSError:
        return {}
