"""Links, addresses and leases of this host, for the event loop; the kernel is asked on a thread of its own."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Self

from pyvrrp.config.model import VirtualAddress
from pyvrrp.core.events import IPAddress
from pyvrrp.host.leases import Lease, LeaseFailed, LeaseLost, LeaseTakenOver
from pyvrrp.host.links import (
    IFA_F_DADFAILED,
    Address,
    AddressChanged,
    AddressGone,
    Fact,
    Link,
    LinkChange,
    Links,
    primary_address,
)
from pyvrrp.host.netlink_codec import NetlinkError, sequence_number
from pyvrrp.host.netlink_thread import NetlinkThread, Refused, Renewal, Request

RENEWAL_DELAY = 0.05
"seconds in which renewals are gathered: a hand-over to the thread costs as much as the renewal of 100 addresses"

_ADVICE = {
    errno.EPERM: "; the process needs CAP_NET_ADMIN",
    errno.EACCES: "; set sysctl net.ipv6.conf.{device}.disable_ipv6=0",
}
_GONE = (errno.EADDRNOTAVAIL, errno.ENODEV)


@dataclass(frozen=True, slots=True)
class NetlinkEnded:
    """The thread died: nothing is heard, acquired or renewed any more; the leases run out."""

    error: NetlinkError


Change = LinkChange | LeaseTakenOver | LeaseLost | LeaseFailed | NetlinkEnded


class _Held(NamedTuple):
    link: int
    renewal: bytes


class Netlink:
    """One per daemon; made by `open`, used on its loop only (asyncio or uvloop)."""

    def __init__(self, on_change: Callable[[Change], None]) -> None:
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._links = Links()
        self._held: dict[Lease, _Held] = {}
        self._holders: dict[Hashable, Lease] = {}
        "by Address.key"
        self._pending: dict[Lease, int] = {}
        "to be renewed, and for how many seconds"
        self._asked = 0.0
        "when the first of them was asked for, monotonic seconds"
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: dict[asyncio.Future[Refused], Sequence[bytes]] = {}
        self._opened = False
        self._dump: asyncio.Future[None] = self._loop.create_future()
        self._end: asyncio.Future[NetlinkError] = self._loop.create_future()
        self._thread = NetlinkThread(heard=self._on_heard, dumped=self._on_dump, ended=self._on_end)

    @classmethod
    async def open(cls, on_change: Callable[[Change], None]) -> Self:
        """Start, and return when links and addresses are known; `on_change` is called for what comes after.

        Raises NetlinkError. The network namespace is that of the calling thread.
        """
        try:
            netlink = cls(on_change)
        except OSError as error:
            raise NetlinkError(error.errno, f"netlink socket: {error.strerror}") from error
        await asyncio.wait((netlink._dump, netlink._end), return_when=asyncio.FIRST_COMPLETED)
        if netlink._end.done():
            netlink._thread.close()
            raise netlink._end.result()
        netlink._opened = True
        return netlink

    async def close(self) -> None:
        """Finish what was asked for and end; leases that are not released run out."""
        self._opened = False
        if self._timer is not None:
            self._timer.cancel()
        self._flush()
        self._thread.stop()
        await self._end
        self._thread.close()

    # --- what is ---------------------------------------------------------------------------------------------------

    @property
    def links(self) -> Mapping[str, Link]:
        """The interfaces by name, as they are now."""
        return self._links.by_name

    def addresses(self, device: str) -> tuple[Address, ...]:
        """The addresses of an interface, ours too."""
        link = self.links.get(device)
        return () if link is None else self._links.addresses(link.index)

    def find(self, address: IPAddress) -> tuple[Address, ...]:
        """Wherever on this host an address is: what a crash left behind, or somebody configured."""
        return self._links.find(address)

    def primary_address(self, device: str, family: int, exclude: Collection[IPAddress] = ()) -> IPAddress | None:
        """The address to advertise from; `exclude` holds all configured VIPs. See links.primary_address."""
        return primary_address(self.addresses(device), family, exclude)

    # --- leases ----------------------------------------------------------------------------------------------------

    def lease(self, vip: VirtualAddress, seconds: int | None) -> Lease:
        """The messages that hold a VIP for `seconds` after each renewal (None: until it is released)."""
        return Lease(vip, seconds)

    async def acquire(self, leases: Iterable[Lease]) -> list[tuple[Lease, NetlinkError]]:
        """Put the addresses on, all with one hand-over, and return those that were refused.

        An address that is there already becomes ours: its lifetime is the lease's from now on. LeaseTakenOver tells
        when it was there with other properties.
        """
        failed: list[tuple[Lease, NetlinkError]] = []
        found: list[tuple[Lease, int]] = []
        for lease in leases:
            link = self.links.get(lease.vip.device)
            if link is None:
                failed.append((lease, NetlinkError(errno.ENODEV, f"no interface {lease.vip.device}")))
            else:
                found.append((lease, link.index))
        messages = [lease.add(index) for lease, index in found]
        refused = await self._ask(messages, partial(self._hold, found), partial(self._drop_refused, found))
        failed += [(lease, _explained(lease, refused[lease.number])) for lease, _ in found if lease.number in refused]
        return failed

    def renew(self, leases: Iterable[Lease]) -> None:
        """Keep acquired addresses for another `seconds`; the others are passed over. Only LeaseFailed answers.

        Call it when an advertisement was sent, and not otherwise.
        """
        first = not self._pending
        self._pending.update((lease, lease.seconds) for lease in leases if lease.seconds is not None)
        if first and self._pending:
            self._asked = time.monotonic()
            self._timer = self._loop.call_later(RENEWAL_DELAY, self._flush)

    async def release(self, leases: Iterable[Lease]) -> list[tuple[Lease, NetlinkError]]:
        """Take the addresses off, also those left from an earlier run, and return those that would not go.

        Gone already is fine. An address that another lease has acquired meanwhile stays: that is how it moves between
        virtual routers.
        """
        found: list[Lease] = []
        messages: list[bytes] = []
        for lease in leases:
            held = self._drop(lease)
            link = self.links.get(lease.vip.device)
            index = held.link if held is not None else link.index if link is not None else None
            if index is None or lease.key(index) in self._holders:
                continue
            # An IPv6 address that was taken over has kept its prefix length, and is only found by it.
            known = self._links.get(index, lease.key(index))
            found.append(lease)
            messages.append(lease.delete(index, None if known is None else known.prefixlen))
        refused = await self._ask(messages)
        return [
            (lease, _explained(lease, refused[lease.number]))
            for lease in found
            if lease.number in refused and refused[lease.number].errno not in _GONE
        ]

    def _flush(self) -> None:
        pending, self._pending = self._pending, {}
        messages = [self._held[lease].renewal for lease in pending if lease in self._held]
        if messages and not self._end.done():
            # A process that stood still for half a lease must not renew when it wakes up: others may have taken over.
            patience = min(pending.values()) / 2
            refused = partial(self._on_refused, pending)
            self._thread.submit(Renewal(messages, self._asked + patience, refused))

    async def _ask(
        self,
        messages: Sequence[bytes],
        begun: Callable[[], None] = lambda: None,
        done: Callable[[Refused], None] = lambda refused: None,
    ) -> Refused:
        if not messages:
            return {}
        if self._end.done():
            return _all_refused(messages, self._end.result())
        answer: asyncio.Future[Refused] = self._loop.create_future()

        def finished(refused: Refused) -> None:
            done(refused)
            self._waiting.pop(answer, None)
            if not answer.done():  # the caller may have been cancelled
                answer.set_result(refused)

        self._waiting[answer] = messages
        self._thread.submit(Request(messages, begun, finished))
        return await answer

    # --- called on the loop, by the thread, in the order of events ---------------------------------------------------

    def _on_dump(self, facts: Sequence[Link | Address]) -> None:
        self._tell(self._links.replace(facts))
        if not self._dump.done():
            self._dump.set_result(None)

    def _on_heard(self, facts: Sequence[Fact]) -> None:
        # All of them first: whoever is told about one finds `links` as it is now.
        self._tell([change for fact in facts for change in self._links.apply(fact)])

    def _tell(self, changes: Sequence[LinkChange]) -> None:
        for change in changes:
            self._emit(change)
            match change:
                case AddressGone(address) if (lease := self._holders.get(address.key)) is not None:
                    self._drop(lease)
                    duplicate = address.flags & IFA_F_DADFAILED
                    self._emit(_duplicate(lease) if duplicate else LeaseLost(lease))
                case AddressChanged(_, address) if address.flags & IFA_F_DADFAILED and address.key in self._holders:
                    self._emit(_duplicate(self._holders[address.key]))

    def _emit(self, change: Change) -> None:
        if self._opened:
            self._on_change(change)

    def _hold(self, leases: Sequence[tuple[Lease, int]]) -> None:
        present = [
            [
                each
                for each in self._links.find(lease.vip.address)
                if each.index == index and each.key not in self._holders
            ]
            for lease, index in leases
        ]
        for (lease, index), before_us in zip(leases, present, strict=True):
            before = self._holders.get(lease.key(index), lease)
            if before is not lease:
                self._drop(before)
            self._held[lease] = _Held(index, lease.renewal(index))
            self._holders[lease.key(index)] = lease
            for address in before_us:
                if differences := lease.differences(address):
                    self._emit(LeaseTakenOver(lease, address, differences))

    def _drop(self, lease: Lease) -> _Held | None:
        held = self._held.pop(lease, None)
        if held is not None and self._holders.get(lease.key(held.link)) is lease:
            del self._holders[lease.key(held.link)]
        return held

    def _drop_refused(self, leases: Sequence[tuple[Lease, int]], refused: Refused) -> None:
        for lease, _ in leases:
            if lease.number in refused:
                self._drop(lease)

    def _on_refused(self, leases: Iterable[Lease], refused: Refused) -> None:
        for lease in leases:
            if lease.number in refused:
                self._emit(LeaseFailed(lease, _explained(lease, refused[lease.number])))

    def _on_end(self, failure: Exception | None) -> None:
        reason = "closed" if failure is None else f"{type(failure).__name__}: {failure}"
        error = NetlinkError(errno.ESHUTDOWN, f"the netlink thread has ended ({reason})")
        self._end.set_result(error)
        for answer, messages in self._waiting.items():
            if not answer.done():
                answer.set_result(_all_refused(messages, error))
        if failure is not None:
            self._emit(NetlinkEnded(error))


def _all_refused(messages: Iterable[bytes], error: NetlinkError) -> Refused:
    return dict.fromkeys(map(sequence_number, messages), error)


def _explained(lease: Lease, error: NetlinkError) -> NetlinkError:
    advice = _ADVICE.get(error.errno or 0, "")
    return NetlinkError(error.errno, f"{error}{advice.format(device=lease.vip.device)}")


def _duplicate(lease: Lease) -> LeaseFailed:
    return LeaseFailed(lease, NetlinkError(errno.EADDRINUSE, "another host on this link has the address"))
