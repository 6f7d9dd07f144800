"""The status page: what it tells, what it makes of everything that is not ours, and who gets which colour."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dnslb.report
import drbdctl.report
from pyvrrp.core.events import Phase, State
from pyvrrp.core.report import Entry, Mood, worst
from pyvrrp.daemon.report import ROUTERS, report
from pyvrrp.daemon.status import Address, GroupStatus, Lower, Master, Reload, Sender, TrackerStatus
from pyvrrp.daemon.status_page import page
from tests.unit.snapshots import SINCE, daemon, instance, outcome
from tests.unit.test_dnslb_metrics import PART
from tests.unit.test_drbd_metrics import BACKUP, SYNCING, storage

AT = "2026-11-22T14:53:11.000000+00:00"
GOOD, WATCH, BAD = Mood.GOOD, Mood.WATCH, Mood.BAD
PEER = Master(address="192.0.2.12", priority=150)


class Reader(HTMLParser):
    """The text of a page, piece by piece, and its elements and attributes."""

    def __init__(self, html):
        super().__init__()
        self.texts, self.tags, self.attributes = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def rendered(entries=(), problems=(), name="ns1"):
    return "".join(page(name, AT, problems, {"What": entries} if entries else {}))


texts = st.text(max_size=30) | st.sampled_from(["<script>alert(1)</script>", "&lt;", '"><img src=x>', "]]>", "<!--"])
entries = st.recursive(
    st.builds(Entry, texts, texts, st.sampled_from(Mood), st.lists(texts, max_size=3)),
    lambda inner: st.builds(Entry, texts, texts, st.sampled_from(Mood), st.just(()), st.lists(inner, max_size=3)),
    max_leaves=6,
)


@given(st.lists(entries, max_size=4), st.lists(texts, max_size=3), texts)
def test_nothing_that_is_told_becomes_html(told, problems, name):
    plain = Reader(rendered([Entry("x", "y", each.mood, ["z"] * len(each.sentences), each.parts) for each in told]))
    read = Reader(rendered(told, problems, name))
    assert set(read.tags) <= {
        *("html", "head", "meta", "title", "style", "body", "header", "h1", "time", "div", "ul", "li", "h2"),
        *("article", "h3", "span", "p"),
    }
    assert {key for key, _ in read.attributes} <= {"lang", "charset", "name", "content", "http-equiv", "class"}
    assert read.tags.count("article") == plain.tags.count("article") == len(told)
    assert name == "" or name.replace("\r", "\n") in "".join(read.texts).replace("\r", "\n")


def test_the_worst_comes_first_and_what_is_equally_good_stays_in_order():
    html = rendered([Entry("a", mood=GOOD), Entry("b", parts=[Entry("c", mood=BAD)]), Entry("d", mood=GOOD)])
    assert [html.index(f"<h3>{name}</h3>") for name in "bcad"] == sorted(
        html.index(f"<h3>{name}</h3>") for name in "bcad"
    )


@pytest.mark.parametrize(
    ("mood", "problems", "banner"),
    [
        (GOOD, [], "All is well"),
        (Mood.PLAIN, [], "All is well"),
        (WATCH, [], "It works; something is to be looked at"),
        (BAD, [], "It works; something is to be looked at"),
        (GOOD, ["VI_1 is FAULT"], "1 problem"),
        (GOOD, ["VI_1 is FAULT", "x"], "2 problems"),
    ],
)
def test_the_banner(mood, problems, banner):
    read = Reader(rendered([Entry("a", parts=[Entry("b", mood=mood)])], problems))
    assert banner in read.texts
    assert all(each in read.texts for each in problems)


# --- the speaker -----------------------------------------------------------------------------------------------------


def routers(**changes):
    return report(daemon(instance(**changes)))[ROUTERS][0]


def held(*, held=True):
    return (Address(address="192.0.2.1/24", device="eth0", held=held),)


@pytest.mark.parametrize(
    ("changes", "word", "mood", "sentence"),
    [
        ({}, "MASTER", GOOD, "for 2 h 3 min: no advertisement for master_down_interval"),
        ({"phase": Phase.ACQUIRING, "addresses": held(held=False)}, "MASTER, acquiring", WATCH, None),
        ({"state": State.BACKUP, "phase": None, "master": PEER, "addresses": held(held=False)}, "BACKUP", GOOD,
         "MASTER is 192.0.2.12, priority 150"),
        ({"state": State.BACKUP, "phase": None, "master": None, "addresses": ()}, "BACKUP", WATCH,
         "no MASTER has been heard"),
        ({"state": State.FAULT, "phase": None, "faults": ("eth0: down",), "addresses": ()}, "FAULT", BAD, "eth0: down"),
        ({"state": State.INIT, "phase": None, "pending": ("script x",), "addresses": ()}, "INIT", WATCH,
         "waits for script x: it has not reported yet"),
        ({"effective_priority": 90, "lowers": (Lower(tracker="script x", weight=-60, why="exit status 1"),)}, "MASTER",
         WATCH, "VRID 51 on eth0, priority 90, configured 150: -60 by script x (exit status 1)"),
        ({"notify": (outcome(),)}, "MASTER", WATCH, "notify_master failed 11 s ago: exit status 1"),
        ({"addresses": held(held=False)}, "MASTER", BAD, None),
        ({"state": State.BACKUP, "phase": None, "master": PEER, "addresses": held()}, "BACKUP", BAD, None),
    ],
)  # fmt: skip
def test_a_virtual_router(changes, word, mood, sentence):
    entry = routers(**changes)
    assert (entry.word, worst([entry])) == (word, mood)
    assert sentence is None or sentence in entry.sentences


def test_who_is_configured_differently_is_named():
    sender = Sender(vrid=51, source="192.0.2.9", first_heard=SINCE, last_heard=SINCE, seconds_ago=2.0, count=7,
                    differs={"advert_int": "2 s, ours 1 s"})  # fmt: skip
    assert "192.0.2.9 differs: advert_int: 2 s, ours 1 s" in routers(mismatch=(sender,)).sentences
    found = report(daemon(foreign={"eth0": (sender,)}))["Other senders"]
    assert [(each.title, each.word, each.mood) for each in found] == [("VRID 51 on eth0", "from 192.0.2.9", WATCH)]


def test_groups_trackers_and_the_daemon():
    found = report(
        daemon(
            groups=(GroupStatus(name="G", state=State.FAULT, since=SINCE, since_seconds=1.0, members=("a", "b")),),
            trackers=tuple(TrackerStatus(kind="script", name=str(ok), healthy=ok) for ok in (True, False, None)),
            last_reload=Reload(ok=False, detail="2 errors", at=SINCE, seconds_ago=61.0),
            findings={"error": 0, "warning": 2},
            restarts=1,
        )
    )
    assert [(each.word, each.mood) for each in found["Sync groups"]] == [("FAULT", BAD)]
    assert [each.mood for each in found["Trackers"]] == [GOOD, BAD, WATCH]
    [self] = found["Daemon"]
    assert self.mood is WATCH
    assert [each.partition(",")[0] for each in self.sentences[1:]] == [
        "started again 1 times by the guard",
        "the reload 1 min 1 s ago failed",
        "the file has findings: 2 of severity warning; `pyvrrp check` names them",
    ]


def test_headlines_without_anything_are_left_out():
    assert list(report(daemon())) == ["Daemon"]


# --- plugins ---------------------------------------------------------------------------------------------------------


def served(**changes):
    well = {"interface": "eth0", "problem": "", "common_causes": [], "findings": [], "panic": ""}
    virtual = {**PART["virtual_servers"]["dns"], **well, "held": ["192.0.2.53:53"]}
    server = {**virtual["servers"][0], "standing": "up", "qps": 12.5, "why": "ns1: all checks pass"}
    return {
        "interfaces": PART["interfaces"],
        "problems": [],
        "virtual_servers": {"dns": virtual | {"servers": [server]}},
    } | changes


def test_a_virtual_server_with_its_servers():
    [entry] = dnslb.report.entries(served())
    assert (entry.title, entry.word, entry.mood) == ("dns", "1 of 1 in use", GOOD)
    assert list(entry.sentences) == ["192.0.2.53:53; its addresses are here", "xdp native on eth0"]
    [server] = entry.parts
    assert (server.title, server.word) == ("ns1 192.0.2.11", "up, 25%, 12.5 q/s")
    assert list(server.sentences) == ["all checks pass"]


def test_a_virtual_server_with_a_problem_says_it_first():
    [entry] = dnslb.report.entries(served(problems=["dns: NOT BALANCED: no engine", "dns2: other"]))
    assert (entry.mood, entry.sentences[0]) == (BAD, "dns: NOT BALANCED: no engine")


def test_a_common_cause_is_said_to_be_one():
    part = served()
    cause = {"check": "DNS_CHECK", "cause": "SERVFAIL", "detail": "ns1 says SERVFAIL", "servers": frozenset()}
    part["virtual_servers"]["dns"]["common_causes"] = [cause]
    [entry] = dnslb.report.entries(part)
    assert entry.mood is WATCH
    assert "all fail DNS_CHECK: SERVFAIL (ns1 says SERVFAIL); it is not the servers" in entry.sentences


def kept(proc=SYNCING, **changes):
    return storage(proc, **{"refusals": [], "step": None, "resources": ["r0"], "gap": "", **changes})


def test_a_storage_that_is_synchronised():
    [entry] = drbdctl.report.entries({"storages": {"data": kept()}})
    assert (entry.title, entry.word, entry.mood) == ("storage data", "secondary", BAD)
    [resource] = entry.parts
    assert (resource.word, resource.mood) == ("Secondary Inconsistent", WATCH)
    assert "volume 0 with peer: 50.0 % done, 52 s left" in resource.sentences
    assert "peer: Connected, Primary UpToDate" in resource.sentences


def test_a_storage_that_is_well_is_one_line_of_the_summary():
    proc = SYNCING.partition(b" 0: ")[0] + (
        b" 0: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----\n"
        b"    ns:0 nr:0 dw:0 dr:0 al:0 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:0\n"
    )
    part = {"storages": {"data": kept(proc, faults=[], phase="primary")}}
    [entry] = drbdctl.report.entries(part)
    assert worst([entry]) is GOOD
    assert drbdctl.report.summary(part) == ["storage data: primary; r0 Primary UpToDate"]


@pytest.mark.parametrize(
    ("changes", "mood"),
    [
        ({"alarm": "split brain"}, BAD),
        ({"stuck": ["umount /mnt"]}, BAD),
        ({"degraded": ["r0: the peer is away"]}, WATCH),
        ({"phase": "promoting"}, WATCH),
        ({"seen_seconds_ago": None, "states": {}}, WATCH),
    ],
)
def test_what_is_not_as_it_should_be_is_not_green(changes, mood):
    [entry] = drbdctl.report.entries({"storages": {"data": kept(**{"faults": [], **changes})}})
    assert entry.mood is mood


def test_a_backup_is_as_old_as_it_is():
    told = [{"metrics": BACKUP["metrics"], "alarms": ["it is old"]}, {"metrics": {}, "alarms": []}]
    found = [next(drbdctl.report.entries({"backups": {"r0": each}})) for each in told]
    assert [(each.word, each.mood) for each in found] == [("1 d 1 h old", WATCH), ("age not known", WATCH)]
    assert list(found[0].sentences) == ["it is old"]
