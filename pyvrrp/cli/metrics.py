"""`pyvrrp metrics`: the running daemon's numbers, in the text that Prometheus reads."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from pyvrrp.cli.control_client import ControlError, NotRunning, call
from pyvrrp.cli.run_dir import add_run_dir
from pyvrrp.daemon.run_directory import control_socket

OK, UNWRITABLE, _, NOT_RUNNING, NO_ANSWER = range(5)


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "metrics",
        help="the running daemon's numbers, for Prometheus",
        description="Print the metrics (docs/metrics.md) as Prometheus reads them. The daemon gives them out over HTTP "
        "too, with `metrics_listen` in global_defs.",
        epilog="exit status: 0 done, 1 the file can't be written, 3 the daemon is not running, 4 it gave no answer.",
    )
    parser.add_argument("--openmetrics", action="store_true", help="OpenMetrics 1.0.0 instead of the older text format")
    write = "replace this file at once instead of printing, as node_exporter's textfile collector wants it (NAME.prom)"
    parser.add_argument("--write", type=Path, metavar="FILE", help=write)
    parser.add_argument("--instance", metavar="NAME", help="of the daemon with `instance NAME` in its configuration")
    add_run_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print or write them."""
    path = control_socket(arguments.run_dir, arguments.instance)
    try:
        text = str(call(path, "metrics", {"openmetrics": arguments.openmetrics}))
    except NotRunning as error:
        print(f"pyvrrp: {error}", file=sys.stderr)
        return NOT_RUNNING
    except ControlError as error:
        print(f"pyvrrp: {error}", file=sys.stderr)
        return NO_ANSWER
    data = text.encode(errors="replace")
    if arguments.write is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        return OK
    try:
        _replace(arguments.write, data)
    except OSError as error:
        print(f"pyvrrp: {arguments.write}: {error.strerror}; name a file in a directory that is there", file=sys.stderr)
        return UNWRITABLE
    return OK


def _replace(path: Path, data: bytes) -> None:
    """Nobody reads half a file, and the collector passes over what does not end in .prom."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new.write_bytes(data)
        new.chmod(0o644)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
