"""What is remembered of the peer: the witness's words, DRBD's events, the interfaces."""

import asyncio
import stat
import time
from pathlib import Path

import pytest

from drbdctl.daemon import peer_watch
from drbdctl.daemon.peer_watch import PeerWatch
from drbdctl.failover.evidence import Link, Network, Sight, Witness, Word, broken, witnessed
from drbdctl.status.words import Role
from drbdctl.steps.command import Outcome
from drbdctl.steps.effect import until
from tests.unit.drbd_samples import FIXTURES, text
from tests.unit.drbd_seen import NOW, sight


def asked(witness: tuple[str, ...], status: int | None) -> tuple[Witness, list[tuple[str, ...]]]:
    """The witness after one question that ended so, and the commands."""
    commands: list[tuple[str, ...]] = []

    async def run(argv, deadline):
        commands.append(tuple(argv))
        assert deadline <= 5.0
        return Outcome(argv=tuple(argv), status=status, output="", seconds=0.0)

    async def work() -> Witness:
        watch = PeerWatch((), witness, 3.0, lambda: None, run)
        asking = asyncio.create_task(watch._ask_witness())
        assert await until(lambda: watch.witness.word is not Word.UNKNOWN, 5.0)
        asking.cancel()
        return watch.witness

    return asyncio.run(work()), commands


@pytest.mark.parametrize(
    ("witness", "status", "word"),
    [
        (("ping", "192.0.2.254"), 0, Word.REACHED),
        (("ping", "192.0.2.254"), 1, Word.UNREACHABLE),
        (("ping", "192.0.2.254"), 2, Word.UNREACHABLE),
        (("ping", "192.0.2.254"), None, Word.UNREACHABLE),
        (("command", "/usr/local/bin/peer"), 0, Word.PEER_ALIVE),
        (("command", "/usr/local/bin/peer"), 1, Word.PEER_DEAD),
        (("command", "/usr/local/bin/peer"), 2, Word.REACHED),
        (("command", "/usr/local/bin/peer"), 3, Word.UNREACHABLE),
        (("command", "/usr/local/bin/peer"), 127, Word.UNREACHABLE),
        (("command", "/usr/local/bin/peer"), None, Word.UNREACHABLE),
    ],
)
def test_what_a_witness_says(witness, status, word):
    said, commands = asked(witness, status)
    assert said.word is word
    assert commands[0] == (("ping", "-n", "-c", "1", "-W", "1", "192.0.2.254") if witness[0] == "ping" else witness[1:])


def advertised(network: Network, *times: float) -> Network:
    for when in times:
        network = network.said_at(when, 100)
    return network


def test_who_falls_silent_when_we_begin_to_speak_may_have_yielded():
    heard = Network("eth0", up=True, heard=NOW - 10.0, advert_int=1.0)
    speaks = advertised(heard, NOW - 9.0, NOW - 8.0, NOW - 7.0)
    assert (speaks.said, speaks.said_last) == (NOW - 9.0, NOW - 7.0)
    assert speaks.may_have_yielded(NOW - 6.0)
    assert not speaks.may_have_yielded(NOW), "it is long ago that we spoke"
    assert not heard.may_have_yielded(NOW), "we have said nothing, so nobody has yielded to us"
    assert not advertised(heard, NOW - 7.0).may_have_yielded(NOW - 6.0), "it was silent before"
    assert not speaks.said_at(NOW - 6.0, 0).may_have_yielded(NOW - 6.0)


def test_who_has_paused_begins_to_speak_anew():
    assert advertised(Network("eth0"), NOW, NOW + 3.0, NOW + 6.1).said == NOW + 6.1


def test_a_ping_never_says_that_the_peer_is_dead():
    assert all(asked(("ping", "192.0.2.254"), status)[0].word is not Word.PEER_DEAD for status in range(4))


def test_while_the_witness_is_out_of_reach_the_peer_may_take_over_unheard():
    sights = {"r0": sight(), "r1": sight(link=Link.CONNECTED)}
    after = witnessed(sights, Witness(Word.UNREACHABLE, NOW))
    assert (after["r0"].cut_off, after["r1"].cut_off) == (True, False)
    assert witnessed(after, Witness(Word.REACHED, NOW))["r0"].cut_off, "what was missed stays missed"


def test_a_gap_in_the_watch_proves_nothing_any_more():
    after = broken({"r0": sight(split_brain=True)})["r0"]
    assert (after.link, after.peer_role, after.complete) == (Link.NEVER, Role.UNKNOWN, frozenset())
    assert after.split_brain, "a split brain is none the less"


# The loop of a test may end while a feed is being begun, which asyncio then complains of.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

# --- the feed --------------------------------------------------------------------------------------------------------


@pytest.fixture
def drbdsetup(tmp_path: Path, monkeypatch):
    """A program in its place, that says what the test has written."""
    (tmp_path / "proc-drbd").touch()
    monkeypatch.setattr(peer_watch, "PROC", str(tmp_path / "proc-drbd"))
    monkeypatch.setattr(peer_watch, "LEASED", ("sh", str(tmp_path / "drbdsetup")))
    monkeypatch.setattr(peer_watch, "_AGAIN", 0.02)

    def say(script: str) -> None:
        program = tmp_path / "drbdsetup"
        program.write_text(script)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    return say


def followed(until_true, caplog) -> PeerWatch:
    """A watch that has run until something holds."""

    async def work() -> PeerWatch:
        watch = PeerWatch((), (), 3.0, lambda: None)
        following = asyncio.create_task(watch._follow())
        assert await until(lambda: until_true(watch), 10.0), caplog.text
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        return watch

    return asyncio.run(work())


def test_the_peer_s_last_state_is_remembered(drbdsetup, tmp_path, caplog):
    stream = next(FIXTURES.glob("drbd84/streams/03-role-change/*.txt"))
    (tmp_path / "stream").write_text(text(stream))
    drbdsetup(f"cat {tmp_path / 'stream'}; exec sleep 30\n")
    watch = followed(lambda watch: watch.told is not None and "r0" in watch.sights, caplog)
    assert watch.sights["r0"].link is Link.CONNECTED
    assert watch.told.resource("r0") is not None


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo 'Could not connect to drbd' >&2; exit 20\n", "has ended: Could not connect to drbd; it is begun anew"),
        ("exit 0\n", "drbdsetup events2 has ended; it is begun anew"),
        ("printf 'exists resource name:r0 role:Second'\n", "has ended; it is begun anew"),
        (
            "echo nonsense; exec sleep 30\n",
            "events2: a line that can't be read: 'nonsense'; it is begun anew",
        ),
        ("head -c 200000 /dev/zero | tr '\\0' x; exec sleep 30\n", "a line without end; it is begun anew"),
    ],
)
def test_a_feed_that_ends_or_is_not_understood_is_told_once(drbdsetup, script, told, caplog):
    drbdsetup(script)
    seen: list[float] = []

    def twice(watch: PeerWatch) -> bool:
        seen.append(time.monotonic())
        return told in caplog.text and len(seen) > 5

    watch = followed(twice, caplog)
    assert watch.told is None
    assert caplog.text.count(told) == 1
    assert watch.sights == {} or all(each == Sight() for each in watch.sights.values())


def test_an_interface_that_is_not_there_is_down():
    assert peer_watch._is_up("nonexistent0") is False
    assert peer_watch._is_up("lo") in (True, False)
