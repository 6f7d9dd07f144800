"""Runs of `pyvrrp demo`: one at a time, from a foreign directory, and what is left of them."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from lab_nodes import ROOT

from pyvrrp.demo.lab import eventually
from pyvrrp.demo.namespaces import names


@contextmanager
def alone() -> Iterator[None]:
    """One demo at a time, whoever else runs tests on this machine."""
    with open(Path(tempfile.gettempdir()) / "pyvrrp-test-demo.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Outcome(NamedTuple):
    """What clients felt of an incident."""

    what: str
    last: float
    lost: int
    asked: int
    moved: int


def outcomes(text: str) -> list[Outcome]:
    """The table at the end."""
    rows = re.findall(r"^ {10}(\S.*?) {2,}(?:none|after ([\d.]+) s) +(\d+) +(\d+) +(\d+)$", text, re.MULTILINE)
    return [Outcome(what, float(last or 0), *map(int, numbers)) for what, last, *numbers in rows]


def left(scenario: str) -> list[str]:
    """Namespaces of the demo, and programs that it started."""
    programs = []
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = cmdline.read_text().replace("\0", " ")
        except OSError:
            continue
        if f"/{scenario}/" in text or "/pyvrrp-lab-demo/" in text:
            programs.append(text)
    return names("demo.") + programs


def start(scenario: str, directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pyvrrp", "demo", scenario, "--quick"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def told(scenario: str, directory: Path) -> str:
    """All that a demo tells; it must end well, and leave nothing."""
    demo = start(scenario, directory)
    text = demo.communicate(timeout=400)[0]
    assert demo.returncode == 0, text
    assert left(scenario) == []
    assert "Traceback" not in text
    return text


def stop(scenario: str, directory: Path, moment: str, number: signal.Signals) -> None:
    """Stop a demo where it tells `moment` (or as it has made its first host): it must leave nothing."""
    demo = start(scenario, directory)
    if not moment:
        eventually(lambda: len(names("demo.")) > 1, "it has begun")
    else:
        while moment not in (line := demo.stdout.readline()):
            assert line, "it ended before"
    demo.send_signal(number)
    text = demo.communicate(timeout=60)[0]
    assert demo.returncode == 130, text
    assert left(scenario) == [], text
    assert "Traceback" not in text
