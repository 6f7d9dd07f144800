"""docs/metrics.md and the alert rules name the metrics that there are."""

import re
from pathlib import Path

import pytest

from tests.metrics_page import PAGE, TABLES, with_tables

MONITORING = Path(__file__).parents[2] / "examples" / "monitoring"
EVERY = {metric.name: metric for metrics in TABLES.values() for metric in metrics}
OF_PROMETHEUS = {"up", "instance", "job"}
NAME = re.compile(r"\b(?:keepalived|pyvrrp|dnslb|drbdctl)_[a-z_]+\b")


def test_the_tables_are_up_to_date():
    page = PAGE.read_text()
    assert page == with_tables(page), "run: python -m tests.metrics_page"


def test_no_metric_is_there_twice():
    assert len(EVERY) == sum(map(len, TABLES.values()))


@pytest.mark.parametrize("prefix", ["dnslb", "drbdctl"])
def test_a_plugin_s_metrics_begin_with_its_name(prefix):
    assert all(metric.name.startswith(f"{prefix}_") for metric in TABLES[prefix])


@pytest.mark.parametrize("file", sorted(MONITORING.glob("*.yml")), ids=lambda file: file.name)
def test_the_rules_are_about_metrics_and_labels_that_there_are(file):
    names = set()
    for line in file.read_text().splitlines():
        if line.strip().startswith(("expr:", "- series:")):
            names |= set(NAME.findall(line))
            for name, selector in re.findall(r"([a-z_]+)\{([^}]*)\}", line):
                labels = set(re.findall(r"([a-z_]+)[!=~]=?\"", selector)) - OF_PROMETHEUS
                assert name in OF_PROMETHEUS or labels <= set(EVERY[name].labels), line
    assert names
    assert names <= EVERY.keys()


def test_the_labels_in_the_annotations_are_those_of_the_alert():
    alerts = (MONITORING / "pyvrrp.rules.yml").read_text().split("- alert: ")[1:]
    for alert in alerts:
        by = re.search(r"by \(([a-z_, ]+)\)", alert)
        names = NAME.findall(re.search("expr: (.*)", alert)[1])
        labels = set(by[1].split(", ")) if by else {label for name in names for label in EVERY[name].labels}
        assert set(re.findall(r"\$labels\.([a-z_]+)", alert)) - OF_PROMETHEUS <= labels, alert
