"""Torn, mixed and invented outputs of DRBD: no parser raises but Unreadable, nothing is healthy by accident."""

import json
from contextlib import suppress
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from drbdctl.cli.status_table import table
from drbdctl.status import drbdsetup_text as status_text
from drbdctl.status import generation, proc_drbd
from drbdctl.status.changes import changes
from drbdctl.status.drbdsetup_json import parse_json
from drbdctl.status.events2 import Feed
from drbdctl.status.state import Status, Unreadable

FIXTURES = Path(__file__).parents[1] / "fixtures" / "drbd"


def samples(pattern: str) -> tuple[str, ...]:
    return tuple(path.read_text() for path in sorted(FIXTURES.glob(pattern)))[::3]


PROC = samples("*/**/proc-drbd*.txt")
JSON = samples("*/**/status*.json")
TEXT = samples("*/states/*/*/status*.txt")
STREAMS = samples("*/streams/*/*.txt")
GENERATIONS = samples("*/states/*/*/get-gi.txt")
PIECES = (
    "\0",
    "\n",
    " ",
    ":",
    "/",
    "{",
    "}",
    "[",
    "]",
    ",",
    '"',
    "-",
    "9" * 30,
    "٣",
    "\udcff",
    "UpToDate",
    "role:",
    "->",
)


@st.composite
def damaged(draw: st.DrawFn, originals: tuple[str, ...]) -> str:
    """A real output with pieces cut out, doubled, replaced, or torn off."""
    text = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        text = text[:start] + draw(st.sampled_from((*PIECES, text[start:end] * 2, ""))) + text[end:]
    return text[: draw(st.integers(0, len(text)))] if draw(st.booleans()) else text


def answered(text: str | bytes) -> None:
    """The JSON is read and shown, or refused with one sentence."""
    refused = ""
    try:
        shown(parse_json(text))
    except Unreadable as error:
        refused = str(error)
    assert "\n" not in refused


def shown(status: Status) -> None:
    """Everything that is done with a status can be done with this one."""
    assert table(status)
    assert changes(Status(), status) is not None


@given(st.one_of(damaged(PROC), st.text(max_size=300)), st.booleans())
def test_proc_drbd(text: str, named: bool) -> None:
    proc = proc_drbd.parse(text.encode("utf-8", "surrogateescape") if text.isascii() else text)
    shown(proc_drbd.status(proc, {0: ("r0", 0), 1: ("r0", 1)} if named else None))


@given(st.binary(max_size=300))
def test_proc_drbd_of_any_bytes(content: bytes) -> None:
    assert not any(each.healthy for each in proc_drbd.status(proc_drbd.parse(content)).resources)


@given(st.one_of(damaged(TEXT), st.text(max_size=300)))
def test_status_text(text: str) -> None:
    shown(status_text.parse_text(text))


@given(st.one_of(damaged(JSON), st.text(max_size=300), st.binary(max_size=100)))
def test_json(text: str | bytes) -> None:
    answered(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(("UpToDate", "Primary", "r0", "", "no")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                (
                    "name",
                    "role",
                    "devices",
                    "connections",
                    "peer_devices",
                    "volume",
                    "disk-state",
                    "paths",
                    "this_host",
                    "suspended",
                    "replication-state",
                    "estimated-seconds-to-finish",
                    "db1/dt1 [MiB/s]",
                    "address",
                )
            ),
            inner,
            max_size=8,
        )
    ),
    max_leaves=30,
)


@given(VALUES)
def test_any_json(value: object) -> None:
    answered(json.dumps(value))


@given(st.one_of(damaged(STREAMS), st.text(max_size=300)))
def test_events(text: str) -> None:
    feed = Feed()
    for line in text.split("\n"):
        feed = feed.after(line)
    shown(feed.status)


@given(damaged(STREAMS), st.randoms(use_true_random=False))
def test_events_in_any_order(text: str, random: object) -> None:
    lines = text.split("\n")
    random.shuffle(lines)  # type: ignore[attr-defined]
    feed = Feed()
    for line in lines:
        feed = feed.after(line)
    shown(feed.status)


@given(st.sampled_from(STREAMS), st.data())
def test_a_lost_line_is_a_gap_or_only_a_value(stream: str, data: st.DataObject) -> None:
    """Whatever is lost before the end of the start, the state is not trusted with an object that was not told of."""
    lines = stream.splitlines()
    lost = data.draw(st.integers(0, len(lines) - 1))
    feed = Feed()
    for line in lines[:lost] + lines[lost + 1 :]:
        feed = feed.after(line)
    if " exists resource " in f" {lines[lost]}":
        assert not feed.trusted


@given(st.one_of(damaged(GENERATIONS), st.text(max_size=100)))
def test_generation(text: str) -> None:
    with suppress(Unreadable):
        for each in generation.parse(text):
            assert each.same_data(each)


@given(damaged(tuple(text for text in JSON if '"disk-state": "UpToDate"' in text)))
def test_what_is_healthy_says_so_word_by_word(text: str) -> None:
    try:
        status = parse_json(text)
    except Unreadable:
        return
    for resource in status.resources:
        if resource.healthy:
            for word in ("UpToDate", "Connected", "Established"):
                assert word in text
