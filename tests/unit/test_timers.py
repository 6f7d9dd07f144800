"""One loop timer for all deadlines: order, moves, early wake-ups, lateness."""

import asyncio

import pytest

from pyvrrp.daemon.timers import Deadline, Timers


class Loop:
    """Stands for the event loop: remembers what was asked for; the test says when it fires."""

    def __init__(self):
        self.delay = self.callback = None

    def call_later(self, delay, callback):
        self.delay, self.callback = delay, callback
        return self

    def cancel(self):
        self.callback = None


@pytest.fixture
def world(monkeypatch):
    loop = Loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)

    class World:
        now = 100.0

    world = World()
    world.loop, world.timers, world.log = loop, Timers(lambda: world.now), []
    world.deadline = lambda name: Deadline(lambda now: world.log.append((name, now)))
    return world


def fire(world, now):
    world.now = now
    world.loop.callback()


def test_expire_in_order_in_one_wake_up(world):
    first, second = world.deadline("first"), world.deadline("second")
    world.timers.set(second, 102.0)
    world.timers.set(first, 101.0)
    assert world.loop.delay == 1.0
    fire(world, 102.5)
    assert world.log == [("first", 102.5), ("second", 102.5)]
    assert world.timers.worst_lateness == 1.5
    assert world.timers.lateness == 0.5


def test_a_wake_up_that_is_too_early_delivers_nothing_and_arms_again(world):
    deadline = world.deadline("one")
    world.timers.set(deadline, 101.0)
    fire(world, 100.9995)
    assert world.log == []
    assert world.loop.delay == pytest.approx(0.0005)
    fire(world, 101.0)
    assert world.log == [("one", 101.0)]


def test_moved_later_and_earlier_and_away(world):
    deadline = world.deadline("one")
    world.timers.set(deadline, 101.0)
    world.timers.set(deadline, 105.0)
    fire(world, 101.0)
    assert world.log == []
    world.timers.set(deadline, 103.0)
    fire(world, 103.0)
    assert world.log == [("one", 103.0)]
    world.timers.set(deadline, 104.0)
    world.timers.set(deadline, None)
    fire(world, 104.0)
    fire(world, 106.0) if world.loop.callback else None
    assert world.log == [("one", 103.0)]


def test_set_again_from_its_own_expiry(world):
    times = []

    def again(now):
        times.append(now)
        world.timers.set(deadline, now + 1)

    deadline = Deadline(again)
    world.timers.set(deadline, 101.0)
    for now in (101.0, 102.0, 103.0):
        fire(world, now)
    assert times == [101.0, 102.0, 103.0]


def test_moving_a_deadline_later_leaves_one_entry(world):
    deadline = world.deadline("one")
    for step in range(1000):
        world.timers.set(deadline, 101.0 + step)
    assert len(world.timers._heap) == 1
