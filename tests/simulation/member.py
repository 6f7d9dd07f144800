"""One virtual router of the daemon: the real machine, and a model of what carries its actions out (daemon.instance)."""

from collections import deque
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from pyvrrp.core.datagram import PROTOCOL_VRRP, Datagram, parse_ipv4
from pyvrrp.core.discard import Discard
from pyvrrp.core.events import (
    AcquireAddresses,
    Action,
    AdvertisementReceived,
    AnnounceAddresses,
    CloseGates,
    Event,
    OpenGates,
    ReleaseAddresses,
    SendAdvertisement,
    SourceChanged,
    State,
    TimerExpired,
    Transition,
    WantMaster,
)
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.reception import GROUP4, GROUP6, Reception
from pyvrrp.core.transmission import Transmission
from pyvrrp.core.virtual_router import VirtualRouter
from pyvrrp.daemon import addresses
from pyvrrp.daemon.journal import Entry, Goodbye, Held
from tests.contract import Contract
from tests.simulation.gates import Gates
from tests.simulation.keepalived_model import Keepalived

if TYPE_CHECKING:
    from tests.simulation.speaker import Speaker

ADDRESS = "192.0.2.100/32"
"stands for all the addresses of a virtual router"
_GOODBYE = Goodbye(family=4, interface="eth0", index=2, source="", destination="", ttl=255, packet="")


class Member:
    """One virtual router of the process, with its packets, its addresses, its gates (pyvrrp.daemon.instance)."""

    def __init__(self, speaker: "Speaker", name: str, parameters: Parameters) -> None:
        node = speaker.node
        self.speaker = speaker
        self.node = node
        self.name = name
        self.vrid = parameters.vrid
        ipv4 = parameters.family == 4
        self._group = GROUP4 if ipv4 else GROUP6
        source = IPv4Address("192.0.2.0") + node.number if ipv4 else IPv6Address("fe80::") + node.number
        self.router = (Keepalived if node.traits.keepalived else VirtualRouter)(parameters, source)
        self.contract = None if node.traits.keepalived else Contract(self.router)
        self._configure(parameters)
        storage = node.cluster.storage(self.vrid)
        self.gates = Gates(node.name, storage, node, speaker.later, self._gates_answered)
        self.held = False
        "the addresses are ours: renewed with each advertisement"
        self.letting_go = False
        "about to take them off"
        self.entry: Entry | None = None
        "what the journal says of it"
        self._queue: deque[Action] = deque()
        self._busy = False
        self._advertised = False
        self._awake_at: float | None = None
        "the world's time of the wake-up that is on the agenda"

    def _configure(self, parameters: Parameters) -> None:
        self._transmission = Transmission(parameters, self.router.source, [self._group])
        self._datagrams: dict[int, Datagram] = {}
        self._reception = Reception(parameters=parameters)
        self.lease = None if self.node.traits.keepalived else addresses.lease_seconds(parameters, None)

    @property
    def idle(self) -> bool:
        """Every action is carried out, and nothing is held."""
        return not self._queue and not self._busy and self.gates.idle

    @property
    def busy(self) -> bool:
        return self._busy or bool(self._queue)

    # --- packets -----------------------------------------------------------------------------------------------------

    def datagram(self, priority: int) -> Datagram:
        """Our advertisement as the others receive it."""
        if priority not in self._datagrams:
            self._datagrams[priority] = self._made(priority)
        return self._datagrams[priority]

    def _made(self, priority: int) -> Datagram:
        packet = self._transmission.packet(priority, self._group)
        if self.router.parameters.family == 4:
            return parse_ipv4(packet)
        return Datagram(self._transmission.source, self._group, 255, PROTOCOL_VRRP, b"", packet)

    def receive(self, datagram: Datagram) -> None:
        try:
            advertisement = self._reception.check(datagram)
        except Discard as refused:
            self.node.tell(f"discards a packet of {datagram.source}: {refused}")
            return
        self.speaker.handle(self.name, AdvertisementReceived(advertisement, datagram.source))

    # --- actions -----------------------------------------------------------------------------------------------------

    def perform(self, action: Action) -> None:
        """Advertise at once, put everything else into the queue."""
        match action:
            case SendAdvertisement(priority):
                self._advertise(priority)
                return
            case WantMaster():
                return
            case Transition():
                self.node.tell(f"{self.name} {told(action)}")
                self.node.cluster.watch.changed(self, action)
            case ReleaseAddresses():
                self.letting_go = True
            case _:
                pass
        self._queue.append(action)
        if not self._busy:
            self._work()

    def _work(self) -> None:
        while self._queue:
            action = self._queue.popleft()
            match action:
                case AcquireAddresses():
                    self.held = True
                    self.letting_go = False
                    self.note()
                    takes = self.node.traits.kernel_takes
                case ReleaseAddresses(after):
                    takes = after + self.node.traits.kernel_takes
                    if after:
                        self.node.tell(f"{self.name} answers for {after:g} s more")
                case _:
                    takes = 0.0
            if takes:
                self._busy = True
                self.speaker.later(takes, lambda action=action: self._go_on(action))
                return
            self._carry_out(action)

    def _go_on(self, action: Action) -> None:
        self._carry_out(action)
        self._busy = False
        self._work()
        self.speaker.look_at_end()

    def _carry_out(self, action: Action) -> None:
        node = self.node
        match action:
            case AcquireAddresses():
                if self._advertised:  # what could not be advertised comes with the first advertisement that is sent
                    node.kernel.put(self.vrid, self.lease)
            case ReleaseAddresses():
                self.held = self.letting_go = False
                node.kernel.remove(self.vrid)
                self.note()
            case AnnounceAddresses():
                if self.router.serving:
                    self._announce()
            case OpenGates() | CloseGates():
                wish = isinstance(action, OpenGates)
                node.tell(f"{self.name} {'opens' if wish else 'closes'} its gates")
                self.gates.want(wish)
                self.note()
            case Transition():
                self.note()
            case _:
                pass

    def _advertise(self, priority: int) -> None:
        """No advertisement, no lease."""
        self._advertised = self.node.advertise(self, priority)
        if self._advertised and priority and self.router.claims:
            self._renew()
            self.node.cluster.watch.advertised(self)

    def _renew(self) -> None:
        """What had run out comes back, and the neighbours hear of it."""
        if self.held and not (self.busy and not self.node.kernel.has(self.vrid)):
            back = not self.node.kernel.has(self.vrid)
            self.node.kernel.renew(self.vrid, self.lease)
            if back:
                self._announce()

    def _announce(self) -> None:
        if self.held and self.node.kernel.has(self.vrid) and self.node.plugged:
            self.node.cluster.announce(self)

    def _gates_answered(self, event: Event) -> None:
        self.note()
        self.speaker.handle(self.name, event)

    # --- the journal -------------------------------------------------------------------------------------------------

    def note(self) -> None:
        """Write down what it is and holds (pyvrrp.daemon.record)."""
        router = self.router
        if router.state is State.INIT:
            self.entry = None
            return
        self.entry = Entry(
            router=self.name,
            name=self.name,
            state=router.state.value,
            serving=router.serving,
            yielded=router.yielded,
            wait=router.parameters.down_timer_adverts * router.parameters.advert_int,
            addresses=(Held(address=ADDRESS, device=self.name, delete=""),) if self.held else (),
            goodbyes=(_GOODBYE,) if router.state is State.MASTER else (),
            gates=("storage",) if self.gates.held else (),
            undo=(("undo",),) if self.gates.may_hold else (),
        )

    # --- time --------------------------------------------------------------------------------------------------------

    def arm(self) -> None:
        """Have a wake-up on the agenda no later than the deadline; moving the deadline later costs nothing."""
        if (deadline := self.router.deadline) is None:
            return
        node = self.node
        when = max(node.cluster.now, node.clock.world(deadline))
        if self._awake_at is None or when < self._awake_at:
            self._awake_at = when
            node.cluster.at(when, lambda: self._wake(when))

    def _wake(self, when: float) -> None:
        if self._awake_at != when:
            return
        self._awake_at = None
        if self.speaker.awake:
            self.expire()

    def expire(self) -> None:
        """Deliver TimerExpired if it is due."""
        deadline, local = self.router.deadline, self.node.local(self.node.cluster.now)
        # Two clocks that tick differently round differently: a wake-up for the deadline is never early.
        if deadline is not None and deadline < local + 1e-6:
            self.speaker.handle(self.name, TimerExpired(), max(deadline, local))
        else:
            self.arm()

    def reconfigure(self, parameters: Parameters) -> None:
        """A reload (Instance.reconfigure)."""
        self.node.cluster.watch.unsettled(self.node)
        self._configure(parameters)
        actions = self.router.reconfigure(parameters, self.node.local(self.node.cluster.now))
        self.check(actions)
        for action in actions:
            self.perform(action)
        self.arm()
        self.speaker.handle(self.name, SourceChanged(self.router.source))

    def check(self, actions: Sequence[Action]) -> None:
        """The contract holds; keepalived has not signed it."""
        if self.contract is None:
            return
        try:
            self.contract.check(actions)
        except AssertionError as broken:
            self.node.cluster.expect(False, f"{self.node} {self.name} keeps the contract: {broken}")


def told(action: Action) -> str:
    """A transition in words."""
    assert isinstance(action, Transition)
    detail = f": {action.detail}" if action.detail else ""
    return f"{action.old.value} -> {action.new.value} ({action.reason.value}{detail})"
