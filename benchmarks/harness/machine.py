"""What a report says of the machine and the programs that were measured."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness import ROOT


def describe() -> str:
    """The command, the time, the machine with its load now, and the versions, a line each."""
    cpus = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "name" in line]
    cpu = cpus[0] if cpus else platform.machine()
    return "\n".join(
        (
            f"command    {' '.join(['python', *sys.argv])}",
            f"date       {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
            f"machine    Linux {platform.release()}, {os.cpu_count()} x {cpu}, load {os.getloadavg()[0]:.1f}",
            f"pyvrrp     {version('pyvrrp')} ({_commit()}), Python {platform.python_version()}, uvloop {_uvloop()}",
            f"keepalived {_keepalived()}",
        )
    )


def _commit() -> str:
    commit = _output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD") or "no repository"
    changed = _output("git", "-C", str(ROOT), "status", "--porcelain", "--", "pyvrrp")
    return f"commit {commit}{' with changes' if changed else ''}"


def _uvloop() -> str:
    try:
        return version("uvloop")
    except PackageNotFoundError:
        return "not installed"


def _keepalived() -> str:
    """`Keepalived v2.2.7 (01/16,2022)` -> `2.2.7`."""
    words = _output("keepalived", "--version").split()
    return words[1].removeprefix("v") if len(words) > 1 else "not installed"


def _output(*argv: str) -> str:
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
