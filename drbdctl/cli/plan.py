"""`drbdctl plan promote|demote`: what would be done, step by step with reasons, or why not; nothing is done."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from typing import Any

from drbdctl.cli import daemon
from drbdctl.cli.daemon import ask
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
from drbdctl.failover.planner import plan_demote, plan_promote
from pyvrrp.cli.run_dir import add_run_dir


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "plan",
        help="what a promotion or demotion would do, and why",
        description="Show the steps that would be taken now, in their order, each with its reason; nothing is changed.",
        epilog=EPILOG,
    )
    parser.add_argument("what", choices=("promote", "demote"))
    add_storage(parser)
    parser.add_argument(
        "--after-move", action="store_true", help="promote: as if the peer had handed over; the daemon here is asked"
    )
    parser.add_argument("--json", action="store_true", help="write one JSON object: steps, refusals")
    parser.add_argument("--instance", metavar="NAME", help="of the daemon with `instance NAME` in its configuration")
    add_run_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the plan and return the exit status."""
    try:
        if arguments.after_move:
            answer = ask(arguments, daemon.chosen(arguments), "after-move")
        else:
            answer = _plan(arguments, chosen(arguments))
    except daemon.Unanswered as unanswered:
        return unanswered.told("plan")
    except Unusable as error:
        complain("plan", error)
        return UNUSABLE
    if arguments.json:
        print(json.dumps(answer, indent=2))
    else:
        print("\n".join(lines(answer["steps"], answer["refusals"])))
    return REFUSED if answer["refusals"] else DONE


def _plan(arguments: argparse.Namespace, handle: Handle) -> dict[str, Any]:
    """For a promotion the daemon is asked where it runs: it alone has watched the peer."""
    if arguments.what == "promote":
        try:
            return dict(ask(arguments, handle.storage.name, "plan"))
        except daemon.Unanswered as unanswered:
            if unanswered.status != NOT_RUNNING:
                complain("plan", unanswered)
    seen = asyncio.run(handle.look(True))
    planner = plan_promote if arguments.what == "promote" else plan_demote
    return planner(seen, handle.storage.group).plain


def lines(steps: Sequence[str], refusals: Sequence[str]) -> list[str]:
    """A plan as an operator reads it."""
    found = [f"{number}. {step}" for number, step in enumerate(steps, 1)] or ["nothing to do"]
    return [f"refused: {each}" for each in refusals] + [f"would: {each}" if refusals else each for each in found]
