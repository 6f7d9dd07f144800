"""The snapshot: its JSON, its documentation, and the text that a person reads."""

import dataclasses
import inspect
import json
import re
from ipaddress import ip_address
from pathlib import Path

import pytest

from pyvrrp.cli.status_text import render
from pyvrrp.core.discard import DiscardReason, Statistics
from pyvrrp.core.events import Phase, State
from pyvrrp.core.report import duration
from pyvrrp.daemon import status
from pyvrrp.daemon.status import (
    Address,
    GroupStatus,
    LastDiscard,
    Lateness,
    Lower,
    Master,
    Reload,
    Sender,
    TrackerStatus,
    as_json,
    counters,
    discarded,
    iso,
)
from tests.unit.snapshots import daemon, instance, outcome

DOCUMENT = (Path(__file__).parents[2] / "docs" / "status.md").read_text()
CLASSES = [each for _, each in inspect.getmembers(status, dataclasses.is_dataclass) if each is not Statistics]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_field_is_documented_in_the_table_of_its_class(kind):
    section = re.search(rf"^## {kind.__name__}$(.*?)(?=^## |\Z)", DOCUMENT, re.DOTALL | re.MULTILINE)
    assert section, f"docs/status.md has no section {kind.__name__}"
    rows = {
        name
        for row in section[1].splitlines()
        if row.startswith("| `")
        for name in re.findall("`(.*?)`", row.split("|")[1])
    }
    assert rows == {each.name for each in dataclasses.fields(kind)}


@pytest.mark.parametrize("word", [*(reason.value for reason in DiscardReason), *counters(Statistics())])
def test_every_counter_is_documented(word):
    assert f"`{word}`" in DOCUMENT


def test_json_is_one_line_with_schema_1_and_values_by_their_words():
    text = as_json(daemon(instance(), interfaces={"eth0": {"vrid_errors": 7}}))
    assert "\n" not in text
    document = json.loads(text)
    assert document["schema"] == 1
    assert document["last_reload"] is None
    assert document["interfaces"] == {"eth0": {"vrid_errors": 7}}
    [vi_1] = document["instances"]
    assert (vi_1["state"], vi_1["phase"]) == ("MASTER", "serving")
    assert vi_1["since"] == "2026-11-22T14:53:07.202852+00:00"
    assert vi_1["addresses"] == [
        {"address": "192.0.2.1/24", "device": "eth0", "held": True, "lease_seconds": 2.4, "excluded": False}
    ]
    assert vi_1["timers"]["running"] == {"advertisement": 0.25}


def test_json_has_every_field_of_the_schema():
    document = json.loads(as_json(daemon(instance(), trackers=(TrackerStatus(kind="script", name="x", healthy=None),))))
    assert list(document) == [each.name for each in dataclasses.fields(status.DaemonStatus)]
    assert list(document["instances"][0]) == [each.name for each in dataclasses.fields(status.InstanceStatus)]
    assert list(document["trackers"][0]) == [each.name for each in dataclasses.fields(status.TrackerStatus)]


def test_json_stays_json_whatever_a_plugin_puts_into_it():
    odd = {
        "nan": float("nan"),
        "set": {1},
        "ip": ip_address("::1"),
        "enum": State.FAULT,
        "deep": [{"x": 1.23456789}],
    }
    document = json.loads(as_json(daemon(plugins={"dnslb": odd})), parse_constant=pytest.fail)
    assert document["plugins"]["dnslb"] == {
        "nan": None, "set": [1], "ip": "::1", "enum": "FAULT", "deep": [{"x": 1.234568}],
    }  # fmt: skip


def test_refused_packets_are_counted_for_every_reason():
    statistics = Statistics(advertisements_sent=3)
    statistics.discarded[DiscardReason.TTL] = 2
    assert counters(statistics)["advertisements_sent"] == 3
    assert "discarded" not in counters(statistics)
    assert discarded(statistics.discarded)["ip_ttl_errors"] == 2
    assert len(discarded(statistics.discarded)) == len(DiscardReason)


def test_points_in_time_are_utc_with_microseconds():
    assert iso(1795359187.202852) == "2026-11-22T14:53:07.202852+00:00"
    assert iso(0) == "1970-01-01T00:00:00.000000+00:00"


# --- what a person reads ---------------------------------------------------------------------------------------------


def text(*instances, colour=False, **changes):
    return render(json.loads(as_json(daemon(*instances, **changes))), colour=colour)


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_healthy_master():
    assert text(instance()).splitlines() == [
        "pyvrrp 0.1.0, pid 812, up 3 d 4 h, /etc/keepalived/keepalived.conf, uvloop, timers at most 0 ms late",
        "  instances   1 MASTER",
        "",
        "VI_1  MASTER  for 2 h 3 min, since 2026-11-22 14:53:07: no advertisement for master_down_interval",
        "  priority    150",
        "  master      this node, 192.0.2.10, priority 150",
        "  address     192.0.2.1/24 on eth0: held; the kernel drops it in 2.4 s unless renewed",
        "  speaks      VRRPv2, multicast, VRID 51 on eth0, from 192.0.2.10; 0 sent, 0 received",
        "  timers      advertisement in 0.2 s, advert_int 1 s, master_down_interval 3.414 s",
    ]


def test_a_fault_says_what_is_wrong_and_who_serves_instead():
    shown = text(
        instance(
            state=State.FAULT,
            phase=None,
            reason="fault",
            detail="script chk_dns: exit status 1",
            faults=("script chk_dns: exit status 1", "interface eth1: no carrier"),
            master=Master(address="192.0.2.11", priority=100),
            addresses=(Address(address="192.0.2.1/24", device="eth0", held=False),),
        )
    )
    assert "  instances   1 FAULT (VI_1)\n" in shown
    assert "VI_1  FAULT  for 2 h 3 min, since 2026-11-22 14:53:07: fault: script chk_dns: exit status 1\n" in shown
    assert "  fault       script chk_dns: exit status 1\n  fault       interface eth1: no carrier\n" in shown
    assert "  master      192.0.2.11, priority 100\n" in shown
    assert "192.0.2.1/24 on eth0: not held\n" in shown


def test_what_lowers_the_priority():
    lower = Lower(tracker="script chk_dns", weight=-20, why="exit status 1: no answer")
    assert "  priority    130, configured 150; -20 by script chk_dns (exit status 1: no answer); nopreempt\n" in text(
        instance(effective_priority=130, lowers=(lower,), preempt=False)
    )
    assert "  priority    150; preempts after 30 s\n" in text(instance(preempt_delay=30.0))


def test_a_master_without_its_address_stands_out_and_so_does_a_backup_with_it():
    gone = Address(address="192.0.2.1/24", device="eth0", held=False)
    assert "on eth0: NOT HELD" in text(instance(addresses=(gone,)))
    assert "MASTER (acquiring)  for" in text(instance(addresses=(gone,), phase=Phase.ACQUIRING))
    assert "on eth0: not held" in text(instance(addresses=(gone,), phase=Phase.ACQUIRING))
    assert "on eth0: held, though not serving as MASTER" in text(instance(state=State.BACKUP, phase=None))


def test_a_failed_script_is_shown_with_what_it_printed():
    assert (
        "  notify      notify_master FAILED 11 s ago, took 0.3 s: exit status 1; /usr/local/bin/tell master; "
        "it printed: curl: (7) Failed to connect\n"
    ) in text(instance(notify=(outcome(),))) + "\n"
    tracker = TrackerStatus(
        kind="script", name="chk_dns", healthy=False, detail="exit status 1", since_seconds=700.0, last=outcome()
    )
    shown = text(trackers=(tracker, TrackerStatus(kind="script", name="chk_new", healthy=None)))
    assert "  script chk_dns  FAILED for 11 min 40 s: exit status 1; it printed: curl: (7) Failed to connect" in shown
    assert "  script chk_new  not reported yet" in shown


def test_discarded_packets_say_how_many_why_and_from_whom():
    statistics = Statistics()
    statistics.discarded[DiscardReason.CHECKSUM] = 12
    statistics.discarded[DiscardReason.AUTH_FAILURE] = 3
    last = LastDiscard(reason=DiscardReason.CHECKSUM, detail="checksum 0x1234", source="192.0.2.66", seconds_ago=3.0)
    shown = text(instance(statistics=statistics, last_discard=last))
    assert "  discarded   12 checksum_errors, 3 auth_failures\n" in shown
    assert "              last 3.0 s ago from 192.0.2.66: checksum 0x1234\n" in shown


def sender(**changes) -> Sender:
    fields = {
        "vrid": 51,
        "source": "192.0.2.7",
        "macs": ("52:54:00:aa:bb:cc",),
        "version": 2,
        "priority": 100,
        "advert_int": 1.0,
        "auth_type": "PASS",
        "addresses": ("10.0.0.9",),
        "first_heard": iso(0),
        "last_heard": iso(60),
        "seconds_ago": 3.0,
        "count": 61,
    }
    return Sender(**(fields | changes))


def test_who_is_configured_differently_is_told_by_field():
    refused = sender(differs={"version": "3, ours is 2", "advert_int": "2 s, ours is 1 s"})
    accepted = sender(
        source="192.0.2.8", macs=(), differs={"packet": "checksum 0x1234 is wrong"}, refused=False, count=1
    )
    assert (
        "  differs     192.0.2.7 (52:54:00:aa:bb:cc), 61 times, last 3.0 s ago, refused\n"
        "              version: 3, ours is 2\n"
        "              advert_int: 2 s, ours is 1 s\n"
        "  differs     192.0.2.8 (MAC unknown), once, 3.0 s ago, accepted\n"
        "              checksum 0x1234 is wrong\n"
    ) in text(instance(mismatch=(refused, accepted)))


def test_foreign_senders_are_listed_the_last_heard_first():
    ours = sender(vrid=77, differs={"virtual_router_id": "77 with 192.0.2.1, which VI_1 here has under 51"})
    v3 = sender(vrid=78, version=3, auth_type=None, addresses=(), macs=("52:54:00:aa:bb:cc", "52:54:00:dd:ee:ff"))
    unreadable = {"version": None, "priority": None, "advert_int": None, "auth_type": None, "addresses": None}
    odd = sender(vrid=79, differs={"packet": "CARP and not VRRP"}, **unreadable)
    assert (
        "\n\neth0: other senders\n"
        "  VRID 79     192.0.2.7 (52:54:00:aa:bb:cc), 61 times, last 3.0 s ago\n"
        "              CARP and not VRRP\n"
        "  VRID 78     192.0.2.7 (52:54:00:aa:bb:cc, before from 52:54:00:dd:ee:ff), 61 times, last 3.0 s ago\n"
        "              VRRPv3, priority 100, advert_int 1 s, no address\n"
        "  VRID 77     192.0.2.7 (52:54:00:aa:bb:cc), 61 times, last 3.0 s ago\n"
        "              VRRPv2, priority 100, advert_int 1 s, auth_type PASS, 10.0.0.9\n"
        "              virtual_router_id: 77 with 192.0.2.1, which VI_1 here has under 51"
    ) in text(foreign={"eth0": (ours, v3, odd), "eth1": ()})


def test_a_long_list_of_foreign_senders_is_cut_short():
    shown = text(foreign={"eth0": tuple(sender(vrid=vrid) for vrid in range(1, 31))}, foreign_full={"eth0": 7})
    assert "eth0: other senders (no room for all, 7 times)\n" in shown
    assert shown.count("  VRID ") == 20
    assert "  VRID 30 " in shown
    assert "and 10 more: pyvrrp status --json" in shown


def test_the_rest_of_the_daemon():
    shown = text(
        lateness=Lateness(max=0.25),
        last_reload=Reload(ok=False, detail="line 3: no such keyword", at=status.iso(0), seconds_ago=64.0),
        groups=(GroupStatus(name="G", state=State.BACKUP, since=iso(0), since_seconds=60.0, members=("A", "B")),),
        interfaces={"eth0": {"vrid_errors": 7, "ip_ttl_errors": 0}, "eth1": {"vrid_errors": 0}},
        plugins={"dnslb": {"pool": {"up": 3}}},
    )
    assert "timers at most 250 ms late" in shown
    assert "  instances   none" in shown
    assert "  reload      FAILED 1 min 4 s ago, the old configuration is in force: line 3: no such keyword" in shown
    assert "  G  BACKUP  for 1 min: A, B" in shown
    assert "eth0: packets that belong to no vrrp_instance here were discarded: 7 vrid_errors" in shown
    assert "eth1" not in shown
    assert 'plugin dnslb\n  pool        {"up": 3}' in shown


def test_nothing_that_others_say_can_steer_the_terminal():
    shown = text(instance(notify=(outcome(output="\x1b[2J\x1b]0;owned\x07ok\nVI_9  MASTER"),)))
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\nVI_9" not in shown


def test_colour_only_on_request():
    assert "\x1b" not in text(instance())
    assert "VI_1  \x1b[32mMASTER\x1b[0m  for" in text(instance(), colour=True)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, "0.0 s"), (9.94, "9.9 s"), (59.0, "59 s"), (60.0, "1 min"), (3723.0, "1 h 2 min"), (90061.0, "1 d 1 h")],
)
def test_durations(seconds, shown):
    assert duration(seconds) == shown
