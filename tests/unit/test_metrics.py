"""Metrics: the text against its specification and prometheus-client's parsers, the numbers against the snapshot."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from pyvrrp.core.discard import DiscardReason, Statistics
from pyvrrp.core.events import Reason, State
from pyvrrp.core.metrics import Family, Kind, Metric, accepts_openmetrics, exposition
from pyvrrp.daemon.metrics import DAEMON, INSTANCES, families
from pyvrrp.daemon.status import Address, GroupStatus, Lateness, Reload, TrackerStatus, transitions
from pyvrrp.daemon.wellness import problems
from tests.unit.snapshots import SINCE, daemon, instance, outcome

PARSERS = {False: text_string_to_metric_families, True: openmetrics_families}
SENT = Metric("t_sent_total", Kind.COUNTER, 'Sent: "all" of\nthem \\.', ("name", "why"))


def text(*made, openmetrics=False):
    return "".join(exposition(made, openmetrics=openmetrics))


def parsed(written, *, openmetrics=False):
    """Every sample by its name: a list of (labels, value)."""
    samples = {}
    for family in PARSERS[openmetrics](written):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return samples


# --- the text --------------------------------------------------------------------------------------------------------


def test_the_text_format():
    info = Metric("t_build_info", Kind.INFO, "Build.", ("version",))
    gauge = Metric("t_seconds", Kind.GAUGE, "Seconds.")
    made = [
        Family(SENT, [(('a"b', "x\\y\nz"), 3), (("", "ü"), 1.5)]),
        Family(info, [(("1.0",), 1)]),
        Family(gauge, [((), 0.1 + 0.2)]),
        Family(Metric("t_none", Kind.GAUGE, "No sample, no line."), []),
    ]
    assert text(*made) == (
        '# HELP t_sent_total Sent: "all" of\\nthem \\\\.\n'
        "# TYPE t_sent_total counter\n"
        't_sent_total{name="a\\"b",why="x\\\\y\\nz"} 3\n'
        't_sent_total{name="",why="ü"} 1.5\n'
        "# HELP t_build_info Build.\n"
        "# TYPE t_build_info gauge\n"
        't_build_info{version="1.0"} 1\n'
        "# HELP t_seconds Seconds.\n"
        "# TYPE t_seconds gauge\n"
        "t_seconds 0.3\n"
    )
    assert text(*made, openmetrics=True) == (
        '# HELP t_sent Sent: \\"all\\" of\\nthem \\\\.\n'
        "# TYPE t_sent counter\n"
        't_sent_total{name="a\\"b",why="x\\\\y\\nz"} 3\n'
        't_sent_total{name="",why="ü"} 1.5\n'
        "# HELP t_build Build.\n"
        "# TYPE t_build info\n"
        't_build_info{version="1.0"} 1\n'
        "# HELP t_seconds Seconds.\n"
        "# TYPE t_seconds gauge\n"
        "t_seconds 0.3\n"
        "# EOF\n"
    )


@pytest.mark.parametrize(
    ("number", "written"),
    [(True, "1"), (0, "0"), (-3.0, "-3"), (1e300, "1e+300"), (math.inf, "+Inf"), (-math.inf, "-Inf"),
     (math.nan, "NaN"), (1764585263.123456, "1764585263.123456"), (2**70, str(2**70))],
)  # fmt: skip
def test_numbers(number, written):
    assert text(Family(Metric("t_x", Kind.GAUGE, "x"), [((), number)])).splitlines()[-1] == f"t_x {written}"


@pytest.mark.parametrize("openmetrics", [False, True])
@given(
    samples=st.lists(
        st.tuples(st.tuples(st.text(max_size=12), st.text(max_size=12)), st.integers(0, 2**60) | st.floats(0, 1e6)),
        unique_by=lambda sample: tuple(each.replace("\0", "\N{REPLACEMENT CHARACTER}") for each in sample[0]),
        min_size=1,
        max_size=200,
    )
)
def test_whatever_is_in_a_label_is_read_back(openmetrics, samples):
    written = text(Family(SENT, samples), openmetrics=openmetrics).encode(errors="replace").decode()
    found = parsed(written, openmetrics=openmetrics)["t_sent_total"]

    def clean(value):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()

    assert [(labels["name"], labels["why"]) for labels, _ in found] == [
        (clean(name), clean(why)) for (name, why), _ in samples
    ]
    assert [value for _, value in found] == [pytest.approx(number, abs=1e-9) for _, number in samples]


def test_a_piece_takes_little_time_however_many_samples_there_are():
    made = list(exposition([Family(SENT, (((str(n), ""), n) for n in range(1000)))]))
    assert max(piece.count("\n") for piece in made) <= 64
    assert all(piece.endswith("\n") for piece in made)
    assert "".join(made).count("\n") == 1002


@pytest.mark.parametrize(
    ("name", "kind", "labels"),
    [("t_sent", Kind.COUNTER, ()), ("t_build", Kind.INFO, ()), ("T x", Kind.GAUGE, ()), ("t", Kind.GAUGE, ("a-b",))],
)
def test_a_name_that_prometheus_would_not_take_is_refused(name, kind, labels):
    with pytest.raises(ValueError, match=r"name"):
        Metric(name, kind, "x", labels)


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        # Prometheus 2 and 3
        ("application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
         "text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,/;q=0.1", True),
        ("text/plain;version=0.0.4;q=0.6, Application/OpenMetrics-Text;q=0.5", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=x", False),
        ("application/openmetrics-text ; q=1.000 , text/plain ; q=1", True),
    ],
)  # fmt: skip
def test_who_gets_openmetrics(accept, openmetrics):
    assert accepts_openmetrics(accept) is openmetrics


# --- the numbers -----------------------------------------------------------------------------------------------------


def everything():
    """A snapshot in which every metric of the speaker has a sample."""
    statistics = Statistics(advertisements_sent=7, became_master=2, lease_renewals=6)
    statistics.discarded[DiscardReason.TTL] = 4
    first = instance(
        statistics=statistics,
        faults=("interface eth0: down",),
        state=State.FAULT,
        effective_priority=90,
        addresses=(
            Address(address="192.0.2.1/24", device="eth1", held=True, lease_seconds=2.4),
            Address(address="192.0.2.2/32", device="eth0", held=False, excluded=True),
        ),
        transitions=transitions({(State.MASTER, Reason.MASTER_DOWN): 2, (State.FAULT, Reason.FAULT): 1}),
        notify=(outcome(runs=5, failures=2),),
        notify_waiting=3,
    )
    second = instance(name="VI_2", vrid=52, state=State.BACKUP, addresses=())
    script = TrackerStatus(kind="script", name="chk", healthy=None, running=True, last=outcome(name="chk"))
    return daemon(
        first,
        second,
        groups=(GroupStatus(name="G", state=State.FAULT, since=SINCE, since_seconds=1.0, members=("VI_1",)),),
        trackers=(script, TrackerStatus(kind="dns", name="ns", healthy=True)),
        lateness=Lateness(last=0.001, max=0.25),
        last_reload=Reload(ok=False, detail="no", at=SINCE, seconds_ago=1.0),
        guard=811,
        restarts=2,
        findings={"error": 0, "warning": 3, "note": 1},
        interfaces={"eth0": {"vrid_errors": 9}},
        foreign={"eth0": ()},
        foreign_full={"eth0": 1},
        plugins={"dnslb": {"problems": ["ns: PANIC"]}},
    )


@pytest.mark.parametrize("openmetrics", [False, True])
def test_every_metric_of_the_speaker_is_well_formed_and_there_once(openmetrics):
    found = parsed(text(*families(everything()), openmetrics=openmetrics), openmetrics=openmetrics)
    names = [metric.name for metric, _ in (*DAEMON, *INSTANCES)]
    assert sorted(found) == sorted(names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("keepalived_up", {}, 1),
        ("keepalived_vrrp_state", {"iname": "VI_1", "intf": "eth1", "vrid": "51", "ip_address": "192.0.2.1"}, 3),
        ("keepalived_vrrp_excluded_state", {"ip_address": "192.0.2.2"}, 3),
        ("keepalived_advertisements_sent_total", {"iname": "VI_1", "intf": "eth0", "vrid": "51"}, 7),
        ("keepalived_become_master_total", {"iname": "VI_1"}, 2),
        ("keepalived_ip_ttl_errors_total", {"iname": "VI_1"}, 4),
        ("keepalived_ip_ttl_errors_total", {"iname": "VI_2"}, 0),
        ("keepalived_script_status", {"name": "chk"}, 0),
        ("keepalived_script_state", {"name": "chk"}, 1),
        ("pyvrrp_instance_state", {"iname": "VI_1"}, 3),
        ("pyvrrp_instance_state", {"iname": "VI_2"}, 1),
        ("pyvrrp_instance_state_timestamp_seconds", {"iname": "VI_1"}, 1795359187.202852),
        ("pyvrrp_priority_base", {"iname": "VI_1"}, 150),
        ("pyvrrp_priority_effective", {"iname": "VI_1"}, 90),
        ("pyvrrp_faults", {"iname": "VI_1"}, 1),
        ("pyvrrp_transitions_total", {"iname": "VI_1", "to": "FAULT", "reason": "fault"}, 1),
        ("pyvrrp_discarded_total", {"iname": "VI_1", "reason": "ip_ttl_errors"}, 4),
        ("pyvrrp_lease_renewals_total", {"iname": "VI_1"}, 6),
        ("pyvrrp_address_lease_seconds", {"iname": "VI_1"}, 2.4),
        ("pyvrrp_address_held", {"ip_address": "192.0.2.1"}, 1),
        ("pyvrrp_address_held", {"ip_address": "192.0.2.2"}, 0),
        ("pyvrrp_tracker_healthy", {"type": "script", "name": "chk"}, 0),
        ("pyvrrp_tracker_healthy", {"type": "dns", "name": "ns"}, 1),
        ("pyvrrp_notify_runs_total", {"type": "INSTANCE", "script": "notify_master", "result": "failed"}, 2),
        ("pyvrrp_notify_runs_total", {"script": "notify_master", "result": "ok"}, 3),
        ("pyvrrp_notify_waiting", {"type": "INSTANCE", "name": "VI_1"}, 3),
        ("pyvrrp_guard_restarts_total", {}, 2),
        ("pyvrrp_timer_lateness_max_seconds", {}, 0.25),
        ("pyvrrp_config_last_reload_successful", {}, 0),
        ("pyvrrp_config_findings", {"severity": "warning"}, 3),
        ("pyvrrp_interface_discarded_total", {"intf": "eth0", "reason": "vrid_errors"}, 9),
        ("pyvrrp_problems", {"source": "daemon"}, 1),
        ("pyvrrp_problems", {"source": "dnslb"}, 1),
    ],
)
def test_a_metric_says_what_the_snapshot_says(name, labels, value):
    found = parsed(text(*families(everything())))[name]
    assert [number for each, number in found if labels.items() <= each.items()] == [value]


def test_who_is_without_a_lease_has_no_seconds_left():
    assert "pyvrrp_address_lease_seconds" not in parsed(text(*families(daemon(instance(addresses=())))))


# --- whether all is well ---------------------------------------------------------------------------------------------


def test_all_is_well():
    well = daemon(instance(), instance(name="VI_2", state=State.BACKUP), plugins={"dnslb": {}, "x": {"problems": []}})
    assert not any(problems(well).values())


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"state": State.FAULT, "faults": ("script chk: exit status 1",)}, "VI_1 is FAULT: script chk: exit status 1"),
        ({"state": State.INIT, "pending": ("script chk: no result yet",)}, "VI_1 is INIT: script chk: no result yet"),
        ({"state": State.FAULT, "reason": "gate failed", "detail": "r0: no"}, "VI_1 is FAULT: r0: no"),
        ({"state": State.INIT, "reason": "startup"}, "VI_1 is INIT: startup"),
    ],
)
def test_an_instance_that_is_neither_master_nor_backup_is_not_well(fields, sentence):
    assert problems(daemon(instance(**fields)))["daemon"] == [sentence]


def test_a_plugin_is_not_well_while_it_has_problems_whatever_it_puts_there():
    status = daemon(plugins={"a": {"problems": ["one", "two"]}, "b": {"problems": "three"}, "c": {"problems": None}})
    found = problems(status)
    assert (found["a"], found["b"]) == (["one", "two"], ["three"])
    assert found["c"]  # it says something that we do not understand
