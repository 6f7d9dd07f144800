"""Hysteresis against its plain meaning: so many results in a row."""

from hypothesis import given
from hypothesis import strategies as st

from pyvrrp.core.tracking import Tracked, Tracker, tracking

results = st.lists(st.booleans(), max_size=60)
limits = st.integers(1, 6)


def in_words(results: list[bool], rise: int, fall: int) -> bool | None:
    """The first result counts; later `rise` successes or `fall` failures in a row."""
    up = None
    run = 0
    before = None
    for ok in results:
        run = run + 1 if ok is before else 1
        before = ok
        if up is None or run >= (rise if ok else fall):
            up = ok
    return up


@given(results, limits, limits)
def test_rise_and_fall_count_results_in_a_row(results: list[bool], rise: int, fall: int) -> None:
    tracker = Tracker("script", "chk", rise=rise, fall=fall)
    for now, ok in enumerate(results):
        before = tracker.up
        assert tracker.report(ok, "", float(now)) == (tracker.up is not before)
        assert 0 <= tracker.result <= rise + fall - 1
        assert (tracker.result >= rise) is tracker.up
    assert tracker.up is in_words(results, rise, fall)


@given(results, st.integers(-253, 253))
def test_a_weight_never_helps_more_than_it_says_and_reverse_mirrors_it(results: list[bool], weight: int) -> None:
    tracker = Tracker("script", "chk")
    for ok in results:
        tracker.report(ok, "", 0.0)
    plain, mirrored = Tracked(tracker, weight, False).contribution, Tracked(tracker, weight, True).contribution
    assert min(weight, 0) <= plain <= max(weight, 0)
    assert {plain, mirrored} == ({0} if tracker.up is None else {weight, 0})


@given(st.lists(st.tuples(st.sampled_from([None, True, False]), st.sampled_from([-20, 0, 20]), st.booleans())))
def test_every_tracker_without_weight_is_healthy_a_fault_or_pending(each: list[tuple[bool | None, int, bool]]) -> None:
    tracks = []
    for number, (up, weight, reverse) in enumerate(each):
        tracker = Tracker("script", f"chk{number}")
        if up is not None:
            tracker.report(up, "", 0.0)
        tracks.append(Tracked(tracker, weight, reverse))
    found = tracking(tracks)
    plain = [track for track in tracks if track.weight == 0]
    healthy = sum(track.tracker.healthy(reverse=track.reverse) is True for track in plain)
    assert len(found.faults) + len(found.pending) + healthy == len(plain)
    assert found == tracking(iter(tracks))
    assert found.weight == tracking(tracks[::-1]).weight
