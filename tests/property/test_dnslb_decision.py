from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dnslb.decision import Decider, Memory, Verdict
from dnslb.forwarding import Passed
from tests.dnslb_frames import Frame, any_frame, frames
from tests.dnslb_packets import OWN_MAC
from tests.dnslb_services import FORWARDING, HELD, SERVERS

DECIDER = Decider(FORWARDING, HELD)
NOTHING_HELD = Decider(FORWARDING, frozenset())
ANYBODYS_PEERS = Decider(replace(FORWARDING, peers=frozenset()), HELD)


def check(frame: bytes) -> None:
    """What must be true of every frame, whatever it is."""
    decision = DECIDER.decide(frame, Memory())
    assert NOTHING_HELD.decide(frame, Memory()).verdict is Verdict.PASS
    match decision.verdict:
        case Verdict.TX:
            assert decision.frame == SERVERS[decision.slot].mac + OWN_MAC + frame[12:]
            assert frame[:6] == OWN_MAC
            assert frame[6:12] not in FORWARDING.peers
            assert decision.passed is None
        case Verdict.PASS | Verdict.DROP:
            assert decision.frame == frame
            assert (decision.slot is not None) == (decision.passed is Passed.LOCAL)
    if decision.passed is Passed.PEER:
        assert ANYBODYS_PEERS.decide(frame, Memory()).passed is not Passed.PEER


@given(any_frame)
def test_a_frame_goes_to_a_server_of_ours_or_stays(frame):
    check(frame.data)


def test_thousands_of_frames_go_to_a_server_of_ours_or_stay():
    for frame in frames(4, 5000):
        check(frame.data)


@given(st.binary(max_size=120) | st.binary(max_size=120).map(lambda tail: OWN_MAC + tail))
@example(b"")
def test_any_bytes_go_to_a_server_of_ours_or_stay(frame):
    check(frame)


@settings(max_examples=30)
@given(any_frame)
def test_a_frame_that_is_cut_short_goes_nowhere_else(frame: Frame):
    """Padding apart: without the octets that the length field promises it is not sent at all."""
    whole = DECIDER.decide(frame.data, Memory())
    for end in range(len(frame.data)):
        cut = DECIDER.decide(frame.data[:end], Memory())
        check(frame.data[:end])
        if cut.verdict is Verdict.TX:
            assert whole.verdict is Verdict.TX
