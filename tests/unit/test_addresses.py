"""What an instance does about an address that goes: put it back, wait, or let it go. The machine only notes it."""

import asyncio
from ipaddress import ip_interface

import pytest

from pyvrrp.config.model import VirtualAddress
from pyvrrp.core.discard import Statistics
from pyvrrp.daemon.addresses import Addresses

VIP = VirtualAddress(interface=ip_interface("192.0.2.100/32"), device="eth0")


class Machine:
    """The node and its netlink in one."""

    def __init__(self):
        self.netlink = self
        self.links = {"eth0": object()}
        self.now = 100.0
        self.done = []
        self.begun = []

    def clock(self):
        return self.now

    def lease(self, vip, seconds):
        return Lease(vip, seconds)

    async def acquire(self, leases):
        self.done += [("on", str(each.vip.address)) for each in leases]
        return []

    async def release(self, leases):
        self.done += [("off", str(each.vip.address)) for each in leases]
        return []

    def renew(self, leases):
        self.done.append("renewed")

    def announce(self, instance, vips, repeat):
        self.done.append("announced")

    def withdraw(self, instance):
        self.done.append("withdrawn")

    def spawn(self, work):
        self.begun.append(work)

    def finish(self):
        """Do what was begun, and return all that was done since."""
        while self.begun:
            asyncio.run(self.begun.pop(0))
        done, self.done = self.done, []
        return done


class Lease:
    def __init__(self, vip, seconds):
        self.vip = vip


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def held(machine):
    addresses = Addresses("A", machine, [VIP], 3, Statistics())
    addresses.renew()
    asyncio.run(addresses.acquire())
    machine.finish()
    return addresses


def test_what_somebody_removes_is_put_back_and_announced(machine, held):
    held.lost(VIP)
    assert machine.finish() == [("on", "192.0.2.100"), "announced"]


def test_what_ran_out_waits_for_the_next_advertisement(machine, held):
    machine.now += 3.0
    held.lost(VIP)
    assert machine.finish() == []
    held.announce(5)
    assert machine.finish() == []
    held.renew()
    assert machine.finish() == ["renewed", ("on", "192.0.2.100"), "announced"]


def test_who_gives_way_puts_nothing_back_and_announces_nothing(machine, held):
    """It slept until its lease was over, and heard its successor first: the neighbours are the other's."""
    held.give_way()
    held.lost(VIP)
    held.announce(5)
    assert machine.finish() == ["withdrawn"]


def test_what_was_being_put_back_is_not_announced_by_who_gives_way_meanwhile(machine, held):
    held.lost(VIP)
    held.give_way()
    assert machine.finish() == ["withdrawn", ("on", "192.0.2.100")]


def test_who_goes_on_because_nobody_took_over_puts_back_again(machine, held):
    held.give_way()
    held.renew()
    held.lost(VIP)
    assert machine.finish() == ["withdrawn", "renewed", ("on", "192.0.2.100"), "announced"]
