"""`pyvrrp demo dns-active-backup`: what it tells is true, and nothing is left of it."""

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import demo_runs
import pytest

from pyvrrp.demo.dns_active_backup import SCENARIO


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    with demo_runs.alone():
        yield


def test_the_demo_shows_four_failures_and_the_comparison(tmp_path: Path) -> None:
    began = time.monotonic()
    text = demo_runs.told(SCENARIO, tmp_path)
    assert time.monotonic() - began < 180

    felt = re.findall(r"(dns\d) answers now: (?:no answer for ([\d.]+) s|no gap), (\d+) of (\d+) queries lost", text)
    assert [by for by, *_ in felt] == ["dns2", "dns1", "dns2", "dns1"], text
    hangs, stopped, killed, unplugged = (float(seconds or 0) for _, seconds, *_ in felt)
    assert 0.5 < hangs < 4.5, text
    assert stopped < 2.0, text
    assert killed < 2.5, text  # the address stays until its lease ends, and its DNS server goes on answering
    assert 2.5 < unplugged < 6.0, text
    assert all(int(lost) * 0.02 < float(seconds or 0) + 0.1 for _, seconds, lost, _ in felt), text

    (two,) = re.findall(r"two nameserver lines +1 +([\d.]+) s +(\d+)", text)
    assert 10.0 <= float(two[0]) < 12.0
    assert 300 <= int(two[1]) <= 360
    (shared,) = re.findall(r"nameserver 192\.0\.2\.53 +3 +([\d.]+) s +(\d+)", text)
    assert float(shared[0]) < 0.5
    assert int(shared[1]) == 1000


@pytest.mark.parametrize(
    ("moment", "number"),
    [("", signal.SIGTERM), ("is MASTER", signal.SIGINT), ("==> the DNS server", signal.SIGTERM)],
)
def test_stopped_at_any_moment_it_leaves_nothing(tmp_path: Path, moment: str, number: signal.Signals) -> None:
    demo_runs.stop(SCENARIO, tmp_path, moment, number)
