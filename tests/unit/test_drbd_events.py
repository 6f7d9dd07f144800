"""`drbdsetup events2`: a stream, line by line, ends in the state that `drbdsetup status` showed then."""

from pathlib import Path

import pytest

from drbdctl.status.changes import changes
from drbdctl.status.drbdsetup_text import parse_text
from drbdctl.status.events2 import Action, Event, Feed, Helper, parse
from drbdctl.status.state import Path as Link
from drbdctl.status.state import Progress, Status
from drbdctl.status.words import ConnectionState, DiskState, Role
from tests.unit.drbd_samples import FIXTURES, STREAMS, name, text, words

END = {
    ("drbd84", "01"): "02-connected-both-inconsistent",
    ("drbd84", "02"): "04-primary-secondary-uptodate",
    **{("drbd84", each): "06-roles-swapped" for each in ("03", "04", "05", "06", "07", "08", "11", "12")},
    ("drbd84", "09"): "15-split-brain-detected",
    ("drbd84", "20"): "32-primary-diskless-after-io-error-served-by-peer",
    **{("drbd84", each): "04-primary-secondary-uptodate" for each in ("21", "22", "24", "25", "26", "28")},
    ("drbd84", "29"): "05-both-secondary",
    ("drbd9", "01"): "02-connected-both-inconsistent",
    ("drbd9", "02"): "04-primary-secondary-uptodate",
    **{("drbd9", each): "06-roles-swapped" for each in ("03", "04", "06", "07", "08", "11", "12")},
}
"the situation that was captured right after a stream, or one with the same words"
START = """\
exists resource name:r0 role:Primary suspended:no
exists device name:r0 volume:0 minor:0 disk:UpToDate
exists -
"""
PEER = "peer-device name:r0 peer-node-id:1 conn-name:n2 volume:0"


def replay(lines: str) -> Feed:
    feed = Feed()
    for line in lines.splitlines():
        feed = feed.after(line)
    return feed


def key(path: Path) -> tuple[str, str]:
    return path.parts[-4], path.parent.name[:2]


@pytest.mark.parametrize("path", [each for each in STREAMS if key(each) in END], ids=name)
def test_a_stream_ends_in_what_status_shows(path: Path) -> None:
    feed = replay(path.read_text())
    assert feed.trusted
    state = FIXTURES / key(path)[0] / "states" / END[key(path)] / path.name[:2]
    assert words(feed.status) == words(parse_text(text(state / "status-verbose-statistics.txt")))


@pytest.mark.parametrize("path", STREAMS, ids=name)
def test_every_stream_is_understood_to_its_end(path: Path) -> None:
    feed = replay(path.read_text())
    assert feed.trusted
    assert len(feed.status.resources) == 1


def test_with_and_without_statistics_the_words_are_the_same() -> None:
    for path in STREAMS:
        other = path.with_name(path.name.replace("plain", "timestamps-statistics"))
        if other != path and other.exists():
            assert words(replay(path.read_text()).status) == words(replay(other.read_text()).status)


@pytest.mark.parametrize("module", ["drbd84", "drbd9"])
def test_a_split_brain(module: str) -> None:
    (path,) = (FIXTURES / module / "streams" / "09-split-brain").glob("n1.plain.txt")
    feed, helpers = Feed(), []
    for line in path.read_text().splitlines():
        feed = feed.after(line)
        if feed.helper is not None:
            helpers.append(feed.helper)
    assert Helper("r0", "split-brain") in helpers
    assert Helper("r0", "split-brain", 0) in helpers
    (resource,) = feed.status.resources
    assert resource.role is Role.PRIMARY
    assert resource.standalone
    assert len(resource.connections) == (0 if module == "drbd84" else 1)


def test_down_and_up() -> None:
    path = FIXTURES / "drbd9" / "streams" / "12-down-and-up-seen-by-unfiltered-events2" / "n1.plain.txt"
    feed, seen = Feed(), []
    for line in path.read_text().splitlines():
        feed = feed.after(line)
        seen.append(len(feed.status.resources))
    assert 0 in seen[seen.index(1) :]
    (resource,) = feed.status.resources
    assert resource.devices[0].backing_dev == "/dev/vdb"
    assert resource.connections[0].paths == (Link("ipv4:10.77.0.1:7789", "ipv4:10.77.0.2:7789", True),)


def test_a_line() -> None:
    assert parse(
        "2026-11-22T13:24:41.357404+00:00 change path name:r0 peer:ipv4:1.2.3.4:7789 established:yes"
    ) == Event(
        Action.CHANGE,
        "path",
        {"name": "r0", "peer": "ipv4:1.2.3.4:7789", "established": "yes"},
        "2026-11-22T13:24:41.357404+00:00",
    )
    assert parse("exists -") == Event(Action.EXISTS, "-", {})
    assert parse("- skipped 3") is None


def test_a_change_without_a_value_changes_nothing() -> None:
    before = replay(START)
    assert before.after("change resource name:r0") == before
    assert before.after("change device name:r0 volume:0 minor:0") == before


def test_progress_lasts_as_long_as_the_resync() -> None:
    lines = START + (
        "create connection name:r0 peer-node-id:1 conn-name:n2 connection:Connected role:Secondary\n"
        f"create {PEER} replication:SyncSource peer-disk:Inconsistent\n"
        f"change {PEER} done:18.71 dbdt1:1.50 eta:5\n"
    )
    feed = replay(lines)
    assert feed.status.resources[0].connections[0].peer_devices[0].progress == Progress(18.71, 5.0, 1536.0)
    feed = feed.after(f"change {PEER} replication:Established peer-disk:UpToDate")
    assert feed.status.resources[0].connections[0].peer_devices[0].progress is None


def test_diff_values() -> None:
    feed = replay(START).after("change device name:r0 volume:0 minor:0 disk:UpToDate->Failed")
    assert feed.status.resources[0].devices[0].disk is DiskState.FAILED


def test_rename() -> None:
    feed = replay(START).after("rename resource name:r0 new_name:r9")
    assert [each.name for each in feed.status.resources] == ["r9"]
    assert feed.trusted


def test_a_connection_of_84_without_a_name() -> None:
    feed = replay(
        "exists resource name:r0 role:Secondary suspended:no\n"
        "exists connection name:r0 peer-node-id:0 connection:StandAlone role:Unknown\n"
        "exists peer-device name:r0 peer-node-id:0 volume:0 replication:Off peer-disk:DUnknown resync-suspended:no\n"
        "exists -\n"
        "create connection name:r0 peer-node-id:0 conn-name:peer connection:Connecting role:Unknown\n"
    )
    (link,) = feed.status.resources[0].connections
    assert (link.name, link.connection) == ("peer", ConnectionState.CONNECTING)


@pytest.mark.parametrize(
    "line",
    [
        "- skipped 3",
        "change device name:r0 volume:7 disk:UpToDate",
        "change device name:r1 volume:0 disk:UpToDate",
        "change connection name:r0 peer-node-id:4 connection:Connected",
        "change resource name:q role:Primary",
        "change device name:r0 volume:0 minor:0 disk",
        "chan",
        "change device volume:0",
        "change planet name:r0",
        "\0\0\0",
    ],
)
def test_what_does_not_fit_is_a_gap_for_good(line: str) -> None:
    feed = replay(START).after(line)
    assert feed.gap
    assert not feed.trusted
    after = feed.after("change resource name:r0 role:Secondary")
    assert after.gap == feed.gap
    assert after.status.resources[0].role is Role.SECONDARY


def test_a_new_start_mends_a_gap_and_forgets_what_was() -> None:
    feed = replay(START + "- skipped 3\n" + START.replace("r0", "q"))
    assert feed.trusted
    assert [each.name for each in feed.status.resources] == ["q"]


def test_the_end_of_the_stream_is_a_gap() -> None:
    assert replay(START).cut().gap == "the stream has ended"


def test_before_the_end_of_the_start_nothing_is_trusted() -> None:
    assert not replay(START.replace("exists -\n", "")).trusted


def test_an_unknown_word_is_kept_until_a_known_one_comes() -> None:
    feed = replay(START).after("change device name:r0 volume:0 minor:0 disk:Wobbly")
    assert feed.status.resources[0].devices[0].unrecognized == (("disk", "Wobbly"),)
    feed = feed.after("change device name:r0 volume:0 minor:0 disk:UpToDate")
    assert feed.status.resources[0].devices[0].unrecognized == ()
    assert feed.trusted


def test_changes_in_words() -> None:
    before = replay(START)
    after = before.after("change resource name:r0 role:Secondary").after("destroy device name:r0 volume:0")
    assert changes(before.status, after.status) == ["r0: role Primary -> Secondary", "r0/0: disk UpToDate -> gone"]
    assert changes(Status(), before.status)[0] == "r0: role Primary"
    odd = before.after("change device name:r0 volume:0 disk:Wobbly")
    assert changes(before.status, odd.status) == ["r0/0: disk UpToDate -> 'Wobbly' (not known)"]
