"""How something outside the VRRP speaker takes part: configuration blocks, trackers, gates, status.

A plugin is found through the entry-point group `pyvrrp.plugins`; the speaker never imports one by name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.keywords import Keyword
from pyvrrp.config.model import Config
from pyvrrp.core.events import Hindrance as Hindrance

# A plugin that runs scripts does it as the same users, and by the same rules, as the daemon.
from pyvrrp.host.script_security import UnknownAccount as UnknownAccount
from pyvrrp.host.script_security import account as account
from pyvrrp.host.script_security import problems as problems

if TYPE_CHECKING:
    from pyvrrp.core.metrics import Family
    from pyvrrp.core.report import Entry

ENTRY_POINT_GROUP = "pyvrrp.plugins"

Report = Callable[[bool, str], None]
"a tracker's result: healthy or not, and one sentence that says what was found"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerSpec:
    """A check that `track_KIND { NAME }` may name; the daemon keeps its hysteresis, its weight and its history."""

    kind: str
    name: str
    run: Callable[[Report], Awaitable[None]]
    "runs until cancelled and reports each result; an exception out of it counts as a failed check and restarts it"
    weight: int = 0
    reverse: bool = False
    rise: int = 1
    fall: int = 1


class GateFailed(Exception):
    """A gate can't be acquired; the text says why and what to do, in one line."""


class Gate(Protocol):
    """Something that must be held before the VIPs come up and given back after they are gone.

    Both methods are idempotent and may be cancelled at any await; after a cancelled acquire the runner calls release.
    """

    name: str

    async def acquire(self) -> None:
        """Hold it, or raise GateFailed."""

    async def release(self) -> None:
        """Give it back, or raise GateFailed."""


@runtime_checkable
class Contested(Protocol):
    """A gate that somebody else may hold: its `acquire` waits for that.

    A router that took over because it heard nobody says nothing meanwhile: who holds it may serve, out of earshot. One
    that preempts goes on advertising, so that the holder lets go, unless the holder can't be seen.
    """

    hindered: Callable[[Hindrance | None], None]
    """Set before each `acquire`, to be called while that goes on: what keeps it from beginning, each time that changes;
    None: nothing does."""


@runtime_checkable
class Undoable(Protocol):
    """A gate, or a service, that commands can end too, when the daemon is not there to do it: it was killed."""

    undo: Sequence[Sequence[str]]
    """The argv of each, in order; run as the daemon's user with 30 s for each, also when nothing was acquired yet.

    Those of a service are noted before its `start`, and run when the guard gives this node's role up, or at the next
    start if the plugin's service has none then.
    """


class Service(Protocol):
    """What a plugin runs for one configuration."""

    trackers: Sequence[TrackerSpec]

    def gates(self, instance: str) -> Sequence[Gate]:
        """The gates of a vrrp_instance in the order of acquisition."""

    async def start(self) -> None:
        """Begin work; the loop is running."""

    async def stop(self) -> None:
        """End all work; called once, also at a reload that changed anything, after the next service's `start`."""

    def status(self) -> Mapping[str, object]:
        """JSON-ready: the plugin's part of `pyvrrp status --json`; not changed any more once it is returned.

        `problems` in it is a list of sentences: what somebody should come and look at; /healthz is 503 while there
        are any.
        """


@runtime_checkable
class Follower(Protocol):
    """A service that must know at once which virtual routers have their addresses here: a data plane, for instance."""

    def hold(self, instance: str, held: bool) -> None:
        """Called on the event loop just before the VIPs of an instance come up, and just before they go down.

        It must not block: an advertisement may be due. It is called for an instance that is MASTER already too, after
        `start`, when the service or the whole process is new (reload, restart). An exception is logged.
        """


@runtime_checkable
class Continued(Protocol):
    """A service whose part in the kernel lives by descriptors, and goes on in the process that a restart brings.

    The guard keeps duplicates of them until it gives this node's role up, or until they are not named any more.
    """

    def take_over(
        self, descriptors: Mapping[str, int], instances: Collection[str], changed: Callable[[], None]
    ) -> None:
        """Called once, before `start`, also when there is nothing to take over.

        `descriptors` are what the process before had, the service's own from now on. `instances` have their addresses
        here already: what is done for them goes on without a pause, `hold` tells of them later. `changed` is to be
        called on the event loop whenever `descriptors` has something else to say. An exception is logged.
        """

    def descriptors(self) -> Mapping[str, int]:
        """All that the next process needs, by name, what was taken over and is not used yet too.

        Asked after `start`, and after each `changed`. Names have 1 to 48 printable ASCII characters; 253 descriptors of
        all services together are kept.
        """


@runtime_checkable
class Listener(Protocol):
    """A service that must know who spoke last: one that decides whether a peer is dead, or has given way to us.

    Both are called on the event loop, and must not block.
    """

    def heard(self, instance: str, priority: int) -> None:
        """An instance accepts an advertisement."""

    def said(self, instance: str, priority: int) -> None:
        """An instance has sent an advertisement."""


@runtime_checkable
class Measured(Protocol):
    """A service that has metrics."""

    def metrics(self, status: Mapping[str, object]) -> Iterable[Family]:
        """The numbers in what `status` returned, a pure function; each metric once, its name begins with the plugin's.

        An exception is logged, and costs the plugin's metrics.
        """


@runtime_checkable
class Reported(Protocol):
    """A service that has something to say on the status page."""

    def report(self, status: Mapping[str, object]) -> Iterable[Entry]:
        """What `status` returned, for a person who was woken up; a pure function. An exception costs the entries."""


class CommandRefused(Exception):
    """A command can't be carried out; the text says why and what to do, in one line."""


@runtime_checkable
class Commandable(Protocol):
    """A service that its own command line talks to, through the daemon's control socket (method `plugin`)."""

    async def command(self, words: Sequence[str]) -> object:
        """Carry out a command; what it returns is made JSON. Raises CommandRefused; 60 s at most."""


class Plugin(Protocol):
    """One entry point: an object (or a class without arguments) with these members."""

    name: str
    keywords: Sequence[Keyword]
    "the top-level blocks it owns"
    instance_keywords: Sequence[Keyword]
    "`track_*` blocks it adds to vrrp_instance and vrrp_sync_group"

    def configure(self, config: Config, diagnostics: Diagnostics) -> Service:
        """Read its blocks out of `config.plugin_blocks`; findings go to `diagnostics`; nothing is started."""


def load() -> list[Plugin]:
    """Every installed plugin, by name; a plugin that can't be imported raises its own error."""
    found = []
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name):
        plugin = entry.load()
        found.append(plugin() if isinstance(plugin, type) else plugin)
    return found
