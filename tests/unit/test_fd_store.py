"""The guard's store of descriptors, and the speaker's end of it, with real sockets and pipes."""

import contextlib
import json
import os
import resource
import socket
from types import SimpleNamespace

import pytest

from pyvrrp.daemon.continuity import Continuity
from pyvrrp.daemon.fd_store import CAPACITY, FdStore, receive, stored
from pyvrrp.daemon.heartbeat import GuardChannel


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def pipe():
    """A pipe whose writing end is closed where it is kept: its reader sees the end when nobody keeps it any more."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    opened = SimpleNamespace(reader=reader, writer=writer)
    yield opened
    os.close(reader)


def is_kept(pipe):
    try:
        return os.read(pipe.reader, 1) != b""
    except BlockingIOError:
        return True


def open_now():
    return set(os.listdir("/proc/self/fd"))


@pytest.fixture
def store():
    made = FdStore()
    yield made
    made.clear()


def handed_over(store, ends):
    store.hand_over(ends[0])
    return stored(ends[1])


def close_all(sets):
    for each in sets.values():
        for descriptor in each.values():
            os.close(descriptor)


def test_a_successor_gets_what_its_predecessor_left_by_owner_and_name(store, ends, pipe):
    given = [pipe.writer, os.dup(pipe.writer)]
    store.replace("dns", ["eth0/link", "eth0/held"], given)
    store.replace("empty", [], [])
    assert given == [], "they are the store's now"
    for _ in range(2):
        found = handed_over(store, ends)
        assert {owner: [*each] for owner, each in found.items()} == {"dns": ["eth0/link", "eth0/held"]}
        os.write(found["dns"]["eth0/held"], b"x")
        assert os.read(pipe.reader, 9) == b"x"
        assert not any(os.get_inheritable(each) for each in found["dns"].values())
        close_all(found)
    assert is_kept(pipe)
    store.clear()
    assert not is_kept(pipe)


def test_a_guard_without_descriptors_says_so_and_an_old_one_says_nothing(store, ends):
    assert stored(ends[1]) is None
    assert handed_over(store, ends) == {}


def test_a_set_replaces_the_one_before_and_no_other(store, ends, pipe):
    store.replace("a", ["one"], [pipe.writer])
    store.replace("b", ["one"], [os.open("/dev/null", os.O_RDONLY)])
    assert is_kept(pipe)
    store.replace("a", ["two"], [os.open("/dev/null", os.O_RDONLY)])
    assert not is_kept(pipe)
    store.replace("a", [], [])
    found = handed_over(store, ends)
    assert [*found] == ["b"]
    close_all(found)


@pytest.mark.parametrize(
    ("names", "count"),
    [
        (["one", "two"], 1),
        (["one"], 2),
        (["one", "one"], 2),
        ([""], 1),
        (["x" * 49], 1),
        (["\u00e9"], 1),
        (["a\nb"], 1),
        ([7], 1),
        ("x", 1),
        ({"x": 1}, 1),
        (None, 1),
        ([str(each) for each in range(CAPACITY + 1)], CAPACITY + 1),
        ([str(each) for each in range(CAPACITY)], CAPACITY),
    ],
)
def test_what_can_not_be_kept_whole_is_not_kept_and_what_was_before_is_out_of_date(store, ends, pipe, names, count):
    store.replace("other", ["one"], [os.open("/dev/null", os.O_RDONLY)])
    store.replace("a", ["old"], [pipe.writer])
    given = [os.open("/dev/null", os.O_RDONLY) for _ in range(count)]
    store.replace("a", names, given)
    assert len(given) == count, "they are still the caller's, who closes them"
    for each in given:
        os.close(each)
    assert not is_kept(pipe)
    found = handed_over(store, ends)
    assert [*found] == ["other"]
    close_all(found)


@pytest.mark.parametrize("owner", [None, 7, ["a"], "x" * 49, "", "\ud800"])
def test_an_owner_that_is_none_keeps_nothing(store, ends, owner):
    given = [os.open("/dev/null", os.O_RDONLY)]
    store.replace(owner, ["one"], given)
    os.close(given.pop())
    assert handed_over(store, ends) == {}


def test_as_many_as_there_is_room_for_go_with_one_message(store, ends):
    names = ['"' * 45 + str(each) for each in range(CAPACITY)]
    for number, name in enumerate(names):
        store.replace('"' * 45 + str(number), [name], [os.open("/dev/null", os.O_RDONLY)])
    found = handed_over(store, ends)
    assert [name for each in found.values() for name in each] == names
    close_all(found)


def test_who_may_not_open_so_many_gets_none_of_them(store, ends, pipe):
    store.replace("a", [str(each) for each in range(64)], [os.dup(pipe.writer) for _ in range(64)])
    os.close(pipe.writer)
    store.hand_over(ends[0])
    before = open_now()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (70, hard))
    try:
        found = stored(ends[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found is None
    assert open_now() == before
    store.clear()
    assert not is_kept(pipe)


@pytest.mark.parametrize(
    "message", [b"{", b"[]", b'{"stored": 7}', b'{"stored": {"a": ["x"]}}', b'{"stored": {"a": 1}}']
)
def test_a_guard_that_talks_nonsense_has_kept_nothing(ends, pipe, message):
    socket.send_fds(ends[0], [message], [pipe.writer, pipe.writer])
    os.close(pipe.writer)
    assert stored(ends[1]) is None
    assert not is_kept(pipe)


# --- the speaker's end -----------------------------------------------------------------------------------------------


class Service:
    """Goes on with what it is told to have."""

    def __init__(self, **descriptors):
        self.has = descriptors

    def take_over(self, descriptors, instances, changed):
        self.taken, self.instances, self.changed = descriptors, instances, changed

    def descriptors(self):
        return self.has


class Guard:
    """What a guard would keep; `refuse` is what it answers instead."""

    def __init__(self):
        self.kept, self.refuse, self.asked = {}, None, 0

    def store(self, owner, descriptors):
        self.asked += 1
        if self.refuse is not None and (descriptors or isinstance(self.refuse, BlockingIOError)):
            raise self.refuse
        self.kept[owner] = dict(descriptors)


def test_services_get_their_own_and_the_guard_hears_of_each_change(pipe):
    guard, service, plain = Guard(), Service(), object()
    continuity = Continuity(guard.store, {"a": {"x": 11}, "gone": {"y": pipe.writer}})
    continuity.begin({"a": service, "plain": plain}, ["VI_1"])
    assert (service.taken, service.instances) == ({"x": 11}, ["VI_1"])
    assert not is_kept(pipe), "nobody goes on with it"
    service.has = {"x": 11}
    continuity.update()
    assert guard.kept == {"a": {"x": 11}, "gone": {}}
    asked = guard.asked
    continuity.update()
    assert guard.asked == asked, "nothing has changed"
    service.has = {"x": 12, "z": 13}
    service.changed()
    assert guard.kept["a"] == {"x": 12, "z": 13}
    continuity.end()
    assert guard.kept == {"a": {}, "gone": {}}


def test_a_reload_replaces_the_service_and_the_old_one_is_not_heard_any_more():
    guard, old, new = Guard(), Service(x=1), Service(x=2)
    continuity = Continuity(guard.store, {})
    for service in (old, new):
        continuity.begin({"a": service}, [])
        continuity.update()
    assert new.taken == {}
    asked = guard.asked
    old.changed()
    assert (guard.asked, guard.kept) == (asked, {"a": {"x": 2}})
    continuity.begin({"a": object()}, [])
    continuity.update()
    assert guard.kept == {"a": {}}


def test_a_full_queue_is_tried_again_with_what_is_true_then():
    guard, service = Guard(), Service(x=1)
    continuity = Continuity(guard.store, {})
    guard.refuse = BlockingIOError()
    continuity.begin({"a": service}, [])
    continuity.update()
    assert guard.kept == {}
    guard.refuse, service.has = None, {"x": 2}
    continuity.update()
    assert guard.kept == {"a": {"x": 2}}


def test_what_can_not_be_kept_is_told_once_and_replaces_what_was_kept(caplog):
    guard, service = Guard(), Service(x=1)
    continuity = Continuity(guard.store, {})
    continuity.begin({"a": service}, [])
    continuity.update()
    service.has = {str(each): each for each in range(CAPACITY + 1)}
    for _ in range(2):
        service.changed()
    assert guard.kept == {"a": {}}
    assert len(caplog.messages) == 1
    assert "plugin a: it can't go on over a restart: its descriptors are not kept: it has 254" in caplog.messages[0]
    service.has = {"x": 1}
    service.changed()
    assert guard.kept == {"a": {"x": 1}}
    guard.refuse = OSError(9, "Bad file descriptor")
    service.changed()
    assert guard.kept == {"a": {}}
    assert "Bad file descriptor" in caplog.messages[1]


def test_services_share_the_room(caplog):
    guard = Guard()
    many = {str(each): each for each in range(200)}
    continuity = Continuity(guard.store, {})
    first, second = Service(**many), Service(**many)
    continuity.begin({"a": first, "b": second}, [])
    continuity.update()
    assert sorted(map(len, guard.kept.values())) == [0, 200]
    assert "there is room for 53 more" in caplog.text


def test_a_service_that_fails_is_told_of_and_nothing_of_it_is_kept(caplog):
    class Broken(Service):
        def take_over(self, descriptors, instances, changed):
            raise RuntimeError("no")

        def descriptors(self):
            raise RuntimeError("no")

    guard = Guard()
    continuity = Continuity(guard.store, {})
    continuity.begin({"a": Broken()}, [])
    continuity.update()
    assert guard.kept == {"a": {}}
    assert "plugin a: " in caplog.text


def test_without_a_guard_a_service_goes_on_from_nothing():
    service = Service(x=1)
    continuity = Continuity()
    continuity.begin({"a": service}, ["VI_1"])
    assert (service.taken, service.instances) == ({}, ["VI_1"])
    service.changed()
    continuity.update()
    continuity.end()


def test_the_channel_carries_sets_to_the_guard_and_never_blocks(ends, pipe):
    guard, theirs = ends
    channel = GuardChannel(theirs, adopt=False, restarts=0)
    assert channel.stored is None
    channel.store("a", {"x": pipe.writer})
    os.close(pipe.writer)
    message, descriptors = receive(guard)
    assert json.loads(message) == {"store": ["a", ["x"]]}
    assert is_kept(pipe)
    os.close(*descriptors)
    channel.store("a", {})
    assert receive(guard)[1] == []
    with contextlib.suppress(BlockingIOError):
        while True:
            channel.store("a", {})
    with contextlib.suppress(BlockingIOError):
        while True:
            receive(guard)
    guard.close()
    with pytest.raises(BrokenPipeError):
        channel.store("a", {})
