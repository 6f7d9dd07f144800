"""Talking to the balancer of the running daemon, for all verbs; the exit statuses."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from pyvrrp.cli.control_client import ControlError, NotRunning, call
from pyvrrp.cli.run_dir import add_run_dir
from pyvrrp.daemon.run_directory import control_socket

OK, TROUBLE, USAGE, NOT_RUNNING, NO_ANSWER = range(5)
EPILOG = "exit status: 0 done; 2 bad input; 3 the daemon is not running; 4 it refused, or gave no answer."
_PATIENCE = 65.0
"seconds: the daemon answers within 60"

Document = dict[str, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which daemon is asked."""
    parser.add_argument("--instance", metavar="NAME", help="of the daemon with `instance NAME` in its configuration")
    add_run_dir(parser)


def ask(arguments: argparse.Namespace, *words: str) -> Any:
    """The balancer's answer to a command; raises NotRunning and ControlError."""
    path = control_socket(arguments.run_dir, arguments.instance)
    return call(path, "plugin", {"plugin": "dnslb", "words": list(words)}, timeout=_PATIENCE)


def told(work: Callable[[], int]) -> int:
    """The exit status of `work`; what keeps the daemon from answering is told in one line."""
    try:
        return work()
    except NotRunning as error:
        print(f"dnslb: {error}", file=sys.stderr)
        return NOT_RUNNING
    except ControlError as error:
        print(f"dnslb: {error}", file=sys.stderr)
        return NO_ANSWER
    except (KeyError, TypeError) as error:
        what = f"{type(error).__name__}: {error}"
        print(f"dnslb: the answer can't be read ({what}); is it this dnslb's daemon?", file=sys.stderr)
        return NO_ANSWER
