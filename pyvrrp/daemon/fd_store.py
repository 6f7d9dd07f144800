"""Descriptors that the guard keeps, by owner and name: what they stand for does not end with the process that made it.

The speaker tells an owner's set over its channel, with the member `store`; a set replaces the one before. The guard's
first word to each speaker is `stored`: the names of all that it keeps, with duplicates of the descriptors. It says so
also when there are none: a guard that says nothing is of a version that keeps nothing. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Collection, Mapping
from itertools import chain

CAPACITY = 253
"descriptors in all: so many go with one message (SCM_MAX_FD)"
LONGEST_NAME = 48
"printable ASCII characters in the name of an owner, or of a descriptor: those of all must go into one message"
MESSAGE_BYTES = 65536
_FD = 4
"octets"

Sets = Mapping[str, Mapping[str, int]]
"by owner and name"


class FdStore:
    """What the guard keeps; nothing that it is asked to keep makes it fail."""

    def __init__(self) -> None:
        self._sets: dict[str, dict[str, int]] = {}

    def replace(self, owner: object, names: object, descriptors: list[int]) -> None:
        """Keep these for an owner, and no others; those that are kept are taken out of the list.

        A set that can't be kept whole is not kept at all, and the one before is out of date: it goes too.
        """
        if not isinstance(owner, str):
            return
        close(self._sets.pop(owner, {}).values())
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return
        if names and len(set(names)) == len(descriptors) and not misfit(owner, names, self._count()):
            self._sets[owner] = dict(zip(names, descriptors, strict=True))
            descriptors.clear()

    def clear(self) -> None:
        """Keep nothing."""
        for kept in self._sets.values():
            close(kept.values())
        self._sets.clear()

    def hand_over(self, channel: socket.socket) -> None:
        """Say `stored` to a speaker; where the kernel refuses to hand the descriptors over, nothing is kept."""
        try:
            self._say(channel)
        except OSError:  # too many are on their way (RLIMIT_NOFILE), say
            self.clear()
            with contextlib.suppress(OSError):
                self._say(channel)

    def _say(self, channel: socket.socket) -> None:
        message = json.dumps({"stored": {owner: [*kept] for owner, kept in self._sets.items()}}).encode()
        socket.send_fds(channel, [message], [*chain.from_iterable(kept.values() for kept in self._sets.values())])

    def _count(self) -> int:
        return sum(map(len, self._sets.values()))


def misfit(owner: str, names: Collection[str], others: int) -> str:
    """Why a set can't be kept beside `others` descriptors, in a sentence; empty: it can."""
    if len(names) > CAPACITY - others:
        return f"it has {len(names)} descriptors, and there is room for {CAPACITY - others} more"
    bad = next((name for name in (owner, *names) if not _is_name(name)), None)
    return "" if bad is None else f"the name {bad[:LONGEST_NAME]!a} is not of 1 to {LONGEST_NAME} printable characters"


def receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    """The next message, and its descriptors, which no child inherits; raises OSError."""
    space = socket.CMSG_SPACE(CAPACITY * _FD)
    message, ancillary, _, _ = channel.recvmsg(MESSAGE_BYTES, space, socket.MSG_CMSG_CLOEXEC)
    data = b"".join(each for level, kind, each in ancillary if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS))
    return message, [*memoryview(data[: len(data) // _FD * _FD]).cast("i")]


def stored(channel: socket.socket) -> Sets | None:
    """What the guard has kept from the speaker before, ours from now on; None: it keeps nothing. Does not block."""
    descriptors: list[int] = []
    try:
        message, descriptors = receive(channel)
        names = json.loads(message)["stored"]
        if sum(map(len, names.values())) != len(descriptors):
            raise ValueError("descriptors are missing")  # more than we may have open (RLIMIT_NOFILE)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        close(descriptors)
        return None
    each = iter(descriptors)
    return {owner: {name: next(each) for name in some} for owner, some in names.items()}


def _is_name(name: str) -> bool:
    return 0 < len(name) <= LONGEST_NAME and name.isascii() and name.isprintable()


def close(descriptors: Collection[int]) -> None:
    """Close descriptors that were received."""
    for descriptor in descriptors:
        os.close(descriptor)
