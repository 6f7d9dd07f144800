"""Metrics of running daemons, scraped over HTTP while MASTER changes, the file changes, and a port is taken."""

import os
import signal
import sys
from html import unescape

import pytest
from lab_nodes import METRICS_PORT as PORT
from lab_nodes import Node, fetch, instance
from prometheus_client.parser import text_string_to_metric_families

from pyvrrp.demo.lab import eventually

VIP = "192.0.2.100/24"


def configured(priority: int, port: int = PORT) -> str:
    return f"global_defs {{\n metrics_listen 127.0.0.1 {port}\n}}\n{instance(51, priority, VIP)}"


def scrape(node: Node) -> dict[str, dict[tuple[str, ...], float]]:
    """By name, and by the values of the labels."""
    status, text = fetch(node, "/metrics")
    assert status in (0, 200)
    families = text_string_to_metric_families(text)
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for sample in (sample for family in families for sample in family.samples):
        found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def reload(node: Node, text: str) -> None:
    node.configure(text)
    os.kill(node.status()["pid"], signal.SIGHUP)


def restarts(node: Node) -> float | None:
    found = [line for line in fetch(node, "/metrics", PORT + 1)[1].splitlines() if "guard_restarts_total " in line]
    return float(found[-1].rpartition(" ")[2]) if found else None


def state(node: Node) -> float | None:
    return scrape(node).get("keepalived_vrrp_state", {}).get(("VI_51", "eth0", "51", "192.0.2.100"))


@pytest.mark.parametrize("ways", [("pyvrrp", "pyvrrp")])
def test_a_failover_is_seen_in_the_metrics_of_both(pair):
    first, second = pair
    first.start(configured(200))
    second.start(configured(100))
    eventually(lambda: (state(first), state(second)) == (2, 1), "MASTER and BACKUP in the metrics", 30)
    assert fetch(first, "/healthz") == fetch(second, "/healthz") == (200, "ok\n")
    before = scrape(first)
    assert before["pyvrrp_address_held"] == {("VI_51", "eth0", "51", "192.0.2.100"): 1}

    def renewed() -> bool:
        now = scrape(first)
        return all(
            now[name][("VI_51", "eth0", "51")] > before[name][("VI_51", "eth0", "51")]
            for name in ("keepalived_advertisements_sent_total", "pyvrrp_lease_renewals_total")
        )

    eventually(renewed, "advertisements and renewals are counted", 20)

    first.host.cut()
    eventually(lambda: (state(first), state(second)) == (3, 2), "FAULT and MASTER in the metrics", 30)
    status, why = fetch(first, "/healthz")
    assert status == 503
    assert why.startswith("VI_51 is FAULT: interface eth0: down")
    status, page = fetch(first, "/")
    assert (status, why.strip() in unescape(page)) == (200, True)
    told = scrape(second)
    reason = "no advertisement for master_down_interval"
    assert told["pyvrrp_transitions_total"][("VI_51", "eth0", "51", "MASTER", reason)] == 1
    assert told["keepalived_become_master_total"][("VI_51", "eth0", "51")] == 1

    printed = second.host.run([sys.executable, "-m", "pyvrrp", "metrics", "--openmetrics"]).stdout
    assert "\nkeepalived_become_master_total{" in printed
    assert printed.endswith("# EOF\n")
    file = second.host.directory / "pyvrrp.prom"
    second.host.run([sys.executable, "-m", "pyvrrp", "metrics", "--write", file])
    assert "keepalived_up 1\n" in file.read_text()


@pytest.mark.parametrize("ways", [("pyvrrp", "pyvrrp")])
def test_a_reload_moves_the_listener_and_a_port_in_use_ends_nothing(pair):
    node, _ = pair
    node.start(configured(200))
    eventually(lambda: state(node) == 2, "MASTER in the metrics", 30)
    reload(node, configured(200, PORT + 1))
    eventually(lambda: fetch(node, "/healthz", PORT + 1)[0] == 200, "it listens on the other port", 20)
    assert fetch(node, "/healthz")[0] == 0

    node.host.run([sys.executable, "-m", "pyvrrp", "restart"])
    eventually(lambda: restarts(node) == 1, "another process listens there", 30)
    assert node.state() == "MASTER"

    taken = (
        "import socket, time; s = socket.create_server(('127.0.0.1', %d)); print('here', flush=True); time.sleep(600)"
    )
    log = node.host.directory / "holder"
    node.host.start([sys.executable, "-c", taken % PORT], stdout=log)
    eventually(lambda: log.exists() and "here" in log.read_text(), "somebody has the port", 20)
    reload(node, configured(200))
    assert node.logged("metrics_listen").startswith(f"error metrics_listen 127.0.0.1 {PORT}: Address already in use; ")
    assert node.state() == "MASTER"

    reload(node, instance(51, 200, VIP))
    eventually(lambda: fetch(node, "/healthz", PORT + 1)[0] == 0, "nobody listens any more", 20)
    assert node.state() == "MASTER"
