"""`drbdctl plan promote|demote`: what would be done, step by step with reasons, or why not; nothing is done."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from drbdctl.cli import daemon
from drbdctl.cli.daemon import ask
from drbdctl.cli.storage import DONE, EPILOG, REFUSED, UNUSABLE, Unusable, add_storage, chosen, complain
from drbdctl.failover.plan import Plan
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
    parser.add_argument("--json", action="store_true", help="with --after-move: write one JSON object")
    parser.add_argument("--instance", metavar="NAME", help="of the daemon with `instance NAME` in its configuration")
    add_run_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the plan and return the exit status."""
    if arguments.after_move:
        return _after_move(arguments)
    try:
        handle = chosen(arguments)
    except Unusable as error:
        complain("plan", error)
        return UNUSABLE
    seen = asyncio.run(handle.look(True))
    planner = plan_promote if arguments.what == "promote" else plan_demote
    plan = planner(seen, handle.storage.group)
    print("\n".join(lines(plan)))
    return DONE if plan.allowed else REFUSED


def _after_move(arguments: argparse.Namespace) -> int:
    """What the daemon would do; it alone has watched the peer."""
    try:
        answer = ask(arguments, daemon.chosen(arguments), "after-move")
    except daemon.Unanswered as unanswered:
        return unanswered.told("plan")
    if arguments.json:
        print(json.dumps(answer, indent=2))
    else:
        numbered = [f"{number}. {step}" for number, step in enumerate(answer["steps"], 1)]
        refused = [f"refused: {each}" for each in answer["refusals"]]
        print("\n".join([*refused, *(f"would: {each}" if refused else each for each in numbered)]))
    return REFUSED if answer["refusals"] else DONE


def lines(plan: Plan) -> list[str]:
    """A plan as an operator reads it."""
    found = [f"{number}. {planned}" for number, planned in enumerate(plan.steps, 1)]
    if plan.done:
        found = ["nothing to do"]
    if plan.refusals:
        found = [f"refused: {each}" for each in plan.refusals] + [f"would: {each}" for each in found]
    return found
