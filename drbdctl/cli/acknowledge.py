"""`drbdctl acknowledge`: an operator has looked: the failures and takeovers that were counted are forgotten."""

from __future__ import annotations

import argparse
import os
import pwd
from typing import Any

from drbdctl.cli.daemon import Unanswered, add_daemon, ask, chosen


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "acknowledge",
        help="let automation act again after failures that it counts",
        description="Tell the daemon here that somebody has looked at its failed promotions: it may try again.",
        epilog="exit status: 0 done, 1 there is no such storage, 3 pyvrrp is not running.",
    )
    add_daemon(parser)


def run(arguments: argparse.Namespace) -> int:
    """Tell it."""
    try:
        name = chosen(arguments)
        ask(arguments, name, "acknowledge", user())
    except Unanswered as unanswered:
        return unanswered.told("acknowledge")
    print(f"storage {name}: acknowledged")
    return 0


def user() -> str:
    """Who asks, for the log."""
    return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
