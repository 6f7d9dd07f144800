"""`drbdctl promote`: take a storage on this node by hand: promote, mount, start, verify; all of it or nothing."""

from __future__ import annotations

import argparse
import asyncio
import syslog
from typing import Any

from drbdctl.cli.acknowledge import user
from drbdctl.cli.storage import DONE, EPILOG, UNUSABLE, Handle, Unusable, add_storage, chosen, complain
from drbdctl.cli.telling import daemon_decides, refuse_beside_daemon, tell
from drbdctl.failover.seen import Seen
from drbdctl.steps import transaction
from pyvrrp.cli.control_client import ControlError, NotRunning, call
from pyvrrp.daemon.run_directory import control_socket, default_run_directory

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
        "peer has are lost. Where pyvrrp runs, it is the one that is told",
    )
    parser.add_argument("--reason", default="drbdctl promote --accept-stale", help="for the log")


def run(arguments: argparse.Namespace) -> int:
    """Do it, told step by step, and return the exit status."""
    try:
        handle = chosen(arguments)
        if arguments.accept_stale and daemon_decides(handle.storage.name):
            return _tell_daemon(handle.storage.name, arguments.reason)
        refuse_beside_daemon(handle.storage.name)
        with transaction.exclusive(handle.storage.name):
            return asyncio.run(_promote(handle, ACCEPT_STALE if arguments.accept_stale else frozenset()))
    except (Unusable, transaction.Busy) as error:
        complain("promote", error)
        return UNUSABLE


def _tell_daemon(storage: str, reason: str) -> int:
    """It takes the role by itself once nothing else is in the way; raises Unusable."""
    rules = [str(each) for each in sorted(ACCEPT_STALE)]
    words = [storage, "accept", user(), reason, *rules]
    try:
        call(control_socket(default_run_directory()), "plugin", {"plugin": "drbdctl", "words": words})
    except (NotRunning, ControlError) as error:
        raise Unusable(str(error)) from None
    print(
        f"storage {storage}: the daemon here may take over although rules {' and '.join(rules)} speak against it, "
        "within the next 10 minutes; `drbdctl status --watch` shows it"
    )
    return DONE


async def _promote(handle: Handle, accepted: frozenset[int]) -> int:
    if accepted:
        _log_override(handle, await handle.look(False))
    return await tell("promote", transaction.promote(handle.storage, handle.look, handle.hands.do, accepted))


def _log_override(handle: Handle, seen: Seen) -> None:
    """Rule 27: who has set a rule aside, and over which data."""
    identifiers = [f"{name} {each.current:016X}" for name, found in seen.generations.items() for each in found]
    name = handle.storage.name
    text = f"drbdctl promote --accept-stale of storage {name} by {user()}; generations: {', '.join(identifiers)}"
    syslog.openlog("drbdctl", syslog.LOG_PID, syslog.LOG_DAEMON)
    syslog.syslog(syslog.LOG_WARNING, text)
    print(text)
