"""What DRBD says, torn, mixed and invented: every parser, and then every decision that is made from it.

The first byte chooses who says it: p /proc/drbd, j `drbdsetup status --json`, t its text, e `events2`, g `get-gi`,
c drbd.conf, s a side of a split brain, u the recipe of an undo. What is promoted is judged a second time, on the text
itself: it has to say, in so many words, that all is well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from drbdctl.cli.status_table import table
from drbdctl.daemon.recipe import from_recipe, recipe
from drbdctl.drbd_conf import loads
from drbdctl.drbd_conf.lint import lint
from drbdctl.failover.budget import Budget
from drbdctl.failover.evidence import Sight, watched
from drbdctl.failover.fitness import serving, standby
from drbdctl.failover.group import Group, GroupResource
from drbdctl.failover.planner import plan_demote, plan_promote
from drbdctl.failover.seen import Seen
from drbdctl.failover.split_brain import Side, compared, export, imported
from drbdctl.settings import Program, Storage
from drbdctl.status import generation, proc_drbd
from drbdctl.status.agreement import disagreement
from drbdctl.status.changes import changes
from drbdctl.status.drbdsetup_json import parse_json
from drbdctl.status.drbdsetup_text import parse_text
from drbdctl.status.events2 import Feed
from drbdctl.status.state import Status, Unreadable

FIXTURES = Path(__file__).parents[1] / "fixtures" / "drbd"
WORDS = [
    *(b"UpToDate", b"Inconsistent", b"Primary", b"Secondary", b"Connected", b"StandAlone", b"WFConnection", b"NewWord"),
    *(b" 0: cs:", b" ro:", b" ds:", b" C r-----", b"role:", b"->", b"exists -\n", b"destroy ", b"change ", b":", b"/"),
    *(b'"role"', b'"disk-state"', b"null", b"true", b"[", b"]", b"{", b"}", b"1e999", b"\0", b"\n", b"\xff\xfe"),
    *(b"9" * 40, b" 0: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----\n"),
]
GROUP = Group(name="S", resources=(GroupResource(name="r0"),))
NAMES = {0: ("r0", 0), 1: ("r0", 1), 2: ("r1", 0)}
GOOD = "A5A5000000000010:0000000000000000:1111000000000020:0000000000000000:1:1:0:1:0:0:0\n"
_SIDE = Side(
    node="n1",
    resource="r0",
    role="Secondary",
    disks=("UpToDate",),
    connection="StandAlone",
    identifiers=GOOD,
    written=16,
    taken="2026-01-02T03:04:05+00:00",
)
_STORAGE = Storage(
    group=GROUP, instance="VI", services=(Program(name="db", start=("/bin/true",), stop=("/bin/true",)),)
)
_GOOD_LINE = re.compile(
    r" ?0: cs:(Connected|SyncSource|PausedSyncS|VerifyS|VerifyT|Ahead|WFBitMapS|StartingSyncS)"
    r" (ro|st):Secondary/Secondary (ds|ld):UpToDate/(Inconsistent|Outdated|Consistent|UpToDate) [A-Za-z ]"
    r" r\S*\s*"
)


def seeds() -> list[bytes]:
    """Captures of real outputs, each kind with some of its states."""
    kinds = {
        b"p": "*/**/proc-drbd*.txt",
        b"j": "*/**/status*.json",
        b"t": "*/states/*/*/status*.txt",
        b"e": "*/streams/*/*.txt",
        b"g": "*/states/*/*/get-gi.txt",
        b"c": "conf/*.conf",
    }
    found = []
    for kind, pattern in kinds.items():
        paths = sorted(FIXTURES.glob(pattern))
        found += [kind + path.read_bytes()[:4000] for path in paths[:: max(1, len(paths) // 25)]]
    good = [each for each in found if each[:1] in b"pj" and "promotes" in "".join(run(each))]
    return [
        *found,
        *good * (len(found) // (2 * len(good))),
        b"s" + export(_SIDE).encode(),
        b"u" + recipe(_STORAGE).encode(),
    ]


def run(data: bytes) -> Iterator[str]:
    """What became of it."""
    kind, said = data[:1], data[1:]
    try:
        return iter(list(_KINDS.get(kind, _proc)(said)))
    except Unreadable as refused:
        why = str(refused)
    assert len(why.splitlines()) == 1, "one sentence"
    return iter([f"{kind!r} refused"])


def _proc(said: bytes) -> Iterator[str]:
    found = proc_drbd.parse(said)
    status = proc_drbd.status(found, NAMES)
    allowed = _judged(status)
    if allowed:
        lines = [line for line in said.decode(errors="replace").split("\n") if re.match(r" *0+:", line)]
        assert lines, "a promotion, and no word of the volume"
        assert all(map(_GOOD_LINE.fullmatch, (line.replace("\0", "-") for line in lines))), f"a promotion after {lines}"
        assert not found.unread
    yield f"proc: {'promotes' if allowed else 'refuses'}"


def _json(said: bytes) -> Iterator[str]:
    allowed = _judged(parse_json(said))
    if allowed:
        ours = [each for each in json.loads(said) if each.get("name") == "r0"]
        for each in ours:
            assert each["role"] == "Secondary"
            assert each["suspended"] is False
            assert [device["disk-state"] for device in each["devices"] if device["volume"] == 0] == ["UpToDate"]
            assert {link["connection-state"] for link in each["connections"]} == {"Connected"}
            assert {link["peer-role"] for link in each["connections"]} <= {"Secondary"}
        assert len(ours) == 1, "two of one name"
    yield f"json: {'promotes' if allowed else 'refuses'}"


def _text(said: bytes) -> Iterator[str]:
    allowed = _judged(parse_text(said.decode(errors="replace")))
    yield f"text: {'promotes' if allowed else 'refuses'}"


def _events(said: bytes) -> Iterator[str]:
    feed, sights = Feed(), dict[str, Sight]()
    for line in said.decode(errors="replace").splitlines():
        before, feed = feed, feed.after(line)
        assert changes(before.status, feed.status) is not None
        if feed.helper is not None:
            sights[feed.helper.resource] = sights.get(feed.helper.resource, Sight()).told(feed.helper)
        elif feed.trusted:
            sights = watched(sights, feed.status, {}, 1.0)
    _judged(feed.status, gap=feed.gap, sights=sights)
    yield f"events: {'trusted' if feed.trusted else 'a gap' if feed.gap else 'not whole'}"


def _identifiers(said: bytes) -> Iterator[str]:
    found = generation.parse(said.decode(errors="replace"))
    yield f"get-gi: {len(found)} volumes"


def _configuration(said: bytes) -> Iterator[str]:
    loaded = loads(said.decode("utf-8", "surrogateescape"))
    lint(loaded.config, loaded.diagnostics)
    for resource in loaded.config.resources:
        for host in {name for each in resource.hosts for name in each.names}:
            assert GroupResource.read(loaded.config, resource, host).protocol
    yield f"drbd.conf: {min(len(loaded.config.resources), 3)} resources"


def _side(said: bytes) -> Iterator[str]:
    theirs = imported(said.decode(errors="replace"))
    assert list(compared(_SIDE, theirs))
    assert imported(export(theirs)) == theirs
    yield "split brain: compared"


def _undo(said: bytes) -> Iterator[str]:
    try:
        storage = from_recipe(said.decode(errors="replace"))
    except ValueError:
        yield "undo: refused"
        return
    assert from_recipe(recipe(storage)) == storage
    yield "undo: read"


_KINDS = {
    b"p": _proc,
    b"j": _json,
    b"t": _text,
    b"e": _events,
    b"g": _identifiers,
    b"c": _configuration,
    b"s": _side,
    b"u": _undo,
}


def _judged(status: Status, gap: str = "", sights: dict[str, Sight] | None = None) -> bool:
    """Whether it would be promoted; everything else that is done with a status is done too."""
    seen = Seen(
        at=100.0,
        status=status,
        gap=gap,
        generations={"r0": generation.parse(GOOD)},
        sights=sights or {},
        mounts=(),
    )
    assert table(status)
    assert disagreement(status, status) == ""
    plan = plan_promote(seen, GROUP)
    assert plan.allowed or all(each.rule and each.why and each.hint for each in plan.refusals)
    assert standby(seen, GROUP, Budget()) is not None
    assert serving(seen, GROUP) is not None
    assert plan_demote(seen, GROUP) is not None
    return plan.allowed
