"""A storage that one node at a time may have open, and the runner of the gate that opens it (pyvrrp.daemon.gates)."""

from collections.abc import Callable
from typing import Protocol

from pyvrrp.core.events import Event, GatesBegun, GatesClosed, GatesFailed, GatesOpened

_RETRY = 1.0
"seconds between two attempts to close (GateRunner)"
_POLL = 0.05
"seconds between two looks whether the peer has let go"


class Storage:
    """Like a DRBD pair: it refuses a second primary, with its own link or by fencing."""

    def __init__(self) -> None:
        self.open: list[str] = []
        "the nodes that have it open"

    def promote(self, node: str) -> bool:
        """Open it on this node; False while another one has it open."""
        if not self.open:
            self.open.append(node)
        return node in self.open

    def demote(self, node: str) -> None:
        if node in self.open:
            self.open.remove(node)


class Place(Protocol):
    """What the gate finds on its node, at this moment."""

    gate_takes: float
    "seconds in which it opens, or closes"
    gate_fails: str
    "'opening', 'closing', or nothing"


class Gates:
    """The one gate of one virtual router: it holds a wish, the latest counts."""

    def __init__(
        self,
        node: str,
        storage: Storage,
        place: Place,
        later: Callable[[float, Callable[[], None]], None],
        deliver: Callable[[Event], None],
    ) -> None:
        self.held = False
        "open, or on the way from or to it"
        self._node = node
        self._storage = storage
        self._place = place
        self._later = later
        self._deliver = deliver
        self._wish = False
        self._doing = ""
        self._attempt = 0
        "counts what was begun: what was cancelled does not go on"

    @property
    def idle(self) -> bool:
        return not self._doing

    @property
    def may_hold(self) -> bool:
        """Something is to be undone should the daemon die."""
        return self._wish or self.held

    def adopt(self) -> None:
        """The process before has opened it for us."""
        self._wish = self.held = True

    def want(self, wish: bool) -> None:
        """Open it (True) or close it."""
        if self._doing and wish is self._wish:
            return
        self._wish = wish
        if self._doing == "opening" and not wish:
            self._close()
        elif not self._doing:
            self._begin("starting", 0.0, self._start)

    def _start(self) -> None:
        self._open() if self._wish else self._close()

    def _open(self) -> None:
        self.held = True
        self._begin("opening", 0.0, self._promote)

    def _promote(self) -> None:
        if self._place.gate_fails == "opening":
            self._begin("opening", self._place.gate_takes, self._give_up)
        elif self._storage.promote(self._node):
            self._deliver(GatesBegun())
            self._begin("opening", self._place.gate_takes, lambda: self._done(GatesOpened()))
        else:
            self._begin("opening", _POLL, self._promote)

    def _give_up(self) -> None:
        self._demote()
        self._done(GatesFailed("gate storage: it does not open"))

    def _close(self) -> None:
        if self.held:
            self._begin("closing", self._place.gate_takes, self._closed)
        else:
            self._done(GatesClosed())

    def _closed(self) -> None:
        if self._place.gate_fails != "closing":
            self._demote()
            self._done(GatesClosed())
            if self._wish and self.idle:
                self._start()
        elif self._wish:
            self._open()
        else:
            self._begin("closing", _RETRY, self._closed)

    def _demote(self) -> None:
        self.held = False
        self._storage.demote(self._node)

    def _begin(self, what: str, seconds: float, then: Callable[[], None]) -> None:
        self._doing, self._attempt = what, self._attempt + 1
        attempt = self._attempt
        self._later(seconds, lambda: then() if attempt == self._attempt else None)

    def _done(self, answer: Event) -> None:
        self._doing = ""
        self._deliver(answer)
