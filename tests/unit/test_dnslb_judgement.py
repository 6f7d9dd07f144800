"""From verdicts to the health of a server."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dnslb.health.check import Action, Band, Check, CheckGroup, Consequence, TcpProbe
from dnslb.health.judgement import CheckState, common_causes, in_band, judge_server, step
from dnslb.health.pace import Schedule
from dnslb.health.query import Binding
from dnslb.health.report import CommonCause, Health, State
from dnslb.health.verdict import Verdict, combine
from dnslb.model import Endpoint
from pyvrrp.core.events import IPAddress

SCHEDULE = Schedule(rise=2, fall=3)
GOOD = Verdict(True, "fine", 0.001)
BAD = Verdict(False, "no answer", 0.4, cause="timeout")
DOWN = Consequence()


def check(port: int) -> Check:
    return Check(probe=TcpProbe(Endpoint(ip_address("192.0.2.11"), port), 0.4, Binding()), schedule=SCHEDULE)


def state(*verdicts: Verdict, schedule: Schedule = SCHEDULE, band: Band | None = None) -> CheckState:
    made = CheckState(schedule, band)
    for number, verdict in enumerate(verdicts):
        made.handle(verdict, float(number))
    return made


def judged(*groups: tuple[CheckGroup, list[CheckState]]) -> Health:
    states = {one: its for group, states in groups for one, its in zip(group.checks, states, strict=True)}
    return judge_server([group for group, _ in groups], states.__getitem__)


def single(port: int, its: CheckState, consequence: Consequence = DOWN) -> tuple[CheckGroup, list[CheckState]]:
    return CheckGroup(checks=(check(port),), consequence=consequence), [its]


# --- one check -------------------------------------------------------------------------------------------------------


def test_nothing_is_known_before_the_first_result_which_counts_at_once() -> None:
    assert state().healthy is None
    assert state(GOOD).healthy is True
    assert state(BAD).healthy is False


@pytest.mark.parametrize(
    ("verdicts", "healthy", "doubt"),
    [
        ([GOOD, BAD], True, True),
        ([GOOD, BAD, BAD], True, True),
        ([GOOD, BAD, BAD, BAD], False, False),
        ([GOOD, BAD, BAD, GOOD, BAD, BAD], True, True),
        ([BAD, GOOD], False, True),
        ([BAD, GOOD, BAD, GOOD], False, True),
        ([BAD, GOOD, GOOD], True, False),
    ],
)
def test_then_rise_or_fall_in_a_row(verdicts: list[Verdict], healthy: bool, doubt: bool) -> None:
    found = state(*verdicts)
    assert (found.healthy, found.doubt) == (healthy, doubt)


def test_a_reload_that_changes_the_pace_forgets_nothing() -> None:
    before = state(GOOD, BAD, BAD, BAD)
    after = CheckState(Schedule(rise=3, fall=1), before=before)
    assert (after.healthy, after.bad, after.failing) == (False, BAD, 3)
    for verdict, healthy in ((GOOD, False), (GOOD, False), (GOOD, True), (BAD, False)):
        after.handle(verdict, 10.0)
        assert after.healthy is healthy
    assert CheckState(SCHEDULE, before=state()).healthy is None


# --- latency ---------------------------------------------------------------------------------------------------------


def test_a_slow_server_loses_weight_by_a_tenth_at_a_time() -> None:
    slow = Verdict(True, "", 1.0)
    its = state(replace(GOOD, elapsed=0.01), band=Band(0.02, 0.1))
    assert its.factor == 1.0
    factors = []
    for number in range(12):
        its.handle(slow, float(number))
        factors.append(its.factor)
    assert factors == [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1], "never nothing"


def test_it_comes_back_when_it_is_fast_again() -> None:
    its = state(*[replace(GOOD, elapsed=0.5)] * 12, band=Band(0.02, 0.1))
    for number in range(60):
        its.handle(replace(GOOD, elapsed=0.001), float(number))
    assert its.factor == 1.0


def test_failures_say_nothing_of_latency() -> None:
    its = state(replace(GOOD, elapsed=0.01), *[BAD] * 20, band=Band(0.02, 0.1))
    assert (its.factor, its.latency) == (1.0, 0.01)


def test_small_changes_are_not_worth_a_table() -> None:
    assert step(0.5, 0.54) == 0.5
    assert step(0.5, 0.56) == 0.56
    assert step(0.97, 1.0) == 1.0
    assert (in_band(Band(0.0, 1.0), 0.5), in_band(Band(0.0, 1.0), 9.0), in_band(Band(0.5, 1.0), 0.1)) == (
        0.55,
        0.1,
        1.0,
    )


# --- a server --------------------------------------------------------------------------------------------------------


def test_a_server_has_to_pass_every_check() -> None:
    assert judged(single(1, state(GOOD)), single(2, state(GOOD))) == Health(state=State.UP, detail="all checks pass")
    assert judged(single(1, state(GOOD)), single(2, state(BAD))) == Health(state=State.DOWN, detail="no answer")


def test_unknown_is_not_up_and_a_failure_is_down_whatever_is_unknown() -> None:
    unknown = judged(single(1, state(GOOD)), single(2, state()))
    assert (unknown.state, unknown.detail) == (State.UNKNOWN, "no result yet of TCP_CHECK port 2")
    assert judged(single(1, state(BAD)), single(2, state())).state is State.DOWN


def test_the_sentence_of_a_server_that_is_down_is_that_of_its_failure() -> None:
    """Also on its way up, when the last run was good."""
    assert judged(single(1, state(BAD, GOOD))).detail == "no answer"


def test_a_server_without_checks() -> None:
    assert judge_server([], lambda _: state()) == Health(state=State.UP, detail="nothing checks it")


def test_actions() -> None:
    half, warn = Consequence(Action.DEGRADE, 0.4), Consequence(Action.WARN)
    degraded = judged(single(1, state(GOOD)), single(2, state(BAD), half))
    assert (degraded.state, degraded.factor, degraded.detail) == (State.DEGRADED, 0.4, "no answer")
    twice = judged(single(1, state(BAD), half), single(2, state(BAD), half))
    assert twice.factor == pytest.approx(0.16)
    warned = judged(single(1, state(GOOD)), single(2, state(BAD), warn))
    assert (warned.state, warned.warnings) == (State.UP, ("no answer",))
    waiting = judged(single(1, state(GOOD)), single(2, state(), warn), single(3, state(), half))
    assert waiting.state is State.UP, "a check that takes nobody down is not waited for"


def test_remarks_are_warnings() -> None:
    remark = replace(GOOD, remarks=("the signature ends in 2.0 days",))
    assert judged(single(1, state(remark))).warnings == ("the signature ends in 2.0 days",)
    assert judged(single(1, state(remark, BAD))).warnings, "as long as it counts as healthy"


GROUP = CheckGroup(name="names", checks=(check(1), check(2), check(3)), need=2)


@pytest.mark.parametrize(
    ("states", "found"),
    [
        ([GOOD, GOOD, GOOD], State.UP),
        ([GOOD, GOOD, BAD], State.UP),
        ([GOOD, GOOD, None], State.UP),
        ([GOOD, BAD, None], State.UNKNOWN),
        ([GOOD, BAD, BAD], State.DOWN),
        ([BAD, BAD, None], State.DOWN),
    ],
)
def test_k_of_n(states: list[Verdict | None], found: State) -> None:
    its = [state(verdict) if verdict else state() for verdict in states]
    assert judged((GROUP, its)).state is found


def test_a_group_says_who_failed() -> None:
    down = judged((GROUP, [state(GOOD), state(BAD), state(replace(BAD, detail="refused"))]))
    assert down.detail == "check_group names needs 2, 1 pass: no answer; refused"
    assert judged((GROUP, [state(GOOD), state(GOOD), state(BAD)])).warnings == ("no answer",)


def test_weights_of_scripts() -> None:
    """keepalived: each adds its exit status - 2 - the configured weight."""
    one = judged(single(1, state(replace(GOOD, weight=10))))
    assert (one.weight(100), one.weight(1)) == (10.0, 10.0)
    both = judged(single(1, state(replace(GOOD, weight=10))), single(2, state(replace(GOOD, weight=120))))
    assert both.weight(100) == 100 - 90 + 20
    assert judged(single(1, state(replace(GOOD, weight=0))), single(2, state(replace(GOOD, weight=0)))).weight(7) == 0.0
    failing = judged(single(1, state(replace(GOOD, weight=10), BAD)))
    assert failing.weight(100) == 10.0, "until the failure counts"
    assert judged(single(1, state(GOOD))).weight(100) == 100.0


# --- common cause ----------------------------------------------------------------------------------------------------

SERVFAIL = Verdict(False, "SERVFAIL for www.example.com A from 192.0.2.11:53", 0.001, cause="SERVFAIL")


A, B, C, D = (ip_address(f"192.0.2.{host}") for host in (11, 12, 13, 14))


def servers(*verdicts: Verdict | None) -> dict[IPAddress, list[tuple[str, CheckState]]]:
    return {
        address: [("DNS_CHECK www A", state(each) if each else state()), ("TCP_CHECK", state(GOOD))]
        for address, each in zip((A, B, C, D), verdicts, strict=False)
    }


def test_the_same_failure_of_all_is_a_common_cause() -> None:
    assert common_causes(servers(SERVFAIL, SERVFAIL, SERVFAIL)) == (
        CommonCause(check="DNS_CHECK www A", cause="SERVFAIL", detail=SERVFAIL.detail, servers=frozenset({A, B, C})),
    )


@pytest.mark.parametrize(
    "verdicts", [(SERVFAIL, SERVFAIL, GOOD), (SERVFAIL, BAD), (SERVFAIL, None), (SERVFAIL,), (GOOD, GOOD), ()]
)
def test_anything_else_is_not(verdicts: tuple[Verdict | None, ...]) -> None:
    assert common_causes(servers(*verdicts)) == ()


def test_one_that_is_down_for_a_reason_of_its_own_does_not_hide_it() -> None:
    (found,) = common_causes(servers(BAD, SERVFAIL, SERVFAIL))
    assert (found.cause, found.servers) == ("SERVFAIL", {B, C})
    assert [each.cause for each in common_causes(servers(BAD, SERVFAIL, SERVFAIL, BAD))] == ["timeout", "SERVFAIL"]


REFUSED = Verdict(False, "connection refused", 0.001, cause="refused")


def test_a_silence_after_a_refusal_is_one_too() -> None:
    """A kernel sends one ICMP error a second: of several checks of a closed port only some hear of it."""
    dead = servers(REFUSED, REFUSED)
    for _, its in (dead[A][0], dead[B][0]):
        its.handle(BAD, 1.0)
    assert [each.cause for each in common_causes(dead)] == ["refused"]
    for _, its in (dead[A][0], dead[B][0]):
        its.handle(BAD, 6.0)
    assert [each.cause for each in common_causes(dead)] == ["timeout"], "it may be another one by now"


def test_a_silence_is_a_refusal_where_another_check_of_the_server_is_refused() -> None:
    dead = {each: [("DNS_CHECK www A", state(BAD)), ("VIP_CHECK", state(REFUSED))] for each in (A, B)}
    assert [each.cause for each in common_causes(dead)] == ["refused", "refused"]
    mixed = {**dead, C: [("DNS_CHECK www A", state(BAD)), ("VIP_CHECK", state(BAD))]}
    assert [(each.check, each.cause, each.servers) for each in common_causes(mixed)] == [
        ("DNS_CHECK www A", "refused", {A, B}),
        ("VIP_CHECK", "refused", {A, B}),
    ]


def test_an_answer_ends_a_refusal() -> None:
    back = {each: [("DNS_CHECK www A", state(REFUSED, GOOD, BAD))] for each in (A, B)}
    assert [each.cause for each in common_causes(back)] == ["timeout"]


def test_of_several_questions_a_refusal_says_more_than_a_silence() -> None:
    assert combine([BAD, REFUSED]).cause == combine([REFUSED, BAD]).cause == "refused"
    assert combine([BAD, SERVFAIL]).cause == "timeout"


def test_it_is_seen_before_the_servers_are_down_for_it() -> None:
    failing = {address: [("DNS_CHECK www A", state(GOOD, SERVFAIL))] for address in (A, B)}
    assert all(its.healthy for checks in failing.values() for _, its in checks)
    assert len(common_causes(failing)) == 1


def test_a_check_that_one_server_does_not_have_is_no_common_one() -> None:
    mixed = servers(SERVFAIL, SERVFAIL)
    assert common_causes({A: mixed[A], B: mixed[B][1:]}) == ()
    scripts = {each: [(f"MISC_CHECK /check {name}", state(BAD))] for each, name in ((A, "a"), (B, "b"))}
    assert [cause.check for cause in common_causes(scripts)] == ["MISC_CHECK /check a"], "their arguments may differ"
