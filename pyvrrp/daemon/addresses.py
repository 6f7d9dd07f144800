"""The VIPs of one instance on this machine: leases that are taken, renewed, put back and given up."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterable, Sequence

from pyvrrp.config.model import VirtualAddress
from pyvrrp.core.discard import Statistics
from pyvrrp.core.parameters import Parameters
from pyvrrp.daemon.node import Node
from pyvrrp.host.leases import Lease

_LOG = logging.getLogger("pyvrrp")


def lease_seconds(parameters: Parameters, vip_lease: float | None) -> int | None:
    """How long a VIP outlives its last advertisement, in the kernel's whole seconds; None: for ever.

    `vip_lease` None is `auto`: no longer than the peers' shortest wait (`down_timer_adverts` intervals), at least 1 s,
    and always longer than the interval in which it is renewed; 0 is `off`.
    """
    if vip_lease == 0:
        return None
    if vip_lease is not None:
        return max(1, round(vip_lease))
    shortest_wait = int(parameters.down_timer_adverts * parameters.advert_int)
    if shortest_wait > 1.5 * parameters.advert_int:
        return max(1, shortest_wait)
    return int(1.5 * parameters.advert_int) + 1


class Addresses:
    """What an instance puts on its interfaces while it is MASTER."""

    def __init__(
        self, instance: str, node: Node, vips: Sequence[VirtualAddress], seconds: int | None, statistics: Statistics
    ) -> None:
        self.held = False
        "the VIPs are on this machine, by our doing"
        self.faults: dict[VirtualAddress, str] = {}
        "a VIP that the kernel refused: why"
        self.seconds = seconds
        self._instance = instance
        self._node = node
        self._statistics = statistics
        self._leases = self._lease(vips)
        self._own = frozenset(self._leases.values())
        self._renewed = 0.0
        self._run_out: list[VirtualAddress] = []
        self._giving_way = False

    @property
    def vips(self) -> list[VirtualAddress]:
        """In configured order, excluded ones last."""
        return list(self._leases)

    @property
    def leases(self) -> list[Lease]:
        """The lease of each VIP, held or not."""
        return list(self._leases.values())

    @property
    def lease_left(self) -> float | None:
        """Seconds until the kernel takes them away, unless they are renewed; None: not held, or without a lease."""
        if not self.held or self.seconds is None:
            return None
        return max(0.0, self._renewed + self.seconds - self._node.clock())

    def has(self, lease: Lease) -> bool:
        """Whether the lease is one of ours, as it is now."""
        return lease in self._own

    async def remove_residue(self) -> None:
        """Take off what an earlier run, or another program, left behind: we start without addresses."""
        await self._take_off(self._leases.values())

    async def acquire(self, *, advertised: bool = True) -> None:
        """Put all of them on; where nothing could be `advertised`, with the first advertisement that is sent."""
        self.held = True
        self._renewed = self._node.clock()
        if not advertised:
            _LOG.warning("%s: no advertisement could be sent: its addresses wait for the first one", self._instance)
            self._run_out = self.vips
            return
        await self._put_on(self._leases.values())

    def give_way(self) -> None:
        """Somebody else is to answer, or does: announce nothing and put nothing back, until an advertisement is sent.

        What was announced now would be believed, and the addresses are here for a moment only.
        """
        self._giving_way = True
        self._node.withdraw(self._instance)

    async def release(self) -> None:
        """Take all of them off; what is gone already is fine."""
        self.held = False
        self._run_out.clear()
        self._node.withdraw(self._instance)
        await self._take_off(self._leases.values())

    def renew(self) -> None:
        """Renew the leases; called only when an advertisement has really been sent.

        What had run out meanwhile (no advertisement could be sent for so long) comes back with it.
        """
        self._giving_way = False
        if not self.held:
            return
        self._renewed = self._node.clock()
        self._node.netlink.renew(self._leases.values())
        self._statistics.lease_renewals += self.seconds is not None
        if self._run_out:
            vips, self._run_out = self._run_out, []
            self._node.spawn(self._bring_back(vips))

    def announce(self, repeat: int) -> None:
        """Tell the neighbours, `repeat` rounds over all of them."""
        if self.held and not self._run_out and not self._giving_way:
            self._node.announce(self._instance, self.vips, repeat)
            self._statistics.announcements_sent += repeat * len(self._leases)

    def lost(self, vip: VirtualAddress) -> None:
        """A VIP is gone that we had not released: MASTER stays MASTER (keepalived gives up and comes back).

        Somebody removed it, then it is put back at once; or its lease ran out because we could not advertise, then it
        waits for the next advertisement.
        """
        if not self.held or self._giving_way or self._node.netlink.links.get(vip.device) is None:
            return
        if self.seconds is not None and self._node.clock() - self._renewed >= self.seconds:
            _LOG.warning("%s: the lease of %s ran out: nothing was advertised", self._instance, vip.address)
            self._run_out.append(vip)
            return
        self._statistics.addresses_restored += 1
        _LOG.warning("%s: somebody removed %s from %s; putting it back", self._instance, vip.address, vip.device)
        self._node.spawn(self._bring_back([vip]))

    def refused(self, vip: VirtualAddress, error: OSError) -> None:
        """The kernel does not keep it up: IPv6 duplicate address detection found it elsewhere, for instance."""
        self.faults[vip] = f"can't hold {vip.address} on {vip.device}: {error.strerror or error}"
        _LOG.error("%s: %s", self._instance, self.faults[vip])

    async def _bring_back(self, vips: Sequence[VirtualAddress]) -> None:
        await self._put_on([self._leases[vip] for vip in vips if vip in self._leases])
        if not self.held:
            await self.release()
        elif not self._giving_way:
            self._node.announce(self._instance, vips, 1)

    async def change(self, vips: Sequence[VirtualAddress], seconds: int | None) -> None:
        """Take a changed list over (reload): only what differs is touched."""
        before, self._leases, self.seconds = self._leases, self._lease(vips), seconds
        self._own = frozenset(self._leases.values())
        self.faults = {vip: why for vip, why in self.faults.items() if vip in self._leases}
        if not self.held:
            return
        new = [vip for vip in self._leases if vip not in before]
        await self._put_on(self._leases.values())  # first: what only changed its options never leaves
        await self._take_off(lease for vip, lease in before.items() if vip not in self._leases)
        if self.held:
            self._node.announce(self._instance, new, 1)

    def _lease(self, vips: Iterable[VirtualAddress]) -> dict[VirtualAddress, Lease]:
        return {vip: self._node.netlink.lease(vip, self.seconds) for vip in vips}

    async def _put_on(self, leases: Iterable[Lease]) -> None:
        wanted = list(leases)
        failures = await self._node.netlink.acquire(wanted)
        for lease in wanted:
            self.faults.pop(lease.vip, None)
        for lease, error in failures:
            why = error.strerror or str(error)
            _LOG.error("%s: can't add %s: %s", self._instance, lease, why)
            if error.errno != errno.ENODEV:  # a missing interface is a fault by itself, until it is there
                self.faults[lease.vip] = f"can't add {lease}: {why}"

    async def _take_off(self, leases: Iterable[Lease]) -> None:
        for lease, error in await self._node.netlink.release(list(leases)):
            _LOG.error("%s: can't remove %s: %s", self._instance, lease, error.strerror or error)
