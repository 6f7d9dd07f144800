"""Links, addresses and leases against the real kernel."""

import asyncio
import errno
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
import uvloop
from isolated import drop_capabilities, ip, isolated, sysctl

from pyvrrp.config.model import VirtualAddress
from pyvrrp.host import netlink_socket
from pyvrrp.host.leases import Lease, LeaseFailed, LeaseLost, LeaseTakenOver
from pyvrrp.host.links import Address, AddressChanged, Fact, Gone, Link, LinkChanged, LinkGone
from pyvrrp.host.netlink import Change, Netlink, NetlinkEnded
from pyvrrp.host.netlink_socket import MonitorSocket, RequestSocket

V4, V6 = "192.0.2.100/32", "2001:db8::100/128"
LOOPS = pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])


class Changes:
    """Collects what `on_change` is told and waits for it."""

    def __init__(self) -> None:
        self.seen: list[Change] = []
        self._news = asyncio.Event()

    def __call__(self, change: Change) -> None:
        self.seen.append(change)
        self._news.set()

    async def until(self, wanted: Callable[[Change], Any], seconds: float = 5.0) -> Change:
        async with asyncio.timeout(seconds):
            while not (found := [change for change in self.seen if wanted(change)]):
                self._news.clear()
                await self._news.wait()
        return found[0]

    def of(self, *kinds: type) -> list[Change]:
        return [change for change in self.seen if isinstance(change, kinds)]


async def opened() -> tuple[Netlink, Changes]:
    """An interface `eth0` with a cable to `peer0`, and someone who listens."""
    ip("link add eth0 type veth peer name peer0")
    for name in ("eth0", "peer0"):
        sysctl(f"net/ipv6/conf/{name}/addr_gen_mode", "1")  # no link-local address of its own
        ip(f"link set {name} up")
    changes = Changes()
    netlink = await Netlink.open(changes)
    while not netlink.links["eth0"].running:
        await changes.until(lambda change: isinstance(change, LinkChanged) and change.new.running)
    changes.seen.clear()
    return netlink, changes


def vip(text: str, **options: Any) -> VirtualAddress:
    return VirtualAddress(interface=ip_interface(text), device="eth0", **options)


def shown(device: str = "eth0") -> str:
    return subprocess.run(["ip", "-o", "address", "show", "dev", device], text=True, capture_output=True).stdout


def is_lost(lease: Lease) -> Callable[[Change], bool]:
    return lambda change: isinstance(change, LeaseLost) and change.lease is lease


@LOOPS
@isolated
async def test_a_lease_is_put_on_and_taken_off(loop_factory: Any) -> None:
    netlink, changes = await opened()
    first = netlink.lease(
        vip("192.0.2.100/24", label="eth0:1", broadcast=ip_address("192.0.2.255"), scope=253, noprefixroute=True), 3
    )
    second = netlink.lease(vip(V6), 3)
    third = netlink.lease(vip("198.51.100.1/32", peer=ip_interface("198.51.100.2/30")), None)

    assert await netlink.acquire([first, second, third]) == []
    text = shown()
    assert "inet 192.0.2.100/24 brd 192.0.2.255 scope link dynamic noprefixroute eth0:1" in text
    assert "inet6 2001:db8::100/128 scope global nodad deprecated dynamic" in text
    assert "valid_lft 3sec preferred_lft 0sec" in text
    assert "inet 198.51.100.1 peer 198.51.100.2/30 scope global eth0" in text
    assert "valid_lft forever" in text

    assert await netlink.release([first, second, third]) == []
    assert shown() == ""
    assert await netlink.release([first, second, third]) == [], "gone already is fine"
    assert not changes.of(LeaseLost, LeaseFailed, LeaseTakenOver)
    await netlink.close()


@isolated
async def test_255_addresses_come_with_one_call() -> None:
    netlink, _ = await opened()
    leases = [netlink.lease(vip(f"10.0.0.{number}/32"), 5) for number in range(1, 256)]
    assert await netlink.acquire(leases) == []
    assert len(netlink.addresses("eth0")) == 255
    netlink.renew(leases)
    assert await netlink.release(leases) == []
    assert shown() == "", "a renewal that was asked for before the release does not bring it back"
    await netlink.close()


@pytest.mark.parametrize("address", [V4, V6])
@isolated
async def test_without_renewal_the_address_is_gone_in_time(address: str) -> None:
    netlink, changes = await opened()
    lease = netlink.lease(vip(address), 1)
    began = time.monotonic()
    await netlink.acquire([lease])
    await changes.until(is_lost(lease))
    assert 0.95 < time.monotonic() - began < 2.3, "see the measurements in pyvrrp/host/leases.py"
    assert shown() == ""
    await netlink.close()


@pytest.mark.parametrize("address", [V4, V6])
@isolated
async def test_renewals_keep_it_and_are_not_heard(address: str) -> None:
    netlink, changes = await opened()
    lease = netlink.lease(vip(address), 1)
    await netlink.acquire([lease])
    await changes.until(lambda change: isinstance(change, AddressChanged))
    changes.seen.clear()
    for _ in range(8):
        netlink.renew([lease])
        await asyncio.sleep(0.25)
    assert changes.seen == []
    assert address in shown()
    await netlink.close()


@pytest.mark.parametrize("address", [V4, V6])
@isolated
async def test_the_monitor_hears_all_but_renewals(address: str) -> None:
    ip("link add eth0 type veth peer name peer0")
    ip("link set eth0 up")
    requests = RequestSocket()
    monitor = MonitorSocket(requests.port)
    lease = Lease(vip(address), 2)
    index = socket.if_nametoindex("eth0")

    async def heard(seconds: float = 2.0) -> list[str]:
        """Until something is heard, and what comes with it."""
        words: list[str] = []
        give_up = time.monotonic() + seconds
        while not words and time.monotonic() < give_up:
            await asyncio.sleep(0.02)
            for fact in monitor.read(100):
                subject = fact.subject if isinstance(fact, Gone) else fact
                if isinstance(subject, Address) and subject.address == lease.vip.address:
                    words.append("gone" if isinstance(fact, Gone) else "new")
        return words

    assert requests.exchange([lease.add(index)], acknowledged=True) == {}
    assert await heard() == ["new"]
    for _ in range(3):
        await asyncio.sleep(0.1)
        assert requests.exchange([lease.renewal(index)], acknowledged=False) == {}
    assert await heard(0.2) == []
    ip(f"address change {address} dev eth0 valid_lft 60 preferred_lft 60")
    assert await heard() == ["new"], "what somebody else changes"
    ip(f"address delete {address} dev eth0")
    assert await heard() == ["gone"]
    assert requests.exchange([lease.renewal(index)], acknowledged=False) == {}
    assert await heard() == ["new"], "a renewal adds what is gone: the kernel has no renewal that would not"
    assert await heard(3.0) == ["gone"], "expiry"
    assert requests.exchange([lease.delete(index)], acknowledged=True)[lease.number].errno == errno.EADDRNOTAVAIL


@pytest.mark.parametrize("address", [V4, V6])
@isolated
async def test_what_somebody_removes_can_be_put_back_at_once(address: str) -> None:
    netlink, changes = await opened()
    lease = netlink.lease(vip(address), 30)
    await netlink.acquire([lease])
    ip(f"address delete {address} dev eth0")
    await changes.until(is_lost(lease))
    changes.seen.clear()
    assert await netlink.acquire([lease]) == []
    assert address in shown()
    assert not changes.of(LeaseLost, LeaseTakenOver)
    await netlink.close()


@isolated
async def test_residue_is_seen_taken_over_and_released() -> None:
    netlink, changes = await opened()
    ip("address add 192.0.2.100/24 dev eth0 label eth0:old")
    ip("address add 2001:db8::100/64 dev eth0 nodad")
    await changes.until(lambda change: isinstance(change, AddressChanged) and change.new.address.version == 6)
    assert [str(found) for found in netlink.find(ip_address("192.0.2.100"))] == ["192.0.2.100/24"]

    four, six = netlink.lease(vip("192.0.2.100/24"), 30), netlink.lease(vip(V6), 30)
    assert await netlink.acquire([four, six]) == []
    told = {change.lease: change.differences for change in changes.of(LeaseTakenOver)}
    assert told == {four: ["valid_lft forever"], six: ["prefix length 64", "valid_lft forever"]}
    assert "forever" not in shown()

    assert await netlink.release([four, six]) == []
    assert shown() == "", "also the IPv6 address that has kept its prefix length"
    await netlink.close()


@isolated
async def test_residue_is_released_without_having_been_acquired() -> None:
    netlink, _ = await opened()
    ip("address add 192.0.2.100/32 dev eth0")
    assert await netlink.release([netlink.lease(vip(V4), 3)]) == []
    assert shown() == ""
    await netlink.close()


@isolated
async def test_another_ipv4_entry_of_the_address_is_told_and_stays() -> None:
    netlink, changes = await opened()
    ip("address add 192.0.2.100/24 dev eth0")
    await changes.until(lambda change: isinstance(change, AddressChanged))
    lease = netlink.lease(vip(V4), 30)
    await netlink.acquire([lease])
    assert [change.differences for change in changes.of(LeaseTakenOver)] == [["prefix length 24", "valid_lft forever"]]
    await netlink.release([lease])
    assert "192.0.2.100/24" in shown()
    await netlink.close()


@isolated
async def test_an_address_moves_from_one_lease_to_another() -> None:
    netlink, changes = await opened()
    old, new = netlink.lease(vip(V4), 1), netlink.lease(vip(V4), 30)
    await netlink.acquire([old])
    await netlink.acquire([new])
    assert await netlink.release([old]) == []
    assert V4 in shown()
    ip(f"address delete {V4} dev eth0")
    await changes.until(lambda change: isinstance(change, LeaseLost))
    assert changes.of(LeaseLost) == [LeaseLost(new)]
    await netlink.close()


@isolated
async def test_an_interface_that_comes_back_has_a_new_index() -> None:
    netlink, changes = await opened()
    lease = netlink.lease(vip(V4), 30)
    await netlink.acquire([lease])
    before = netlink.links["eth0"].index

    changes.seen.clear()
    ip("link delete eth0")
    await changes.until(lambda change: isinstance(change, LinkGone) and change.link.name == "eth0")
    assert changes.of(LeaseLost) == [LeaseLost(lease)]
    assert "eth0" not in netlink.links
    ((failed, error),) = await netlink.acquire([lease])
    assert (failed, error.errno, str(error)) == (lease, errno.ENODEV, "no interface eth0")
    assert await netlink.release([lease]) == []

    changes.seen.clear()
    ip("link add eth0 type veth peer name peer0")
    back = await changes.until(lambda change: isinstance(change, LinkChanged) and change.new.name == "eth0")
    assert isinstance(back, LinkChanged)
    assert back.new.index != before
    assert await netlink.acquire([lease]) == []
    assert V4 in shown()
    await netlink.close()


@isolated
async def test_a_renamed_interface_is_gone_and_its_addresses_can_be_taken_off() -> None:
    netlink, changes = await opened()
    lease = netlink.lease(vip(V4), 30)
    await netlink.acquire([lease])
    ip("link set eth0 name lan0")
    await changes.until(lambda change: isinstance(change, LinkGone) and change.link.name == "eth0")
    await changes.until(lambda change: isinstance(change, LinkChanged) and change.new.name == "lan0")
    assert "eth0" not in netlink.links
    assert V4 in shown("lan0")
    assert await netlink.release([lease]) == []
    assert V4 not in shown("lan0")
    await netlink.close()


@isolated
async def test_a_port_that_leaves_its_bridge_is_no_link_gone() -> None:
    netlink, changes = await opened()
    ip("link add br0 type bridge")
    ip("link set peer0 master br0")
    await changes.until(lambda change: isinstance(change, LinkChanged) and change.new.master is not None)
    ip("link set peer0 nomaster")
    await changes.until(
        lambda change: isinstance(change, LinkChanged) and change.old and change.old.master and not change.new.master
    )
    ip("link delete br0")
    await changes.until(lambda change: isinstance(change, LinkGone))
    assert [change.link.name for change in changes.of(LinkGone)] == ["br0"]
    assert netlink.links["eth0"].kind == "veth"
    await netlink.close()


@isolated
async def test_down_and_up() -> None:
    """Linux flushes IPv6 addresses on down (unless keep_addr_on_down) and keeps those of IPv4."""
    netlink, changes = await opened()
    four, six = netlink.lease(vip(V4), 30), netlink.lease(vip(V6), 30)
    await netlink.acquire([four, six])
    ip("link set eth0 down")
    await changes.until(is_lost(six))
    kinds = [type(change) for change in changes.seen]
    assert kinds.index(LinkChanged) < kinds.index(LeaseLost), "down is told first"
    assert not netlink.links["eth0"].up
    assert changes.of(LeaseLost) == [LeaseLost(six)]
    await netlink.close()


@isolated
async def test_a_lost_carrier_is_not_running() -> None:
    netlink, changes = await opened()
    ip("link set peer0 down")
    await changes.until(
        lambda change: isinstance(change, LinkChanged) and change.new.name == "eth0" and not change.new.running
    )
    assert netlink.links["eth0"].up
    await netlink.close()


@isolated
async def test_the_primary_address_is_not_a_vip_that_came_first() -> None:
    netlink, changes = await opened()
    lease = netlink.lease(vip("192.0.2.100/24"), 30)
    await netlink.acquire([lease])
    ip("address add 192.0.2.1/24 dev eth0")  # a secondary one, behind the VIP
    ip("address add fe80::1/64 dev eth0 nodad")
    await changes.until(lambda change: isinstance(change, AddressChanged) and change.new.address.version == 6)
    vips = [ip_address("192.0.2.100")]
    assert netlink.primary_address("eth0", 4, vips) == ip_address("192.0.2.1")
    assert netlink.primary_address("eth0", 6, vips) == ip_address("fe80::1")
    assert netlink.primary_address("peer0", 4) is None
    assert netlink.primary_address("nosuch0", 4) is None
    await netlink.close()


@isolated
async def test_a_duplicate_address_is_told() -> None:
    netlink, changes = await opened()
    ip(f"address add {V6} dev peer0 nodad")
    lease = netlink.lease(vip(V6, nodad=False), 30)
    assert await netlink.acquire([lease]) == []
    failure = await changes.until(lambda change: isinstance(change, LeaseFailed))
    assert isinstance(failure, LeaseFailed)
    assert (failure.lease, failure.error.errno) == (lease, errno.EADDRINUSE)
    await netlink.close()


@isolated
async def test_refusals_say_what_to_do() -> None:
    netlink, _ = await opened()
    sysctl("net/ipv6/conf/eth0/disable_ipv6", "1")
    ((_, error),) = await netlink.acquire([netlink.lease(vip(V6), 3)])
    assert error.errno == errno.EACCES
    assert str(error) == (
        "Permission denied (ipv6: IPv6 is disabled on this device); set sysctl net.ipv6.conf.eth0.disable_ipv6=0"
    )
    await netlink.close()


@isolated
async def test_without_the_capability_it_listens_and_says_what_it_lacks() -> None:
    ip("link add eth0 type veth peer name peer0")
    drop_capabilities()
    netlink = await Netlink.open(lambda change: None)
    lease = netlink.lease(vip(V4), 3)
    ((failed, error),) = await netlink.acquire([lease])
    assert failed is lease
    assert (error.errno, str(error)) == (errno.EPERM, "Operation not permitted; the process needs CAP_NET_ADMIN")
    await netlink.close()


@isolated
async def test_an_overrun_loses_nothing() -> None:
    netlink_socket.RECEIVE_BUFFER = 4096
    netlink, changes = await opened()
    lease = netlink.lease(vip(V4), 30)
    await netlink.acquire([lease])
    monitor = netlink._thread._monitor
    read, batch_done = monitor.read, threading.Event()
    requests = netlink._thread._requests
    dump, dumps = requests.dump, list[str]()

    def held_up(limit: int) -> Iterator[Fact]:
        assert batch_done.wait(20)
        return read(limit)

    def noted() -> list[Link | Address] | None:
        dumps.append("dump")
        return dump()

    monitor.read = held_up  # type: ignore[method-assign]
    requests.dump = noted  # type: ignore[method-assign]
    lines = [f"address delete {V4} dev eth0"]
    lines += [f"address add 10.{number // 250}.0.{number % 250 + 1}/32 dev eth0" for number in range(2000)]
    process = await asyncio.create_subprocess_exec("ip", "-batch", "-", stdin=subprocess.PIPE)
    await process.communicate("\n".join(lines).encode())
    batch_done.set()
    await changes.until(lambda change: len(netlink.addresses("eth0")) == 2000)
    assert dumps, "the buffer was too large for this test"
    assert changes.of(LeaseLost) == [LeaseLost(lease)]
    await netlink.close()


@isolated
async def test_a_process_that_stood_still_does_not_renew_when_it_wakes_up() -> None:
    netlink, changes = await opened()
    lease = netlink.lease(vip(V4), 1)
    await netlink.acquire([lease])
    netlink.renew([lease])
    time.sleep(0.7)  # noqa: ASYNC251  the loop is stopped before it could hand the renewal over
    await changes.until(is_lost(lease))
    assert changes.of(LeaseFailed) == []
    await netlink.close()


@isolated
async def test_a_dead_thread_is_told_and_answers_are_refusals() -> None:
    netlink, changes = await opened()

    def broken(limit: int) -> Iterator[Fact]:
        raise OSError(errno.EIO, "broken")

    netlink._thread._monitor.read = broken  # type: ignore[method-assign]
    ip("link set peer0 down")
    ended = await changes.until(lambda change: isinstance(change, NetlinkEnded))
    assert isinstance(ended, NetlinkEnded)
    lease = netlink.lease(vip(V4), 3)
    assert ended.error.errno == errno.ESHUTDOWN
    assert [(failed, str(error)) for failed, error in await netlink.acquire([lease])] == [(lease, str(ended.error))]
    netlink.renew([lease])
    await netlink.close()
