"""`pyvrrp status`: what the running daemon does, and why."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any

from pyvrrp.cli.control_client import ControlError, NotRunning, call
from pyvrrp.cli.run_dir import add_run_dir
from pyvrrp.cli.status_text import Document, render
from pyvrrp.daemon.run_directory import control_socket

SCHEMA = 1
OK, FAULT, USAGE, NOT_RUNNING, NO_ANSWER = range(5)
_CLEAR = "\x1b[H\x1b[2J"


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "status",
        help="what the running daemon does, and why",
        description="Ask the running daemon: each vrrp_instance's state, since when and why, its priority and what "
        "lowers it, who is MASTER, which addresses are held, what was discarded, what the scripts said last.",
        epilog="exit status: 0 all is well, 1 an instance is in FAULT, 3 the daemon is not running, "
        "4 it gave no answer.",
    )
    again = "again and again until interrupted (default: every second); with --json a line each time"
    parser.add_argument("name", nargs="*", help="only these vrrp_instances")
    parser.add_argument("--json", action="store_true", help="the whole snapshot as JSON (docs/status.md), schema 1")
    parser.add_argument("--watch", type=_seconds, nargs="?", const=1.0, metavar="SECONDS", help=again)
    parser.add_argument("--instance", metavar="NAME", help="of the daemon with `instance NAME` in its configuration")
    add_run_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the status once, or until interrupted."""
    if arguments.watch is None:
        return _show(arguments)
    try:
        while True:
            if _on_terminal() and not arguments.json:
                print(_CLEAR, end="")
            status = _show(arguments)
            sys.stdout.flush()
            if status == USAGE:
                return status
            time.sleep(arguments.watch)
    except KeyboardInterrupt:
        return OK


def _show(arguments: argparse.Namespace) -> int:
    try:
        document: Document = call(control_socket(arguments.run_dir, arguments.instance), "status")
        instances = document["instances"]
        if unknown := set(arguments.name) - {each["name"] for each in instances}:
            known = ", ".join(each["name"] for each in instances) or "none"
            print(f"pyvrrp: no vrrp_instance {', '.join(sorted(unknown))}; there are: {known}", file=sys.stderr)
            return USAGE
        if arguments.name:
            instances = document["instances"] = [each for each in instances if each["name"] in arguments.name]
        if arguments.json:
            print(json.dumps(document, indent=None if arguments.watch else 2, ensure_ascii=False))
        elif document["schema"] != SCHEMA:
            raise ControlError(f"the daemon's status has schema {document['schema']}, not {SCHEMA}; use its own pyvrrp")
        else:
            print(render(document, colour=_on_terminal() and not os.environ.get("NO_COLOR")))
    except NotRunning as error:
        print(f"pyvrrp: {error}", file=sys.stderr)
        return NOT_RUNNING
    except ControlError as error:
        print(f"pyvrrp: {error}", file=sys.stderr)
        return NO_ANSWER
    except (KeyError, TypeError) as error:
        print(
            f"pyvrrp: the answer is no status ({type(error).__name__}: {error}); is it this pyvrrp's daemon?",
            file=sys.stderr,
        )
        return NO_ANSWER
    return FAULT if any(each["state"] == "FAULT" for each in instances) else OK


def _on_terminal() -> bool:
    return sys.stdout.isatty()


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r}: seconds between 0.1 and 86400")
    return seconds
