"""A machine with storage: its kernel's mounts and services, the commands that change them, and what may befall it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from drbdctl.failover.exits import HELD_OPEN, Failure
from drbdctl.failover.group import Group
from drbdctl.failover.plan import Demote, MountVolume, Promote, StartService, Step, StopService, UnmountVolume, Verify
from drbdctl.failover.seen import DRBD_MAJOR, Mounted
from drbdctl.status.events2 import Helper
from drbdctl.status.state import Status
from drbdctl.status.words import DiskState
from tests.simulation.storage.drbd import Replica

if TYPE_CHECKING:
    from tests.simulation.storage.cluster import StorageCluster
    from tests.simulation.storage.daemon import Daemon

_TAKES = {
    Promote: (0.05, 0.2),
    MountVolume: (0.05, 0.6),
    StartService: (0.1, 0.8),
    Verify: (0.02, 0.1),
    StopService: (0.1, 0.6),
    UnmountVolume: (0.05, 0.4),
    Demote: (0.02, 0.1),
}
"seconds"
_FENCED = 4 << 8
Answer = Callable[[Failure | None], None]


@dataclass(slots=True)
class Sickness:
    """What is wrong with a kind of step on a machine: fail, slow, hang (until killed), stuck (can't be killed)."""

    step: str
    how: str
    until: float


@dataclass(slots=True)
class Running:
    """A command."""

    step: Step
    answer: Answer
    hangs: str = ""
    over: bool = field(default=False)


class Host:
    """One of the two; it runs, stands still, or is without power."""

    def __init__(self, cluster: "StorageCluster", name: str, number: int, group: Group, boot_takes: float) -> None:
        self.cluster = cluster
        self.name = name
        self.number = number
        self.group = group
        self.boot_takes = boot_takes
        self.random: Random = cluster.random
        self.replicas: list[Replica] = []
        self.daemon: Daemon | None = None
        self.powered = True
        self.frozen = False
        self.isolated = False
        "its network cards are dead"
        self.journal = False
        "written by the daemon: what is up is ours"
        self.sick: list[Sickness] = []
        self.leaving = False
        "it shuts down"
        self.blind = ""
        "how the daemon can't see DRBD"
        self._waiting: list[Callable[[], None]] = []
        self._life = 0
        self._forget()

    def _forget(self) -> None:
        self.mounts: set[str] = set()
        self.services: set[str] = set()
        self.commands: list[Running] = []
        self.vip_until = float("-inf")
        "the address is on, as a lease"

    def __repr__(self) -> str:
        return self.name

    @property
    def running(self) -> bool:
        return self.powered and not self.frozen

    @property
    def vip(self) -> bool:
        """Clients that reach it are answered."""
        return self.running and self.vip_until > self.cluster.now

    def tell(self, text: str) -> None:
        self.cluster.timeline.add(self.cluster.now, self.name, text)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Unless the power fails meanwhile; when it runs again, if it stands still then."""
        life = self._life

        def due() -> None:
            if life == self._life:
                if self.frozen:
                    self._waiting.append(due)
                elif self.powered:
                    act()

        self.cluster.at(self.cluster.now + seconds, due)

    # --- what the daemon sees ----------------------------------------------------------------------------------------

    def status(self) -> Status:
        found = (each.status() for each in self.replicas)
        return Status(tuple(each for each in found if each is not None))

    def mount_table(self) -> tuple[Mounted, ...]:
        minors = {mount.point: self.group.minor(mount) or 0 for mount in self.group.mounts}
        return tuple(Mounted(point, DRBD_MAJOR, minors[point]) for point in sorted(self.mounts))

    def drbd_changed(self) -> None:
        if self.daemon is not None and self.running:
            self.daemon.drbd_changed()

    def helper(self, helper: Helper) -> None:
        """DRBD calls a handler."""
        self.tell(f"DRBD calls {helper.name} for {helper.resource}")
        if self.daemon is not None and self.running:
            self.daemon.helper(helper)

    def call_fence_peer(self, replica: Replica) -> bool:
        """Ask whoever is configured as fence-peer; whether the peer is out."""
        name = replica.pair.resource.name
        if replica.pair.resource.fenced:
            well = self.cluster.shoot(self, replica.peer.host)
        else:
            well = self.daemon is not None and self.daemon.failover.fence_answer(name)[0] == 5
        self.helper(Helper(name, "fence-peer", _FENCED if well else 1 << 8))
        return well

    def acknowledge(self, number: int) -> None:
        self.cluster.acknowledge(self, number)

    def replica(self, name: str) -> Replica:
        return next(each for each in self.replicas if each.pair.resource.name == name)

    # --- commands ----------------------------------------------------------------------------------------------------

    def run(self, step: Step, answer: Answer) -> None:
        """Carry a step out; the answer comes later, or never."""
        command = Running(step, answer)
        self.commands.append(command)
        sickness = self._sickness(step)
        how = sickness.how if sickness is not None else ""
        seconds = self.random.uniform(*_TAKES[type(step)])
        if isinstance(step, Promote):
            seconds += self.replica(step.resource).promotion_takes()
        if how == "slow":
            seconds *= 12
        if how in ("hang", "stuck") or (isinstance(step, UnmountVolume | Verify) and self._io_suspended()):
            command.hangs = how if how == "hang" else "stuck"
            self._hanging(command)
            return
        self.later(seconds, lambda: self._finish(command, "it is sick" if how == "fail" else ""))

    def kill(self, step: Step) -> None:
        """SIGKILL: what hangs in the kernel does not hear it."""
        for command in self.commands:
            if command.step == step and command.hangs != "stuck":
                self._end(command, Failure(f"{step}: killed"))

    def _hanging(self, command: Running) -> None:
        """What is stuck ends when its I/O does; then it has done nothing."""

        def look() -> None:
            if command.over:
                return
            if self._sickness(command.step) is None and not self._io_suspended():
                self._end(command, Failure(f"{command.step}: it hung"))
            else:
                self.later(0.5, look)

        self.later(0.5, look)

    def _sickness(self, step: Step) -> Sickness | None:
        self.sick = [each for each in self.sick if each.until > self.cluster.now]
        return next((each for each in self.sick if each.step == type(step).__name__), None)

    def _io_suspended(self) -> bool:
        return any(each.frozen for each in self.replicas)

    def _finish(self, command: Running, sick: str) -> None:
        if not command.over:
            self._end(command, Failure(f"{command.step}: {sick}") if sick else self._carry_out(command.step))

    def _end(self, command: Running, failure: Failure | None) -> None:
        command.over = True
        self.commands.remove(command)
        if failure is not None:
            self.tell(f"fails to {command.step}: {failure}")
        command.answer(failure)

    def _carry_out(self, step: Step) -> Failure | None:
        match step:
            case Promote(resource):
                return self.replica(resource).promote()
            case Demote(resource):
                held = {point for point in self.mounts if self._on(point, resource)}
                return Failure("held open", 11, HELD_OPEN) if held else self.replica(resource).demote()
            case MountVolume(mount):
                if not self._volume_primary(mount.point):
                    return Failure(f"{step}: wrong medium type")
                self.mounts.add(mount.point)
            case UnmountVolume(mount):
                if self.services:
                    return Failure(f"{step}: target is busy")
                self.mounts.discard(mount.point)
            case StartService(service):
                if len(self.mounts) < len(self.group.mounts):
                    return Failure(f"{step}: its directory is not mounted")
                self.services.add(service)
            case StopService(service):
                self.services.discard(service)
            case Verify():
                if not self.works:
                    return Failure("it does not work")
        return None

    def _on(self, point: str, resource: str) -> bool:
        mount = next(each for each in self.group.mounts if each.point == point)
        return self.group.minors[self.group.minor(mount) or 0].startswith(f"{resource}/")

    def _volume_primary(self, point: str) -> bool:
        mount = next(each for each in self.group.mounts if each.point == point)
        name, _, number = self.group.minors[self.group.minor(mount) or 0].partition("/")
        return self.replica(name).primary[int(number)]

    @property
    def works(self) -> bool:
        """All is mounted, all services run, all disks can be written."""
        return (
            len(self.mounts) == len(self.group.mounts)
            and len(self.services) == len(self.group.services)
            and all(all(each.primary) for each in self.replicas)
            and all(_has_data(each, n) for each in self.replicas for n in range(len(each.disks)))
        )

    # --- what befalls it ---------------------------------------------------------------------------------------------

    def power_off(self) -> None:
        if not self.powered:
            return
        self.tell("its power fails")
        self._life += 1
        self.powered, self.frozen, self.daemon = False, False, None
        self._waiting.clear()
        self.sick.clear()
        self.blind = ""
        self.journal = self.leaving = False
        self._forget()
        for each in self.replicas:
            each.forget()
        self.cluster.paths_changed()

    def power_on(self) -> None:
        """It boots: DRBD comes up as Secondary, then the daemon."""
        if self.powered:
            return
        self.tell("boots")
        self.powered = True
        for each in self.replicas:
            self.later(self.boot_takes, each.configure)
        self.later(self.boot_takes + 0.5, lambda: self.cluster.start_daemon(self))
        self.cluster.paths_changed()

    def freeze(self) -> None:
        if self.running:
            self.tell("stands still")
            self.frozen = True
            self.cluster.paths_changed()

    def thaw(self) -> None:
        if not self.frozen:
            return
        self.tell("goes on")
        self.frozen = False
        waiting, self._waiting = self._waiting, []
        if self.daemon is not None:
            self.daemon.woke()
        for act in waiting:
            act()
        self.cluster.paths_changed()


def _has_data(replica: Replica, n: int) -> bool:
    peer_good = replica.connected and replica.sight[n][1] is DiskState.UP_TO_DATE
    return replica.state[n] is DiskState.UP_TO_DATE or peer_good
