"""When checks run, and how soon a dead server is noticed; all times are literal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dnslb.health.check_reader import TIMEOUT, schedule
from dnslb.health.judgement import CheckState
from dnslb.health.pace import Schedule
from dnslb.health.verdict import Verdict
from dnslb.model import Pace

DEFAULT = schedule(Pace(), rise=2, retry=1)
FAST = schedule(Pace(delay_loop=0.1, fast_interval=0.05), rise=2, retry=1)


def test_the_defaults() -> None:
    assert (
        Schedule(interval=1.0, fast_interval=0.25, retry_delay=None, longest=1.0, rise=2, fall=2, warmup=1.0) == DEFAULT
    )


def test_what_the_file_says() -> None:
    pace = Pace(delay_loop=6.0, delay_before_retry=2.0, retry=3, back_off=30.0, warmup=0.0)
    assert schedule(pace, rise=1, retry=1) == Schedule(
        interval=6.0, fast_interval=0.25, retry_delay=2.0, longest=30.0, rise=1, fall=4, warmup=0.0
    )
    assert schedule(replace(pace, fast_interval=0.5), rise=1, retry=1).retry_delay is None, "fast_interval goes first"
    assert schedule(Pace(delay_loop=60.0), rise=1, retry=1).warmup == 1.0, "nobody waits a minute for a first result"


def test_the_first_run_is_somewhere_in_the_warm_up() -> None:
    assert DEFAULT.first(100.0, 0.0) == 100.0
    assert DEFAULT.first(100.0, 0.25) == 100.25


def following(pace: Schedule, started: float, ended: float, *, doubt: bool, failing: int, phase: float = 0.0) -> float:
    return pace.next(started, ended, doubt=doubt, failing=failing, phase=phase)


def test_in_peace_runs_start_an_interval_apart() -> None:
    assert following(DEFAULT, 10.0, 10.002, doubt=False, failing=0) == 11.0
    assert following(DEFAULT, 10.0, 11.5, doubt=False, failing=0) == 11.5, "runs never overlap"


def test_after_a_doubt_they_return_to_their_place_in_the_interval() -> None:
    assert following(DEFAULT, 10.65, 10.652, doubt=False, failing=0, phase=0.3) == pytest.approx(11.3)
    assert following(DEFAULT, 10.3, 10.302, doubt=False, failing=0, phase=0.3) == pytest.approx(11.3)
    start = 0.3
    for number in range(1, 1000):
        start = following(DEFAULT, start, start, doubt=False, failing=0, phase=0.3)
        assert start == pytest.approx(0.3 + number), "rounding never makes two runs of one, or one of two"


def test_in_doubt_they_are_fast() -> None:
    assert following(DEFAULT, 10.0, 10.002, doubt=True, failing=1) == 10.25
    assert following(DEFAULT, 10.0, 10.4, doubt=True, failing=1) == 10.4, "a timeout is followed at once"
    assert following(DEFAULT, 10.0, 10.002, doubt=True, failing=0) == 10.25, "the way up as well"


def test_delay_before_retry_counts_from_the_failure() -> None:
    patient = replace(DEFAULT, retry_delay=2.0)
    assert following(patient, 10.0, 10.4, doubt=True, failing=1) == 12.4
    assert following(patient, 10.0, 10.4, doubt=True, failing=0) == 10.4, "a success is no retry"


def test_back_off_is_bounded() -> None:
    slow = replace(DEFAULT, longest=5.0)
    starts = [following(slow, 0.0, 0.4, doubt=False, failing=failing) for failing in (2, 3, 4, 5, 6, 100000)]
    assert starts == [1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
    assert following(DEFAULT, 0.0, 0.4, doubt=False, failing=50) == 1.0, "without back_off there is none"
    assert following(replace(DEFAULT, longest=0.1), 0.0, 0.01, doubt=False, failing=9) == 1.0, "it never hurries"


def detection(pace: Schedule, death: float, timeout: float, refused: bool) -> float:
    """Seconds from death to the verdict; runs start at 0, an answer takes no time."""
    state = CheckState(pace)
    start, now = 0.0, 0.0
    while state.healthy is not False:
        dead = start >= death
        now = start + (timeout if dead and not refused else 0.0)
        state.handle(Verdict(not dead, "", now - start), now)
        start = pace.next(start, now, doubt=state.doubt, failing=state.failing, phase=0.0)
    return now - death


def spread(pace: Schedule, timeout: float, refused: bool) -> tuple[float, float]:
    """Mean and worst over all moments of an interval."""
    moments = [10 + pace.interval * (number + 0.5) / 100 for number in range(100)]
    found = [detection(pace, death, timeout, refused) for death in moments]
    return round(sum(found) / len(found), 3), max(found)


@pytest.mark.parametrize(
    ("pace", "timeout", "refused", "mean", "worst"),
    [
        (DEFAULT, TIMEOUT, False, 1.3, 1.8),
        (DEFAULT, TIMEOUT, True, 0.75, 1.25),
        (FAST, 0.1, False, 0.25, 0.3),
        (FAST, 0.1, True, 0.1, 0.15),
    ],
)
def test_how_soon_one_check_notices_a_death(
    pace: Schedule, timeout: float, refused: bool, mean: float, worst: float
) -> None:
    found = spread(pace, timeout, refused)
    assert found[0] == pytest.approx(mean, abs=0.011)
    assert found[1] <= worst


def test_two_checks_in_turns_notice_a_silent_death_within_1_3_seconds() -> None:
    """A DNS_CHECK and its VIP_CHECK start half an interval apart; the first of them to fail takes the server down."""
    for moment in range(100):
        death = 10 + (moment + 0.5) / 100
        first = detection(DEFAULT, death, TIMEOUT, refused=False)
        second = detection(DEFAULT, death + 0.5, TIMEOUT, refused=False)
        assert min(first, second) <= 1.3
