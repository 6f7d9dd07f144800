"""`drbdctl promote`: take a storage on this node by hand: promote, mount, start, verify; all of it or nothing."""

from __future__ import annotations

import argparse
import asyncio
import os
import pwd
import syslog
from typing import Any

from drbdctl.cli.storage import EPILOG, UNUSABLE, Handle, Unusable, add_storage, chosen, complain
from drbdctl.cli.telling import refuse_beside_daemon, tell
from drbdctl.failover.seen import Seen
from drbdctl.steps import transaction

ACCEPT_STALE = frozenset({5, 6})
"the rules about a peer that is not connected"


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "promote",
        help="take a storage on this node: promote, mount, start, verify",
        description="Promote the resources of a storage here, mount, start its services and verify them. When a step "
        "fails, everything is taken back. Not for a node whose pyvrrp runs: there `drbdctl move` is the way.",
        epilog=EPILOG,
    )
    add_storage(parser)
    parser.add_argument(
        "--accept-stale",
        action="store_true",
        help="promote without the peer although nothing proves that the data here are the newest: writes that only the "
        "peer has are lost",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do it, told step by step, and return the exit status."""
    try:
        handle = chosen(arguments)
        refuse_beside_daemon(handle.storage.name)
        with transaction.exclusive(handle.storage.name):
            return asyncio.run(_promote(handle, ACCEPT_STALE if arguments.accept_stale else frozenset()))
    except (Unusable, transaction.Busy) as error:
        complain("promote", error)
        return UNUSABLE


async def _promote(handle: Handle, accepted: frozenset[int]) -> int:
    if accepted:
        _log_override(handle, await handle.look(False))
    return await tell("promote", transaction.promote(handle.storage, handle.look, handle.hands.do, accepted))


def _log_override(handle: Handle, seen: Seen) -> None:
    """Rule 27: who has set a rule aside, and over which data."""
    identifiers = [f"{name} {each.current:016X}" for name, found in seen.generations.items() for each in found]
    who = os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    name = handle.storage.name
    text = f"drbdctl promote --accept-stale of storage {name} by {who}; generations: {', '.join(identifiers)}"
    syslog.openlog("drbdctl", syslog.LOG_PID, syslog.LOG_DAEMON)
    syslog.syslog(syslog.LOG_WARNING, text)
    print(text)
