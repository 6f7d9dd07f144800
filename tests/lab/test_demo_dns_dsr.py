"""`pyvrrp demo dns-dsr`: what it tells is true, and nothing is left of it."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import demo_runs
import pytest

from pyvrrp.demo.dns_dsr import SCENARIO


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    with demo_runs.alone():
        yield


def test_the_demo_shows_the_spread_and_four_incidents(tmp_path: Path) -> None:
    text = demo_runs.told(SCENARIO, tmp_path)

    spread = re.findall(r"(ns\d) +(\d+) +([\d.]+)% +(\d+) +([\d.]+)%\n", text)
    assert [(name, weight, part) for name, weight, part, *_ in spread] == [
        ("ns1", "100", "40.0"), ("ns2", "100", "40.0"), ("ns3", "50", "20.0"),
    ], text  # fmt: skip
    assert 600 <= sum(int(clients) for *_, clients, _ in spread) <= 700, text
    for _, _, part, _, of_clients in spread:
        assert abs(float(part) - float(of_clients)) < 8, text

    dead, drained, failed_over, without = demo_runs.outcomes(text)
    assert dead.what == "ns1 loses power"
    assert dead.lost > 0
    (back, had) = re.search(r"it is up: (\d+) of the (\d+) clients that it had are back", text).groups()
    assert back == had != "0", text
    assert drained.what == "ns2 is drained"
    assert drained.lost <= drained.asked * 0.05, text
    (connections,) = re.search(r"; it has (\d+) of 24\s+TCP connections", text).groups()
    (answers,) = re.search(r"its TCP connections had (\d+) more answers", text).groups()
    assert int(answers) > int(connections) > 0, text
    assert len(re.findall(r"; 0 of 24 TCP\s+connections broken", text)) == 2, text
    assert failed_over.what == "lb1 loses power"
    assert failed_over.last > 2, text
    assert "0 of 200 clients have another server now" in text, text
    assert without.what == "ns3 loses the virtual addresses"
    assert without.lost > 0
    assert re.search(
        r"192\.0\.2\.13 answers as before, .*\n +no answer from 192\.0\.2\.53:53 through 192\.0\.2\.13", text
    )


def test_stopped_under_tcp_it_leaves_nothing(tmp_path: Path) -> None:
    demo_runs.stop(SCENARIO, tmp_path, "==> ns2 is drained", signal.SIGINT)
