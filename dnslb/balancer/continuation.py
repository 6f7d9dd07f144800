"""What outlives the process: the descriptors that data planes live by, and which server has which slot.

The guard keeps them and hands them to the next process, whose data planes go on with the flows and counters they had.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Hashable, Mapping
from ipaddress import ip_address

_LOG = logging.getLogger("dnslb")
SLOTS = "slots"
"the name of the descriptor of a SlotBook, among those of an engine"
_SEPARATOR = "/"

Left = Mapping[str, int]
"descriptors of one interface: `slots`, and `ENGINE/PART` for what an engine calls PART"


def by_interface(descriptors: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """From the names that the guard keeps."""
    found: dict[str, dict[str, int]] = {}
    for name, descriptor in descriptors.items():
        interface, _, part = name.partition(_SEPARATOR)
        found.setdefault(interface, {})[part] = descriptor
    return found


def names(interface: str, left: Left) -> dict[str, int]:
    """The names that the guard is to keep."""
    return {f"{interface}{_SEPARATOR}{part}": descriptor for part, descriptor in left.items()}


def of_engine(left: Left) -> tuple[str, dict[str, int]]:
    """The engine whose descriptors these are, and they; empty when there is none."""
    for part in left:
        engine, separator, _ = part.partition(_SEPARATOR)
        if separator:
            begin = f"{engine}{_SEPARATOR}"
            return engine, {part.removeprefix(begin): fd for part, fd in left.items() if part.startswith(begin)}
    return "", {}


def kept_of_engine(engine: str, descriptors: Mapping[str, int]) -> dict[str, int]:
    """The reverse."""
    return {f"{engine}{_SEPARATOR}{part}": descriptor for part, descriptor in descriptors.items()}


def close(left: Left) -> None:
    """Close what nobody goes on with."""
    for descriptor in left.values():
        with contextlib.suppress(OSError):
            os.close(descriptor)


class SlotBook:
    """Which server has which slot, in memory that another process can go on with."""

    def __init__(self, descriptor: int | None = None) -> None:
        """None: an empty one."""
        self.descriptor = os.memfd_create("dnslb-slots") if descriptor is None else descriptor

    def read(self) -> dict[Hashable, int]:
        """By virtual server and address; what can't be read is told, and gives nothing."""
        try:
            size = os.fstat(self.descriptor).st_size
            found = json.loads(os.pread(self.descriptor, size, 0) or b"[]")
            return {(virtual, ip_address(address)): int(slot) for virtual, address, slot in found}
        except (OSError, ValueError, TypeError) as error:
            _LOG.error("the slots of the process before can't be read, TCP connections may break: %s", error)
            return {}

    def write(self, slots: Mapping[Hashable, int]) -> None:
        """Replace what is there."""
        rows = [[*map(str, key), slot] for key, slot in slots.items() if isinstance(key, tuple)]
        data = json.dumps(rows).encode()
        os.pwrite(self.descriptor, data, 0)
        os.ftruncate(self.descriptor, len(data))

    def close(self) -> None:
        """Forget it; the guard may have another descriptor of it."""
        os.close(self.descriptor)
