"""A machine of the cluster: its clock, its kernel, the daemon's processes on it, and what may befall them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from pyvrrp.core.events import Event, TrackingChanged
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.sync_group import SyncGroup
from pyvrrp.daemon.journal import Sent
from tests.simulation.kernel import LATENESS, Kernel
from tests.simulation.member import Member
from tests.simulation.service import Service
from tests.simulation.speaker import Speaker
from tests.simulation.world import Clock

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster

_READING = 0.02
"seconds from SIGHUP until the file is read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What distinguishes a machine; times in seconds."""

    clock: float = 0.0
    "what its monotonic clock shows when the world begins"
    rate: float = 1.0
    "its seconds per second of the world"
    gate_takes: float = 0.5
    "until its gate is open, or closed"
    kernel_takes: float = 0.0
    "until an address is on, or off"
    lateness: tuple[float, float] = LATENESS
    "of its kernel, when it takes an address off whose lease has ended: shortest, longest"
    start_takes: float = 0.0
    "from the start of the process until it is ready"
    restart_takes: float = 1.0
    "until the service manager starts again what has failed"
    guarded: bool = False
    keepalived: bool = False
    "it runs keepalived"


class Pause(Enum):
    """What stands still."""

    SPEAKER = "the speaker"
    PROCESSES = "all processes; the kernel goes on"
    MACHINE = "the machine; its clock goes on"
    CLOCK = "the machine and its clock"


class Node:
    """A machine; `number` is the last part of its address."""

    def __init__(
        self,
        cluster: "Cluster",
        name: str,
        number: int,
        parameters: Mapping[str, Parameters],
        traits: Traits,
        *,
        sync_group: bool,
    ) -> None:
        self.cluster = cluster
        self.name = name
        self.number = number
        self.traits = traits
        self.parameters = dict(parameters)
        "its configuration file: the virtual routers by name"
        self.grouped = sync_group
        self.tracking: dict[str, TrackingChanged] = {}
        "what its trackers say, by virtual router"
        self.clock = Clock(traits.clock, traits.rate)
        self.kernel = Kernel(cluster, self.clock, traits.lateness, self._addresses_changed)
        self.gate_takes = traits.gate_takes
        self.gate_fails = ""
        self.plugged = True
        "the cable is in"
        self.mute = False
        "it can't send VRRP (a firewall); everything else gets out"
        self.paused: Pause | None = None
        self.last_sent: dict[int, float] = {}
        "by VRID: when the last advertisement left it, priority 0 excepted, on its clock"
        self.last_word: dict[int, int] = {}
        "by VRID: the priority that it advertised last"
        self.sent: dict[str, Sent] = {}
        "journal.sent"
        self.speaker = Speaker(self)
        self.service = Service(self)
        self.powered = True
        self._paused_at = 0.0
        self._life = 0
        "how often the power failed"
        self._waiting: list[Callable[[], None]] = []
        "what is to be done when the machine runs again"

    def __repr__(self) -> str:
        return self.name

    # --- what can be asked -------------------------------------------------------------------------------------------

    @property
    def members(self) -> Mapping[str, Member]:
        return self.speaker.members

    @property
    def sync_group(self) -> SyncGroup | None:
        return self.speaker.sync_group

    @property
    def alive(self) -> bool:
        """The daemon is there, though it may stand still."""
        return self.speaker.running

    @property
    def frozen(self) -> bool:
        """No process of it runs."""
        return self.paused is not None and self.paused is not Pause.SPEAKER

    @property
    def hears(self) -> bool:
        """Packets get as far as its sockets."""
        return self.speaker.running and self.kernel.running and self.plugged

    @property
    def can_send(self) -> bool:
        return self.plugged and not self.mute

    def local(self, world: float) -> float:
        return self.clock.local(world)

    # --- what its processes do ---------------------------------------------------------------------------------------

    def tell(self, text: str) -> None:
        self.cluster.timeline.add(self.cluster.now, self.name, text)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something beside the speaker at a later time, or when the machine runs again, unless its power fails."""
        life = self._life

        def due() -> None:
            if life != self._life:
                return
            if self.frozen:
                self._waiting.append(due)
            else:
                act()

        self.cluster.at(self.cluster.now + seconds, due)

    def advertise(self, member: Member, priority: int) -> bool:
        """Send it; False if it can't be sent."""
        cluster, now = self.cluster, self.local(self.cluster.now)
        if not self.can_send:
            self.tell(f"can't advertise {member.vrid}")
            for each in cluster.nodes:
                cluster.network.unheard(self.name, each.name, cluster.now)
            return False
        self.tell(f"advertises {member.vrid} with priority {priority}")
        self.sent[member.name] = Sent(now if priority else 0.0, 0)
        self.last_word[member.vrid] = priority
        if priority:
            self.last_sent[member.vrid] = now
        cluster.broadcast(member, priority)
        return True

    def _addresses_changed(self, vrid: int, why: str) -> None:
        self.tell(f"the address of {vrid} {why}")
        self.cluster.addresses_changed(self, vrid)

    def left_in_order(self) -> None:
        """The speaker has given everything back, and ends."""
        self.tell("has stopped")
        self.forget_journal()
        self.service.ended(0)

    def speaker_ended(self) -> None:
        """With the process goes its standstill."""
        if self.paused is Pause.SPEAKER:
            self.paused = None

    def forget_journal(self) -> None:
        """It is removed, or of another boot."""
        for member in self.members.values():
            member.entry = None
        self.sent.clear()

    # --- what befalls the machine ------------------------------------------------------------------------------------

    def power_off(self) -> None:
        """It is gone with all it held; whoever fences it frees the storage."""
        self._life += 1
        self.powered, self.paused = False, None
        self.service.power_off()
        self.forget_journal()
        for member in self.members.values():
            self.cluster.storage(member.vrid).demote(self.name)
        self._waiting.clear()
        self.kernel.clear()
        self.kernel.running = True
        self.tell("dies")

    def power_on(self) -> None:
        """It boots, and starts the daemon if it is to run."""
        self.powered = True
        self.tell("boots")
        self.service.start_again()

    def plug(self, plugged: bool) -> None:
        """The cable; trackers see it, the addresses stay on and answer nobody."""
        self.plugged = plugged
        self.tell("the cable is in" if plugged else "the cable is out")
        for name, each in self.parameters.items():
            self.cluster.addresses_changed(self, each.vrid)
            self.track(name, TrackingChanged(faults=() if plugged else ("interface eth0 is down",)))

    def pause(self, what: Pause) -> None:
        """Something stands still; packets wait in the sockets, unless the kernel stands still too."""
        if not self.powered or self.paused or (what is Pause.SPEAKER and not self.speaker.running):
            return
        self.paused, self._paused_at = what, self.cluster.now
        self.tell(f"{what.value} stands still" if what is Pause.SPEAKER else f"stands still: {what.value}")
        if self.service.guard is not None:
            self.service.guard.silence()
        if what in (Pause.MACHINE, Pause.CLOCK):
            self.kernel.halt()

    def resume(self, *, timers_first: bool = False) -> None:
        """It goes on; asyncio reads the sockets first, uvloop looks at the timers first."""
        what, self.paused = self.paused, None
        if what is None:
            return
        self.tell("goes on")
        if what is Pause.CLOCK:
            self.clock.stood_still(self.cluster.now - self._paused_at)
        if not self.kernel.running:
            self.kernel.resume()
        self.cluster.watch.woke(self, what)
        waiting, self._waiting = self._waiting, []
        for act in waiting:
            act()
        if self.service.guard is not None:
            self.service.guard.look(speaker_alone=what is Pause.SPEAKER)
        if self.speaker.awake:
            self.speaker.wake(timers_first=timers_first)

    def track(self, name: str, event: TrackingChanged) -> None:
        """A tracker says something else now."""
        self.tracking[name] = event
        speaker = self.speaker

        def hear() -> None:
            self.cluster.watch.unsettled(self)
            speaker.handle(name, event)

        speaker.do(hear)

    def deliver(self, name: str, event: Event) -> None:
        """Tell one virtual router something, when the daemon runs."""
        speaker = self.speaker
        speaker.do(lambda: speaker.handle(name, event))

    def reload(self, parameters: Mapping[str, Parameters]) -> None:
        """Another configuration file, and SIGHUP."""
        speaker, self.parameters = self.speaker, dict(parameters)
        speaker.do(lambda: speaker.later(_READING, lambda: speaker.reconfigure(self.parameters)))
