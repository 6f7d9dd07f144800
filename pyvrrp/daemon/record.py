"""What the journal is told about one instance, before it takes something and after it has given it back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pyvrrp.config.model import VrrpInstance
from pyvrrp.core.auth import AuthenticationHeader
from pyvrrp.core.events import State
from pyvrrp.daemon.journal import Entry, Goodbye, Held

if TYPE_CHECKING:
    from pyvrrp.daemon.instance import Instance

RESERVE = 1 << 16
"""By so much the Authentication Header of a prepared priority 0 is ahead of the last one sent.

It has to be above all that is sent until somebody else sends it, and the journal must not be written each time.
"""


def router_of(config: VrrpInstance) -> str:
    """What makes it the same virtual router in the next process, whatever it is called there."""
    parameters, cast = config.parameters, "unicast" if config.unicast else "multicast"
    return f"{config.interface} IPv{parameters.family} VRRPv{parameters.version} {cast} {parameters.vrid}"


class Record:
    """Keeps the entry of one instance as things are."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._journal = instance.node.journal
        self._reserved = 0
        "the sequence number of the prepared priority 0"

    def note(self, *, acquiring: bool = False) -> None:
        """Write down what it is and holds; `acquiring`: it is about to put its addresses on."""
        instance = self._instance
        router, name = instance.router, router_of(instance.config)
        if router.state is State.INIT:
            self._journal.gone(name)
            return
        parameters = router.parameters
        self._journal.note(
            Entry(
                router=name,
                name=instance.name,
                state=router.state.value,
                serving=router.serving,
                yielded=router.yielded,
                wait=parameters.down_timer_adverts * parameters.advert_int,
                addresses=tuple(self._held()) if acquiring or instance.addresses.held else (),
                goodbyes=tuple(self._goodbyes()) if router.state is State.MASTER else (),
                gates=tuple(instance.gates.held),
                undo=tuple(instance.gates.undo),
            )
        )

    def sent(self, priority: int, now: float) -> None:
        """An advertisement was sent; after priority 0 nobody waits for another one."""
        security = self._instance.security
        sequence = security.sequence if isinstance(security, AuthenticationHeader) else 0
        self._journal.sent(router_of(self._instance.config), now if priority > 0 else 0.0, sequence)
        if sequence > self._reserved - RESERVE // 2 and self._reserved:
            self.note()

    def _held(self) -> Iterator[Held]:
        links = self._instance.node.netlink.links
        for lease in self._instance.addresses.leases:
            if (link := links.get(lease.vip.device)) is not None:
                message = lease.delete(link.index).hex()
                yield Held(address=f"{lease.vip.address}/{lease.prefixlen}", device=link.name, delete=message)

    def _goodbyes(self) -> Iterator[Goodbye]:
        instance = self._instance
        transmission, wire = instance.transmission(), instance.node.wire(instance.config.interface)
        if transmission is None or wire is None:
            return
        security = instance.security
        sequence = security.sequence if isinstance(security, AuthenticationHeader) else 0
        if isinstance(security, AuthenticationHeader):
            security.sequence = sequence + RESERVE
        for destination in transmission.destinations:
            yield Goodbye(
                family=instance.config.parameters.family,
                interface=wire.interface,
                index=wire.index,
                source=str(transmission.source),
                destination=str(destination),
                ttl=transmission.ttl,
                packet=transmission.packet(0, destination).hex(),
            )
        if isinstance(security, AuthenticationHeader):
            self._reserved, security.sequence = security.sequence, sequence
