"""`drbdadm get-gi`: which side is stale, told by its identifiers."""

from pathlib import Path

import pytest

from drbdctl.status.generation import JUST_CREATED, parse
from drbdctl.status.state import Unreadable
from tests.unit.drbd_samples import FIXTURES, STATES, configured, name, text

SCENARIOS = {
    line[:48].strip(): line[48:].strip()
    for line in (FIXTURES / "second-pair" / "get-gi-scenarios.txt").read_text().splitlines()
    if line[:1] in "ab"
}


@pytest.mark.parametrize("path", [each for each in STATES if configured(each)], ids=name)
def test_every_sample(path: Path) -> None:
    answer = text(path / "get-gi.txt")
    if "failed: Input/output error" in answer:
        with pytest.raises(Unreadable, match="are no generation identifiers"):
            parse(answer)
    else:
        assert len(parse(answer)) == len(answer.splitlines())


def test_the_stale_side_and_the_newest() -> None:
    (stale,) = parse(SCENARIOS["b after `up`, alone            = STALE side"])
    (newest,) = parse(SCENARIOS["a after `up`, alone            = NEWEST side"])
    assert stale.was_up_to_date
    assert newest.was_up_to_date
    assert not stale.wrote_alone
    assert newest.wrote_alone
    assert newest.crashed_primary
    assert not newest.same_data(stale)


def test_connected_sides_have_the_same_data_whatever_their_role() -> None:
    (a,) = parse(SCENARIOS["a connected, Primary"])
    (b,) = parse(SCENARIOS["b connected, Secondary"])
    assert a.current != b.current
    assert a.same_data(b)
    assert (a.primary, b.primary) == (True, False)
    assert a.connected
    assert b.connected


@pytest.mark.parametrize("module", ["drbd84", "drbd9"])
def test_flags_of_8_and_9(module: str) -> None:
    states = FIXTURES / module / "states"
    (primary,) = parse(text(states / "04-primary-secondary-uptodate" / "n1" / "get-gi.txt"))
    (alone,) = parse(text(states / "10-link-lost-primary-side" / "n2" / "get-gi.txt"))
    (outdated,) = parse(text(states / "11-outdated-secondary" / "n1" / "get-gi.txt"))
    assert primary.consistent
    assert primary.connected
    assert not alone.connected
    assert outdated.consistent
    assert not outdated.was_up_to_date


def test_new_meta_data() -> None:
    path = FIXTURES / "drbd84" / "states" / "01-up-on-one-node-only" / "n1" / "get-gi.txt"
    (new,) = parse(text(path))
    assert new.current == JUST_CREATED
    assert not new.consistent


@pytest.mark.parametrize(
    "line",
    ["", "6833CCDFD1684BED:0000000000000000:60F0AD81B9AD4FCC:0000000000000004:1:1:1", "No such resource", "x" * 500],
)
def test_what_is_no_answer(line: str) -> None:
    if not line:
        assert parse(line) == ()
        return
    with pytest.raises(Unreadable) as caught:
        parse(line)
    assert len(str(caught.value)) < 200
