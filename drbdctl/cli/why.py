"""`drbdctl why`: what every rule says about a promotion of a storage on this node, now."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from drbdctl.cli.storage import DONE, EPILOG, REFUSED, UNUSABLE, Unusable, add_storage, chosen, complain
from drbdctl.failover.planner import judge


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "why",
        help="why a storage may be promoted on this node, or may not",
        description="Ask every rule of a promotion and print what it says, with the evidence; nothing is changed. What "
        "only a running daemon has watched (how the peer left, whom VRRP heard) is in `pyvrrp status`.",
        epilog=EPILOG,
    )
    add_storage(parser)
    parser.add_argument("--all", action="store_true", help="the rules that say nothing too")


def run(arguments: argparse.Namespace) -> int:
    """Print the verdicts and return the exit status."""
    try:
        handle = chosen(arguments)
    except Unusable as error:
        complain("why", error)
        return UNUSABLE
    verdicts = judge(asyncio.run(handle.look(True)), handle.storage.group)
    for verdict in verdicts:
        for refusal in verdict.refusals:
            print(f"refused: {refusal}")
        for because in verdict.because:
            print(f"allowed: {because} (rule {verdict.rule})")
        if arguments.all and verdict.allowed and not verdict.because:
            print(f"allowed: rule {verdict.rule} has nothing against it")
    allowed = all(verdict.allowed for verdict in verdicts)
    print(
        f"storage {handle.storage.name}: " + ("it may be promoted here" if allowed else "it may not be promoted here")
    )
    return DONE if allowed else REFUSED
