"""Hysteresis and weights as keepalived has them."""

import pytest

from pyvrrp.core.events import TrackingChanged
from pyvrrp.core.tracking import Tracked, Tracker, in_sync_group, tracking


def script(name: str = "chk", *, up: bool | None = True, broken: bool = False) -> Tracker:
    tracker = Tracker("script", name)
    if up is not None:
        tracker.report(up, "exit status 0" if up else "exit status 1", 1.0, broken=broken)
    return tracker


@pytest.mark.parametrize("ok", [True, False])
def test_the_first_result_counts_at_once_whatever_rise_and_fall_are(ok: bool) -> None:
    tracker = Tracker("script", "chk", rise=3, fall=5)
    assert tracker.up is None
    assert tracker.report(ok, "first", 4.0)
    assert tracker.up is ok
    assert (tracker.since, tracker.detail) == (4.0, "first")


def test_it_takes_fall_failures_in_a_row_to_go_down_and_rise_successes_to_come_back() -> None:
    tracker = Tracker("script", "chk", rise=2, fall=3)
    results = [True, False, False, True, False, False, False, True, False, True, True]
    changed = [tracker.report(ok, "", float(now)) for now, ok in enumerate(results)]
    assert [now for now, change in enumerate(changed) if change] == [0, 6, 10]
    assert (tracker.up, tracker.since) == (True, 10.0)
    assert (tracker.successes, tracker.failures) == (5, 6)


def test_the_counter_is_that_of_keepalived() -> None:
    tracker = Tracker("script", "chk", rise=2, fall=3)
    counter = [tracker.result]
    for ok in (True, False, False, False, False, True, True, True):
        tracker.report(ok, "", 0.0)
        counter.append(tracker.result)
    assert counter == [1, 4, 3, 2, 0, 0, 1, 4, 4]


def test_the_detail_follows_every_result_and_since_only_the_changes() -> None:
    tracker = Tracker("script", "chk", fall=2)
    tracker.report(True, "exit status 0", 1.0)
    assert not tracker.report(False, "exit status 7", 2.0)
    assert (tracker.detail, tracker.since) == ("exit status 7", 1.0)


def test_init_fail_is_down_until_the_first_success() -> None:
    tracker = Tracker("script", "chk", rise=3, init_fail=True)
    assert tracking([Tracked(tracker)]) == TrackingChanged(0, ("script chk: no result yet",))
    assert tracker.report(True, "exit status 0", 1.0)
    assert tracking([Tracked(tracker)]) == TrackingChanged()


def test_a_changed_check_keeps_its_state_until_its_first_result() -> None:
    old = script(up=True)
    tracker = Tracker("script", "chk", rise=4, fall=4, before=old)
    assert (tracker.up, tracker.since, tracker.detail) == (True, 1.0, "exit status 0")
    assert tracker.report(False, "exit status 1", 2.0)
    assert tracker.up is False


def test_weights_add_while_up_or_subtract_while_down() -> None:
    up, down = script("good", up=True), script("bad", up=False)
    weights = [(up, 20, False), (up, -30, False), (down, 40, False), (down, -50, False)]
    assert tracking(Tracked(*each) for each in weights) == TrackingChanged(20 - 50)
    assert tracking(Tracked(tracker, weight, not reverse) for tracker, weight, reverse in weights).weight == -30 + 40


def test_without_weight_a_failure_is_a_fault_and_says_why() -> None:
    tracks = [Tracked(script("good", up=True)), Tracked(script("bad", up=False))]
    assert tracking(tracks) == TrackingChanged(0, ("script bad: exit status 1",))


def test_without_weight_in_reverse_a_success_is_a_fault() -> None:
    tracks = [Tracked(script("maintenance", up=True), 0, True), Tracked(script("bad", up=False), 0, True)]
    assert tracking(tracks).faults == ("script maintenance (tracked in reverse): exit status 0",)


def test_what_has_not_reported_is_pending_without_weight_and_nothing_with_one() -> None:
    tracks = [Tracked(script("a", up=None)), Tracked(script("b", up=None), -20), Tracked(script("c", up=None), 20)]
    assert tracking(tracks) == TrackingChanged(0, (), ("script a: no result yet",))


@pytest.mark.parametrize("reverse", [False, True])
def test_a_check_that_can_not_be_made_is_bad_in_reverse_too(reverse: bool) -> None:
    missing = script(up=False, broken=True)
    assert tracking([Tracked(missing, 0, reverse)]).faults
    assert tracking([Tracked(missing, -20, reverse)]).weight == -20
    assert tracking([Tracked(missing, 20, reverse)]).weight == 0


def test_it_is_news_when_a_failing_check_becomes_one_that_can_not_be_made() -> None:
    tracker = script(up=False)
    assert tracker.report(False, "could not be run: no such file", 2.0, broken=True)
    assert not tracker.report(False, "could not be run: no such file", 3.0, broken=True)
    assert tracker.report(False, "exit status 1", 4.0)


def test_one_failed_start_within_fall_is_no_fault_yet() -> None:
    tracker = Tracker("script", "chk", fall=2)
    tracker.report(True, "exit status 0", 1.0)
    assert not tracker.report(False, "could not be run: no process for it", 2.0, broken=True)
    assert tracking([Tracked(tracker)]) == TrackingChanged()


def test_a_member_of_a_sync_group_ignores_its_weights_and_keeps_its_fault_trackers() -> None:
    weighted, plain = Tracked(script("weighted", up=False), -20), Tracked(script("plain", up=False))
    of_group = Tracked(script("group", up=False), -5)
    assert in_sync_group([weighted, plain], [of_group], tracking_weight=False) == [of_group, plain]
    assert in_sync_group([weighted, plain], [of_group], tracking_weight=True) == [of_group, weighted, plain]


def test_a_tracker_that_member_and_group_name_counts_once() -> None:
    shared = script("shared", up=False)
    tracks = in_sync_group([Tracked(shared, -20)], [Tracked(shared, -20)], tracking_weight=True)
    assert tracking(tracks).weight == -20
