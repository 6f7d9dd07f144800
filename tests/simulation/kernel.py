"""What a machine's kernel does for the addresses: it holds them on lease, and goes on without the daemon."""

from collections.abc import Callable

from tests.simulation.world import Clock, World

LATENESS = (0.0, 0.27)
"""Seconds by which the kernel takes an address off late, measured: the least, the most (see pyvrrp.host.leases)."""
WORST_LATENESS = (0.0, 0.94)
"the same when other leases of the machine are renewed meanwhile"


class Kernel:
    """The addresses of each virtual router (VRID) on one machine; `changed` is called when they come or go."""

    def __init__(
        self, world: World, clock: Clock, lateness: tuple[float, float], changed: Callable[[int, str], None]
    ) -> None:
        self.running = True
        self.resumed = float("-inf")
        "when it last went on after a standstill, on the machine's clock"
        self._world = world
        self._clock = clock
        self._lateness = lateness
        self._changed = changed
        self._ends: dict[int, float | None] = {}
        "when the lease ends on the machine's clock; None: never"
        self.since: dict[int, float] = {}
        "when the addresses were put on, on that clock"
        self._watched: set[int] = set()
        "leases whose end is on the agenda"

    def has(self, vrid: int) -> bool:
        return vrid in self._ends

    def put(self, vrid: int, seconds: float | None) -> None:
        """Put them on, on lease; None: they stay until they are removed."""
        self.since[vrid] = self._clock.local(self._world.now)
        self.renew(vrid, seconds)

    def renew(self, vrid: int, seconds: float | None) -> None:
        """The lease begins anew; what had run out comes back."""
        here = vrid in self._ends
        now = self._clock.local(self._world.now)
        self._ends[vrid] = None if seconds is None else now + seconds
        if not here:
            self.since[vrid] = now
            self._changed(vrid, "comes up")
        self._watch(vrid)

    def remove(self, vrid: int, why: str = "is removed") -> None:
        if vrid in self._ends:
            del self._ends[vrid]
            self._changed(vrid, why)

    def clear(self) -> None:
        """The power fails."""
        for vrid in list(self._ends):
            self.remove(vrid, "is gone with the power")

    def halt(self) -> None:
        """It does not run: nobody answers, no lease ends."""
        self.running = False
        for vrid in self._ends:
            self._changed(vrid, "stops answering")

    def resume(self) -> None:
        """It runs again, and looks at its leases."""
        self.running = True
        self.resumed = self._clock.local(self._world.now)
        for vrid in self._ends:
            self._changed(vrid, "answers again")
            self._watch(vrid)

    def _watch(self, vrid: int) -> None:
        end = self._ends.get(vrid)
        if end is not None and vrid not in self._watched:
            self._watched.add(vrid)
            self._world.at(max(self._world.now, self._clock.world(end)), lambda: self._look(vrid))

    def _look(self, vrid: int) -> None:
        self._watched.discard(vrid)
        end, now = self._ends.get(vrid), self._world.now
        if end is None or not self.running:
            return
        if self._clock.world(end) > now:
            self._watch(vrid)
        else:
            self._watched.add(vrid)
            self._world.at(now + self._world.random.uniform(*self._lateness), lambda: self._expire(vrid, end))

    def _expire(self, vrid: int, end: float) -> None:
        self._watched.discard(vrid)
        if self.running and self._ends.get(vrid) == end:
            self.remove(vrid, "runs out")
        elif self.running:
            self._watch(vrid)
