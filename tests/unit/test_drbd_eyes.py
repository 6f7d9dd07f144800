"""Looking: the feed and the status are compared, and only a difference that lasts makes them untrusted."""

import asyncio
from dataclasses import replace

import pytest

from drbdctl.daemon import eyes as eyes_module
from drbdctl.daemon.eyes import Eyes
from drbdctl.daemon.peer_watch import PeerWatch
from drbdctl.settings import Storage
from drbdctl.status.state import Status
from drbdctl.status.words import Role
from tests.unit.drbd_seen import GROUP, resource, seen

STORAGE = Storage(group=GROUP, instance="VI")


@pytest.fixture
def looking(monkeypatch):
    """Eyes whose looks find a Secondary, at times that the test says."""
    watch = PeerWatch((), (), 3.0, lambda: None)
    eyes = Eyes(STORAGE, watch)

    def at(now: float, **members):
        async def look(*_, **__):
            return replace(seen(**members), at=now)

        monkeypatch.setattr(eyes_module, "look", look)
        return asyncio.run(eyes.look((), ""))

    return watch, at


def test_a_difference_of_a_moment_is_the_feed_that_is_not_read_yet(looking):
    watch, at = looking
    watch.told = Status((resource(role=Role.PRIMARY),))
    assert at(10.0).gap == ""
    assert at(10.9).gap == ""
    watch.told = Status((resource(),))
    assert at(11.1).gap == ""


def test_a_difference_that_lasts_is_told_and_nothing_is_learnt_from_it(looking):
    watch, at = looking
    watch.told = Status((resource(role=Role.PRIMARY),))
    at(10.0)
    learnt = dict(watch.sights)
    assert at(11.0).gap == "r0: the events say it is Primary, the status Secondary"
    assert dict(watch.sights) == learnt
    watch.told = None  # the feed has ended: only the status is left
    assert at(12.0).gap == ""


def test_a_look_that_failed_is_not_compared(looking):
    watch, at = looking
    watch.told = Status((resource(),))
    assert at(10.0, gap="no answer", status=Status()).gap == "no answer"
