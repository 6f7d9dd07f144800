"""`drbdctl plan promote|demote`: what would be done, step by step with reasons, or why not; nothing is done."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from drbdctl.cli.storage import DONE, EPILOG, REFUSED, UNUSABLE, Unusable, add_storage, chosen, complain
from drbdctl.failover.plan import Plan
from drbdctl.failover.planner import plan_demote, plan_promote


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


def run(arguments: argparse.Namespace) -> int:
    """Print the plan and return the exit status."""
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


def lines(plan: Plan) -> list[str]:
    """A plan as an operator reads it."""
    found = [f"{number}. {planned}" for number, planned in enumerate(plan.steps, 1)]
    if plan.done:
        found = ["nothing to do"]
    if plan.refusals:
        found = [f"refused: {each}" for each in plan.refusals] + [f"would: {each}" for each in found]
    return found
