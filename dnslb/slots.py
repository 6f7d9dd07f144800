"""Which slot of the forwarding a server has: the same one as long as it is configured; pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping

from dnslb.forwarding import MAX_SLOTS


class Slots:
    """The slots of one interface's forwarding, shared by all its virtual servers."""

    def __init__(self, count: int = MAX_SLOTS, taken: Mapping[Hashable, int] | None = None) -> None:
        """`taken`: slots that servers had before, in another process."""
        self._taken: dict[Hashable, int] = dict(taken or {})
        self._free = deque(slot for slot in range(count) if slot not in self._taken.values())

    @property
    def taken(self) -> Mapping[Hashable, int]:
        """The slot of each server that has one."""
        return self._taken

    def claim(self, server: Hashable) -> int:
        """The slot of a server, perhaps a new one; LookupError when none is free.

        The one that has been free longest is given out first: flow tables remember slots for a while.
        """
        if server not in self._taken:
            if not self._free:
                raise LookupError(f"all {len(self._taken)} slots are taken")
            self._taken[server] = self._free.popleft()
        return self._taken[server]

    def release(self, server: Hashable) -> None:
        """Give a slot back; one that was never claimed is no error."""
        slot = self._taken.pop(server, None)
        if slot is not None:
            self._free.append(slot)
