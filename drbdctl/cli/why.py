"""`drbdctl why`: what every rule says about a promotion of a storage on this node, now."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from drbdctl.cli.daemon import Unanswered, ask
from drbdctl.cli.storage import (
    DONE,
    EPILOG,
    NOT_RUNNING,
    REFUSED,
    UNUSABLE,
    Handle,
    Unusable,
    add_storage,
    chosen,
    complain,
)
from drbdctl.failover.planner import judge
from pyvrrp.cli.run_dir import add_run_dir


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "why",
        help="why a storage may be promoted on this node, or may not",
        description="Ask every rule of a promotion and print what it says, with the evidence; nothing is changed. The "
        "daemon is asked where it runs: it alone has watched how the peer left, and whom VRRP heard.",
        epilog=EPILOG,
    )
    add_storage(parser)
    parser.add_argument("--instance", metavar="NAME", help="of the daemon with `instance NAME` in its configuration")
    add_run_dir(parser)
    parser.add_argument("--all", action="store_true", help="the rules that say nothing too")


def run(arguments: argparse.Namespace) -> int:
    """Print the verdicts and return the exit status."""
    try:
        handle = chosen(arguments)
    except Unusable as error:
        complain("why", error)
        return UNUSABLE
    try:
        verdicts, who = ask(arguments, handle.storage.name, "why"), "the daemon"
    except Unanswered as unanswered:
        verdicts, who = _look(handle), "a look, without the daemon"
        if unanswered.status != NOT_RUNNING:
            complain("why", unanswered)
    for verdict in verdicts:
        for refusal in verdict["refusals"]:
            print(f"refused: {refusal}")
        for because in verdict["because"]:
            print(f"allowed: {because} (rule {verdict['rule']})")
        if arguments.all and not verdict["refusals"] and not verdict["because"]:
            print(f"allowed: rule {verdict['rule']} has nothing against it")
    allowed = not any(verdict["refusals"] for verdict in verdicts)
    print(f"storage {handle.storage.name}: it {'may' if allowed else 'may not'} be promoted here (says {who})")
    return DONE if allowed else REFUSED


def _look(handle: Handle) -> list[dict[str, Any]]:
    """As the daemon answers."""
    return [each.plain for each in judge(asyncio.run(handle.look(True)), handle.storage.group)]
