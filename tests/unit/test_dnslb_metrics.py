"""dnslb's metrics: every one is well formed, and says what dnslb's part of the snapshot says."""

from ipaddress import ip_address

import pytest

from dnslb.metrics import METRICS, families
from tests.unit.test_metrics import parsed, text

CHECK = {"check": 'DNS_CHECK "a"', "healthy": None, "latency": 0.012, "mean_latency": 0.01, "age": 0.5,
         "passed": 40, "failed": 2, "broken": 1}  # fmt: skip
SERVER = {"name": "ns1", "address": "192.0.2.11", "mac": "02:00:00:00:00:01", "local": False, "packets": 10,
          "octets": 800, "standing": "starting", "share": 0.25, "weight": 4, "effective_weight": 1.5,
          "went_up": 3, "went_down": 2, "checks": [CHECK]}  # fmt: skip
SORRY = {"name": "sorry", "address": "192.0.2.99", "mac": None, "local": False, "packets": 0, "octets": 0,
         "standing": "sorry", "share": 0.0, "weight": 0, "checks": []}  # fmt: skip
CAUSE = {"check": "DNS_CHECK", "cause": "SERVFAIL", "servers": frozenset({ip_address("192.0.2.11")})}
PART = {
    "checks": {"ns": {"latency": 0.002, "age": 1.0, "passed": 5, "failed": 1}},
    "blocks": [{"virtual_ipaddress": ["192.0.2.53"], "state": "held"},
               {"virtual_ipaddress": ["192.0.2.54"], "state": "undecided"}],
    "interfaces": {
        "eth0": {"engine": "xdp", "mode": "native", "chosen": "xdp native on eth0", "problem": "", "installed": 7,
                 "passed": {"peer": 5, "malformed": 0}, "lost": 2, "arp": {"leaks": ["ns1 answers"]}},
        "eth1": {"engine": None, "mode": None, "chosen": "", "problem": "none is left", "installed": 0,
                 "passed": {}, "lost": 0, "arp": {}},
    },
    "virtual_servers": {
        "dns": {"endpoints": ["192.0.2.53:53"], "held": [], "quorum": True, "panic": "half are down", "sorry": False,
                "findings": ["SOA serials differ"], "common_causes": [CAUSE], "servers": [SERVER, SORRY]},
    },
    "problems": [],
}  # fmt: skip


def test_every_metric_is_well_formed_and_there_once():
    for openmetrics in (False, True):
        found = parsed(text(*families(PART), openmetrics=openmetrics), openmetrics=openmetrics)
        assert sorted(found) == sorted(metric.name for metric, _ in METRICS)


@pytest.mark.parametrize("part", [{}, {"checks": {}, "problems": []}])
def test_where_nothing_is_balanced_there_is_nothing(part):
    assert text(*families(part)) == ""


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("dnslb_engine_info", {"intf": "eth0", "engine": "xdp", "mode": "native", "reason": "xdp native on eth0"}, 1),
        ("dnslb_engine_info", {"intf": "eth1", "engine": "none", "reason": "none is left"}, 1),
        ("dnslb_engine_running", {"intf": "eth0"}, 1),
        ("dnslb_engine_running", {"intf": "eth1"}, 0),
        ("dnslb_tables_installed_total", {"intf": "eth0"}, 7),
        ("dnslb_passed_total", {"intf": "eth0", "reason": "peer"}, 5),
        ("dnslb_lost_total", {"intf": "eth0"}, 2),
        ("dnslb_arp_leaks", {"intf": "eth0"}, 1),
        ("dnslb_virtual_server_held", {"virtual_server": "dns"}, 0),
        ("dnslb_virtual_server_panic", {"virtual_server": "dns"}, 1),
        ("dnslb_common_cause_servers", {"virtual_server": "dns", "check": "DNS_CHECK", "cause": "SERVFAIL"}, 1),
        ("dnslb_server_packets_total", {"virtual_server": "dns", "server": "ns1", "address": "192.0.2.11"}, 10),
        ("dnslb_server_bytes_total", {"server": "ns1"}, 800),
        ("dnslb_server_standing", {"server": "ns1", "standing": "starting"}, 1),
        ("dnslb_server_share_ratio", {"server": "ns1"}, 0.25),
        ("dnslb_server_effective_weight", {"server": "ns1"}, 1.5),
        ("dnslb_server_reachable", {"server": "ns1"}, 1),
        ("dnslb_server_reachable", {"server": "sorry"}, 0),
        ("dnslb_server_transitions_total", {"server": "ns1", "to": "down"}, 2),
        ("dnslb_check_healthy", {"server": "ns1", "check": 'DNS_CHECK "a"'}, 0),
        ("dnslb_check_results_total", {"server": "ns1", "result": "failed"}, 2),
        ("dnslb_check_results_total", {"server": "ns1", "result": "broken"}, 1),
        ("dnslb_check_duration_seconds", {"server": "ns1"}, 0.012),
        ("dnslb_dns_check_results_total", {"name": "ns", "result": "passed"}, 5),
        ("dnslb_local_real_server_held", {"address": "192.0.2.53"}, 1),
        ("dnslb_local_real_server_held", {"address": "192.0.2.54"}, 0),
    ],
)
def test_a_metric_says_what_the_snapshot_says(name, labels, value):
    found = parsed(text(*families(PART)))[name]
    assert [number for each, number in found if labels.items() <= each.items()] == [value]
