"""`drbdctl demote`: give a storage back on this node by hand: stop, unmount, demote."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from drbdctl.cli.storage import DONE, EPILOG, UNUSABLE, Handle, Unusable, add_storage, chosen, complain
from drbdctl.cli.telling import refuse_beside_daemon, tell
from drbdctl.daemon.intent import Intent
from drbdctl.daemon.recipe import from_recipe
from drbdctl.status.ask import node_status
from drbdctl.steps import transaction
from drbdctl.steps.hands import Hands


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "demote",
        help="give a storage back on this node: stop, unmount, demote",
        description="Stop the services of a storage, unmount it and make its resources Secondary. What is not held is "
        "left as it is.",
        epilog=EPILOG,
    )
    add_storage(parser)
    parser.add_argument(
        "--undo", metavar="RECIPE", help="for the guard of a daemon that was killed: what it wrote down, as JSON"
    )


def run(arguments: argparse.Namespace) -> int:
    """Do it, told step by step, and return the exit status."""
    try:
        if arguments.undo is not None:
            storage = from_recipe(arguments.undo)
            handle = Handle(storage, Hands(storage, lambda: node_status().status))
        else:
            handle = chosen(arguments)
            refuse_beside_daemon(handle.storage.name)
        with transaction.exclusive(handle.storage.name):
            status = asyncio.run(tell("demote", transaction.demote(handle.storage, handle.look, handle.hands.do)))
            if status == DONE:
                Intent(handle.storage.name).forget()
            return status
    except (Unusable, transaction.Busy, ValueError) as error:
        complain("demote", error)
        return UNUSABLE
