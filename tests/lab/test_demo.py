"""`pyvrrp demo`: what it tells is true, and nothing is left of it."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_nodes import ROOT

from pyvrrp.demo.dns_active_backup import SCENARIO
from pyvrrp.demo.lab import eventually
from pyvrrp.demo.namespaces import names

COMMAND = [sys.executable, "-m", "pyvrrp", "demo", SCENARIO, "--quick"]


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """One demo at a time, whoever else runs tests on this machine."""
    with open(Path(tempfile.gettempdir()) / "pyvrrp-test-demo.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def left() -> list[str]:
    """Namespaces of the demo, and programs that it started."""
    programs = []
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = cmdline.read_text().replace("\0", " ")
        except OSError:
            continue
        if f"/{SCENARIO}/" in text or "/pyvrrp-lab-demo/" in text:
            programs.append(text)
    return names("demo.") + programs


def start(directory: Path, *, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start the demo from a foreign directory."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    return subprocess.Popen(
        COMMAND,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=directory,
        env=env,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def test_the_demo_shows_four_failures_and_the_comparison(tmp_path: Path) -> None:
    began = time.monotonic()
    demo = start(tmp_path)
    text = demo.communicate(timeout=110)[0]
    assert demo.returncode == 0, text
    assert left() == []
    assert time.monotonic() - began < 90

    felt = re.findall(r"(dns\d) answers now: (?:no answer for ([\d.]+) s|no gap), (\d+) of (\d+) queries lost", text)
    assert [by for by, *_ in felt] == ["dns2", "dns1", "dns2", "dns1"], text
    hangs, stopped, killed, unplugged = (float(seconds or 0) for _, seconds, *_ in felt)
    assert 0.5 < hangs < 4.5, text
    assert stopped < 1.0, text
    assert killed < 1.5, text  # the address stays until its lease ends, and its DNS server goes on answering
    assert 2.5 < unplugged < 4.5, text
    assert all(int(lost) * 0.02 < float(seconds or 0) + 0.1 for _, seconds, lost, _ in felt), text

    (two,) = re.findall(r"two nameserver lines +1 +([\d.]+) s +(\d+)", text)
    assert 10.0 <= float(two[0]) < 10.5
    assert 340 <= int(two[1]) <= 360
    (shared,) = re.findall(r"nameserver 192\.0\.2\.53 +3 +([\d.]+) s +(\d+)", text)
    assert float(shared[0]) < 0.5
    assert int(shared[1]) == 1000
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("moment", "number"),
    [("server.log", signal.SIGTERM), ("is MASTER", signal.SIGINT), ("==> the DNS server", signal.SIGTERM)],
)
def test_stopped_at_any_moment_it_leaves_nothing(tmp_path: Path, moment: str, number: signal.Signals) -> None:
    demo = start(tmp_path)
    if moment == "server.log":
        eventually(lambda: bool(names("demo.dns1")), "it has begun", 20)
    else:
        while moment not in (line := demo.stdout.readline()):
            assert line, "it ended before"
    demo.send_signal(number)
    text = demo.communicate(timeout=20)[0]
    assert demo.returncode == 130, text
    assert left() == [], text
    assert "Traceback" not in text
