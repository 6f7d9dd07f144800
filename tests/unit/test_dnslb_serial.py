"""How far a secondary is behind (RFC 1982)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import dns.serial
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.health.check import SerialRule
from dnslb.health.serial import SerialJudge, ahead, behind
from dnslb.health.verdict import Verdict
from dnslb.model import Endpoint

RULE = SerialRule(lag=2, patience=10.0)
SERIALS = st.integers(0, 2**32 - 1)


def soa(serial: int | None) -> Verdict:
    return Verdict(True, "NOERROR for example.com SOA from 192.0.2.11:53", 0.001, serial=serial)


@given(SERIALS, SERIALS)
def test_the_order_is_that_of_rfc_1982(one: int, other: int) -> None:
    distance = ahead(one, other)
    if (one - other) % 2**32 == 2**31:
        assert distance == 0, "no order is defined"
    else:
        assert (distance > 0) is (dns.serial.Serial(one) > dns.serial.Serial(other))
        assert (other + distance) % 2**32 == one


@pytest.mark.parametrize(
    ("own", "others", "lag"),
    [
        (5, [], 0),
        (5, [9], 4),
        (9, [5], 0),
        (5, [9, 9], 4),
        (5, [5, 9], 0),
        (5, [6, 9], 1),
        (5, [5, 9, 9], 4),
        (2**32 - 1, [3, 3], 4),
    ],
)
def test_the_measure_is_what_half_of_the_servers_have(own: int, others: list[int], lag: int) -> None:
    assert behind(own, others) == lag


def test_one_server_with_a_wrong_file_condemns_nobody_but_is_not_seen_either() -> None:
    pool = [2026112201, 2026112201, 2026112201, 3999999999]
    for number, own in enumerate(pool):
        assert behind(own, pool[:number] + pool[number + 1 :]) == 0


def test_a_lag_is_borne_for_a_while() -> None:
    judge = SerialJudge(RULE)
    late = judge.judge(soa(5), [8, 8], None, 100.0)
    assert late.ok
    assert late.remarks == ("serial 5 is 3 behind the other servers (at most 2)",)
    assert judge.judge(soa(5), [8, 8], None, 109.9).ok
    failed = judge.judge(soa(5), [8, 8], None, 110.0)
    assert (failed.ok, failed.cause, failed.serial) == (False, "serial lag", 5)
    assert failed.detail == (
        "NOERROR for example.com SOA from 192.0.2.11:53: serial 5 is 3 behind the other servers (at most 2)"
        " for more than 10 s; look at its zone transfers"
    )
    assert judge.judge(soa(6), [8, 8], None, 111.0) == soa(6), "within the limit"
    assert judge.judge(soa(6), [9, 9], None, 112.0).ok, "patience begins anew"


def test_the_primary_is_the_measure_where_there_is_one() -> None:
    primary = Endpoint(ip_address("192.0.2.1"), 53)
    judge = SerialJudge(replace(RULE, primary=primary, patience=0.0))
    assert judge.judge(soa(5), [50, 50], 6, 0.0).ok
    assert "serial 5 is 4 behind the primary" in judge.judge(soa(5), [5, 5], 9, 1.0).detail
    alone = judge.judge(soa(5), [5, 5], None, 2.0)
    assert (alone.ok, alone.remarks) == (True, ("the primary 192.0.2.1:53 gives no serial to compare with",))
    assert not judge.judge(soa(5), [9, 9], None, 3.0).ok


def test_what_is_no_good_answer_is_left_alone() -> None:
    judge = SerialJudge(RULE)
    refused = replace(soa(None), ok=False, cause="REFUSED")
    assert judge.judge(refused, [8], None, 0.0) is refused
