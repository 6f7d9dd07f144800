"""The pool under every order of events: who is down gets nothing, two nodes agree, nothing spins."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from dnslb.choice import Panic
from dnslb.explanation import explain
from dnslb.health.report import State
from dnslb.model import FlapDamping, MinUp, OnEmpty, SorryServer, VirtualServer
from dnslb.pool import Pool
from dnslb.pool_events import (
    Admin,
    AdminChanged,
    NeighbourChanged,
    PanicEnded,
    PanicStarted,
    QuorumGained,
    QuorumLost,
    Removed,
    ServerDown,
    ServerUp,
    SorryEnded,
    SorryStarted,
    Startup,
    TableWanted,
    TimerExpired,
)
from tests.pools import SORRY, A, B, C, D, common, health, real, virtual

ADDRESSES = (A, B, C, D)
OPPOSITES = ((QuorumGained, QuorumLost), (SorryStarted, SorryEnded))


@st.composite
def real_servers(draw):
    return tuple(
        real(
            address,
            weight=draw(st.sampled_from((0, 1, 1, 7, 100))),
            tier=draw(st.sampled_from((0, 0, 1))),
            alpha=draw(st.booleans()),
            inhibit_on_failure=draw(st.booleans()),
            slow_start=draw(st.sampled_from((0.0, 0.0, 3.0, 40.0))),
            drain=draw(st.sampled_from((0.0, 5.0))),
            mac=draw(st.sampled_from((None, None, b"\2\0\0\0\0\1"))),
        )
        for address in draw(st.lists(st.sampled_from(ADDRESSES), min_size=1, unique=True))
    )


@st.composite
def virtual_servers(draw):
    quorum = draw(st.sampled_from((1, 2, 10)))
    return virtual(
        *draw(real_servers()),
        quorum=quorum,
        hysteresis=draw(st.integers(0, quorum - 1)),
        min_up=draw(st.sampled_from((MinUp(), MinUp(), MinUp(1), MinUp(50, percent=True)))),
        tier_min=draw(st.sampled_from((1, 2))),
        sorry_server=draw(
            st.sampled_from((None, SorryServer(address=SORRY), SorryServer(address=SORRY, inhibit=True)))
        ),
        on_empty=draw(st.sampled_from(OnEmpty)),
        flap_damping=draw(st.sampled_from((None, FlapDamping(downs=2, half_life=10)))),
        keep_flows=draw(st.booleans()),
    )


def events():
    server = st.sampled_from(ADDRESSES)
    return st.one_of(
        st.builds(health, server, st.sampled_from(State), factor=st.sampled_from((1.0, 0.5, 0.1))),
        st.builds(health, server, st.sampled_from((State.UP, State.DOWN))),
        st.builds(health, server, st.just(State.UP), weights=st.sampled_from(((0,), (3,), (250, 1)))),
        st.builds(common, st.sampled_from(("", "SERVFAIL", "refused"))),
        st.builds(NeighbourChanged, st.sampled_from((*ADDRESSES, SORRY)), st.booleans(), st.just("no answer")),
        st.builds(AdminChanged, server, st.sampled_from(Admin)),
        st.just(TimerExpired()),
        virtual_servers(),
    )


steps = st.lists(st.tuples(st.sampled_from((0.0, 0.1, 0.9, 1.0, 7.0, 300.0)), events()), max_size=40)


def give(pool: Pool, event, now: float):
    if isinstance(event, VirtualServer):
        return pool.reconfigure(event, now)
    return pool.handle(event, now)


def play(server: VirtualServer, script):
    """Every moment at which the pool was asked: the pool, the time, and what it answered."""
    pool, now = Pool(server), 0.0
    yield pool, now, pool.handle(Startup(), now)
    for pause, event in script:
        until = now + pause
        while pool.deadline is not None and pool.deadline <= until:
            now = pool.deadline
            yield pool, now, pool.handle(TimerExpired(), now)
        now = until
        yield pool, now, give(pool, event, now)


@given(virtual_servers(), steps)
@settings(deadline=None)
def test_who_gets_new_flows(server, script):
    for pool, _, _ in play(server, script):
        weights = pool.table.weights
        assert all(parts > 0 for parts in weights.values())
        assert weights.keys() <= pool.table.keeping
        assert weights.keys() <= pool.members.keys() | {SORRY}
        for address, member in pool.members.items():
            if address in weights:
                assert member.neighbour is True
                assert member.admin in (Admin.AUTO, Admin.UP)
                assert not member.removed
                if member.admin is Admin.AUTO:
                    assert pool.panic is not None or not member.down
                    assert not (member.server.alpha and member.health.state is State.UNKNOWN)
        if any(member.eligible and member.sound for member in pool.members.values()):
            assert weights, "somebody could serve, and nobody does"
        if SORRY in weights:
            assert weights.keys() == {SORRY}
        assert pool.panic is not Panic.COMMON_CAUSE or weights


@given(virtual_servers(), steps)
@settings(deadline=None)
def test_what_is_told(server, script):
    told: dict[object, type] = {}
    table_at = last = panic = None
    reloads = any(isinstance(event, VirtualServer) for _, event in script)  # which do not wait for their second
    for pool, now, actions in play(server, script):
        tables = [action for action in actions if isinstance(action, TableWanted)]
        assert tables == list(actions)[: len(tables)], "packets first, words later"
        assert len(tables) <= 1
        for table in tables:
            assert table == pool.table
            if last is not None and table == replace(last, weights=table.weights) and last.weights != table.weights:
                same_servers = table.weights.keys() == last.weights.keys()
                assert not same_servers or now >= table_at + 1.0 or reloads
            last, table_at = table, now
        panics = [type(action) for action in actions if isinstance(action, PanicStarted | PanicEnded)]
        assert panics == ([] if pool.panic is panic else [PanicStarted if pool.panic else PanicEnded])
        panic = pool.panic
        for action in actions:
            for gained, lost in OPPOSITES:
                if isinstance(action, gained | lost):
                    assert told.get(gained) is not type(action), "told twice"
                    told[gained] = type(action)
            if isinstance(action, ServerUp | ServerDown):
                assert told.get(action.server.address) is not type(action), "told twice"
                told[action.server.address] = type(action)
            if isinstance(action, Removed):
                told.pop(action.server.address, None)
                assert action.server.address not in pool.members


@given(virtual_servers(), steps)
@settings(deadline=None)
def test_two_nodes_that_hear_the_same_agree(server, script):
    for (one, _, first), (other, _, second) in zip(play(server, script), play(server, script), strict=True):
        assert first == second
        assert one.table == other.table
        assert one.deadline == other.deadline


@given(virtual_servers(), steps, st.lists(st.floats(0.0, 400.0), max_size=10))
@settings(deadline=None)
def test_timers_that_come_early_do_not_matter(server, script, extra):
    """A pool that is woken at odd times ends with the table of one that is not."""
    moments, now = [], 0.0
    for pause, event in script:
        now += pause
        moments.append((now, 1, event))
    end = now + 1000.0
    plain, woken = Pool(server), Pool(server)
    for pool, more in ((plain, ()), (woken, [(time, 0, TimerExpired()) for time in extra])):
        pool.handle(Startup(), 0.0)
        for at, _, event in [*sorted([*moments, *more], key=lambda moment: moment[:2]), (end, 2, TimerExpired())]:
            while pool.deadline is not None and pool.deadline <= at:
                pool.handle(TimerExpired(), pool.deadline)
            give(pool, event, at)
    assert plain.table.weights == woken.table.weights
    assert plain.table.keeping == woken.table.keeping
    assert plain.quorum == woken.quorum


@given(virtual_servers(), steps)
@settings(deadline=None)
def test_nothing_spins_and_everything_comes_to_rest(server, script):
    for pool, now, _ in play(server, script):
        assert pool.deadline is None or pool.deadline > now
    for _ in range(100):
        if pool.deadline is None:
            break
        pool.handle(TimerExpired(), pool.deadline)
    assert pool.deadline is None
    for member in pool.members.values():
        assert member.slow_start is None
        assert not member.removed


@given(virtual_servers(), steps)
@settings(deadline=None)
def test_every_server_has_its_sentence(server, script):
    for pool, now, _ in play(server, script):
        found = [explain(pool, member, now) for member in pool.members.values()]
        assert all(each.sentence and "\n" not in each.sentence for each in found)
        if pool.table.weights and not pool.sorry:
            assert abs(sum(each.share for each in found) - 1) < 1e-9


@given(virtual_servers(), steps)
@settings(deadline=None)
def test_the_quorum_has_its_hysteresis(server, script):
    for pool, _, _ in play(server, script):
        live = sum(member.live_weight() for member in pool.members.values()) / 100
        if pool.quorum:
            assert live >= pool.server.quorum - pool.server.hysteresis
        else:
            assert live < pool.server.quorum + pool.server.hysteresis
