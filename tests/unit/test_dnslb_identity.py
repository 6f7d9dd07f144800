"""Cookies, clocks and names of servers behind one address."""

from __future__ import annotations

import struct

import pytest

from dnslb.health.identity import Identity, comparable, findings

TODAY = 1_790_000_000.0


def cookie(secret: int, stamp: float = TODAY) -> bytes:
    """A server cookie of RFC 9018: version 1, reserved, time, hash."""
    return struct.pack("!B3xIQ", 1, int(stamp) % 2**32, secret)


def test_servers_in_order() -> None:
    alike = {"192.0.2.11": Identity("ns1", cookie(1)), "192.0.2.12": Identity("ns2", cookie(1))}
    assert findings(alike, TODAY) == ()
    assert findings({"192.0.2.11": Identity(), "192.0.2.12": Identity()}, TODAY) == ()


def test_the_same_name_twice() -> None:
    same = {"192.0.2.11": Identity("ns"), "192.0.2.12": Identity("ns"), "192.0.2.13": Identity("other")}
    assert findings(same, TODAY) == (
        "192.0.2.11 and 192.0.2.12 have the same NSID ns: who asks which server it was gets no answer;"
        " give each its own",
    )


def test_different_secrets() -> None:
    (finding,) = findings({"192.0.2.11": Identity("", cookie(1)), "192.0.2.12": Identity("", cookie(2))}, TODAY)
    assert finding.startswith("192.0.2.11 and 192.0.2.12 have different cookie secrets: ")


def test_cookies_of_different_seconds_prove_nothing() -> None:
    later = {"192.0.2.11": Identity("", cookie(1)), "192.0.2.12": Identity("", cookie(2, TODAY + 1))}
    assert not comparable(later)
    assert findings(later, TODAY) == ()
    assert comparable({"192.0.2.11": Identity("", cookie(1)), "192.0.2.12": Identity()})


@pytest.mark.parametrize("unknown", [b"\x00" * 8, b"\x07" + bytes(15), b"\x01" * 32])
def test_cookies_of_another_kind_are_not_taken_apart(unknown: bytes) -> None:
    mixed = {"192.0.2.11": Identity("", unknown), "192.0.2.12": Identity("", cookie(2))}
    assert findings(mixed, TODAY) == ()


@pytest.mark.parametrize(("off", "told"), [(299, ""), (400, "400 s ahead of"), (-400, "400 s behind")])
def test_a_clock_that_is_wrong(off: int, told: str) -> None:
    found = findings({"192.0.2.11": Identity("", cookie(1, TODAY + off))}, TODAY)
    assert (f"the clock of 192.0.2.11 is {told} ours" in " ".join(found)) is bool(told)
