"""Rise and fall, weights and groups, whatever the order of verdicts."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from dnslb.health.check import Action, Band, Check, CheckGroup, Consequence, TcpProbe
from dnslb.health.judgement import CheckState, judge_server
from dnslb.health.pace import Schedule
from dnslb.health.query import Binding
from dnslb.health.report import State
from dnslb.health.verdict import Verdict
from dnslb.model import Endpoint

RUNS = st.lists(st.booleans(), max_size=40)
COUNTS = st.integers(1, 5)


def verdict(ok: bool, elapsed: float = 0.001) -> Verdict:
    return Verdict(ok, "fine" if ok else "bad", elapsed, cause="" if ok else "timeout")


@given(RUNS, COUNTS, COUNTS)
def test_rise_and_fall(runs: list[bool], rise: int, fall: int) -> None:
    """Healthy is: the first result, then the last one that came rise or fall times in a row."""
    state = CheckState(Schedule(rise=rise, fall=fall))
    healthy: bool | None = None
    streak = 0
    for number, ok in enumerate(runs):
        streak = streak + 1 if number and runs[number - 1] is ok else 1
        if healthy is None or streak >= (rise if ok else fall):
            healthy = ok
        state.handle(verdict(ok), float(number))
        assert state.healthy is healthy
        assert state.doubt is (ok is not healthy)
        assert state.failing == (0 if ok else streak)


@given(RUNS, RUNS, COUNTS, COUNTS)
def test_a_changed_pace_changes_no_judgement(before: list[bool], after: list[bool], rise: int, fall: int) -> None:
    old = CheckState(Schedule(rise=2, fall=2))
    for number, ok in enumerate(before):
        old.handle(verdict(ok), float(number))
    new = CheckState(Schedule(rise=rise, fall=fall), before=old)
    assert new.healthy is old.healthy
    for number, ok in enumerate(after):
        new.handle(verdict(ok), float(number))
        if number + 1 >= max(rise, fall) and len(set(after[: number + 1])) == 1:
            assert new.healthy is ok


@given(
    st.floats(0.01, 10),
    st.floats(0.01, 10),
    st.none() | st.floats(0, 10),
    st.floats(0.01, 100),
    st.floats(0, 5),
    st.booleans(),
    st.integers(0, 10**6),
    st.floats(-100, 100),
)
def test_runs_neither_overlap_nor_cease(
    interval: float,
    fast: float,
    retry: float | None,
    longest: float,
    took: float,
    doubt: bool,
    failing: int,
    phase: float,
) -> None:
    schedule = Schedule(interval=interval, fast_interval=fast, retry_delay=retry, longest=longest)
    following = schedule.next(100.0, 100.0 + took, doubt=doubt, failing=failing, phase=phase)
    assert following >= 100.0 + took
    assert following <= 100.0 + took + 1.011 * max(interval, fast, longest, retry or 0.0)
    assert took or doubt or following >= 100.0 + 0.009 * interval, "the same run is not made twice"


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.floats(0, 1), st.floats(0.001, 10))
def test_a_latency_moves_a_weight_in_small_steps_and_never_to_nothing(
    latencies: list[float], low: float, width: float
) -> None:
    state = CheckState(Schedule(), Band(low, low + width))
    before = state.factor
    for number, latency in enumerate(latencies):
        state.handle(verdict(True, latency), float(number))
        assert abs(state.factor - before) <= 0.1 + 1e-6
        assert 0.1 <= state.factor <= 1.0
        before = state.factor


@given(st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=6), st.data())
def test_k_of_n(results: list[bool | None], data: st.DataObject) -> None:
    need = data.draw(st.integers(1, len(results)))
    endpoint = Endpoint(ip_address("192.0.2.1"), 53)
    checks = tuple(
        Check(probe=TcpProbe(endpoint, float(number), Binding()), schedule=Schedule()) for number in range(len(results))
    )
    states = {}
    for check, result in zip(checks, results, strict=True):
        states[check] = CheckState(check.schedule)
        if result is not None:
            states[check].handle(verdict(result), 0.0)
    group = CheckGroup(name="g", checks=checks, need=need, consequence=Consequence(Action.DOWN))
    found = judge_server([group], states.__getitem__).state
    passed, failed = results.count(True), results.count(False)
    expected = State.UP if passed >= need else State.DOWN if len(results) - failed < need else State.UNKNOWN
    assert found is expected
