"""One virtual router of the daemon: carries out what the pure machine asks for."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from ipaddress import ip_interface
from typing import Protocol, assert_never

from pyvrrp.config.model import VirtualAddress, VrrpInstance
from pyvrrp.core.discard import Statistics
from pyvrrp.core.events import (
    AcquireAddresses,
    Action,
    AdvertisementReceived,
    AnnounceAddresses,
    CloseGates,
    Event,
    LowerPriorityHeard,
    OpenGates,
    Reason,
    ReleaseAddresses,
    SendAdvertisement,
    State,
    Transition,
    WantMaster,
)
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.transmission import Transmission
from pyvrrp.core.virtual_router import VirtualRouter
from pyvrrp.daemon.addresses import Addresses, lease_seconds
from pyvrrp.daemon.gates import GateRunner
from pyvrrp.daemon.hearing import Hearing
from pyvrrp.daemon.node import Node
from pyvrrp.daemon.notify import NotifyQueue
from pyvrrp.daemon.plugins import Gate
from pyvrrp.daemon.record import Record
from pyvrrp.daemon.security import security_of
from pyvrrp.daemon.services import Services
from pyvrrp.daemon.timers import Deadline

_LOG = logging.getLogger("pyvrrp")


class Owner(Protocol):
    """Who brings the instances' events together: the speaker."""

    services: Services

    def deliver(self, instance: Instance, event: Event) -> None:
        """Hand an event to the instance's router and have the actions performed."""

    def faults_changed(self, instance: Instance) -> None:
        """`edge_faults` are others now."""


class Instance:
    """A vrrp_instance at work: the pure router, its packets, its addresses, its scripts."""

    def __init__(
        self,
        config: VrrpInstance,
        parameters: Parameters,
        node: Node,
        notify: NotifyQueue,
        gates: Sequence[Gate],
        owner: Owner,
    ) -> None:
        self.config = config
        self.node = node
        self.notify = notify
        self.statistics = Statistics()
        self.transitions: Counter[tuple[State, Reason]] = Counter()
        "by the state that it came to, and why"
        self.router = VirtualRouter(parameters)
        self.deadline = Deadline(lambda _: None)
        self.gates = GateRunner(config.name, gates, self._gates_answered)
        seconds = lease_seconds(parameters, node.settings.vip_lease)
        self.addresses = Addresses(config.name, node, config.virtual_addresses, seconds, self.statistics)
        self.last_change: Transition | None = None
        self.deleted = False
        "left the configuration at a reload: notify_deleted instead of notify_stop"
        self._owner = owner
        self.security = security_of(config)
        self.record = Record(self)
        self.hearing = Hearing(self, parameters)
        self._transmission: Transmission | None = None
        self.broken = ""
        "an action that failed unexpectedly: a fault, for a while"
        self._left = asyncio.Event()
        self._waiting: deque[Action] = deque()
        self._advertised = False
        "whether the last advertisement was really sent"
        self._worker: asyncio.Task[None] | None = None
        self._told_send_error: str | None = None

    @property
    def name(self) -> str:
        """The instance's name in the configuration."""
        return self.config.name

    @property
    def edge_faults(self) -> tuple[str, ...]:
        """What the machine refuses us: sockets, addresses; a sentence each."""
        faults = [self.hearing.deaf] if self.hearing.deaf else []
        if self.config.unicast_fault_no_peer and self.config.unicast and not self.config.unicast_peers:
            faults.append("unicast_peer names nobody (unicast_fault_no_peer)")
        if self.broken:
            faults.append(self.broken)
        return (*faults, *self.addresses.faults.values())

    # --- configuration -----------------------------------------------------------------------------------------------

    async def reconfigure(self, config: VrrpInstance, parameters: Parameters) -> Sequence[Action]:
        """Take a changed configuration over without leaving the state; the caller performs the router's actions."""
        await self.idle()
        self.hearing.stop_listening()
        self.config = config
        self.security = security_of(config, self.security)
        self.hearing.configure(parameters)
        self._transmission = None
        self.hearing.listen()
        await self.addresses.change(config.virtual_addresses, lease_seconds(parameters, self.node.settings.vip_lease))
        actions = self.router.reconfigure(parameters, self.node.clock())
        self.record.note()
        return actions

    def deliver(self, event: Event) -> None:
        """Hand an event to the router, through its sync group where it has one, and do what comes of it."""
        if isinstance(event, AdvertisementReceived):
            self._owner.services.heard(self.name, event.advertisement.priority)
        self._owner.deliver(self, event)

    # --- acting ------------------------------------------------------------------------------------------------------

    def _gates_answered(self, event: Event) -> None:
        self.record.note()
        self._owner.deliver(self, event)

    def perform(self, actions: Iterable[Action]) -> None:
        """Carry the actions out in order; nothing makes an advertisement wait."""
        for action in actions:
            match action:
                case SendAdvertisement():
                    self._advertise(action.priority)
                case WantMaster():
                    pass
                case Transition():
                    self._changed(action)
                    self._waiting.append(action)
                case ReleaseAddresses():
                    self.addresses.give_way()  # at once, whatever is still to be done before it
                    self._waiting.append(action)
                case _:
                    self._waiting.append(action)
        if self._waiting and self._worker is None:
            self._worker = asyncio.create_task(self._work(), name=f"actions of {self.name}")

    async def idle(self) -> None:
        """Wait until every action is carried out."""
        while self._worker is not None:
            await asyncio.wait([self._worker])

    async def finished(self) -> None:
        """After Shutdown: wait until the router has left and nothing is held."""
        if self.router.state is not State.INIT:
            await self._left.wait()
        await self.idle()
        await self.gates.wait_closed()

    async def _work(self) -> None:
        try:
            while self._waiting:
                action = self._waiting.popleft()
                try:
                    await self._carry_out(action)
                except Exception as error:  # a mistake of ours must not leave a MASTER that has no address
                    _LOG.exception("%s: %s failed", self.name, type(action).__name__)
                    self.broken = f"{type(action).__name__} failed: {type(error).__name__}: {error}"
                    self._owner.faults_changed(self)
        finally:
            self._worker = None

    async def _carry_out(self, action: Action) -> None:
        match action:
            case AcquireAddresses():
                self.record.note(acquiring=True)
                self._owner.services.hold(self.name, True)
                await self.addresses.acquire(advertised=self._advertised)
                if self.addresses.faults:
                    self._owner.faults_changed(self)
            case ReleaseAddresses():
                await asyncio.sleep(action.after)
                self._owner.services.hold(self.name, False)
                await self.addresses.release()
                self.record.note()
            case AnnounceAddresses():
                if self.router.serving:  # it may have given way while the addresses were being put on
                    self.addresses.announce(action.repeat)
            case OpenGates():
                self.gates.open()  # it begins with the next turn of the loop: the journal knows before
                self.record.note()
            case CloseGates():
                self.gates.close()
            case LowerPriorityHeard():
                self.notify.lower_priority()
            case Transition():
                self.record.note()
                if self.config.unicast and (action.old, action.new) == (State.FAULT, State.BACKUP):
                    self._tell_peers_of_source()
                self._notify(action)
            case SendAdvertisement() | WantMaster():
                pass
            case _:
                assert_never(action)

    def _advertise(self, priority: int) -> None:
        transmission = self.transmission()
        wire = self.node.wire(self.config.interface)
        if transmission is None or wire is None:
            self._advertised = False
            self.statistics.send_errors += 1
            return
        sent, error = 0, None
        family = self.config.parameters.family
        for destination in transmission.destinations:
            packet = transmission.packet(priority, destination)
            try:
                wire.send(family, packet, transmission.source, destination, transmission.ttl)
            except (OSError, KeyError) as problem:
                error = problem
            else:
                sent += 1
        self._tell_send_error(error)
        self._advertised = sent > 0
        if not sent:
            return
        self.statistics.advertisements_sent += 1
        self._owner.services.said(self.name, priority)
        self.record.sent(priority, self.node.clock())
        if priority == 0:
            self.statistics.priority_zero_sent += 1
            self.addresses.give_way()
        elif self.router.claims:  # and not the last word of one that gives way
            # No advertisement, no lease: peers that can't hear us will take the addresses.
            self.addresses.renew()

    def transmission(self) -> Transmission | None:
        """What it sends now; None: it has had no address to send from yet."""
        source = self.router.source
        if self._transmission is None or self._transmission.source != source:
            if source is None:
                return self._transmission  # the last word (priority 0) goes out from the address we had
            config, group = self.config, self.hearing.group
            self._transmission = Transmission(
                self.router.parameters,
                source,
                [peer.address for peer in config.unicast_peers] if group is None else [group],
                security=self.security,
                unicast=config.unicast,
                ttl=config.unicast_ttl if config.unicast else 255,
                v3_checksum_as_v2=config.v3_checksum_as_v2,
            )
        return self._transmission

    def _tell_send_error(self, error: Exception | None) -> None:
        if error is None:
            if self._told_send_error is not None:
                _LOG.info("%s: advertisements are sent again", self.name)
            self._told_send_error = None
            return
        self.statistics.send_errors += 1
        text = (error.strerror if isinstance(error, OSError) else None) or str(error)
        if text != self._told_send_error:
            self._told_send_error = text
            _LOG.error("%s: can't send advertisements on %s: %s", self.name, self.config.interface, text)

    # --- telling -----------------------------------------------------------------------------------------------------

    def _changed(self, transition: Transition) -> None:
        self.last_change = transition
        self.transitions[transition.new, transition.reason] += 1
        self.hearing.tell_again()
        if transition.new is State.MASTER:
            self.node.finder.look_for_ourselves()
        if transition.reason is Reason.SHUTDOWN:
            self._left.set()
        if transition.new is State.MASTER and transition.reason is not Reason.ADOPTED:
            self.statistics.became_master += 1
        if transition.old is State.MASTER:
            self.statistics.released_master += 1
        detail = f": {transition.detail}" if transition.detail else ""
        _LOG.log(
            logging.ERROR if transition.new is State.FAULT else logging.INFO,
            "%s: %s -> %s (%s%s)",
            self.name,
            transition.old.value,
            transition.new.value,
            transition.reason.value,
            detail,
            extra={
                "VRRP_INSTANCE": self.name,
                "VRRP_STATE": transition.new.value,
                "VRRP_REASON": transition.reason.name,
            },
        )

    def _tell_peers_of_source(self) -> None:
        """Unicast, after a fault: the peers' neighbour tables may have forgotten us (keepalived)."""
        if self.router.source is not None:
            own = VirtualAddress(interface=ip_interface(self.router.source), device=self.config.interface)
            self.node.announce(self.name, [own], 1)

    def _notify(self, transition: Transition) -> None:
        if transition.reason is Reason.SHUTDOWN:
            state = "DELETED" if self.deleted else "STOP"
        elif transition.new is State.INIT or transition.reason is Reason.ADOPTED:
            return
        else:
            state = transition.new.value
        self.notify.transition(state, self.router.effective_priority)
