"""`pyvrrp demo dns-two-box`: what it tells is true, and nothing is left of it."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import demo_runs
import pytest

from pyvrrp.demo.dns_two_box import SCENARIO


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    with demo_runs.alone():
        yield


def test_the_demo_shows_both_nodes_and_three_incidents(tmp_path: Path) -> None:
    text = demo_runs.told(SCENARIO, tmp_path)

    first, second = re.search(r"==> both answer .*: dns1 (\d+), dns2 (\d+) of 200", text).groups()
    assert 150 <= int(first) + int(second) <= 200, text
    assert min(int(first), int(second)) > 50, text
    both, one = re.findall(r"on the wire: (\d+) queries once .*, (\d+)\s+twice .*, (\d+)\s+more\s+often", text)
    once, twice, more = map(int, both)
    assert min(once, twice) > 20, text
    assert more == 0, text
    once, twice, more = map(int, one)  # the DNS server of the MASTER is dead
    assert (once, more) == (0, 0), text
    assert twice > 50, text

    backup, server, master = demo_runs.outcomes(text)
    assert [each.what for each in (backup, server, master)] == [
        "dns2 (BACKUP) loses power", "the DNS server of dns1 (MASTER) is killed", "dns1 (MASTER) loses power",
    ]  # fmt: skip
    assert backup.lost > 0
    assert server.lost < server.asked, text
    assert "dns1 is MASTER, dns2 is BACKUP: the addresses stay, dns2 answers all" in text
    assert master.last > 2, text


def test_stopped_in_an_incident_it_leaves_nothing(tmp_path: Path) -> None:
    demo_runs.stop(SCENARIO, tmp_path, "==> dns2 (BACKUP)", signal.SIGTERM)
