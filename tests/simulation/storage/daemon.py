"""The daemon of one machine: the real virtual router, its gate, and the real Failover behind it."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from drbdctl.failover.events import Action as StorageAction
from drbdctl.failover.events import (
    Adopted,
    Alarm,
    Closed,
    GaveUp,
    Kill,
    Look,
    Opened,
    Reboot,
    Run,
    StepDone,
    StepFailed,
    Tell,
    TimerExpired,
    WantPrimary,
    WantSecondary,
)
from drbdctl.failover.events import Event as StorageEvent
from drbdctl.failover.evidence import Network, Sight, Witness, broken, watched, witnessed
from drbdctl.failover.exits import Failure
from drbdctl.failover.machine import Failover, Phase, Wish
from drbdctl.failover.plan import Step
from drbdctl.failover.seen import Seen
from drbdctl.status.events2 import Helper
from drbdctl.status.state import Resource, Status
from drbdctl.status.words import DiskState, Role
from pyvrrp.core import events as vrrp
from pyvrrp.core.advertisement import Advertisement
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.virtual_router import VirtualRouter

if TYPE_CHECKING:
    from tests.simulation.storage.host import Host

LEASE = 3.0
"seconds that the address outlives the last advertisement, which is what Master_Down_Interval is without its skew"
_EVENT_TAKES = 0.02
"seconds from a line of events2 to the look that it leads to"
_LOOK_TAKES = (0.02, 0.2)
_LOOK_EVERY = 1.0
_WITNESS_EVERY = 0.5


class Daemon:
    """One process: what it does not do before it is killed is not done."""

    def __init__(self, host: "Host", parameters: Parameters, *, adopt: bool) -> None:
        self.host = host
        self.dead = False
        self.failover = Failover(host.group, ours=host.journal)
        self.router = VirtualRouter(parameters, IPv4Address("192.0.2.0") + host.number)
        self.sights: dict[str, Sight] = {}
        self.networks = [Network(each, up=True, since=self.now) for each in host.cluster.networks]
        self.witness = Witness()
        self.served = 0
        "how often the gate opened"
        self._failing = ""
        "why the gate could not be opened, while it is being closed"
        self._hindered: vrrp.Hindrance | str | None = ""
        "as last told; empty: not yet"
        self._held = False
        "the addresses are ours"
        self._tracking = vrrp.TrackingChanged(pending=("the storage was not looked at yet",))
        self._woken: dict[str, float] = {}
        self._looking = False
        self._adopt = adopt
        self._queue: deque[StorageEvent | vrrp.Event] = deque()
        self._busy = False
        self.router.handle(self._tracking, self.now)

    @property
    def now(self) -> float:
        return self.host.cluster.now

    def start(self) -> None:
        """Adopt what the process before held, if it served a moment ago; else clear it away."""
        self.drbd_changed()
        self._every(_LOOK_EVERY, self._look)
        if self.host.group.policy.witness:
            self._every(_WITNESS_EVERY, self._ask_witness)
        serving = self.host.works and self.host.vip
        if self._adopt and self.host.journal and serving:
            self.host.tell("the daemon is back, and adopts")
            self._held = True
            self._tell(Adopted())
            self._vrrp(vrrp.Adopted(vrrp.State.MASTER))
        else:
            self.host.tell("the daemon is back" if self.host.journal else "the daemon starts")
            self.host.vip_until = float("-inf")
            if self.host.journal:
                self._tell(WantSecondary())
            self._vrrp(vrrp.Startup())

    def kill(self) -> None:
        self.host.tell("the daemon is killed")
        self.dead = True
        self.host.daemon = None

    def woke(self) -> None:
        """After a standstill, which the network cards have spent deaf."""
        self.networks = [replace(each, since=self.now) for each in self.networks]
        self._woken.clear()
        self._arm()

    def switchover(self) -> None:
        self._vrrp(vrrp.Switchover())

    def shutdown(self) -> None:
        """Give everything back; then DRBD goes down, and the machine."""
        self.host.tell("is told to shut down")
        self.host.leaving = True
        self._vrrp(vrrp.Shutdown())
        self._go_down()

    def _go_down(self) -> None:
        if self.dead:
            return
        if self.router.state is vrrp.State.INIT and not self.host.journal:
            for each in self.host.replicas:
                each.disconnect()
            self.host.power_off()
        else:
            self.host.later(0.1, self._go_down)

    def _every(self, seconds: float, act: Callable[[], None]) -> None:
        def again() -> None:
            if not self.dead:
                act()
                self.host.later(seconds, again)

        self.host.later(self.host.random.uniform(0.0, seconds), again)

    # --- looking -----------------------------------------------------------------------------------------------------

    def drbd_changed(self) -> None:
        """A line of events2: remembered at once, looked at soon."""
        if self.dead or self.host.blind:
            return
        self.sights = watched(self.sights, self.host.status(), self._generations(), self.now)
        if not self._looking:
            self._looking = True
            self.host.later(_EVENT_TAKES, self._look)

    def loses_sight(self) -> None:
        """The feed has ended: what was watched proves nothing any more."""
        self.sights = broken(self.sights)

    def helper(self, helper: Helper) -> None:
        self.sights[helper.resource] = self.sights.get(helper.resource, Sight()).told(helper)

    def _generations(self) -> Mapping[str, tuple]:
        return {
            each.pair.resource.name: tuple(disk.generation() for disk in each.disks)
            for each in self.host.replicas
            if each.up and not any(each.broken)
        }

    def _look(self) -> None:
        self._looking = False
        began = self.now
        self.host.later(self.host.random.uniform(*_LOOK_TAKES), lambda: self._saw(began))

    def _saw(self, began: float) -> None:
        if self.dead:
            return
        host = self.host
        status, gap, generations = self._read()
        if not gap:
            self.sights = watched(self.sights, status, generations, self.now)
        seen = Seen(
            at=began,
            status=status,
            gap=gap,
            generations=generations,
            sights=dict(self.sights),
            networks=tuple(self.networks),
            witness=self.witness if host.group.policy.witness else None,
            mounts=host.mount_table(),
            services={each.name: each.name in host.services for each in host.group.services},
            stuck=tuple(str(each.step) for each in host.commands if each.hangs == "stuck"),
        )
        self._tell(seen)

    def _read(self) -> tuple[Status, str, Mapping[str, tuple]]:
        """What DRBD says, as far as it can be seen."""
        status = self.host.status()
        match self.host.blind:
            case "no answer":
                return Status(), "drbdsetup: no answer", {}
            case "unknown words":
                return Status(tuple(map(_unknown, status.resources))), "", self._generations()
            case "no identifiers":
                return status, "", {}
            case _:
                return status, "", self._generations()

    def _ask_witness(self) -> None:
        self.witness = self.witness.said(self.host.cluster.witness_says(self.host), self.now)
        self.sights = witnessed(self.sights, self.witness)

    # --- the storage -------------------------------------------------------------------------------------------------

    def _tell(self, event: StorageEvent) -> None:
        self._queue.append(event)
        self._work()

    def _vrrp(self, event: vrrp.Event) -> None:
        self._queue.append(event)
        self._work()

    def _work(self) -> None:
        """One event after the other, each with all its actions."""
        if self._busy:
            return
        self._busy = True
        while self._queue and not self.dead:
            event = self._queue.popleft()
            if isinstance(event, vrrp.Event):
                for action in self.router.handle(event, self.now):
                    self._carry_out(action)
            else:
                for action in self.failover.handle(event, self.now):
                    self._perform(action)
                self._contend()
                self._track()
            self._arm()
        self._busy = False

    def _perform(self, action: StorageAction) -> None:
        host = self.host
        match action:
            case Look():
                self._look()
            case Run(planned, _):
                host.journal = True
                host.tell(f"{planned}")
                host.run(planned.step, lambda failure: self._ended(planned.step, failure))
            case Kill(step):
                host.tell(f"kills: {step}")
                host.kill(step)
            case Opened():
                host.tell("serves")
                self.served += 1
                self._vrrp(vrrp.GatesOpened())
            case GaveUp(why):
                host.cluster.watch.gave_up(host, action)
                host.tell(f"gives up: {why}")
                self._failing = why
                self._tell(WantSecondary())
            case Closed():
                host.journal = False
                why, self._failing = self._failing, ""
                self._vrrp(vrrp.GatesFailed(why) if why else vrrp.GatesClosed())
            case Reboot(why):
                host.tell(f"reboots: {why}")
                host.cluster.reboot(host)
            case Alarm(why):
                host.tell(f"alarm: {why}")
            case Tell(what):
                host.tell(what)

    def _contend(self) -> None:
        """As StorageRunner and GateRunner do."""
        if self.failover.wish is Wish.PRIMARY and self.failover.hindered is not self._hindered:
            self._hindered = by = self.failover.hindered
            self._queue.appendleft(vrrp.GatesBegun() if by is None else vrrp.GatesHindered(by))

    def _ended(self, step: Step, failure: Failure | None) -> None:
        self._tell(StepDone(step) if failure is None else StepFailed(step, failure))

    def _track(self) -> None:
        fitness = self.failover.fitness
        if fitness is None:
            return
        faults = tuple(str(each) for each in fitness.faults)
        if self._tracking.pending or bool(faults) is not bool(self._tracking.faults):
            if faults:
                if self.failover.phase is Phase.PRIMARY:
                    self.host.cluster.watch.gave_way(self.host, fitness.faults)
                self.host.tell(f"unfit: {'; '.join(faults)}")
            self._tracking = vrrp.TrackingChanged(faults=faults)
            self._vrrp(self._tracking)

    # --- the address -------------------------------------------------------------------------------------------------

    def hear(self, network: str, advertisement: Advertisement, source: IPv4Address) -> None:
        """An advertisement of the other, on the network where the router is, or on the other one."""
        if self.dead:
            return
        self.networks = [each.heard_at(self.now) if each.name == network else each for each in self.networks]
        if network == self.host.cluster.networks[0]:
            served = self.serving
            self._vrrp(vrrp.AdvertisementReceived(advertisement, source))
            if served and self.router.state is vrrp.State.BACKUP:
                self.host.cluster.watch.deposed(self.host)

    def _carry_out(self, action: vrrp.Action) -> None:
        host = self.host
        match action:
            case vrrp.SendAdvertisement(priority):
                if self._held and priority:
                    host.vip_until = self.now + LEASE
                host.tell(f"advertises with priority {priority}")
                self.networks = [each.said_at(self.now, priority) for each in self.networks]
                host.cluster.advertise(host, Advertisement(2, 51, priority, 1.0, ()), self.router.source)
            case vrrp.AcquireAddresses():
                self._held = True
                host.vip_until = self.now + LEASE
            case vrrp.ReleaseAddresses():
                self._held = False
                host.vip_until = float("-inf")
            case vrrp.OpenGates():
                self._hindered = ""
                self._tell(WantPrimary())
            case vrrp.CloseGates():
                self._failing = ""
                self._tell(WantSecondary())
            case vrrp.Transition(old, new, reason, detail):
                host.tell(f"{old.value} -> {new.value} ({reason.value}{f': {detail[:60]}' if detail else ''})")
            case _:
                pass

    # --- time --------------------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        for name, machine in (("router", self.router), ("failover", self.failover)):
            deadline = machine.deadline
            known = self._woken.get(name)
            if deadline is not None and (known is None or deadline < known or known < self.now):
                self._woken[name] = max(deadline, self.now)
                self.host.later(max(0.0, deadline - self.now), lambda name=name: self._wake(name))

    def _wake(self, name: str) -> None:
        if self.dead:
            return
        machine = self.router if name == "router" else self.failover
        self._woken.pop(name, None)
        if machine.deadline is None or machine.deadline > self.now + 1e-9:
            self._arm()
        elif name == "router":
            self._vrrp(vrrp.TimerExpired())
        else:
            self._tell(TimerExpired())

    @property
    def serving(self) -> bool:
        return self.failover.phase is Phase.PRIMARY and self.router.serving


def _unknown(resource: Resource) -> Resource:
    """With words of a version that is still to come."""
    devices = (replace(each, role=Role.UNRECOGNIZED, disk=DiskState.UNRECOGNIZED) for each in resource.devices)
    return replace(resource, role=Role.UNRECOGNIZED, devices=tuple(devices))
