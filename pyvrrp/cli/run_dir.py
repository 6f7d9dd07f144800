"""The option that the daemon and those who talk to it have in common."""

from __future__ import annotations

import argparse
from pathlib import Path

from pyvrrp.daemon.run_directory import ENVIRONMENT, default_run_directory


def add_run_dir(parser: argparse.ArgumentParser) -> None:
    """`--run-dir DIR`."""
    where = f"of the control socket and the pid file (default: ${ENVIRONMENT}, or /run/pyvrrp)"
    parser.add_argument("--run-dir", type=Path, default=default_run_directory(), metavar="DIR", help=where)
